"""Kits by path: hand-made folders laid out as open_pdks, IHP and OpenROAD-flow-scripts lay theirs out."""

import gzip
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from flows.library.catalogue import cell_library
from flows.library.liberty_file import LibraryError
from flows.library.pdks import FAMILIES, corner_files, library_from_pdk
from flows.library.power_library import read_power_library
from tests.flows.toy_library import TOY

LEF = "SITE core\n  CLASS CORE ;\n  SIZE 1 BY 2 ;\nEND core\nMACRO INV\n  SIZE 1 BY 2 ;\nEND INV\n"


def kit(root: Path, *files: str) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = TOY if ".lib" in name else LEF if name.endswith("lef") else "// cells\n"
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)


SKY = "sky130A/libs.ref/sky130_fd_sc_hd"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PDK_ROOT", raising=False)
    monkeypatch.delenv("FLOW_HOME", raising=False)
    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path / "cache"))


def test_open_pdks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{SKY}/lib/sky130_fd_sc_hd__{c}.lib" for c in ("tt_025C_1v80", "ss_100C_1v60", "ff_n40C_1v95")]
    kit(tmp_path, *names, f"{SKY}/techlef/sky130_fd_sc_hd__nom.tlef", f"{SKY}/lef/sky130_fd_sc_hd.lef",
        f"{SKY}/verilog/primitives.v", f"{SKY}/verilog/sky130_fd_sc_hd.v")  # fmt: skip
    monkeypatch.setenv("PDK_ROOT", str(tmp_path))
    library = cell_library("sky130")
    assert library.name == "sky130"
    assert [path.name for path in library.liberty] == ["sky130_fd_sc_hd__tt_025C_1v80.lib"]
    assert [path.name for path in library.lef] == ["sky130_fd_sc_hd__nom.tlef", "sky130_fd_sc_hd.lef"]
    assert [path.name for path in library.verilog] == ["primitives.v", "sky130_fd_sc_hd.v"]
    assert library.nand2 == "NAND"
    assert not library.predictive
    slow = cell_library("sky130:slow")
    assert [path.name for path in slow.liberty] == ["sky130_fd_sc_hd__ss_100C_1v60.lib"]
    assert slow.name == "sky130:slow"
    assert corner_files("sky130", "fast")[0].name == "sky130_fd_sc_hd__ff_n40C_1v95.lib"


def test_ihp(tmp_path: Path) -> None:
    base = "ihp-sg13g2/libs.ref/sg13g2_stdcell"
    kit(tmp_path, f"{base}/lib/sg13g2_stdcell_typ_1p20V_25C.lib", f"{base}/lib/sg13g2_stdcell_slow_1p08V_125C.lib",
        f"{base}/lef/sg13g2_tech.lef", f"{base}/lef/sg13g2_stdcell.lef")  # fmt: skip
    library = library_from_pdk("sg13g2", root=tmp_path)
    assert [path.name for path in library.lef] == ["sg13g2_tech.lef", "sg13g2_stdcell.lef"]
    assert library.verilog == ()
    with pytest.raises(LibraryError, match=r"fast_1p32V_m40C.*there: .*slow_1p08V_125C.lib, .*typ_1p20V_25C.lib"):
        library_from_pdk("sg13g2", "fast", root=tmp_path)


def test_several_packed_files_of_openroad_flow_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASAP7 comes in five files; each holds other cells, most are packed."""
    base = "flow/platforms/asap7"
    kit(tmp_path, f"{base}/lef/asap7_tech_1x_201209.lef", f"{base}/lef/asap7sc7p5t_28_R_1x_220121a.lef")
    head = TOY[: TOY.index("  cell (INV)")]
    cells = TOY[TOY.index("  cell (INV)") : TOY.rindex("}")].split("  cell (")[1:]
    lots = {
        "INVBUF": cells[:2],
        "SIMPLE": cells[2:3],
        "SEQ": cells[3:],
        "AO": [cells[2].replace("NAND)", "NANDxp5)", 1)],
        "OA": [cells[0].replace("INV)", "INVx2)", 1)],
    }
    for group, members in lots.items():
        text = head + "".join(f"  cell ({cell}" for cell in members) + "}\n"
        name = tmp_path / base / f"lib/NLDM/asap7sc7p5t_{group}_RVT_TT_nldm_211120.lib"
        name.parent.mkdir(parents=True, exist_ok=True)
        if group == "SEQ":
            name.write_text(text)
        else:
            name.with_name(name.name + ".gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "flow"))
    library = cell_library("asap7")
    assert library.predictive
    assert len(library.liberty) == 5
    assert all(path.suffix == ".lib" for path in library.liberty)
    assert {"INV", "BUF", "NAND", "DFF", "NANDxp5", "INVx2"} <= set(library.cells)
    assert library.dont_use == ("NANDxp5",)
    # the same cells with their power tables
    assert set(read_power_library(library.liberty)) == set(library.cells)


def test_gf180_with_both_forms_of_one_file(tmp_path: Path) -> None:
    base = "gf180mcuD/libs.ref/gf180mcu_fd_sc_mcu7t5v0"
    lib = f"{base}/lib/gf180mcu_fd_sc_mcu7t5v0__tt_025C_5v00.lib"
    kit(tmp_path, lib, f"{lib}.gz", f"{base}/techlef/gf180mcu_fd_sc_mcu7t5v0__nom.tlef",
        f"{base}/lef/gf180mcu_fd_sc_mcu7t5v0.lef")  # fmt: skip
    assert [path.name for path in corner_files("gf180mcu", root=tmp_path)] == [Path(lib).name]
    assert len(library_from_pdk("gf180mcu", root=tmp_path).cells) == 7


def test_files_joined_by_commas(tmp_path: Path) -> None:
    kit(tmp_path, "a.lib.gz", "t.tlef", "c.lef", "c.v")
    text = ",".join(str(tmp_path / name) for name in ("a.lib.gz", "t.tlef", "c.lef", "c.v"))
    library = cell_library(text)
    assert [len(lot) for lot in (library.liberty, library.lef, library.verilog)] == [1, 2, 1]
    assert cell_library(library.name).sha256 == library.sha256
    assert cell_library(f"{text},dont_use=LATC?").dont_use == (*library.dont_use, "LATCH")
    with pytest.raises(LibraryError, match="dont_use=NOTHING.: none of 7 cells"):
        cell_library(f"{text},dont_use=NOTHING*")
    with pytest.raises(ValueError, match="expected .lib"):
        cell_library(f"{tmp_path / 'a.lib.gz'},{tmp_path / 'c.gds'}")
    with pytest.raises(FileNotFoundError, match="no file"):
        cell_library(str(tmp_path / "b.lib"))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="set PDK_ROOT"):
        cell_library("sky130")
    with pytest.raises(LibraryError, match="is not in .*looked for sky130A/libs.ref"):
        library_from_pdk("sky130", root=tmp_path)
    with pytest.raises(ValueError, match="corner 'worst'"):
        cell_library("sky130:worst")
    with pytest.raises(ValueError, match="unknown cell library 'sky131'.*asap7"):
        cell_library("sky131")
    kit(tmp_path, f"{SKY}/lib/sky130_fd_sc_hd__tt_025C_1v80.lib")
    with pytest.raises(LibraryError, match="no techlef/sky130_fd_sc_hd__nom.tlef"):
        library_from_pdk("sky130", root=tmp_path)


def test_asap7_keeps_its_flip_flop_with_a_reset() -> None:
    """Of its sequential cells the D flip-flops and the one with set and reset may be used, no scan, no odd sizes."""
    patterns = FAMILIES["asap7"].dont_use
    cells = ("DFFHQNx1_ASAP7_75t_R", "DFFASRHQNx1_ASAP7_75t_R", "SDFHx1_ASAP7_75t_R", "ICGx1_ASAP7_75t_R",
             "NAND2xp33_ASAP7_75t_R", "INVx1_ASAP7_75t_R", "BUFx12f_ASAP7_75t_R", "AND2x1p5_ASAP7_75t_R")  # fmt: skip
    assert [cell for cell in cells if not any(fnmatchcase(cell, pattern) for pattern in patterns)] == [
        "DFFHQNx1_ASAP7_75t_R", "DFFASRHQNx1_ASAP7_75t_R", "INVx1_ASAP7_75t_R", "BUFx12f_ASAP7_75t_R",
    ]  # fmt: skip


def test_every_family_has_every_corner() -> None:
    for name, family in FAMILIES.items():
        assert set(family.corners) == {"typical", "slow", "fast"}, name
