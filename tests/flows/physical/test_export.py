"""Projects for LibreLane and OpenROAD-flow-scripts: published keys, constraints that OpenSTA takes, refusals."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.library.power_library import read_power_library
from flows.netlist.netlist import read_netlist
from flows.physical.export import (
    LIBRELANE_VARIABLES,
    OPENROAD_VARIABLES,
    Project,
    check_librelane,
    check_openroad,
    export_librelane,
    export_openroad,
    sdc,
    static_cells,
)
from flows.physical.timing import ClockPlan, analyse
from flows.steps.export import unsigned
from flows.tools.opensta import run_sta
from flows.tools.verilog import read_ports
from flows.tools.yosys import run_yosys
from tests.conftest import need
from tests.flows.conftest import library_or_skip
from tests.specs import SMALL

PORTS = {
    "clk": ("input", 1),
    "rst": ("input", 1),
    "write_data": ("input", 8),
    "words": ("input", 4),
    "y": ("output", 2),
}
PLAN = ClockPlan(clock="clk", period_ns=25.0, uncertainty_ns=0.75, hold_uncertainty_ns=0.075, resets=("rst",))


def project(library: str, *, mapped: bool = False, **changes: Any) -> Project:
    whole = {"design": "TOP", "verilog": "module TOP; endmodule\n", "ports": PORTS, "plan": PLAN, **changes}
    return Project(library=library, mapped=mapped, **whole)


def test_librelane_project(tmp_path: Path) -> None:
    config = export_librelane(tmp_path / "p", project("sky130", mapped=True, utilisation=0.6))
    result = json.loads(config.read_text())
    assert set(result) == {"meta", *LIBRELANE_VARIABLES}
    assert (result["PDK"], result["STD_CELL_LIBRARY"]) == ("sky130A", "sky130_fd_sc_hd")
    assert result["SYNTH_ELABORATE_ONLY"] is True
    assert result["FP_CORE_UTIL"] == 60
    # every file that the configuration names is there
    for value in (
        *result["VERILOG_FILES"],
        result["PNR_SDC_FILE"],
        result["SIGNOFF_SDC_FILE"],
        result["IO_PIN_ORDER_CFG"],
    ):
        assert (tmp_path / "p" / value.removeprefix("dir::")).is_file(), value
    order = (tmp_path / "p" / "pin_order.cfg").read_text()
    sides = dict(re.findall(r"^#([NSWE])\n((?:[^#\n]+\n)*)", order, re.MULTILINE))
    assert sides["W"].split() == ["clk", "rst", r"write_data\[\d+\]"]
    assert (sides["N"].split(), sides["S"].split(), sides["E"]) == ([r"words\[\d+\]"], [r"y\[\d+\]"], "")


def test_a_pattern_of_pins_is_that_of_one_port(tmp_path: Path) -> None:
    """LibreLane takes each line as a regular expression of whole pin names: every pin has one line."""
    ports = {**PORTS, "y_valid": ("output", 1), "y2": ("output", 12), "word": ("input", 3)}
    export_librelane(tmp_path / "p", project("sky130", ports=ports))
    lines = [line for line in (tmp_path / "p" / "pin_order.cfg").read_text().split() if not line.startswith("#")]
    pins = [f"{name}[{bit}]" if width > 1 else name for name, (_, width) in ports.items() for bit in range(width)]
    for pin in pins:
        assert [line for line in lines if re.fullmatch(line, pin)] == [line for line in lines if pin.partition("[")[0]
                                                                       == line.partition("\\")[0]]  # fmt: skip
    assert len(lines) == len(ports)


def test_openroad_design(tmp_path: Path) -> None:
    for mapped in (True, False):
        config = export_openroad(tmp_path / "p", project("nangate45", mapped=mapped))
        result = dict(re.findall(r"^export (\w+) = (.*)$", config.read_text(), re.MULTILINE))
        assert set(result) <= set(OPENROAD_VARIABLES)
        assert ("SYNTH_NETLIST_FILES" in result) is mapped
        assert result["PLATFORM"] == "nangate45"
        for name in ("VERILOG_FILES", "SDC_FILE", "IO_CONSTRAINTS"):
            assert (tmp_path / "p" / result[name].removeprefix("$(dir $(DESIGN_CONFIG))")).is_file()
    pins = (tmp_path / "p" / "io.tcl").read_text()
    assert "-region top:* -pin_names {words[0] words[1] words[2] words[3]}" in pins
    assert "-region left:* -pin_names {clk rst write_data[0]" in pins
    # each bit of each port once
    assert len(re.findall(r"[{ ](\w+(?:\[\d+\])?)(?=[ }])", pins)) == sum(width for _, width in PORTS.values())


LIBRELANE_PUBLISHED = {
    "DESIGN_NAME": "str", "PDK": "str", "STD_CELL_LIBRARY": "str", "VERILOG_FILES": "List[Path]",
    "CLOCK_PORT": "Union[None, str, List[str]]", "CLOCK_PERIOD": "Decimal", "PNR_SDC_FILE": "Optional[Path]",
    "SIGNOFF_SDC_FILE": "Optional[Path]", "IO_PIN_ORDER_CFG": "Optional[Path]",
    "FP_SIZING": "Literal['absolute', 'relative']", "FP_CORE_UTIL": "Decimal", "FP_ASPECT_RATIO": "Decimal",
    "SYNTH_ELABORATE_ONLY": "bool",
}  # fmt: skip
"""Types that librelane 3.0.17 (package of that name, Apache-2.0) gives these variables: `config_vars` of the steps of
its flow Classic, and `librelane.config.flow`."""
WRONG = {
    "str": 3, "List[Path]": "one.v", "Union[None, str, List[str]]": 7, "Decimal": "fast", "Optional[Path]": "",
    "Literal['absolute', 'relative']": "both", "bool": 1,
}  # fmt: skip
"""Of each type a value that is not of it."""
OPENROAD_PUBLISHED = {
    "DESIGN_NAME", "PLATFORM", "VERILOG_FILES", "SDC_FILE", "SYNTH_NETLIST_FILES", "SYNTH_HIERARCHICAL",
    "CORE_UTILIZATION", "CORE_ASPECT_RATIO", "IO_CONSTRAINTS",
}  # fmt: skip
"""Of flow/scripts/variables.yaml, The-OpenROAD-Project/OpenROAD-flow-scripts; the first four are required there."""


def test_every_variable_of_a_project_is_published_with_its_type(tmp_path: Path) -> None:
    config = export_librelane(tmp_path / "p", project("sg13g2"))
    result = json.loads(config.read_text())
    assert set(result) - {"meta"} == LIBRELANE_PUBLISHED.keys() == LIBRELANE_VARIABLES.keys()
    check_librelane(result)
    for name, kind in LIBRELANE_PUBLISHED.items():
        with pytest.raises(ValueError, match=f"LibreLane: {name} expects"):
            check_librelane({**result, name: WRONG[kind]})
    for name in ("DESIGN_NAME", "VERILOG_FILES", "CLOCK_PORT", "CLOCK_PERIOD"):
        with pytest.raises(ValueError, match=f"{name} is missing"):
            check_librelane({key: value for key, value in result.items() if key != name})
    with pytest.raises(ValueError, match="expected meta of version 2"):
        check_librelane({**result, "meta": {"version": 1}})
    assert OPENROAD_VARIABLES.keys() == OPENROAD_PUBLISHED


@pytest.mark.parametrize(
    ("name", "misspelt"), [("FP_CORE_UTIL", "FP_CORE_UTILISATION"), ("CLOCK_PERIOD", "CLOCK_PERIODE")]
)
def test_a_misspelt_variable_of_librelane_is_refused(name: str, misspelt: str, tmp_path: Path) -> None:
    config = export_librelane(tmp_path / "p", project("sky130"))
    result = json.loads(config.read_text())
    with pytest.raises(ValueError, match=f"LibreLane has no variable {misspelt}|{name} is missing"):
        check_librelane({misspelt if key == name else key: value for key, value in result.items()})


def test_a_misspelt_or_wrong_variable_of_openroad_is_refused(tmp_path: Path) -> None:
    config = export_openroad(tmp_path / "p", project("asap7"))
    result = dict(re.findall(r"^export (\w+) = (.*)$", config.read_text(), re.MULTILINE))
    check_openroad(result)
    for name, value, message in (
        ("CORE_UTILISATION", "50", "has no variable CORE_UTILISATION"),
        ("CORE_UTILIZATION", "150", "expects a number from 0 to 100"),
        ("CORE_ASPECT_RATIO", "wide", "expects a number above 0"),
        ("SYNTH_HIERARCHICAL", "yes", "expects 0 or 1"),
        ("DESIGN_NAME", "a b", "expects an identifier"),
        ("SDC_FILE", "", "expects a path"),
    ):
        with pytest.raises(ValueError, match=message):
            check_openroad({**result, name: value})
    for name in ("DESIGN_NAME", "PLATFORM", "VERILOG_FILES", "SDC_FILE"):
        with pytest.raises(ValueError, match=f"{name} is missing"):
            check_openroad({key: value for key, value in result.items() if key != name})


def test_an_internal_clock_is_constrained_and_no_data_port(tmp_path: Path) -> None:
    ports = {"clk": ("input", 1), "fast_clk": ("input", 1), **{k: v for k, v in PORTS.items() if k != "clk"}}
    plan = ClockPlan(**{**vars(PLAN), "internal_clock": "fast_clk", "multiple": 4})
    config = export_librelane(tmp_path / "p", project("sky130", ports=ports, plan=plan))
    assert json.loads(config.read_text())["CLOCK_PORT"] == ["clk", "fast_clk"]
    result = (tmp_path / "p" / "constraints.sdc").read_text()
    assert "create_clock -name fast_clk -period 6.25 [get_ports fast_clk]" in result
    assert "set_clock_uncertainty -setup 0.1875 [get_clocks fast_clk]" in result
    assert not re.search(r"set_input_delay .*fast_clk\]", result)
    assert "fast_clk" in (tmp_path / "p" / "pin_order.cfg").read_text().partition("#W")[2]
    with pytest.raises(ValueError, match="no clock port 'fast_clk'"):
        sdc(PORTS, plan)


def test_constraints_give_the_slack_of_our_own_analysis(tmp_path: Path) -> None:
    """OpenSTA reads the exported SDC on the hierarchical netlist; `flows.physical.timing` has its own, flat."""
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    cells = library_or_skip("nangate45")
    (tmp_path / "top.v").write_text(
        "module store (clk, d, s);\n input clk, d; output s;\n"
        " DFFR_X1 keep (.CK(clk), .RN(1'b1), .D(d), .Q(s));\nendmodule\n"
        "module top (clk, rst, x, y);\n input clk, rst; input [1:0] x; output y;\n wire a, s, n, m;\n"
        " store registers (.clk(clk), .d(x[0]), .s(s));\n DFFR_X1 f (.CK(clk), .RN(rst), .D(x[1]), .Q(a));\n"
        " NAND2_X1 g (.A1(a), .A2(s), .ZN(n));\n INV_X1 h (.A(n), .ZN(m));\n"
        " DFFR_X1 e (.CK(clk), .RN(rst), .D(m), .Q(y));\nendmodule\n"
    )
    netlist = read_netlist(tmp_path / "top.v", liberty=cells.liberty, top="top")
    plan = ClockPlan(**{**vars(PLAN), "static_stages": ("registers",)})
    own = analyse(netlist, read_power_library(cells.liberty), plan)
    ports = {"clk": ("input", 1), "rst": ("input", 1), "x": ("input", 2), "y": ("output", 1)}
    (tmp_path / "top.sdc").write_text(sdc(ports, plan, static_pattern=static_cells(["registers"])))
    commands = {
        "design": [f"read_liberty {cells.liberty[0]}", "read_verilog top.v", "link_design top"],
        "constraints": ["set_cmd_units -capacitance fF -time ns", "read_sdc top.sdc"],
        "checks": ["report_checks -path_delay max -digits 4"],
    }
    result = "".join(run_sta([], reports=commands, directory=tmp_path, timeout_s=60).values())
    assert "Warning" not in result
    slack = re.search(r"(-?[\d.]+)\s+slack", result)
    assert slack is not None
    assert float(slack[1]) == pytest.approx(own.setup_slack_ns, abs=2e-4)
    # the same constraints on the flattened netlist, as a flow makes it: the exceptions still find their registers
    yosys = "read_verilog top.v; hierarchy -top top; flatten; write_verilog -noattr flat.v"
    run_yosys(f"read_liberty -lib {cells.liberty[0]}; {yosys}", directory=tmp_path, name="flat")
    assert "registers.keep" in (tmp_path / "flat.v").read_text()
    commands["design"][1] = "read_verilog flat.v"
    flat = "".join(run_sta([], reports=commands, directory=tmp_path, timeout_s=60).values())
    assert "Warning" not in flat
    assert re.search(r"(-?[\d.]+)\s+slack", flat)[1] == slack[1]  # type: ignore[index]


def test_a_mapped_netlist_has_no_signed_wires() -> None:
    """OpenSTA's reader of Verilog refuses the word; names that hold it stay."""
    text = (
        "module m (a, y);\n  input signed [3:0] a;\n  output  signed y;\n  wire signed \\signed ;\n  wire signed_b;\n"
    )
    assert unsigned(text) == ("module m (a, y);\n  input [3:0] a;\n  output y;\n  wire \\signed ;\n  wire signed_b;\n")


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no kit for 'nangate45'"):
        export_librelane(tmp_path / "p", project("nangate45"))
    with pytest.raises(ValueError, match="no platform for 'osu018'"):
        export_openroad(tmp_path / "p", project("osu018"))
    with pytest.raises(ValueError, match="utilisation"):
        project("asap7", utilisation=1.5)
    with pytest.raises(ValueError, match="aspect"):
        project("asap7", aspect=0)
    with pytest.raises(ValueError, match="no clock port 'ck'"):
        sdc(PORTS, ClockPlan(clock="ck", period_ns=1))
    assert not (tmp_path / "p").exists()
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        export_openroad(tmp_path / "q", project("asap7"))


def test_command_writes_the_rtl_of_a_design(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(SMALL.to_toml())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["liquidcal", "export", "small.toml", "--kit", "sg13g2", "--json"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code in (0, None)
    result = json.loads(capsys.readouterr().out)
    assert result["mapped"] is False
    folder = Path(result["configuration"]).parent
    verilog = (folder / "src" / "SMALL.v").read_text()
    # every port of the constraints and of the pin order is a port of the module
    ports = {port.name for port in read_ports(verilog, "SMALL")}
    named = set(re.findall(r"get_ports \{?(\w+)", (folder / "constraints.sdc").read_text()))
    assert named == ports
    order = {line.partition("\\")[0] for line in (folder / "pin_order.cfg").read_text().split() if line[0] != "#"}
    assert order == ports
