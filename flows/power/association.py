"""Queries on a mapped association chip: events in, macros and memories around it played, every output checked.

The netlist has both macros, the memories of both projections and that of the embeddings as black boxes, whose golden
behaviour answers its pins (`flows.power.boxes`). Streams ask by one modality, each with another query first; the other
liquid is idle, as it is on a chip that is asked. While toggles are counted, components, similarities and matches are
compared with the golden model, the first match also with the clock that the models of timing promise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from flows.designs.association import AssociationDesign
from flows.netlist.gate_simulation import GateSimulator
from flows.physical.mapped import Mapped
from flows.power.activity import Activity, record
from flows.power.boxes import Boxes, macros_of, weight_words
from flows.power.run import PowerOptions, Run
from flows.power.streams import Bits, EventSource, MemoryBehaviour, Streams, reset_and_write
from flows.simulation.association import chip_words
from flows.stimulus.queries import QueryStimulus, query_stimulus
from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.registers import entry_words, entry_writes, projection_writes
from sim.lsm_crossbar.association.spec import MODALITIES
from sim.lsm_crossbar.association.timing import match_clocks
from sim.lsm_crossbar.registers import weight_address
from sim.lsm_crossbar.timing import driven_rows, sample_timing

__all__ = ["Surroundings", "load_settings", "match_due", "queried", "simulate"]


class Surroundings(Boxes):
    """Event source, macros and memories of every stream.

    Parameters
    ----------
    simulator : GateSimulator
    stimulus : QueryStimulus

    Attributes
    ----------
    result : dict of str to list
        For ``components``, ``similarities``, ``entries``: tuples of stream, clock and value, in their order.
    """

    def __init__(self, simulator: GateSimulator, stimulus: QueryStimulus) -> None:
        spec, modality = stimulus.spec, stimulus.modality
        self._name = MODALITIES[modality]
        self._streams = streams = Streams(simulator, len(stimulus.spikes))
        orders = [np.roll(stimulus.spikes, -lane, axis=0) for lane in range(streams.count)]
        words = [chip_words(spec, [(modality, query) for query in queries]) for queries in orders]
        events = EventSource(streams, words)
        macros = [
            macro
            for name, crossbar, image in zip(MODALITIES, spec.crossbars, stimulus.conductances, strict=True)
            for macro in macros_of(streams, crossbar, image, f"{name}.")
        ]
        memories: list[MemoryBehaviour] = [
            MemoryBehaviour(streams, weight_words(projection.readout), f"{name}.weight_memory")
            for name, projection in zip(MODALITIES, stimulus.projections, strict=True)
        ]
        memories.append(MemoryBehaviour(streams, _embedding_words(stimulus), "embedding_memory"))
        super().__init__(events, macros, memories)
        self.result: dict[str, list[tuple[int, int, int]]] = {
            name: [] for name in ("components", "similarities", "entries")
        }

    def watch(self, simulator: GateSimulator, clock: int) -> None:
        """Take the outputs of a settled clock."""
        super().watch(simulator, clock)
        for name, strobe, port, signed in (
            ("components", f"{self._name}_component_valid", f"{self._name}_component", True),
            ("similarities", "similarity_valid", "similarity", True),
            ("entries", "match_valid", "match_index", False),
        ):
            lanes = np.flatnonzero(self._streams.flag(strobe))
            if len(lanes):
                values = self._streams.value(port, signed=signed)
                self.result[name] += [(int(lane), clock, int(values[lane])) for lane in lanes]


def _embedding_words(stimulus: QueryStimulus) -> Bits:
    """Contents of the memory of embeddings: those of vision, then those of audio."""
    spec = stimulus.spec
    bits = np.zeros((spec.memory_depth, spec.word_bits), bool)
    for modality, entries in enumerate(stimulus.entries):
        for place, word in enumerate(entry_words(spec, entries), start=modality * spec.memory_depth // 2):
            bits[place] = [word >> bit & 1 for bit in range(spec.word_bits)]
    return bits


def load_settings(simulator: GateSimulator, stimulus: QueryStimulus) -> None:
    """Reset, then biases, shifts and numbers of entries through the write port; memories are those of the surroundings.

    Thresholds have their reset values.
    """
    spec = stimulus.spec
    writes: list[tuple[int, int]] = []
    for modality, crossbar in enumerate(spec.crossbars):
        loaded = projection_writes(spec, modality, stimulus.projections[modality])
        part = len(simulator.netlist.ports["write_address"].nets) - 2
        first = (modality << part) + weight_address(crossbar, 0)
        last = (modality << part) + weight_address(crossbar, crossbar.features)
        writes += [(address, byte) for address, byte in loaded if not first <= address < last]
        none = entry_writes(spec, modality, np.zeros((0, spec.dimensions), np.int64))
        used = len(stimulus.entries[modality])
        writes += [(address, used >> 8 * place & 0xFF) for place, (address, _) in enumerate(none)]
    reset_and_write(simulator, writes)


def match_due(stimulus: QueryStimulus) -> IntArray:
    """Clock of the first `match_valid` of each stream, counted from its first event."""
    spec, modality = stimulus.spec, stimulus.modality
    crossbar = spec.crossbars[modality]
    events = stimulus.spikes.sum(axis=2)
    rows = driven_rows(crossbar, stimulus.spikes, stimulus.activity.spikes)
    complete = [
        sample_timing(crossbar, own[None], active[None]).classes[0] for own, active in zip(events, rows, strict=True)
    ]
    return np.array(complete, np.int64) + match_clocks(spec, len(stimulus.entries[1 - modality]))


def queried(
    simulator: GateSimulator, stimulus: QueryStimulus, *, advance: Callable[[int], None] | None = None
) -> tuple[Activity, float, int]:
    """Activity until every stream has its first match, compared with the golden model as it runs.

    Returns
    -------
    Activity
    float
        Clocks of a query, from its first event to its match: mean over the streams.
    int
        Values that were compared and are equal.

    Raises
    ------
    ValueError
        The netlist breaks a macro's contract, or differs from the golden model in a value or a clock.
    """
    spec, golden = stimulus.spec, stimulus.golden
    due = match_due(stimulus)
    around = Surroundings(simulator, stimulus)
    activity = record(
        simulator, around.drive, clocks=int(due.max()), warm_up=1, lanes=len(due), period_ns=spec.clock_period_ns,
        source=stimulus.source, watch=around.watch, advance=advance,
    )  # fmt: skip
    expected = {"components": golden.embeddings, "similarities": golden.similarities, "entries": golden.entries}
    compared = 0
    for stream in range(len(due)):
        for name, array in expected.items():
            wanted = np.roll(array, -stream, axis=0).ravel()
            found = [(clock, value) for lane, clock, value in around.result[name] if lane == stream]
            if len(found) < array[0].size:
                raise ValueError(f"stream {stream}: expected {array[0].size} {name} or more, got {len(found)}")
            for place, ((clock, value), right) in enumerate(zip(found, wanted.tolist(), strict=False)):
                if value != right:
                    raise ValueError(
                        f"stream {stream}, {name} {place}, clock {clock}: the netlist gives {value}, the golden model "
                        f"{right}"
                    )
            compared += len(found)
            if name == "entries" and found[0][0] != due[stream]:
                raise ValueError(
                    f"stream {stream}: the first match comes in clock {found[0][0]}, expected {due[stream]}"
                )
    return activity, float(due.mean() + 1), compared


def simulate(mapped: Mapped, design: AssociationDesign, options: PowerOptions, stage: Callable[..., Any]) -> Run:
    """Whole queries, the macros and the memories played by their golden behaviour; stages of both liquids apart."""
    if options.modality not in MODALITIES:
        raise ValueError(f"modality: expected {' or '.join(MODALITIES)}, got {options.modality!r}")
    modality, count = MODALITIES.index(options.modality), options.recordings
    with stage(f"{count} queries of {options.modality}"):
        stimulus = query_stimulus(design.spec, modality, queries=count, seed=options.seed, weights=options.weights)
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {count} streams") as advance:
        netlist = replace(mapped.netlist, split=MODALITIES)
        simulator = GateSimulator(netlist, mapped.library, words=-(-count // 64))
        load_settings(simulator, stimulus)
        activity, clocks, compared = queried(simulator, stimulus, advance=advance)
    result = {
        "recordings": count, "seed": options.seed, "modality": options.modality,
        "conductances": [image.file_name for image in stimulus.conductances],
    }  # fmt: skip
    return Run(simulator=simulator, activity=activity, result=result, compared=compared, clocks_per_inference=clocks)
