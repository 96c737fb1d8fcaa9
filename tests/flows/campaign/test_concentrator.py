"""Upsets in the netlist of a protected data path: none shows but in words that are there once.

The data path is a small one of this file, with the ports of a concentrator, so that it is mapped in seconds: it sends
what it gets a clock later, through three copies, or through words that are there once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.hdl import Cat, Module, Value
from amaranth.lib.wiring import Component, In, Out

from flows.campaign import concentrator as campaign
from flows.campaign.concentrator import ConcentratorEngine, Upsets, group_of
from flows.campaign.netlist import ChipNetlist
from flows.designs.concentrator import ConcentratorDesign
from flows.designs.mapping import map_design
from flows.synthesis.recipe import Recipe
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.register_file import RegisterFile
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.hgcal_encoder.concentrator import Concentrator
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_fields
from tests.flows.conftest import library_or_skip

SPEC = ConcentratorSpec(name="TRIPLE", algorithms=("repeater",), etx_links=1, buffer_words=64)
FIELDS = tuple(field for field in concentrator_fields(SPEC) if field.name in ("mux", "alg_type"))
QUICK = Recipe(name="quick", abc=("strash", "&get -n", "&nf", "&put"))


class Rows(Component):
    """Words that are there once, where the buffer has them."""

    clocked = True

    def __init__(self) -> None:
        super().__init__({"i": In(64), "o": Out(64)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = place(m, platform, "row_0", PipelineRegister, width=64)
        m.d.comb += [row.i.eq(self.i), self.o.eq(row.o)]
        return m


class Core(Component):
    """Words of ten links through three copies, of two through `Rows`; the last link sends a setting."""

    clocked = True

    def __init__(self) -> None:
        super().__init__({"words": In(384), "mux": In(6), "frames": Out(416)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = place(m, platform, "words_register", VotedRegister, width=320)
        rows = place(m, platform, "output_buffer", Rows)
        m.d.comb += [
            words.i.eq(self.words[:320]), rows.i.eq(self.words[320:]),
            self.frames.eq(Cat(words.o, rows.o, self.mux)),
        ]  # fmt: skip
        return m


class Passing(Component):
    """Ports of a concentrator."""

    clocked = True

    def __init__(self) -> None:
        ports = Concentrator(spec=SPEC)
        ports._MustUse__silence = True
        super().__init__(dict(ports.signature.members))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        registers = place(
            m, platform, "registers", RegisterFile, fields=FIELDS, address_width=16, cell=VotedCell
        )  # fmt: skip
        core = place(m, platform, "core", Core)
        own: Any = self
        m.d.comb += [
            *(getattr(registers, name).eq(getattr(own, name))
              for name in ("write_address", "write_data", "write_enable")),
            core.words.eq(Value.cast(own.words.as_value())), core.mux.eq(registers.mux[:6]),
            own.frames.as_value().eq(core.frames),
        ]  # fmt: skip
        return m


class PassingDesign(ConcentratorDesign):
    """The design of `Passing`."""

    def component(self) -> Any:
        return Passing()

    def latency_of(self, number: AlgorithmNumber) -> int:
        return 1


class Model:
    """What `Passing` sends."""

    def __init__(self, spec: ConcentratorSpec, settings: Any) -> None:
        assert spec == SPEC
        self._setting = settings.registers(spec)["mux"] & 63

    def frames(self, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        return np.concatenate([words, np.full((len(words), 1), self._setting, np.uint32)], axis=1)


DESIGN = PassingDesign.of(SPEC, scheme="tmr_registers", library="nangate45")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upsets")
    map_design(DESIGN, library_or_skip("nangate45"), folder / DESIGN.name / "synthesis", recipe=QUICK)
    return folder


@pytest.fixture(autouse=True, scope="module")
def passing() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "ConcentratorModel", Model)
        yield


@pytest.fixture(scope="module")
def chip(results: Path) -> ChipNetlist:
    return ChipNetlist.load(results / DESIGN.name / "synthesis")


@pytest.fixture(scope="module")
def engine(chip: ChipNetlist) -> ConcentratorEngine:
    engine = ConcentratorEngine(chip, DESIGN, words=4)
    engine.select(AlgorithmNumber.REPEATER)
    return engine


def flipped(engine: ConcentratorEngine, group: str) -> Upsets:
    bits = [bit for bit in engine.bits if group_of(bit) == group]
    return engine.run(bits[:: max(1, len(bits) // 255)])


def test_what_is_there_three_times_never_shows(engine: ConcentratorEngine) -> None:
    assert engine.compared > 0
    for group in ("setting", "front end"):
        found = flipped(engine, group)
        assert len(found.bits) > 50, group
        assert {bit.copy for bit in found.bits} == {0, 1, 2}, group
        assert found.words.sum() == 0, group
        assert not found.kept.any(), group


def test_what_is_there_once_is_sent_wrong_once(engine: ConcentratorEngine) -> None:
    found = flipped(engine, "buffer words")
    assert len(found.bits) == 64
    assert (found.words == 1).all()
    assert (found.crossings == 1).all()
    assert not found.kept.any()
