"""Real stimulus for a mapped crossbar chip: recordings as events, the macro and the memories around it, checked.

The netlist has macro and memories as black boxes. Their golden behaviour answers its pins here, clock by clock and
in every stream: what word lines the netlist sets decides which codes it gets back. Rules of the macro's contract
(`hw.lsm_crossbar.macro.MacroBox`) are checked on the way. While toggles are counted, spikes, counts, scores and classes
are compared with the golden model, spikes and classes also with the clock that `sim.lsm_crossbar.timing` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.designs.crossbar import CrossbarDesign
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.physical.mapped import Mapped
from flows.power.activity import Activity, record
from flows.power.run import PowerOptions, Run
from flows.stimulus.recordings import Bits, CrossbarStimulus, event_words, recorded_stimulus
from hw.lsm_crossbar.threshold_memory import offset_bytes
from sim.fixed_point import IntArray
from sim.lsm_crossbar.adc import adc_of_column, convert, select_of_column
from sim.lsm_crossbar.homeostat import balanced_ratios
from sim.lsm_crossbar.registers import register_writes
from sim.lsm_crossbar.spec import RATE_MAX

__all__ = ["CrossbarRun", "Surroundings", "crossbar_activity", "load_settings", "simulate"]
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class Surroundings:
    """Event source, macro and weight memory of every stream of a gate-level simulation.

    Parameters
    ----------
    simulator : GateSimulator
        Of the netlist with both black boxes.
    stimulus : CrossbarStimulus

    Attributes
    ----------
    result : dict of str to list
        For ``spikes``, ``counts``, ``scores``, ``classes``: tuples of stream, clock and value in the order in which
        the netlist put them out; spikes are arrays.
    thresholds : ndarray of int64, shape (streams, neurons)
        Words of the homeostat's memory, where each neuron has a threshold of its own.
    """

    def __init__(self, simulator: GateSimulator, stimulus: CrossbarStimulus) -> None:
        spec = self.spec = stimulus.spec
        self.lanes = len(stimulus.spikes)
        self._width = 64 * simulator.words
        if self.lanes > self._width:
            raise ValueError(f"expected at most {self._width} streams, got {self.lanes}")
        words = [event_words(spec, np.roll(stimulus.spikes, -lane, axis=0))[0] for lane in range(self.lanes)]
        # after its samples a stream has nothing to offer
        self._events = np.full((self.lanes, max(map(len, words)) + 1), -1, np.int64)
        for lane, row in enumerate(words):
            self._events[lane, : len(row)] = row
        self._next = np.zeros(self.lanes, np.int64)
        self._matrix = stimulus.conductances.codes.astype(np.float64)
        adc, self._select = adc_of_column(spec), select_of_column(spec)
        self._gain, self._offset = stimulus.conductances.adc_gain[adc], stimulus.conductances.adc_offset[adc]
        # columns in the order of the ADCs, for each select
        self._columns = np.array([np.flatnonzero(self._select == k) for k in range(spec.columns_per_adc)])
        self._lines = np.zeros((self.lanes, spec.rows), bool)
        self._held = np.zeros((self.lanes, spec.columns), np.int64)
        self._sampled = np.full(self.lanes, -(1 << 30))
        self._due = np.full(self.lanes, -1)
        self._pending = np.zeros((self.lanes, spec.adcs), np.int64)
        self._codes = np.zeros((self.lanes, spec.adcs), np.int64)
        codes = spec.readout_weight_codes(stimulus.readout.weights)
        flat = codes.reshape(spec.outputs, spec.features).T
        bits = flat[:, :, None] >> np.arange(spec.readout_weight_bits) & 1
        self._weights: Bits = bits.reshape(spec.features, -1).astype(bool)
        self._word = np.zeros((self.lanes, self._weights.shape[1]), bool)
        # words of the homeostat's memory, in each stream
        self._own = spec.own_thresholds
        if self._own:
            ratios = balanced_ratios(stimulus.golden.counts, int(stimulus.spikes.sum()))
            self._ratio_place = 8 * offset_bytes(spec)
            self.thresholds = np.tile(ratios << self._ratio_place, (self.lanes, 1))
            self._threshold_word = np.zeros(self.lanes, np.int64)
        self.result: dict[str, list[tuple[int, int, IntArray | int]]] = {
            name: [] for name in ("spikes", "counts", "scores", "classes")
        }
        self._fresh = True

    def drive(self, simulator: GateSimulator, clock: int) -> None:
        """Set the inputs of a clock."""
        event = self._events[np.arange(self.lanes), self._next]
        self._put(simulator, "i_events__valid", (event >= 0)[:, None])
        width = len(simulator.netlist.ports["i_events__payload"].nets)
        self._put(simulator, "i_events__payload", np.maximum(event, 0)[:, None] >> np.arange(width) & 1)
        valid = self._due == clock
        if valid.any() or self._fresh:
            self._codes[valid] = self._pending[valid]
            bits = self._codes[:, :, None] >> np.arange(self.spec.adc_bits) & 1
            self._put(simulator, "macro.codes", bits.reshape(self.lanes, -1))
        self._put(simulator, "macro.codes_valid", valid[:, None])
        self._put(simulator, "weight_memory.read_data", self._word)
        if self._own:
            width = len(simulator.netlist.ports["threshold_memory.read_data"].nets)
            self._put(simulator, "threshold_memory.read_data", self._threshold_word[:, None] >> np.arange(width) & 1)
        self._fresh = False

    def watch(self, simulator: GateSimulator, clock: int) -> None:
        """Take the outputs of a settled clock: what the surroundings do at its edge, and what the chip puts out."""
        event = self._events[np.arange(self.lanes), self._next]
        self._next += (event >= 0) & (self._get(simulator, "i_events__ready")[:, 0])
        self._macro(simulator, clock)
        reading = np.flatnonzero(self._get(simulator, "weight_memory.read_enable")[:, 0])
        if len(reading):
            address = self._value(simulator, "weight_memory.read_address")[reading]
            self._word[reading] = self._weights[np.minimum(address, len(self._weights) - 1)]
        if self._own:
            self._threshold_memory(simulator)
        self._listen(simulator, clock)

    def _macro(self, simulator: GateSimulator, clock: int) -> None:
        spec = self.spec
        pins = {name: self._get(simulator, f"macro.{name}")[:, 0] for name in ("row_set", "row_clear", "sample",
                                                                             "convert")}  # fmt: skip
        if any(bits.any() for bits in pins.values()):
            moving = (pins["row_set"] | pins["row_clear"]) & (clock - self._sampled < spec.settle_clocks)
            self._rule(~moving | pins["sample"], clock, "word lines change while columns settle")
            self._rule(~(pins["sample"] & (pins["row_set"] | pins["row_clear"])), clock, "word lines change at sample")
        if len(lanes := np.flatnonzero(pins["sample"])):
            self._held[lanes] = (self._lines[lanes] @ self._matrix).astype(np.int64)
            self._sampled[lanes] = clock
            few = self._lines.sum(axis=1) <= spec.rows_per_read
            self._rule(few, clock, f"more than {spec.rows_per_read} word lines are on")
        if len(lanes := np.flatnonzero(pins["convert"])):
            self._rule(~pins["convert"] | (clock - self._sampled >= spec.settle_clocks), clock, "convert is too early")
            self._rule(~pins["convert"] | (self._due <= clock), clock, "a conversion is under way")
            select = self._value(simulator, "macro.select") if spec.columns_per_adc > 1 else np.zeros_like(self._due)
            codes = convert(self._held[lanes], np.zeros(1, np.int64), self._gain, self._offset, spec)
            self._pending[lanes] = np.take_along_axis(codes, self._columns[select[lanes]], axis=1)
            self._due[lanes] = clock + spec.convert_clocks
        self._lines[pins["row_clear"]] = False
        if len(lanes := np.flatnonzero(pins["row_set"])):
            self._lines[lanes, self._value(simulator, "macro.row")[lanes]] = True

    def _threshold_memory(self, simulator: GateSimulator) -> None:
        box = "threshold_memory"
        reading = np.flatnonzero(self._get(simulator, f"{box}.read_enable")[:, 0])
        if len(reading):
            address = np.minimum(self._value(simulator, f"{box}.read_address")[reading], self.spec.neurons - 1)
            self._threshold_word[reading] = self.thresholds[reading, address]
        # the homeostat writes all bytes of an offset at once; nobody loads ratios meanwhile
        writing = np.flatnonzero(self._get(simulator, f"{box}.write_bytes")[:, 0])
        if len(writing):
            address = self._value(simulator, f"{box}.write_address")[writing]
            ratio = self.thresholds[writing, address] >> self._ratio_place << self._ratio_place
            offset = self._value(simulator, f"{box}.write_offset")[writing]
            self.thresholds[writing, address] = ratio | offset

    def _listen(self, simulator: GateSimulator, clock: int) -> None:
        for name, strobe, port in (
            ("spikes", "spikes_valid", "spikes"), ("counts", "count_valid", "count"),
            ("scores", "score_valid", "score"), ("classes", "class_valid", "class_index"),
        ):  # fmt: skip
            lanes = np.flatnonzero(self._get(simulator, strobe)[:, 0])
            if not len(lanes):
                continue
            bits = self._get(simulator, port)
            if name == "spikes":
                self.result[name] += [(int(lane), clock, bits[lane].astype(np.int64)) for lane in lanes]
                continue
            values = bits @ (1 << np.arange(bits.shape[1], dtype=np.int64))
            if name == "scores":
                values = values - ((values >> (bits.shape[1] - 1)) << bits.shape[1])
            self.result[name] += [(int(lane), clock, int(values[lane])) for lane in lanes]

    @staticmethod
    def _rule(kept: Bits, clock: int, what: str) -> None:
        if not kept.all():
            raise ValueError(f"stream {int(np.flatnonzero(~kept)[0])}, clock {clock}: macro contract: {what}")

    def _put(self, simulator: GateSimulator, port: str, bits: npt.NDArray[np.generic]) -> None:
        if port in simulator.netlist.ports:
            full = np.zeros((bits.shape[1], self._width), bool)
            full[:, : self.lanes] = bits.T
            simulator.set_port(port, from_lanes(full))

    def _get(self, simulator: GateSimulator, port: str) -> Bits:
        """Bits of a port in all streams, shape (streams, width)."""
        bits = to_lanes(simulator.values[simulator.netlist.ports[port].nets])
        return np.ascontiguousarray(bits.T[: self.lanes]).astype(bool)

    def _value(self, simulator: GateSimulator, port: str) -> IntArray:
        bits = self._get(simulator, port)
        value: IntArray = bits @ (1 << np.arange(bits.shape[1], dtype=np.int64))
        return value


def load_settings(simulator: GateSimulator, stimulus: CrossbarStimulus) -> None:
    """Reset, then threshold and bias through the write port; weights are in the memory of the surroundings.

    A homeostat is switched on, and as slow as it can be: no threshold moves in the samples of a run, and the golden
    model needs none.
    """
    ports = simulator.netlist.ports
    for port in ports.values():
        if port.direction == "input" and port.name != simulator.clock:
            simulator.set_port(port.name, np.zeros((len(port.nets), simulator.words), np.uint64))
    ones = np.full((1, simulator.words), _ALL, np.uint64)
    simulator.set_port("rst", ones)
    for _ in range(3):
        simulator.step()
    simulator.set_port("rst", ~ones)
    simulator.settle()
    simulator.set_port("write_enable", ones)
    spec = stimulus.spec
    more: dict[str, Any] = {} if spec.homeostat is None else {"homeostat_enable": True}
    if spec.own_thresholds:
        more["homeostat_rate"] = RATE_MAX
    for address, byte in register_writes(spec, threshold=spec.threshold, bias=stimulus.readout.bias, **more):
        for name, value in (("write_address", address), ("write_data", byte)):
            bits = (value >> np.arange(len(ports[name].nets)) & 1).astype(bool)
            simulator.set_port(name, np.where(bits[:, None], ones, ~ones))
        simulator.step()
    simulator.set_port("write_enable", ~ones)
    simulator.settle()


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossbarRun:
    """What a netlist did over some clocks, in agreement with the golden model.

    Attributes
    ----------
    activity : Activity
    clocks_per_inference : float
        From the first event to the class, mean over the samples.
    compared : dict of str to int
        Spikes, counts, scores and classes that were compared and are equal.
    result : dict of str to list
        As of `Surroundings`.
    """

    activity: Activity
    clocks_per_inference: float
    compared: Mapping[str, int]
    result: Mapping[str, list[tuple[int, int, IntArray | int]]]


def crossbar_activity(
    simulator: GateSimulator,
    stimulus: CrossbarStimulus,
    *,
    clocks: int | None = None,
    snapshots: int = 32,
    advance: Callable[[int], None] | None = None,
) -> CrossbarRun:
    """Activity of a mapped crossbar chip over whole inferences, compared with the golden model as it runs.

    Parameters
    ----------
    simulator : GateSimulator
        After `load_settings`.
    stimulus : CrossbarStimulus
        At most as many streams as the simulator has.
    clocks : int, optional
        Clocks to run, at least 2; left out, until every stream has put out its first class.
    snapshots : int
        Clocks of which the states of all streams are kept.
    advance : callable, optional
        Called with 1 after each clock.

    Raises
    ------
    ValueError
        The netlist breaks the macro's contract, or differs from the golden model in a value or a clock.
    """
    spec, streams = stimulus.spec, len(stimulus.spikes)
    golden = stimulus.golden
    timings = [stimulus.timing(stream) for stream in range(streams)]
    first = np.array([timing.classes[0] + 1 for timing in timings])
    whole = int(first.max()) if clocks is None else clocks
    around = Surroundings(simulator, stimulus)
    activity = record(
        simulator, around.drive, clocks=whole - 1, warm_up=1, lanes=streams, period_ns=spec.clock_period_ns,
        source=stimulus.source, snapshots=snapshots, watch=around.watch, advance=advance,
    )  # fmt: skip
    compared = dict.fromkeys(around.result, 0)
    scores = stimulus.readout.scores(golden.counts)
    for stream in range(streams):
        spikes, counts, score = (
            np.roll(array, -stream, axis=0).reshape(-1, *shape)
            for array, shape in ((golden.spikes, (spec.neurons,)), (golden.counts, ()), (scores, ()))
        )
        timing = timings[stream]
        clock = timing.spikes.reshape(-1)
        expected: dict[str, list[tuple[int | None, IntArray]]] = {
            "spikes": [(int(t), s) for t, s in zip(clock, spikes, strict=True) if t < whole],
            "counts": [(None, value) for value in counts],
            "scores": [(None, value) for value in score],
            "classes": [
                (int(t), np.asarray(np.argmax(s)))
                for t, s in zip(timing.classes, score.reshape(-1, spec.outputs), strict=True)
                if t < whole
            ],
        }
        for name, wanted in expected.items():
            found = [(t, value) for lane, t, value in around.result[name] if lane == stream]
            if name in ("spikes", "classes") and len(found) != len(wanted):
                raise ValueError(f"stream {stream}: expected {len(wanted)} {name} in {whole} clocks, got {len(found)}")
            for number, ((t, value), (due, right)) in enumerate(zip(found, wanted, strict=False)):
                if (due is not None and t != due) or not np.array_equal(value, right):
                    raise ValueError(
                        f"stream {stream}, {name} number {number}: the netlist tells {value} in clock {t}, "
                        f"the golden model {right}" + ("" if due is None else f" in clock {due}")
                    )
                compared[name] += int(np.size(right))
    return CrossbarRun(
        activity=activity, clocks_per_inference=float(first.mean()), compared=compared, result=around.result
    )


def simulate(mapped: Mapped, design: CrossbarDesign, options: PowerOptions, stage: Callable[..., Any]) -> Run:
    """Whole inferences of recordings, the macro and the weight memory played by their golden behaviour."""
    spec, recordings = design.spec, options.recordings
    with stage(f"{recordings} recordings"):
        stimulus = recorded_stimulus(spec, streams=recordings, seed=options.seed, weights=options.weights)
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {recordings} streams") as advance:
        simulator = GateSimulator(mapped.netlist, mapped.library, words=-(-recordings // 64))
        load_settings(simulator, stimulus)
        run = crossbar_activity(simulator, stimulus, clocks=options.clocks, advance=advance)
    operations = float(stimulus.golden.row_activations.sum() / recordings * spec.neurons)
    result = {
        "compared": dict(run.compared), "recordings": recordings, "seed": options.seed,
        "synaptic_operations": operations, "conductances": stimulus.conductances.file_name,
    }  # fmt: skip
    return Run(
        simulator=simulator, activity=run.activity, result=result, compared=sum(run.compared.values()),
        clocks_per_inference=run.clocks_per_inference,
    )  # fmt: skip
