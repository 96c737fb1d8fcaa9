"""Real stimulus for a mapped crossbar chip: recordings as events, the macro and the memories around it, checked.

The netlist has macro and memories as black boxes, whose golden behaviour answers its pins (`flows.power.boxes`). While
toggles are counted, spikes, counts, scores and classes are compared with the golden model, spikes and classes also with
the clock that `sim.lsm_crossbar.timing` promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.designs.crossbar import CrossbarDesign
from flows.netlist.gate_simulation import GateSimulator
from flows.physical.mapped import Mapped
from flows.power.activity import Activity, record
from flows.power.boxes import Boxes, ThresholdMemoryBehaviour, macros_of, weight_words
from flows.power.run import PowerOptions, Run
from flows.power.streams import EventSource, MemoryBehaviour, Streams, reset_and_write, words_of_codes
from flows.stimulus.recordings import CrossbarStimulus, event_words, recorded_stimulus
from hw.lsm_crossbar.threshold_memory import offset_bytes, threshold_word_bytes
from sim.fixed_point import IntArray
from sim.lsm_crossbar.homeostat import balanced_ratios
from sim.lsm_crossbar.registers import register_writes
from sim.lsm_crossbar.spec import RATE_MAX

__all__ = ["CrossbarRun", "Surroundings", "crossbar_activity", "load_settings", "simulate"]


class Surroundings(Boxes):
    """Event source, macros and memories of every stream of a gate-level simulation.

    Parameters
    ----------
    simulator : GateSimulator
        Of the netlist with the black boxes.
    stimulus : CrossbarStimulus

    Attributes
    ----------
    result : dict of str to list
        For ``spikes``, ``counts``, ``scores``, ``classes``: tuples of stream, clock and value in the order in which
        the netlist put them out; spikes are arrays.
    thresholds : ThresholdMemoryBehaviour
        The homeostat's memory, where each neuron has a threshold of its own.
    """

    def __init__(self, simulator: GateSimulator, stimulus: CrossbarStimulus) -> None:
        spec = self.spec = stimulus.spec
        self._streams = streams = Streams(simulator, len(stimulus.spikes))
        events = EventSource(
            streams, [event_words(spec, np.roll(stimulus.spikes, -lane, axis=0))[0] for lane in range(streams.count)]
        )
        macros = macros_of(streams, spec, stimulus.conductances)
        memories: list[MemoryBehaviour] = [MemoryBehaviour(streams, weight_words(stimulus.readout), "weight_memory")]
        if spec.own_thresholds:
            ratios = balanced_ratios(stimulus.golden.counts, int(stimulus.spikes.sum()))
            words = words_of_codes(ratios[:, None] << 8 * offset_bytes(spec), 8 * threshold_word_bytes(spec))
            self.thresholds = ThresholdMemoryBehaviour(streams, words, "threshold_memory")
            memories.append(self.thresholds)
        super().__init__(events, macros, memories)
        self.result: dict[str, list[tuple[int, int, IntArray | int]]] = {
            name: [] for name in ("spikes", "counts", "scores", "classes")
        }

    def watch(self, simulator: GateSimulator, clock: int) -> None:
        """Take the outputs of a settled clock: what the surroundings do at its edge, and what the chip puts out."""
        super().watch(simulator, clock)
        for name, strobe, port in (
            ("spikes", "spikes_valid", "spikes"), ("counts", "count_valid", "count"),
            ("scores", "score_valid", "score"), ("classes", "class_valid", "class_index"),
        ):  # fmt: skip
            lanes = np.flatnonzero(self._streams.flag(strobe))
            if not len(lanes):
                continue
            if name == "spikes":
                bits = self._streams.get(port)
                self.result[name] += [(int(lane), clock, bits[lane].astype(np.int64)) for lane in lanes]
                continue
            values = self._streams.value(port, signed=name == "scores")
            self.result[name] += [(int(lane), clock, int(values[lane])) for lane in lanes]


def load_settings(simulator: GateSimulator, stimulus: CrossbarStimulus) -> None:
    """Reset, then threshold and bias through the write port; weights are in the memory of the surroundings.

    A homeostat is switched on, and as slow as it can be: no threshold moves in the samples of a run, and the golden
    model needs none.
    """
    spec = stimulus.spec
    more: dict[str, Any] = {} if spec.homeostat is None else {"homeostat_enable": True}
    if spec.own_thresholds:
        more["homeostat_rate"] = RATE_MAX
    reset_and_write(simulator, register_writes(spec, threshold=spec.threshold, bias=stimulus.readout.bias, **more))


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
            for array, shape in ((golden.spikes, (spec.all_neurons,)), (golden.counts, ()), (scores, ()))
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
    """Whole inferences of recordings, the macros and the memories played by their golden behaviour."""
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
