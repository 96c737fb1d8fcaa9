"""Real stimulus for a mapped astrocyte liquid: digits or recordings, all memories around it, checked.

The netlist has its memories as black boxes. Each stream tunes a liquid on a sample of its own (weights change and are
kept, rates do not fade), from weights that 1,000 snapshots have tuned or from those of a trained model. While toggles
are counted, every spike of every completed step is compared with the golden model, and at the end of the last one of
each stream every stored weight. Accesses of the memories are counted by name: their energy comes from published models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.designs.astrocyte import AstrocyteDesign
from flows.netlist.gate_simulation import GateSimulator, to_lanes
from flows.physical.mapped import Mapped
from flows.power.activity import record
from flows.power.run import PowerOptions, Run
from flows.power.streams import Bits, EventSource, Streams, reset_and_write
from flows.simulation.astrocyte import event_words
from flows.stimulus.astrocyte_samples import SENSOR, SampleFiles, learned_set
from hw.astrocyte_liquid.astrocyte_liquid import shared_memories
from hw.astrocyte_liquid.lane import memories
from sim.astrocyte_liquid.lanes import lane_contents, lane_places, lane_weights
from sim.astrocyte_liquid.learning.images import image_events, probabilities
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.learning.protocol import initialise
from sim.astrocyte_liquid.learning.stimuli import Images, Stimuli
from sim.astrocyte_liquid.liquid import Events, Liquid
from sim.astrocyte_liquid.network import Network, draw
from sim.astrocyte_liquid.neuron import input_spikes
from sim.astrocyte_liquid.registers import settings_writes
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.digits import mnist_digits
from sim.fixed_point import IntArray

__all__ = ["Stimulus", "Surroundings", "sample_stimulus", "simulate"]

CLOCKS = 3_000
"""Clocks of each stream where nobody says how many, at least: about ten steps of a small liquid."""
WARM_UP_STEPS = 6
"""Steps before any clock counts: the liquid is silent at first."""
SNAPSHOTS = 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """A network with its weights, and events of a sample for each stream.

    Attributes
    ----------
    network : Network
    weights : ndarray of int64, shape (synapses,)
    events : ndarray of uint8, shape (streams, steps, inputs)
    source : str
    """

    network: Network
    weights: IntArray
    events: Events
    source: str

    def golden(self, stream: int, steps: int | None = None) -> tuple[npt.NDArray[np.uint8], IntArray]:
        """Spikes of all sources, shape (steps, sources), and the stored weights afterwards, as the model tunes."""
        events = self.events[stream, :steps]
        liquid = Liquid(self.network, weights=self.weights)
        _, spikes = liquid.initialise(events[None], spikes=True)
        spec = self.network.spec
        all_ = np.zeros((len(events), spec.sources), np.uint8)
        all_[:, : spec.inputs], all_[:, spec.first_neuron :] = input_spikes(events, spec), spikes[0]
        return all_, liquid.weights


def sample_stimulus(spec: AstrocyteSpec, options: PowerOptions) -> Stimulus:
    """Digits that ship with the package; recordings where the liquid has an input for each pixel and polarity.

    Recordings are the user's (`PowerOptions.events`), or those of an event camera in front of the same digits. Random
    events where the liquid has other inputs than either.

    Raises
    ------
    FileNotFoundError, ValueError
        As of `flows.stimulus.astrocyte_samples.learned_set`; fewer recordings than streams, recordings for a liquid of
        other inputs, or a model of another spec.
    """
    if options.weights is not None:
        model = TrainedLiquid.load(options.weights)
        if model.spec != spec:
            raise ValueError(f"{options.weights} was trained for another spec than {spec.name}")
        network, weights, scale, told = model.network, model.weights, model.scale, f"model {options.weights.name}"
    else:
        network, scale, told = draw(spec, options.seed), None, f"tuned by {SNAPSHOTS:,} snapshots"
        weights = None
    seeds = np.arange(options.recordings) + (options.seed << 20)
    learned: Stimuli
    if spec.inputs == SENSOR.inputs or options.events is not None or options.labels is not None:
        learned, shown, what = _recordings(spec, options, tunes=weights is None)
        # a window that begins anywhere, as the liquid tunes: at its start a recording is almost silent
        events = shown.snapshots(np.arange(len(shown)), spec.steps, seeds)
    else:
        chances, what = _chances(spec, options, scale)
        learned, events = Images(chances[0]), image_events(chances[1], spec.steps, seeds)
    if weights is None:
        liquid = Liquid(network)
        initialise(liquid, learned, SNAPSHOTS, seed=options.seed)
        weights = liquid.weights
    return Stimulus(
        network=network, weights=weights, events=events,
        source=f"{told}: {options.recordings} {what}, weights plastic and kept, seed {options.seed}",
    )  # fmt: skip


def _recordings(spec: AstrocyteSpec, options: PowerOptions, *, tunes: bool) -> tuple[Stimuli, Stimuli, str]:
    """Recordings to tune on, one for each stream, and what they are; where none tune, the former are the latter."""
    given = SampleFiles(events=options.events, labels=options.labels)
    samples = learned_set(spec, given)
    order, count = np.random.default_rng(options.seed).permutation(len(samples)), options.recordings
    if count > len(samples):
        raise ValueError(f"expected at most {len(samples):,} streams, one for each recording, got {count:,}")
    shown, _ = samples.take(order[:count]).shown(spec)
    # with as many recordings as streams, they tune on what they are shown
    others = order[count : count + SNAPSHOTS] if len(order) > count else order
    learned = samples.take(others).shown(spec)[0] if tunes else shown
    return learned, shown, "recordings of digits by an event camera" if options.events is None else "recordings"


def _chances(
    spec: AstrocyteSpec, options: PowerOptions, scale: float | None
) -> tuple[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], str]:
    """Probabilities of events of samples to tune on and of one for each stream, and what they are."""
    images = mnist_digits().images
    images = images[np.random.default_rng(options.seed).permutation(len(images))]
    try:
        learned, scale = probabilities(images[options.recordings :], spec, scale)
        return (learned, probabilities(images[: options.recordings], spec, scale)[0]), "digits"
    except ValueError:
        rng = np.random.default_rng(options.seed)
        learned, shown = (rng.uniform(0, 0.2, (n, spec.inputs)) for n in (SNAPSHOTS, options.recordings))
        return (learned, shown), "samples of random events"


@dataclass(kw_only=True, eq=False)
class Store:
    """One memory in every stream.

    Attributes
    ----------
    data : ndarray of bool, shape (streams, words, bits)
    word : ndarray of bool, shape (streams, bits)
        What was read last.
    reads, writes, absent : int
        Of all streams, while they are counted; `absent` reads of weights of slots that have no synapse.
    """

    data: Bits
    word: Bits = field(init=False)
    reads: int = 0
    writes: int = 0
    absent: int = 0

    def __post_init__(self) -> None:
        self.word = np.zeros((len(self.data), self.data.shape[2]), bool)


def _instance(lane: int, name: str) -> str:
    """Name of a memory's instance."""
    return f"lane_{lane}.{name}_memory"


def _bits(values: npt.NDArray[Any], width: int) -> Bits:
    """Numbers as bits, lowest first: shape (n, width)."""
    found: Bits = (np.asarray(values, np.int64)[:, None] >> np.arange(width) & 1).astype(bool)
    return found


class Surroundings:
    """Event source and memories of every stream of a gate-level simulation.

    Parameters
    ----------
    simulator : GateSimulator
        Of the netlist with all memories as black boxes.
    stimulus : Stimulus

    Attributes
    ----------
    stores : dict of str to Store
        By the name of the instance, such as ``lane_0.stored_memory``.
    spikes : list of list of (int, int)
        Of each stream: step and source, in the order in which the netlist put them out.
    ends : list of list of int
        Of each stream: clocks in which steps ended.
    """

    def __init__(self, simulator: GateSimulator, stimulus: Stimulus) -> None:
        spec = self.spec = stimulus.network.spec
        self._streams = Streams(simulator, len(stimulus.events))
        words = [event_words(spec, events[None]) for events in stimulus.events]
        self._events = EventSource(self._streams, words)
        ports = simulator.netlist.ports
        self.stores: dict[str, Store] = {}
        contents = self._contents(stimulus)
        sizes = {_instance(lane, name): size for lane in range(spec.lanes) for name, size in memories(spec).items()}
        sizes |= {f"{name}_memory": size for name, size in shared_memories(spec).items()}
        for name, (width, depth) in sizes.items():
            if f"{name}.read_data" not in ports:
                raise ValueError(f"{simulator.netlist.top}: expected the memory {name} with all pins that it reads by")
            data = np.zeros((depth, width), bool)
            given = contents.get(name)
            if given is not None:
                data[: len(given)] = _bits(given, width)
            self.stores[name] = Store(data=np.broadcast_to(data, (self._streams.count, depth, width)).copy())
        enables = list(self.stores)
        writers = [name for name in self.stores if f"{name}.write_enable" in ports]
        # one look at all enables in a clock
        self._readers, self._writers = enables, writers
        self._enables = np.concatenate(
            [ports[f"{name}.read_enable"].nets for name in enables]
            + [ports[f"{name}.write_enable"].nets for name in writers]
        )
        self._fresh = list(self.stores)
        self.spikes: list[list[tuple[int, int]]] = [[] for _ in range(self._streams.count)]
        self.ends: list[list[int]] = [[] for _ in range(self._streams.count)]
        self.kept: list[list[Bits]] = [[] for _ in range(self._streams.count)]
        self.counts = False

    @staticmethod
    def _contents(stimulus: Stimulus) -> dict[str, IntArray]:
        """What the host loads, as `sim.astrocyte_liquid.registers.network_writes` says it."""
        spec, weights = stimulus.network.spec, stimulus.weights
        found: dict[str, IntArray] = {}
        mask = (1 << spec.weight_bits) - 1
        for lane in range(spec.lanes):
            own = lane_weights(stimulus.network, weights, lane) & mask
            found |= {_instance(lane, kind): own for kind in ("stored", "working")}
            found |= {_instance(lane, name): words for name, words in lane_contents(stimulus.network, lane).items()}
        return found

    def drive(self) -> None:
        """Set the inputs of a clock."""
        self._events.drive()
        for name in self._fresh:
            self._streams.put(f"{name}.read_data", self.stores[name].word)

    def watch(self, simulator: GateSimulator, clock: int) -> None:
        """Take the outputs of a settled clock: what the memories do at its edge, and what the chip puts out."""
        self._events.watch()
        enabled = to_lanes(simulator.values[self._enables])[:, : self._streams.count].astype(bool)
        self._fresh = []
        for name, on in zip(self._readers, enabled, strict=False):
            streams = np.flatnonzero(on)
            if len(streams):
                store = self.stores[name]
                address = self._streams.value(f"{name}.read_address")[streams]
                store.word[streams] = store.data[streams, np.minimum(address, store.data.shape[1] - 1)]
                store.reads += len(streams) * self.counts
                if self.spec.seeded and name.endswith("stored_memory"):
                    stored = store.word[streams, : self.spec.weight_bits]
                    store.absent += int((stored[:, -1] & ~stored[:, :-1].any(axis=1)).sum()) * self.counts
                self._fresh.append(name)
        for name, on in zip(self._writers, enabled[len(self._readers) :], strict=True):
            streams = np.flatnonzero(on)
            if len(streams):
                store = self.stores[name]
                address = self._streams.value(f"{name}.write_address")[streams]
                store.data[streams, address] = self._streams.get(f"{name}.write_data")[streams]
                store.writes += len(streams) * self.counts
        fired = np.flatnonzero(self._streams.flag("spike_valid"))
        if len(fired):
            sources = self._streams.value("spike")
            for stream in fired:
                self.spikes[stream].append((len(self.ends[stream]), int(sources[stream])))
        for stream in np.flatnonzero(self._streams.flag("step_valid")):
            self.ends[stream].append(clock)
            self.kept[stream] = [
                self.stores[_instance(lane, "stored")].data[stream].copy() for lane in range(self.spec.lanes)
            ]

    def stored(self, stream: int, network: Network) -> IntArray:
        """Stored weights of a stream when its last step ended, in the order of the network."""
        spec = self.spec
        found = np.zeros(len(network), np.int64)
        for lane, words in enumerate(self.kept[stream]):
            synapses, places = lane_places(network, lane)
            code = words[places, : spec.weight_bits] @ (1 << np.arange(spec.weight_bits, dtype=np.int64))
            found[synapses] = code - ((code >> (spec.weight_bits - 1)) << spec.weight_bits)
        return found


def load_settings(simulator: GateSimulator, spec: AstrocyteSpec) -> None:
    """Reset, then the mode through the host's port: plastic and kept. Memories are those of the surroundings."""
    writes = zip(*settings_writes(spec, plastic=True, keep=True), strict=True)
    reset_and_write(simulator, [(int(address), int(word)) for address, word in writes])


def compare(around: Surroundings, stimulus: Stimulus) -> tuple[int, int, int]:
    """Spikes of all completed steps, and weights after the last of them, against the golden model.

    Returns
    -------
    int
        Flags of spikes that are equal.
    int
        Weights that are equal.
    int
        Of these, those that differ from the start.

    Raises
    ------
    ValueError
        The netlist differs, or no step has ended.
    """
    flags = weights = moved = 0
    for stream, ends in enumerate(around.ends):
        if not ends:
            raise ValueError(f"stream {stream}: no step has ended; expected more clocks")
        wanted, stored = stimulus.golden(stream, len(ends))
        got = np.zeros_like(wanted)
        for step, source in around.spikes[stream]:
            if step < len(got):
                got[step, source] = 1
        if (got != wanted).any():
            step, source = (int(place[0]) for place in np.nonzero(got != wanted))
            raise ValueError(f"stream {stream}, step {step}, source {source}: expected spike {wanted[step, source]}")
        found = around.stored(stream, stimulus.network)
        if (found != stored).any():
            place = int(np.argmax(found != stored))
            raise ValueError(
                f"stream {stream}, weight {place} after step {len(ends)}: expected {stored[place]}, got {found[place]}"
            )
        flags, weights = flags + got.size, weights + len(found)
        moved += int((stored != stimulus.weights).sum())
    return flags, weights, moved


def simulate(mapped: Mapped, design: AstrocyteDesign, options: PowerOptions, stage: Callable[..., Any]) -> Run:
    """Steps of samples while the astrocyte tunes, all memories played by their golden behaviour."""
    spec, streams = design.spec, options.recordings
    with stage(f"{streams} samples"):
        stimulus = sample_stimulus(spec, options)
    warm_up = WARM_UP_STEPS * (spec.groups + 40)
    clocks = options.clocks or max(CLOCKS, 2 * warm_up)
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {streams} streams") as advance:
        # what is spent in the parts of a lane is told apart
        netlist = replace(mapped.netlist, split=tuple(f"lane_{lane}" for lane in range(spec.lanes)))
        simulator = GateSimulator(netlist, mapped.library, words=-(-streams // 64))
        load_settings(simulator, spec)
        around = Surroundings(simulator, stimulus)

        def drive(_simulator: GateSimulator, clock: int) -> None:
            around.counts = clock >= warm_up
            around.drive()

        activity = record(
            simulator, drive, clocks=clocks, warm_up=warm_up, lanes=streams, period_ns=design.period_ns,
            source=stimulus.source, snapshots=32, watch=around.watch, advance=advance,
        )  # fmt: skip
    flags, weights, moved = compare(around, stimulus)
    # what a step takes while clocks count, and a sample of as many steps with its readout
    steps = sum(sum(clock >= warm_up for clock in ends) for ends in around.ends)
    if not steps:
        raise ValueError(f"no step has ended after the first {warm_up:,} clocks; expected more than {clocks:,}")
    per_step = streams * clocks / steps
    sample = spec.steps * per_step + spec.outputs * spec.neurons + 3
    per_sample = sample / (streams * clocks)
    accesses: dict[str, dict[str, float]] = {}
    absent = 0.0
    for name, store in around.stores.items():
        short = name.rpartition(".")[2].removesuffix("_memory")
        entry = accesses.setdefault(short, {"bits": store.data.shape[2], "reads": 0.0, "writes": 0.0})
        absent += store.absent * per_sample
        entry["reads"] += store.reads * per_sample
        entry["writes"] += store.writes * per_sample
    result = {
        "compared": {"spikes": flags, "weights": weights, "weights_moved": moved}, "recordings": streams,
        "seed": options.seed, "clocks_per_step": per_step,
        "synaptic_operations": accesses["stored"]["reads"] - absent, "memory_accesses": accesses,
    }  # fmt: skip
    return Run(
        simulator=simulator, activity=activity, result=result, compared=flags + weights, clocks_per_inference=sample,
    )  # fmt: skip
