"""The association chip: two crossbars, the projections of their counts, and the match of one with the other."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.register_file import RegisterFile
from hw.common.storage_cell import StorageCell
from hw.lsm_crossbar.crossbar import Crossbar, Image
from hw.lsm_crossbar.crossbar import macro_modules as crossbar_modules
from hw.lsm_crossbar.embedding_memory import EmbeddingMemory, EmbeddingMemoryBox
from hw.lsm_crossbar.match import HammingMatch, Match
from hw.lsm_crossbar.projection import Projection
from sim.lsm_crossbar.association.registers import (
    Part,
    address_width,
    association_registers,
    entry_bytes,
    entry_stride,
    part_width,
)
from sim.lsm_crossbar.association.spec import MODALITIES, SHIFT_BITS, AssociationSpec
from sim.lsm_crossbar.registers import address_width as crossbar_address_width

__all__ = ["Association", "association_event", "macro_modules"]


def association_event(spec: AssociationSpec) -> StructLayout:
    """An event: word line of the macro in the low bits, then the modality, and the end of its step in the highest."""
    return StructLayout({"row": max(crossbar.row_bits for crossbar in spec.crossbars), "modality": 1, "end": 1})


def macro_modules(spec: AssociationSpec, top: str) -> tuple[list[str], list[str]]:
    """Modules of the behavioural macros of vision, and of audio, in the Verilog of a chip; macro 0 first."""
    vision, audio = (crossbar_modules(crossbar, top) for crossbar in spec.crossbars)
    # of two different modules of one name the later one is marked, see `hw.common.hierarchy`
    return vision, [f"{name}_v1" if name in vision else name for name in audio]


class Association(Component):
    """Two liquids on one chip; what one sees or hears is looked up among stored embeddings of the other's modality.

    Events of both modalities share a stream; each liquid runs its own samples at its own pace, as
    `hw.lsm_crossbar.crossbar.Crossbar`. The scores of a sample become an embedding (`Projection`), which leaves the
    chip and is compared with the entries of the other modality (`Match`). There is one match: where both embeddings
    wait, that of vision goes first. Events of a modality wait from its embedding to the end of its match; the first
    step of its next sample may have been collected before.

    All arithmetic is exact and equal to the golden model (`sim.lsm_crossbar.association.model`), bit for bit.

    Settings and entries are static while a sample runs. Reset is asynchronous and reaches every flip-flop; memories are
    loaded.

    Parameters
    ----------
    spec : AssociationSpec
    images : tuple of Image or None
        Contents of the behavioural macros, vision and audio; None: macros and memories are black boxes, for an ASIC.
    cell : class of Component
        As of `Crossbar`.

    Members
    -------
    i_events : In(stream of `association_event`)
    write_address : In(bits of `sim.lsm_crossbar.association.registers.address_width`)
    write_data : In(8)
    write_enable : In(1)
        Write at the next clock edge.
    read_address : In(5)
        The two highest bits: 0 status of vision, 1 of audio (see `hw.lsm_crossbar.status.Status`), 2 of the match:
        byte 0 flags (bit 0 a match runs, 1 an entry was found, 2 the query was audio, 3 and 4 an embedding of vision,
        of audio, waits or is matched), 1 and 2 entry, 4 to 7 similarity, sign-extended. Others read 0.
    read_data : Out(8)
    vision_component, audio_component : Out(signed(spec.embedding_bits))
    vision_component_valid, audio_component_valid : Out(1)
        Embeddings as they arise, component 0 first.
    similarity : Out(signed(spec.similarity_width))
    similarity_valid : Out(1)
        Of the running match, entry 0 first.
    match_valid : Out(1)
        For one clock, when all entries are compared. The others stay until the next match ends.
    match_modality : Out(1)
        Of the query, from the start of its match: 0 vision, 1 audio.
    match_found : Out(1)
    match_index : Out(bits of spec.entries)
    match_similarity : Out(signed(spec.similarity_width))
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: AssociationSpec,
        images: tuple[Image, Image] | None = None,
        cell: Callable[..., Component] = StorageCell,
    ):
        self._spec, self._images, self._cell = spec, images, cell
        members = {
            "i_events": In(stream.Signature(association_event(spec))),
            "write_address": In(address_width(spec)),
            "write_data": In(8),
            "write_enable": In(1),
            "read_address": In(5),
            "read_data": Out(8),
            "similarity": Out(signed(spec.similarity_width)),
            "similarity_valid": Out(1),
            "match_valid": Out(1),
            "match_modality": Out(1),
            "match_found": Out(1),
            "match_index": Out(spec.index_bits),
            "match_similarity": Out(signed(spec.similarity_width)),
        }
        for modality in MODALITIES:
            members[f"{modality}_component"] = Out(signed(spec.embedding_bits))
            members[f"{modality}_component_valid"] = Out(1)
        super().__init__(members)

    @property
    def spec(self) -> AssociationSpec:
        """What was generated."""
        return self._spec

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        part, place_ = self.write_address[-2:], self.write_address[:-2]
        settings = place(
            m, platform, "registers", RegisterFile, fields=association_registers(spec), address_width=part_width(spec),
            cell=self._cell,
        )  # fmt: skip
        memory = place(
            m, platform, "embedding_memory", EmbeddingMemoryBox if self._images is None else EmbeddingMemory, spec=spec
        )
        match = place(m, platform, "match", HammingMatch if spec.binary else Match, spec=spec)
        stride = (entry_stride(spec) - 1).bit_length()
        m.d.comb += [
            settings.write_address.eq(place_),
            settings.write_data.eq(self.write_data),
            settings.write_enable.eq(self.write_enable & (part == Part.SETTINGS)),
            memory.write_address.eq(place_[stride:]),
            memory.write_data.eq(self.write_data),
            memory.write_bytes.eq(
                Mux(self.write_enable & (part == Part.ENTRIES), (1 << place_[:stride])[: entry_bytes(spec)], 0)
            ),
            memory.read_address.eq(match.read_address),
            memory.read_enable.eq(match.read),
            match.word.eq(memory.read_data),
        ]
        event = self.i_events.payload
        projections, ready, status = [], [], []
        for number, (modality, crossbar) in enumerate(zip(MODALITIES, spec.crossbars, strict=True)):
            image = None if self._images is None else self._images[number]
            liquid = place(m, platform, modality, Crossbar, label=modality, spec=crossbar, image=image, cell=self._cell)
            projection = place(
                m, platform, f"{modality}_projection", Projection, label=modality, spec=spec,
                score_width=crossbar.score_width,
            )  # fmt: skip
            open_ = ~projection.full
            outside = event.row[crossbar.row_bits :].any()
            m.d.comb += [
                # a row that the macro has no address for is one that is no input
                liquid.i_events.payload.row.eq(Mux(outside, (1 << crossbar.row_bits) - 1, event.row)),
                liquid.i_events.payload.end.eq(event.end),
                liquid.i_events.valid.eq(self.i_events.valid & (event.modality == number) & open_),
                liquid.write_address.eq(place_[: crossbar_address_width(crossbar)]),
                liquid.write_data.eq(self.write_data),
                liquid.write_enable.eq(
                    self.write_enable & (part == number) & ~place_[crossbar_address_width(crossbar) :].any()
                ),
                liquid.read_address.eq(self.read_address[:3]),
                projection.score.eq(liquid.score),
                projection.score_valid.eq(liquid.score_valid),
                getattr(self, f"{modality}_component").eq(projection.component),
                getattr(self, f"{modality}_component_valid").eq(projection.component_valid),
            ]
            if not spec.binary:
                m.d.comb += projection.shift.eq(settings.shift.word_select(number, SHIFT_BITS))
            projections.append(projection)
            ready.append(liquid.i_events.ready & open_)
            status.append(liquid.read_data)
        vision, audio = projections
        running, audio_runs = Signal(), Signal(name="audio_runs")
        # an embedding that has just been matched is still full in the clock of `match_valid`
        start = (vision.full | audio.full) & ~running & ~match.match_valid
        m.d.comb += [
            self.i_events.ready.eq(Mux(event.modality, ready[1], ready[0])),
            match.start.eq(start),
            match.bank.eq(vision.full),
            match.used.eq(settings.used.word_select(Mux(running, ~audio_runs, vision.full), spec.used_bits)),
            vision.take.eq(match.match_valid & ~audio_runs),
            audio.take.eq(match.match_valid & audio_runs),
        ]
        with m.If(start):
            m.d.sync += [running.eq(1), audio_runs.eq(~vision.full)]
        with m.Elif(match.match_valid):
            m.d.sync += running.eq(0)
        if spec.binary:
            m.d.comb += match.query.eq(Mux(audio_runs, audio.embedding, vision.embedding))
        else:
            m.d.comb += [
                vision.read_index.eq(match.read_index),
                audio.read_index.eq(match.read_index),
                match.component.eq(Mux(audio_runs, audio.read_component, vision.read_component)),
            ]
        m.d.comb += [
            self.similarity.eq(match.similarity),
            self.similarity_valid.eq(match.similarity_valid),
            self.match_valid.eq(match.match_valid),
            self.match_modality.eq(audio_runs),
            self.match_found.eq(match.match_found),
            self.match_index.eq(match.match_index),
            self.match_similarity.eq(match.match_similarity),
        ]
        found = Cat(match.match_index, Const(0, 16))[:16]
        similar = Signal(signed(32))
        m.d.comb += similar.eq(match.match_similarity)
        flags = Cat(running, match.match_found, audio_runs, vision.full, audio.full)
        bytes_ = [flags, found[:8], found[8:], Const(0, 8), *(similar.word_select(byte, 8) for byte in range(4))]
        own = Signal(8)
        with m.Switch(self.read_address[:3]):
            for address, value in enumerate(bytes_):
                with m.Case(address):
                    m.d.comb += own.eq(value)
        with m.Switch(self.read_address[3:]):
            for number, value in enumerate([*status, own]):
                with m.Case(number):
                    m.d.comb += self.read_data.eq(value)
        return m
