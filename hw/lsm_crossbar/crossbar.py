"""The whole chip: events in; spikes, counts, scores and the class of a sample out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from hw.common.readout import Readout
from hw.common.register_file import RegisterFile
from hw.common.storage_cell import StorageCell
from hw.lsm_crossbar.adc import Adc
from hw.lsm_crossbar.counter import Counter
from hw.lsm_crossbar.homeostat import Homeostat
from hw.lsm_crossbar.input import Input, event_layout
from hw.lsm_crossbar.macro import Macro, MacroBox, MacroTile
from hw.lsm_crossbar.neuron import Neuron
from hw.lsm_crossbar.neuron_homeostat import NeuronHomeostat
from hw.lsm_crossbar.router import Router
from hw.lsm_crossbar.row_driver import RowDriver
from hw.lsm_crossbar.sequencer import Sequencer
from hw.lsm_crossbar.status import Status
from hw.lsm_crossbar.threshold import Threshold
from hw.lsm_crossbar.threshold_memory import ThresholdMemory, ThresholdMemoryBox, offset_bytes
from hw.lsm_crossbar.weight_memory import WeightMemory, WeightMemoryBox
from sim.lsm_crossbar.registers import (
    NOISE_SEED_ADDRESS,
    RATIO_BYTES,
    STATUS_ADDRESS,
    THRESHOLD_ADDRESS,
    address_width,
    ratio_address,
    register_map,
    weight_bytes,
    weight_stride,
)
from sim.lsm_crossbar.spec import OFFSET_FRACTION, CrossbarSpec

__all__ = ["Crossbar", "Image", "STAGES", "macro_modules"]

STAGES = ("input", "row_driver", "macro", "adc", "neuron", "router", "counter", "readout")
"""Stages in the order of the data path."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the behavioural macro holds: the numbers of a conductance file.

    Attributes
    ----------
    words : tuple of int
        Codes of each row, column 0 in the lowest bits; empty: loaded later, see `hw.lsm_crossbar.macro.Macro`.
    gains, offsets : tuple of int
        Of each ADC.
    """

    words: tuple[int, ...] = ()
    gains: tuple[int, ...]
    offsets: tuple[int, ...]


def macro_modules(spec: CrossbarSpec, top: str) -> list[str]:
    """Modules of the behavioural macros in the Verilog of a chip, macro 0 first."""
    return [f"{top}_macro"] if spec.macros == 1 else [f"{top}_macro_{number}" for number in range(spec.macros)]


class Crossbar(Component):
    """Liquid state machine around one resistive-memory macro, or several that run side by side.

    With several macros each has a row driver, ADC control, neurons, router and counters of its own; all load the same
    input rows and start a step together, and the step has ended when the last of them has decided. Names of these
    instances then end in ``_0``, ``_1`` and so on.

    Events of a step enter at any time, one per clock, up to an event with `end`; the step runs as soon as the one
    before has ended, while the events of the next one are collected. At the end of each of the `spec.windows` windows
    its counts are read out; after `spec.steps` steps the class is known, and the next sample begins. All arithmetic is
    exact and equal to the golden model of the same spec and conductance file, bit for bit. Time is event-driven:
    `sim.lsm_crossbar.timing` says clock by clock when a step ends, `docs/chips/lsm_crossbar.md` why.

    Settings are static while a sample runs; a write shows one clock later. With `spec.homeostat`, and that enabled, the
    threshold moves between samples, see `hw.lsm_crossbar.homeostat`.

    Reset is asynchronous and reaches every flip-flop. Memories are loaded: the macro by its conductance file (or the
    fab), readout weights through the write port.

    Parameters
    ----------
    spec : CrossbarSpec
    image : Image or None
        Contents of the behavioural macro; None: macro and weight memory are black boxes, for an ASIC.
    cell : class of Component
        Storage of one byte of settings: `StorageCell` or a component with the same ports and constructor.

    Members
    -------
    i_events : In(stream of `hw.lsm_crossbar.input.event_layout`)
        Row of the macro, and `end` of step in the highest bit. An event with `end` carries no row.
    write_address : In(bits of `sim.lsm_crossbar.registers.address_width`)
        Byte address in `sim.lsm_crossbar.registers`.
    write_data : In(8)
    write_enable : In(1)
        Write at the next clock edge.
    read_address : In(3)
        Status byte, see `hw.lsm_crossbar.status.Status`.
    read_data : Out(8)
    spikes : Out(spec.all_neurons)
        Neuron j in bit j: the spikes of the step that ended last.
    spikes_valid : Out(1)
        For one clock when a step has ended.
    count : Out(spec.count_width)
    count_valid : Out(1)
        After the last step of each window: its counts, neuron by neuron, one per clock.
    score : Out(signed(spec.score_width))
    score_valid : Out(1)
        Behind the counts of the last window: scores, output 0 first, one per clock.
    class_index : Out(bits of spec.outputs)
        Largest score, lowest output of equals. Stays until the scores of the next sample leave.
    class_valid : Out(1)
        For one clock when a sample has ended.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec, image: Image | None = None, cell: Callable[..., Component] = StorageCell):
        self._spec, self._image, self._cell = spec, image, cell
        super().__init__(
            {
                "i_events": In(stream.Signature(event_layout(spec))),
                "write_address": In(address_width(spec)),
                "write_data": In(8),
                "write_enable": In(1),
                "read_address": In(3),
                "read_data": Out(8),
                "spikes": Out(spec.all_neurons),
                "spikes_valid": Out(1),
                "count": Out(spec.count_width),
                "count_valid": Out(1),
                "score": Out(signed(spec.score_width)),
                "score_valid": Out(1),
                "class_index": Out(spec.class_bits),
                "class_valid": Out(1),
            }
        )

    @property
    def spec(self) -> CrossbarSpec:
        """What was generated."""
        return self._spec

    def elaborate(self, platform: object) -> Module:
        spec, image = self._spec, self._image
        m = Module()
        noise = image is not None and spec.noise_scale is not None
        width = address_width(spec)

        settings = place(
            m,
            platform,
            "registers",
            RegisterFile,
            fields=register_map(spec, noise=noise),
            address_width=width,
            cell=self._cell,
        )
        status = place(m, platform, "status", Status, spec=spec)
        sequencer = place(m, platform, "sequencer", Sequencer, spec=spec)
        events = place(m, platform, "input", Input, spec=spec)
        fronts = [self._front(m, platform, number) for number in range(spec.macros)]
        memory = place(m, platform, "weight_memory", WeightMemoryBox if image is None else WeightMemory, spec=spec)
        tiles = [self._tile(m, platform, number, *front) for number, front in enumerate(fronts)]
        readout = place(m, platform, "readout", Readout, spec=spec.readout_sizes)

        # settings and weights: the highest address bit tells them apart
        stride = (weight_stride(spec) - 1).bit_length()
        write_weights = Signal()
        byte = self.write_address[:stride]
        m.d.comb += [
            settings.write_address.eq(self.write_address),
            settings.write_data.eq(self.write_data),
            settings.write_enable.eq(self.write_enable),
            write_weights.eq(self.write_enable & self.write_address[-1]),
            memory.write_address.eq(self.write_address[stride:-1]),
            memory.write_data.eq(self.write_data),
            memory.write_bytes.eq(Mux(write_weights, (1 << byte)[: weight_bytes(spec)], 0)),
            memory.read_address.eq(readout.read_address),
            memory.read_enable.eq(readout.read),
        ]
        m.d.comb += [
            status.running.eq(sequencer.running),
            status.full.eq(events.full),
            status.dropped.eq(events.dropped),
            status.step.eq(sequencer.step),
            status.class_index.eq(readout.class_index),
            status.read_address.eq(self.read_address),
            self.read_data.eq(status.read_data),
        ]

        done = tiles[0].router.done if spec.macros == 1 else self._all_done(m, tiles)
        m.d.comb += [
            events.i_events.payload.eq(self.i_events.payload),
            events.i_events.valid.eq(self.i_events.valid),
            self.i_events.ready.eq(events.i_events.ready),
            events.take.eq(sequencer.start),
            events.forget.eq(self.write_enable & (self.write_address == STATUS_ADDRESS)),
            sequencer.full.eq(events.full),
            sequencer.done.eq(done),
            sequencer.read_out.eq(readout.done),
        ]
        for tile in tiles:
            self._drive(m, tile, events, sequencer)
            if noise:
                seed = (self.write_address >> 2 == NOISE_SEED_ADDRESS >> 2) & self.write_enable
                m.d.comb += [
                    tile.macro.noise_enable.eq(settings.noise_enable),
                    tile.macro.noise_seed.eq(settings.noise_seed),
                    tile.macro.noise_restart.eq(seed),
                    tile.macro.noise_start.eq(sequencer.start & sequencer.first_step),
                ]
        threshold = settings.threshold
        if spec.homeostat is not None:
            regulate = self._own_thresholds if spec.own_thresholds else self._homeostat
            threshold = regulate(m, platform, tiles[0], settings, sequencer, readout, status)
        for number, tile in enumerate(tiles):
            self._decide(m, tile, number, sequencer, readout, threshold)
        m.d.comb += [
            readout.start.eq(sequencer.read),
            readout.first.eq(sequencer.first_window),
            readout.last.eq(sequencer.last_window),
            readout.bias.eq(settings.bias),
            readout.read_count.eq(
                tiles[0].counter.count
                if spec.macros == 1
                else one_of(
                    [tile.counter.count for tile in tiles],
                    [self._is_of(readout.read_neuron, number) for number in range(spec.macros)],
                )
            ),
            readout.weights.eq(memory.read_data),
        ]
        m.d.comb += [
            self.spikes.eq(Cat(tile.router.spikes for tile in tiles)),
            self.spikes_valid.eq(done),
            self.count.eq(readout.count),
            self.count_valid.eq(readout.count_valid),
            self.score.eq(readout.score),
            self.score_valid.eq(readout.score_valid),
            self.class_index.eq(readout.class_index),
            self.class_valid.eq(readout.class_valid),
        ]
        return m

    def _tail(self, number: int) -> str:
        """What names of the stages of a macro end in."""
        return "" if self._spec.macros == 1 else f"_{number}"

    def _front(self, m: Module, platform: object, number: int) -> tuple[Any, Any]:
        """Row driver and macro."""
        spec, image, tail = self._spec, self._image, self._tail(number)
        driver = place(m, platform, f"row_driver{tail}", RowDriver, spec=spec)
        if image is None:
            box = MacroTile if spec.tiled else MacroBox
            return driver, place(m, platform, f"macro{tail}", box, spec=spec)
        rows, adcs = (slice(number * size, (number + 1) * size) for size in (spec.rows, spec.adcs))
        which: dict[str, Any] = {} if spec.macros == 1 else {"number": number}
        macro = place(
            m, platform, f"macro{tail}", Macro, spec=spec, words=image.words[rows], gains=image.gains[adcs],
            offsets=image.offsets[adcs], **which,
        )  # fmt: skip
        return driver, macro

    def _tile(self, m: Module, platform: object, number: int, driver: Any, macro: Any) -> "_Tile":
        """The stages of a macro, with those that follow it."""
        spec, tail = self._spec, self._tail(number)
        return _Tile(
            driver=driver,
            macro=macro,
            adc=place(m, platform, f"adc{tail}", Adc, spec=spec),
            neuron=place(m, platform, f"neuron{tail}", Neuron, spec=spec),
            router=place(m, platform, f"router{tail}", Router, spec=spec),
            counter=place(m, platform, f"counter{tail}", Counter, spec=spec),
            decided=Signal(name=f"decided{tail}"),
        )

    def _drive(self, m: Module, tile: "_Tile", events: Any, sequencer: Any) -> None:
        """Wires of a macro, from the rows of a step to its codes."""
        spec = self._spec
        driver, macro, adc = tile.driver, tile.macro, tile.adc
        m.d.comb += [
            driver.inputs.eq(events.rows),
            # nobody fired before the first step
            driver.spikes.eq(tile.router.spikes & (~sequencer.first_step).replicate(spec.neurons)),
            driver.start.eq(sequencer.start),
            driver.take.eq(adc.take),
            adc.ready.eq(driver.ready),
            adc.last.eq(driver.last),
            adc.empty.eq(driver.empty),
            macro.row.eq(driver.row),
            macro.row_set.eq(driver.row_set),
            macro.row_clear.eq(driver.row_clear),
            macro.sample.eq(adc.sample),
            macro.select.eq(adc.select),
            macro.convert.eq(adc.convert),
            # lanes without neurons convert, and nobody looks
            adc.codes.eq(macro.codes.as_value()[: 2 * spec.active_lanes * spec.adc_bits]),
            adc.codes_valid.eq(macro.codes_valid),
        ]

    def _decide(self, m: Module, tile: "_Tile", number: int, sequencer: Any, readout: Any, threshold: Any) -> None:
        """Wires of a macro's neurons, and of all that sees their spikes."""
        spec = self._spec
        adc, neuron, router, counter, decided = tile.adc, tile.neuron, tile.router, tile.counter, tile.decided
        read_neuron = readout.read_neuron
        if spec.macros > 1:
            own = self._is_of(readout.read_neuron, number)
            read_neuron = Mux(own, readout.read_neuron - number * spec.neurons, 0)
        m.d.comb += [
            decided.eq(adc.valid & adc.fire),
            neuron.fetch.eq(adc.fetch),
            neuron.fetch_index.eq(adc.fetch_index),
            neuron.valid.eq(adc.valid),
            neuron.index.eq(adc.index),
            neuron.first_step.eq(sequencer.first_step),
            neuron.first_batch.eq(adc.first_batch),
            neuron.fire.eq(adc.fire),
            neuron.differences.eq(adc.differences),
            neuron.threshold.eq(threshold),
            router.valid.eq(decided),
            router.index.eq(adc.index),
            router.lanes.eq(neuron.spikes),
            counter.valid.eq(decided),
            counter.fresh.eq(sequencer.fresh),
            counter.index.eq(adc.index),
            counter.lanes.eq(neuron.spikes),
            counter.read.eq(readout.read),
            counter.read_neuron.eq(read_neuron),
        ]

    def _is_of(self, neuron: Any, number: int) -> Any:
        """Whether a neuron of the chip is one of a macro."""
        first = number * self._spec.neurons
        return (neuron >= first) & (neuron < first + self._spec.neurons)

    def _all_done(self, m: Module, tiles: "list[_Tile]") -> Signal:
        """For one clock: the last of the macros has decided in this step."""
        ended, done = Signal(len(tiles), name="ended"), Signal(name="done")
        over = Cat(tile.router.done | ended[number] for number, tile in enumerate(tiles))
        m.d.comb += done.eq(over.all())
        m.d.sync += ended.eq(Mux(done, 0, over))
        return done

    def _homeostat(
        self, m: Module, platform: object, tile: "_Tile", settings: Any, sequencer: Any, readout: Any, status: Any
    ) -> Any:
        """The homeostat beside the liquid of the only macro; returns the threshold that it moved."""
        spec = self._spec
        homeostat = place(m, platform, "homeostat", Homeostat, spec=spec)
        # the last lane may have fewer neurons than turns: what it decides in the others is no spike
        rest = spec.neurons % spec.columns_per_adc
        served = tile.neuron.spikes
        if rest:
            served = Cat(tile.neuron.spikes[:-1], tile.neuron.spikes[-1] & (tile.adc.index < rest))
        m.d.comb += [
            homeostat.restart.eq(self._threshold_written() | ~settings.homeostat_enable),
            homeostat.threshold.eq(settings.threshold),
            homeostat.ratio.eq(settings.homeostat_ratio),
            homeostat.band.eq(settings.homeostat_band),
            homeostat.driven.eq(tile.driver.row_set),
            homeostat.row.eq(tile.driver.row),
            homeostat.decided.eq(tile.decided),
            homeostat.lanes.eq(served),
            homeostat.sample.eq(readout.done & sequencer.last_window),
            status.threshold.eq(homeostat.moved),
        ]
        return homeostat.moved

    def _own_thresholds(
        self, m: Module, platform: object, tile: "_Tile", settings: Any, sequencer: Any, readout: Any, status: Any
    ) -> Any:
        """The homeostat of the neurons of the only macro, with its memory; returns a threshold for each lane."""
        spec = self._spec
        homeostat = place(m, platform, "homeostat", NeuronHomeostat, spec=spec)
        box = ThresholdMemoryBox if self._image is None else ThresholdMemory
        words = place(m, platform, "threshold_memory", box, spec=spec)
        thresholds = place(m, platform, "threshold", Threshold, spec=spec)
        # a host writes one byte of a ratio, while no sample runs
        bits, low = ratio_address(spec, 0).bit_length() - 1, offset_bytes(spec)
        byte_of = self.write_address[:bits]
        ours = Signal()
        m.d.comb += [
            ours.eq(self.write_enable & (self.write_address >> bits == 1) & (byte_of < RATIO_BYTES * spec.neurons)),
            words.read_address.eq(readout.read_neuron),
            words.read_enable.eq(readout.read & settings.homeostat_enable),
            words.write_address.eq(Mux(ours, byte_of >> 1, homeostat.write_neuron)),
            words.write_offset.eq(homeostat.write_word),
            words.write_data.eq(self.write_data),
            words.write_bytes.eq(Mux(ours, Mux(byte_of[0], 2, 1) << low, homeostat.write.replicate(low))),
            homeostat.restart.eq(self._threshold_written() | ~settings.homeostat_enable),
            homeostat.threshold.eq(settings.threshold),
            homeostat.rate.eq(settings.homeostat_rate),
            homeostat.driven.eq(tile.driver.row_set),
            homeostat.row.eq(tile.driver.row),
            homeostat.read.eq(readout.read),
            homeostat.read_neuron.eq(readout.read_neuron),
            homeostat.count.eq(readout.count),
            homeostat.last.eq(sequencer.last_window),
            homeostat.word.eq(words.read_data),
            thresholds.base.eq(settings.threshold),
            thresholds.own.eq(homeostat.own),
            thresholds.index.eq(tile.adc.index),
            thresholds.load.eq(homeostat.load),
            thresholds.load_neuron.eq(homeostat.write_neuron),
            thresholds.load_offset.eq(homeostat.write_word[OFFSET_FRACTION:][: spec.offset_width]),
            status.threshold.eq(homeostat.moved),
        ]
        return thresholds.thresholds

    def _threshold_written(self) -> Value:
        """Whether a byte of the threshold is written."""
        return (self.write_address >> 2 == THRESHOLD_ADDRESS >> 2) & self.write_enable


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """Ports of the stages of one macro."""

    driver: Any
    macro: Any
    adc: Any
    neuron: Any
    router: Any
    counter: Any
    decided: Signal
