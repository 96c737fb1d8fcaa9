"""``liquidcal power`` on any netlist: figures by hand through the whole command, SPEF, exit codes, documented keys."""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from flows.cli import main
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.netlist import Netlist, read_netlist
from flows.power.any_netlist import netlist_power
from flows.power.spef import read_spef
from tests.conftest import REPOSITORY
from tests.flows.mutations import MUTATIONS, mutated, read_or_refused
from tests.flows.toy_library import TOY

CHAIN = "module chain (input a, output y); wire n; INV u (.A(a), .Y(n)); INV v (.A(n), .Y(y)); endmodule\n"


def vcd(changes: int) -> str:
    """`a` toggles every 10 ns, `n` and `y` with it."""
    lines = ["$timescale 1 ns $end", "$scope module bench $end", "$scope module chain $end"]
    lines += [f"$var wire 1 {code} {name} $end" for code, name in zip("!#%", "any", strict=True)]
    lines += ["$upscope $end", "$upscope $end", "$enddefinitions $end", "#0", "0!", "1#", "0%"]
    for number in range(1, changes + 1):
        lines += [f"#{10 * number}", f"{number % 2}!", f"{1 - number % 2}#", f"{number % 2}%"]
    return "\n".join([*lines, f"#{10 * (changes + 1)}", ""])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "chain.v").write_text(CHAIN)
    (tmp_path / "chain.vcd").write_text(vcd(99))
    return tmp_path


class Done(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`liquidcal` in this process, in the folder of the files."""

    def call(*arguments: str) -> Done:
        monkeypatch.chdir(files)
        monkeypatch.setattr(sys, "argv", ["liquidcal", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        result = capsys.readouterr()
        return Done(int(left.value.code or 0), result.out, result.err)

    return call


FILES = ("power", "--netlist", "chain.v", "--liberty", "toy.lib", "--vcd", "chain.vcd")


def test_figures_by_hand_through_the_command(files: Path, run: Callable[..., Done]) -> None:
    done = run(*FILES, "--period", "10", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    rate = 99 / 1000
    # both nets switch 1/2 C V^2 at 1 V: n carries 2 fF, y nothing
    assert result["power_uw"]["switching"] == pytest.approx(0.5 * 2 * rate)
    assert result["input_nets_uw"] == pytest.approx(0.5 * 2 * rate)
    # each inverter is at 1 half of the time: (3 + 1) / 2 + 0.5 nW
    assert result["power_uw"]["leakage"] == pytest.approx(2 * 2.5e-3, rel=1e-3)
    # first: ports come with 50 ps: (10 + 20 * 0.5 + 40 * 0.02 - 4 - 40 * 0.02) / 2; second: 10.8 ps, no load
    internal = (10 + 20 * 0.5 - 4) / 2 + (10 + 20 * 0.108 - 4) / 2
    assert result["power_uw"]["internal"] == pytest.approx(internal * rate)
    assert result["power_uw"]["clock_tree"] == 0
    assert result["energy_per_clock_pj"] == pytest.approx(result["power_uw"]["total"] * 10 / 1000)
    assert result["annotated_nets_percent"] == 100
    assert result["stages_uw"].keys() == {"chain"}
    assert result["wires"].startswith("none")
    assert result["passed"] is True
    # no clock, but 1000 ns of 10 ns each: a fifth of what depends on the stimulus
    (steps,) = (step for step in result["uncertainty"] if step["step"] == "stimulus statistics")
    moves, total = internal * rate + 0.5 * 2 * rate, result["power_uw"]["total"]
    assert (steps["low_uw"], steps["high_uw"]) == pytest.approx((total - moves / 5, total + moves / 5), rel=1e-3)
    assert steps["how"].startswith("2/sqrt(100 clocks)")
    (files / "chain.vcd").write_text(vcd(1))
    (steps,) = (
        step for step in json.loads(run(*FILES, "--period", "10", "--json").stdout)["uncertainty"]
        if step["step"] == "stimulus statistics"
    )  # fmt: skip
    assert steps["low_uw"] == pytest.approx(2 * 2.5e-3, rel=1e-3), "what does not depend on the stimulus stays"


def test_every_key_is_documented(files: Path) -> None:
    result = netlist_power(files / "chain.v", [files / "toy.lib"], files / "chain.vcd", period_ns=10)
    page = (REPOSITORY / "docs" / "method" / "power.md").read_text()
    for key in (*result, *result["power_uw"], *result["uncertainty"][0]):
        assert f"`{key}`" in page, key


def test_too_few_annotated_nets_fail_the_gate(files: Path, run: Callable[..., Done]) -> None:
    text = vcd(99).replace("$var wire 1 # n $end\n", "")
    (files / "chain.vcd").write_text("\n".join(line for line in text.splitlines() if not line.endswith("#")) + "\n")
    done = run(*FILES, "--period", "10")
    assert done.returncode == 1
    assert "66.7 %" in done.stderr
    done = run(*FILES, "--period", "10", "--min-annotated", "50", "--json")
    assert done.returncode == 0
    steps = {row["step"] for row in json.loads(done.stdout)["uncertainty"]}
    assert "nets without annotation" in steps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "clock period is not evident"),
        (("--period", "10", "--top", "nothing"), "nothing"),
        (("--period", "10", "--scope", "nowhere"), "no scope 'nowhere'"),
        (("--period", "10", "--clock", "ck"), "no one-bit input port 'ck'"),
        (("--period", "10", "--spef", "none.spef"), "no SPEF file"),
        (("--period", "-10"), "period: expected a number of ns above 0, got -10"),
    ],
)
def test_bad_usage_gets_one_line(run: Callable[..., Done], arguments: tuple[str, ...], message: str) -> None:
    done = run(*FILES, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert message in done.stderr


def test_some_of_the_three_files_are_not_enough(run: Callable[..., Done]) -> None:
    for arguments in (["power"], ["power", "--netlist", "chain.v"], ["power", "ECON_T", "--netlist", "chain.v"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "give either" in " ".join(done.stderr.split()).replace("│", "")
    done = run("power", "ECON_T", "--out", "nowhere")
    assert done.returncode == 2
    assert "holds no synthesis: run `liquidcal synth ECON_T` first" in done.stderr


SPEF = """*SPEF "IEEE 1481-1998"
*DESIGN "chain"
*DESIGN_FLOW "{flow}"
*DIVIDER /
*C_UNIT 1 PF
*NAME_MAP
*1 n
*D_NET *1 0.025
*CONN
*END
*D_NET y 0.004
*END
*D_NET elsewhere 7
*END
"""


@pytest.mark.parametrize(("unit", "femtofarad"), [("10 FF", 10), ("2.5 PF", 2500), ("1 ff", 1), (".5e-3 NF", 500)])
def test_the_capacitance_unit_of_spef_counts(files: Path, unit: str, femtofarad: float) -> None:
    """IEEE 1481: the unit is a number and a unit, both of which scale every capacitance."""
    library = read_power_library([files / "toy.lib"])
    netlist = read_netlist(files / "chain.v", liberty=[files / "toy.lib"])
    (files / "a.spef").write_text(SPEF.format(flow="PIN_CAP NONE").replace("1 PF", unit))
    wires, _ = read_spef(files / "a.spef", netlist, library)
    assert wires[netlist.net_names.index("n")] == pytest.approx(0.025 * femtofarad)


def test_comments_of_spef_may_take_several_lines(files: Path) -> None:
    library = read_power_library([files / "toy.lib"])
    netlist = read_netlist(files / "chain.v", liberty=[files / "toy.lib"])
    text = SPEF.format(flow="PIN_CAP NONE").replace("*D_NET y 0.004", "/* *D_NET y 1\n*END // */ *D_NET y 0.004 // 7")
    (files / "a.spef").write_text(text)
    assert read_spef(files / "a.spef", netlist, library)[0][netlist.net_names.index("y")] == pytest.approx(4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1 PF", "1 PV", r"line 5: \*C_UNIT: expected a unit out of F, .* got 'PV'"),
        ("1 PF", "0 PF", r"line 5: \*C_UNIT: expected a number above 0 with the unit PF, got '0'"),
        ("1 PF", "PF", r"line 5: \*C_UNIT: expected"),
        ("*1 0.025", "*1 0.0.25", r"line 8: expected \*D_NET NAME CAPACITANCE, got '\*1 0.0.25'"),
        ("*1 0.025", "*1", r"line 8: expected \*D_NET NAME CAPACITANCE"),
        ("*1 0.025", "*1 1e999", "line 8: expected a capacitance of at least 0, got 1e999"),
        ("*1 0.025", "*7 0.025", r"line 8: \*NAME_MAP has no \*7"),
        ("*1 n", "*1", "line 7: expected an index and a name"),
        ("*CONN\n*END\n", "", "line 9: the net of line 8 has no"),
        ("D_NET y", "D_NET n", "line 11: net n comes twice"),
        ("elsewhere 7\n*END\n", "elsewhere 7\n", "ends inside of the net of line 13: it was cut"),
        ("*C_UNIT 1 PF\n", "", "line 7: no .*C_UNIT before the first net"),
        ("*NAME_MAP", "/* one\ntwo\n*NAME_MAP", "line 6: a comment begins that does not end"),
    ],
)
def test_spef_that_is_cut_or_malformed(files: Path, old: str, new: str, message: str) -> None:
    library = read_power_library([files / "toy.lib"])
    netlist = read_netlist(files / "chain.v", liberty=[files / "toy.lib"])
    text = SPEF.format(flow="PIN_CAP NONE")
    assert old in text
    (files / "a.spef").write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_spef(files / "a.spef", netlist, library)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
def test_mutated_spef_is_read_or_refused(files: Path, mutations: list[tuple[str, int, int]]) -> None:
    """Never another error than the one that names the file."""
    path = files / "mutated.spef"
    path.write_bytes(mutated(SPEF.format(flow="PIN_CAP INPUT_OUTPUT").encode(), mutations))
    found = read_or_refused(path, lambda: read_spef(path, *toy(files)), ValueError)
    if found is None:
        return
    wires, share = found
    assert np.isfinite(wires).all()
    assert (wires >= 0).all()
    assert 0 < share <= 1


@cache
def toy(folder: Path) -> tuple[Netlist, PowerLibrary]:
    """The chain of inverters, read once."""
    return (
        read_netlist(folder / "chain.v", liberty=[folder / "toy.lib"]), read_power_library([folder / "toy.lib"]),
    )  # fmt: skip


def test_a_recording_with_tabs_that_is_cut_names_its_line(files: Path, run: Callable[..., Done]) -> None:
    """Tabs between values and codes are legal; a vector without a code at the end of the file is not."""
    text = vcd(99).replace("0!", "0\t!").replace("#20\n", "b1\t#\n#20\n")
    (files / "chain.vcd").write_text(text)
    assert run(*FILES, "--period", "10").returncode == 0
    (files / "chain.vcd").write_text(text + "b0101")
    done = run(*FILES, "--period", "10")
    assert done.returncode == 2
    assert f"line {text.count(chr(10)) + 1}: the file ends inside of a value change" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_names_of_spef_are_divided_as_it_says(tmp_path: Path) -> None:
    """A net of an instance, with a divider of the file's own; comments of no letter and of a whole line."""
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "two.v").write_text(
        "module sub (input a, output y); wire n; INV u (.A(a), .Y(n)); INV v (.A(n), .Y(y)); endmodule\n"
        "module two (input a, output y); sub s (.a(a), .y(y)); endmodule"
    )
    library = read_power_library([tmp_path / "toy.lib"])
    netlist = read_netlist(tmp_path / "two.v", liberty=[tmp_path / "toy.lib"])
    text = '*DESIGN_FLOW "PIN_CAP NONE"\n*DIVIDER :\n*C_UNIT 1 FF\n/**/ *D_NET s:n 3\n// *D_NET y 9\n*END\n'
    (tmp_path / "a.spef").write_text(text)
    wires, share = read_spef(tmp_path / "a.spef", netlist, library)
    assert wires[netlist.net_names.index("s.n")] == 3
    assert wires.sum() == 3
    assert share == pytest.approx(1 / 3)
    (tmp_path / "one.v").write_text("module one (input a); INV u (.A(a)); endmodule")
    one = read_netlist(tmp_path / "one.v", liberty=[tmp_path / "toy.lib"])
    (tmp_path / "a.spef").write_text("*C_UNIT 1 FF\n*D_NET a 3\n*END\n")
    assert read_spef(tmp_path / "a.spef", one, library)[1] == 1


def test_spef(files: Path) -> None:
    library, netlist = (
        read_power_library([files / "toy.lib"]),
        read_netlist(files / "chain.v", liberty=[files / "toy.lib"]),
    )
    (files / "a.spef").write_text(SPEF.format(flow="PIN_CAP NONE"))
    wires, share = read_spef(files / "a.spef", netlist, library)
    n, y = (netlist.net_names.index(name) for name in "ny")
    assert (wires[n], wires[y]) == (pytest.approx(25), pytest.approx(4))
    assert share == pytest.approx(2 / 3)
    # totals that hold the pins: 2 fF of the second inverter come off
    (files / "b.spef").write_text(SPEF.format(flow="PIN_CAP INPUT_OUTPUT"))
    wires, _ = read_spef(files / "b.spef", netlist, library)
    assert wires[n] == pytest.approx(23)
    result = netlist_power(
        files / "chain.v", [files / "toy.lib"], files / "chain.vcd", period_ns=10, spef=files / "a.spef"
    )
    assert result["power_uw"]["switching"] == pytest.approx(0.5 * (2 + 25 + 4) * 99 / 1000)
    assert result["wires"] == "SPEF a.spef, 66.7 % of the nets, without its resistances"
    (files / "c.spef").write_text("hello")
    with pytest.raises(ValueError, match="no \\*C_UNIT"):
        read_spef(files / "c.spef", netlist, library)
    (files / "d.spef").write_text("*C_UNIT 1 PF\n*D_NET q 1\n*END\n")
    with pytest.raises(ValueError, match="names no net of chain"):
        read_spef(files / "d.spef", netlist, library)


def test_a_library_without_power_tables_says_so(files: Path) -> None:
    bare = TOY[: TOY.index('      internal_power () {\n        related_pin : "A";\n        rise_power')]
    assert "internal_power" not in bare
    (files / "bare.lib").write_text(bare + "    }\n  }\n}\n")
    result = netlist_power(files / "chain.v", [files / "bare.lib"], files / "chain.vcd", period_ns=10)
    assert any("no internal power tables in 1 of 1 cell types (INV)" in note for note in result["notes"])
    assert result["power_uw"]["internal"] == 0


def test_recorded_clock_and_energy_per_clock(files: Path) -> None:
    """A flip-flop that toggles every clock, with 40 idle ones: the period is measured, the tree is modelled."""
    flops = "\n".join(f"DFF f{k} (.D(q[{k}]), .CK(ck), .RN(1'b1), .Q(q[{k}]));" for k in range(1, 41))
    (files / "chain.v").write_text(
        "module chain (input ck, output [40:0] q); wire d; INV u (.A(q[0]), .Y(d));\n"
        f"DFF f0 (.D(d), .CK(ck), .RN(1'b1), .Q(q[0]));\n{flops}\nendmodule\n"
    )
    lines = [
        "$timescale 1 ns $end",
        "$scope module chain $end",
        "$var wire 1 ! ck $end",
        "$var wire 41 # q [40:0] $end",
    ]
    lines += ["$var wire 1 % d $end", "$upscope $end", "$enddefinitions $end", "#0", "0!", "b0 #", "1%"]
    for number in range(200):
        lines += [f"#{4 * number + 2}", "1!", f"b{(number + 1) % 2} #", f"{number % 2}%", f"#{4 * number + 4}", "0!"]
    (files / "chain.vcd").write_text("\n".join([*lines, ""]))
    result = netlist_power(files / "chain.v", [files / "toy.lib"], files / "chain.vcd")
    assert result["period_ns"] == pytest.approx(4)
    assert result["clock_trees"]["ck"]["sinks"] == 41
    # one flip-flop toggles at every clock: 6 fJ an edge of its clock pin, 40 stand still: 8 fJ, both slew-independent
    assert result["power_uw"]["clock_pins"] == pytest.approx(2 / 4 * (6 + 40 * 8), rel=1e-3)
    assert result["glitch_factor"] == pytest.approx(1)
    assert np.isclose(result["power_uw"]["total"], sum(v for k, v in result["power_uw"].items() if k != "total"))
