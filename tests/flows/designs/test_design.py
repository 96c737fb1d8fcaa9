"""A design by name, file and folder: what it can do, and its one spelling."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from flows.designs.catalogue import KINDS, design, load_design, presets
from flows.designs.crossbar import CrossbarDesign
from flows.designs.design import DESIGN_FILE, Design
from flows.designs.encoder import EncoderDesign
from flows.synthesis.recipe import AREA, BUFFERED
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import ECON_T
from sim.lsm_crossbar.spec import N_MNIST
from tests.flows.conftest import library_or_skip


def test_presets_of_both_chips_are_known_by_name() -> None:
    assert design("ECON_T").spec is ECON_T
    assert design("N_MNIST").spec is N_MNIST
    assert {"TNS_2021", "FULL_MACRO"} < set(presets())
    assert [type(design(name)) for name in ("ECON_T", "N_MNIST")] == [EncoderDesign, CrossbarDesign]


@pytest.mark.parametrize("spec", [replace(ECON_T, name="MINE"), replace(N_MNIST, name="MINE", threshold=30)])
def test_files_of_both_chips_are_known_by_content(spec: object, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(spec.to_toml())  # type: ignore[attr-defined]
    found = design(str(path))
    assert found.spec == spec
    assert found.name == "MINE"
    # the command names the file: the spec's name would be no preset
    assert found.command("synth") == f"liquidcal synth {path}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters = 3", "expected the field kernel (of an encoder) or "),
        ("kernel = [3, 3]", "not an encoder spec"),
        ("threshold = 3", "not a crossbar spec"),
        ("=", "not a TOML file"),
        ('kind = "adder"', f"kind: expected one of {', '.join(KINDS)}, got 'adder'"),
        ('kind = "encoder"', "a table [spec]"),
        ('kind = "crossbar"\nscheme = "secded"\n\n[spec]\n', "a design of kind crossbar has no field scheme"),
    ],
)
def test_other_files_are_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="mine.toml") as caught:
        design(str(path))
    assert message in str(caught.value)


def test_an_unknown_name_lists_the_presets() -> None:
    with pytest.raises(ValueError, match="ECON_T, .*N_MNIST"):
        design("ECONT")
    with pytest.raises(ValueError, match=rf"a spec of a known chip \({', '.join(KINDS)}\), got 3"):
        design(3)


def test_variants_of_an_encoder_are_named_after_what_makes_them() -> None:
    assert design("ECON_T").name == "ECON_T"
    assert design("ECON_T").options == ""
    four = design("ECON_T", reuse=4, scheme=Scheme.TMR_REGISTERS, clock_gating=True)
    assert four.name == "ECON_T_reuse4_tmr_registers_direct_gated"
    assert four.options == " --reuse 4 --scheme tmr_registers --loading direct --clock-gating"
    assert four.case == "tmr_registers_direct_reuse_4"
    assert (four.reuse, four.spec) == (4, replace(ECON_T, reuse=4))
    assert four.plain == design("ECON_T")
    part = four.component()
    part._MustUse__silence = True
    assert type(part).__name__ == "Chip"
    assert design("ECON_T", loading=Loading.GUARDED).name == "ECON_T_none_guarded"
    assert design("N_MNIST").reuse == 1


VARIANTS = [
    design("ECON_T"),
    design("ECON_T", reuse=4, scheme="tmr_registers", clock_gating=True, library="nangate45"),
    design("TNS_2021", loading="guarded"),
    design("N_MNIST", clock_gating=True, library="a.lib,b.lef"),
    design(replace(N_MNIST, name="MINE", threshold=30)),
    design(replace(ECON_T, name="ODD"), reuse=2, library='a "b".lib'),
]


@pytest.mark.parametrize("chosen", VARIANTS, ids=lambda chosen: chosen.name)
def test_a_result_folder_says_what_it_is_of(chosen: Design, tmp_path: Path) -> None:
    """Through the file, and through the command line that the file stands for: the same design."""
    assert chosen.save(tmp_path) == chosen
    assert load_design(tmp_path) == chosen
    again = design(str(tmp_path / DESIGN_FILE))
    assert (again.identity(), again.library, again.name) == (chosen.identity(), chosen.library, chosen.name)
    words = iter(shlex.split(again.command("synth"))[3:])
    given = {name[2:].replace("-", "_"): True if name == "--clock-gating" else next(words) for name in words}
    if "reuse" in given:
        given["reuse"] = int(given["reuse"])
    rebuilt = design(shlex.split(again.command("synth"))[2], **given)  # type: ignore[arg-type]
    assert (rebuilt.identity(), rebuilt.name) == (chosen.identity(), chosen.name)


def test_the_file_of_a_design_stands_for_its_variant(tmp_path: Path) -> None:
    design("ECON_T", reuse=4).save(tmp_path)
    file = str(tmp_path / DESIGN_FILE)
    assert design(file, reuse=4).name == "ECON_T_reuse4"
    with pytest.raises(ValueError, match="says which variant it is; expected no other choice of reuse"):
        design(file, reuse=2)


def test_a_library_left_to_choose_is_that_of_the_results(tmp_path: Path) -> None:
    design("ECON_T", library="osu018").save(tmp_path)
    assert design("ECON_T").save(tmp_path).library == "osu018"
    assert load_design(tmp_path).library == "osu018"
    assert design("ECON_T", library="nangate45").save(tmp_path).library == "nangate45"
    # results of another design say nothing about this one
    assert design("ECON_T", reuse=2).save(tmp_path).library == "auto"
    (tmp_path / DESIGN_FILE).write_text("kind = [")
    assert design("ECON_T").save(tmp_path).library == "auto"
    with pytest.raises(FileNotFoundError, match=r"holds no design\.toml"):
        load_design(tmp_path / "nothing")


def test_variants_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="N_MNIST is of the kind crossbar, which has no choice of reuse"):
        design("N_MNIST", reuse=2)
    with pytest.raises(ValueError, match="which has no choice of scheme"):
        design("N_MNIST", scheme=Scheme.SECDED)
    with pytest.raises(ValueError, match="expected 1 to 16, got 99"):
        design("ECON_T", reuse=99)
    with pytest.raises(ValueError, match="'armour' is not a valid Scheme; schemes none"):
        design("ECON_T", scheme="armour")
    with pytest.raises(ValueError, match="a scheme and a loading"):
        EncoderDesign(spec=ECON_T, scheme=Scheme.NONE)
    with pytest.raises(ValueError, match="N_MNIST is of the kind crossbar, which has no proofs"):
        design("N_MNIST").room("proofs")


def test_clock_is_the_crossings_or_the_crossbars_own() -> None:
    assert design("ECON_T", reuse=4).period_ns == 25.0
    assert design("N_MNIST", clock_gating=True).period_ns == N_MNIST.clock_period_ns == 10.0


def test_the_fastest_clock_is_high_for_a_quarter_before_latches() -> None:
    assert [design("ECON_T", reuse=n, isolation=latches).clock_high for n in (1, 4) for latches in (False, True)] == [
        0.5, 0.25, 0.5, 0.25,
    ]  # fmt: skip


def test_a_design_says_how_it_is_mapped() -> None:
    """One netlist per design: smallest area at one clock, buffered for an internal clock."""
    assert (design("ECON_T").recipe, design("ECON_T").clock_period_ns) == (AREA, 25.0)
    assert (design("ECON_T", reuse=4).recipe, design("ECON_T", reuse=4).clock_period_ns) == (BUFFERED, 6.25)
    assert (design("N_MNIST").recipe, design("N_MNIST").clock_period_ns) == (AREA, 10.0)
    latched = design("ECON_T", isolation=True), design("ECON_T", reuse=4, isolation=True)
    assert [one.recipe for one in latched] == [AREA, replace(BUFFERED, trees=True)]


def test_every_room_that_a_kind_of_chip_names_is_there() -> None:
    for kind in KINDS.values():
        chosen = design(next(iter(kind.presets)))
        for room in kind.rooms:
            assert chosen.room(room).__name__ == kind.rooms[room]
        assert len(chosen.code(*kind.rooms)) == len(kind.rooms) + 1


def test_content_is_spec_variant_recipe_and_the_files_of_the_library(tmp_path: Path) -> None:
    library_or_skip("nangate45")
    chosen = design("ECON_T", library="nangate45")
    cells = chosen.cells
    copy = tmp_path / "other_name.lib"
    copy.write_bytes(cells.liberty[0].read_bytes())
    same = design("ECON_T", library=",".join(map(str, [copy, *cells.lef, *cells.verilog])))
    assert same.mapping() == chosen.mapping()
    copy.write_text(copy.read_text() + "\n/* another */\n")
    assert same.mapping()["library"] != chosen.mapping()["library"]
    others = [{"reuse": 2}, {"clock_gating": True}, {"scheme": "secded"}, {"loading": "direct"}]
    every = [chosen, *(design("ECON_T", library="nangate45", **other) for other in others)]
    every.append(design(replace(ECON_T, filters=4), library="nangate45"))
    found = {json.dumps(d.identity() | d.mapping()) for d in every}
    assert len(found) == len(every) == 6


def test_a_folder_of_work_that_fails_at_once_goes_with_it(tmp_path: Path) -> None:
    """What was there before stays, and so does a folder that something was written to."""
    chosen, folder = EncoderDesign.of(ECON_T), tmp_path / "report" / "ECON_T"

    def work(*written: str) -> None:
        with chosen.results(folder) as known:
            assert known == chosen
            assert (folder / "design.toml").is_file()
            for name in written:
                (folder / name).touch()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="no"):
        work("part")
    assert sorted(path.name for path in folder.iterdir()) == ["design.toml", "part"]
    (folder / "part").unlink()
    with pytest.raises(ValueError, match="no"):
        work()
    assert [path.name for path in folder.iterdir()] == ["design.toml"]
