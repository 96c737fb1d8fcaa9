"""`liquidcal verify` for an astrocyte liquid: hardware against the golden model in all modes, proofs and mutants.

Expected values come from the golden model, stage by stage (`Engine.NUMPY`) for small networks, else from its compiled
kernel; never from hardware.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from flows.formal.astrocyte import (
    WALKER_OUTPUTS,
    loaded_stages,
    proof_count,
    prove_liquid,
    prove_stage_loaded,
    prove_walks,
)
from flows.formal.solver import Proof
from flows.simulation.astrocyte import (
    AstrocyteBench,
    Played,
    astrocyte_verilog,
    event_words,
    load,
    play_events,
    read_weights,
)
from flows.simulation.native import NativeModel
from flows.stimulus.astrocyte_samples import SENSOR, binned
from flows.verification import mutation
from flows.verification.bench import Tally, VerificationRun
from flows.verification.options import VerificationOptions
from flows.verification.result import Advance, VerificationReport, mutation_check, proof_check
from sim.astrocyte_liquid.clocks import step_ends, walk_clocks
from sim.astrocyte_liquid.example_specs import campaign_spec, random_spec, seeded_spec
from sim.astrocyte_liquid.kernel import poisson_events
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.learning.stimuli import Recordings, Stimuli
from sim.astrocyte_liquid.liquid import Arithmetic, Events, Liquid
from sim.astrocyte_liquid.network import Network, draw, slotted_pairs
from sim.astrocyte_liquid.neuron import input_spikes, sweep
from sim.astrocyte_liquid.readout import Readout
from sim.astrocyte_liquid.registers import (
    Region,
    Writes,
    address,
    address_width,
    index_bits,
    network_writes,
    readout_writes,
    settings_writes,
)
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.engine import Engine
from sim.fixed_point import IntArray
from sim.lsm_crossbar.recordings.events import find_recordings, read_recording

__all__ = [
    "MODES", "Segment", "check_mutants", "check_volume", "dead_ends", "full_list", "make_segments", "play",
    "recorded", "saturating_segments", "slots_without_own", "verify_design",
]  # fmt: skip

MODES = ("initialise", "plastic", "frozen", "plastic again", "initialise again")
"""Segments of a run, in this order: a mode follows each other one, with the memories as that left them."""
DENSITIES = (0.3, 1.0, 0.0, 0.1, 0.02)
"""Probability of an event of an input, by sample in turn: busy, full, silent, sparse."""

SINGLE = ("plastic", "initialise", "plastic", "plastic", "frozen", "plastic", "plastic", "initialise")
"""Modes of segments of one sample, in turn."""
SINGLE_DENSITIES = (0.4, 0.15, 1.0, 0.7, 0.25)
"""As `DENSITIES`; their number and that of the kinds of weights have no common divisor."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Samples in one mode, with what they must do.

    Attributes
    ----------
    name : str
    plastic, keep : bool
    events : ndarray of uint8, shape (n, steps, inputs)
    spikes : ndarray of uint8, shape (n * steps, neurons)
    input_spikes : ndarray of uint8, shape (n * steps, inputs)
    counts : ndarray of int64, shape (n, neurons)
    stored, working : ndarray of int64, shape (synapses,)
        Weights afterwards.
    walked : ndarray of int64, shape (n * steps,)
        Clocks of `sim.astrocyte_liquid.clocks.walk_clocks`.
    load : ndarray of int64, shape (synapses,), optional
        Weights to load before.
    reset : bool
        Reset the chip within a sample before the load; steps are those that reset leaves.
    """

    name: str
    plastic: bool
    keep: bool
    events: Events
    spikes: npt.NDArray[np.uint8]
    input_spikes: npt.NDArray[np.uint8]
    counts: IntArray
    stored: IntArray
    working: IntArray
    walked: IntArray
    load: IntArray | None = None
    reset: bool = False


def random_weights(network: Network, rng: np.random.Generator) -> IntArray:
    """Legal weights of every size; more than half at the upper limit of their class, so that the liquid fires."""
    low, high = network.limits
    limit = network.spec.weight_code_max
    drawn = rng.integers(-limit, limit + 1, len(network))
    drawn[rng.random(len(network)) < 0.6] = limit
    drawn[rng.random(len(network)) < 0.1] = -limit
    clipped: IntArray = np.clip(drawn, low * limit, high * limit)
    return clipped


def other_weights(network: Network, rng: np.random.Generator, number: int) -> IntArray:
    """Weights of another kind in turn, so that A- goes both ways.

    As `random_weights`; away from the limits; at the lower limit but into one neuron, whose weights a negative A- moves
    as the inputs outnumber the liquid; small.
    """
    low, high = network.limits
    limit = network.spec.weight_code_max
    if number % 4 == 0:
        return random_weights(network, rng)
    span = (limit * 3 // 4, 0, max(1, limit // 8))[number % 4 - 1]
    drawn = rng.integers(-span, span + 1, len(network)) if span else np.full(len(network), -limit)
    if number % 4 == 1:
        drawn = np.where(rng.random(len(network)) < 0.7, np.abs(drawn), drawn)
        drawn = np.where(high == 0, -np.abs(drawn) // 2, drawn)
    if number % 4 == 2:
        drawn[np.isin(network.target, rng.integers(0, network.spec.neurons, 1))] = limit // 2
    clipped: IntArray = np.clip(drawn, low * limit, high * limit)
    return clipped


def full_list(network: Network) -> Network:
    """The same network, but that one neuron has as many synapses as the spec allows, or there are sources.

    That list, as chips count it down, has every bit that a length can have. Of a seeded chip all slots have synapses.
    """
    spec = network.spec
    if network.table is not None:
        steps = np.arange(1, spec.neurons)[: spec.recurrent_slots]
        steps = steps[np.argsort(steps % spec.lanes, kind="stable")]
        table = replace(network.table, steps=steps, chosen=np.ones_like(network.table.chosen))
        source, target, _ = slotted_pairs(table, np.random.default_rng(spec.slots))
        sign = np.where(source >= spec.first_neuron + spec.excitatory, -1, 1).astype(np.int8)
        return replace(network, source=source, target=target, sign=sign, table=table)
    neuron = int(network.target[-1])
    return _of_all_sources(network, neuron, np.r_[: spec.inputs, spec.first_neuron : spec.sources])


def dead_ends(network: Network) -> Network:
    """The same network, but that the last neuron of each lane leads nowhere, and has synapses of all others.

    Its list is empty in every lane, and where it fires as the last source of a step, what is left to walk is the list
    that enters it.
    """
    spec = network.spec
    ends = np.arange(spec.neurons - spec.lanes, spec.neurons)
    kept = ~np.isin(network.source, spec.first_neuron + ends)
    found = replace(network, source=network.source[kept], target=network.target[kept], sign=network.sign[kept])
    for neuron in ends.tolist():
        found = _of_all_sources(found, neuron, np.r_[: spec.inputs, spec.first_neuron : spec.first_neuron + ends[0]])
    return found


def slots_without_own(network: Network) -> Network:
    """The same seeded network, but that no source projects into its own lane: forward such a list is empty there.

    Its neuron is walked back all the same, through all slots.
    """
    table = network.table
    if table is None:
        raise ValueError(f"{network.spec.name}: expected a network with slots")
    steps = table.steps[table.steps % network.spec.lanes != 0]
    table = replace(table, steps=steps)
    source, target, _ = slotted_pairs(table, np.random.default_rng(network.spec.slots))
    sign = np.where(source >= network.spec.first_neuron + network.spec.excitatory, -1, 1).astype(np.int8)
    return replace(network, source=source, target=target, sign=sign, table=table)


def _of_all_sources(network: Network, neuron: int, sources: IntArray) -> Network:
    """The same network, but that a neuron has synapses of all these sources, or as many as the spec allows."""
    spec = network.spec
    there = network.target == neuron
    others = np.setdiff1d(sources, spec.first_neuron + neuron)
    added = np.setdiff1d(others, network.source[there])[: max(0, spec.fan_in_max - int(there.sum()))]
    source = np.concatenate([network.source, added]).astype(np.int32)
    target = np.concatenate([network.target, np.full(len(added), neuron)]).astype(np.int32)
    sign = np.concatenate([network.sign, np.where(added >= spec.first_neuron + spec.excitatory, -1, 1)])
    order = np.lexsort((target, source))
    return replace(network, source=source[order], target=target[order], sign=sign[order].astype(np.int8))


def untidy_words(spec: AstrocyteSpec, events: Events, rng: np.random.Generator) -> IntArray:
    """Words of `event_words` in another order within a step, some twice, with inputs that there are not between them.

    The word that ends a step names an input, too, which means nothing.
    """
    end = 1 << max(1, (spec.first_neuron - 1).bit_length())
    found: list[IntArray] = []
    for row in events.reshape(-1, spec.inputs):
        named = np.flatnonzero(row)
        words = np.concatenate([named, named[rng.random(len(named)) < 0.2]])
        if end > spec.inputs:
            words = np.append(words, rng.integers(spec.inputs, end, int(rng.integers(0, 3))))
        found.append(np.append(rng.permutation(words), end + rng.integers(end)))
    return np.concatenate(found).astype(np.int64)


def random_readout(spec: AstrocyteSpec, rng: np.random.Generator) -> Readout:
    """Readout weights of every size."""
    top = spec.readout_weight_max
    return Readout(spec, rng.integers(-top - 1, top + 1, (spec.outputs, spec.neurons)))


def make_segments(
    network: Network, weights: IntArray, rng: np.random.Generator, samples: int, engine: Engine,
    modes: int = len(MODES), single: int = 0, stimuli: Stimuli | None = None,
) -> list[Segment]:  # fmt: skip
    """Segments of the first `modes` of `MODES`, each of so many samples, as the golden model runs them.

    Then `single` segments of one sample, each with weights of its own, every other one after a reset within a sample.

    Steps of a sample: all in plastic and frozen ones, fewer in an initialisation. Events are random, or those of
    `stimuli`, one after another.
    """
    spec, liquid = network.spec, Liquid(network, Arithmetic.CHIP, engine, weights)
    found: list[Segment] = []
    working = liquid.weights
    others = rng.spawn(1)[0]  # `rng` goes on as if there were no single ones: what is drawn next depends on none
    for turn, name in enumerate((*MODES[:modes], *(SINGLE[number % len(SINGLE)] for number in range(single)))):
        alone = turn - modes
        drawn, count = (rng, samples) if alone < 0 else (others, 1)
        # single ones in turn of a third and of two thirds: a bit of their number is 0 in one of them
        steps = _steps(spec, name) * (1 + alone % 16 // 8 if alone >= 0 and name.startswith("initialise") else 1)
        if stimuli is None:
            densities = DENSITIES if alone < 0 else (SINGLE_DENSITIES[alone % len(SINGLE_DENSITIES)],)
            chances = [np.full(spec.inputs, densities[k % len(densities)]) for k in range(count)]
            events = np.stack([poisson_events(chance, steps, int(drawn.integers(1 << 40))) for chance in chances])
        else:
            rows = (turn * samples + np.arange(count)) % len(stimuli)
            events = stimuli.samples(rows, steps, int(drawn.integers(1 << 30)))
        given = None
        if alone >= 0:
            given = other_weights(network, drawn, alone)
            liquid.weights, working = given, given
        found.append(_as_modelled(liquid, name, events, working, given))
        working = found[-1].working
        if alone >= 0 and steps == spec.steps and alone % 2 == 0:
            found[-1] = replace(found[-1], reset=True)
    return found


def _as_modelled(liquid: Liquid, name: str, events: Events, working: IntArray, given: IntArray | None) -> Segment:
    """A segment of these events in the mode of its name, as the golden model runs it; `working` weights before."""
    network, spec = liquid.network, liquid.spec
    keep, plastic = name.startswith("initialise"), not name.startswith("frozen")
    if keep:
        liquid.trace[:] = 0  # as after a write of the mode
        counts, spikes = liquid.initialise(events, spikes=True)
    else:
        activity = liquid.run(events, plastic=plastic, spikes=True)
        counts, spikes = activity.counts, activity.spikes
        working = activity.weights if plastic else working
    rows = spikes.reshape(-1, spec.neurons)
    from_inputs = np.concatenate([input_spikes(sample, spec) for sample in events])
    if keep:
        working = np.where(walked(network, from_inputs, rows), liquid.weights, working)
    sources = np.zeros((len(rows), spec.sources), np.uint8)
    sources[:, : spec.inputs], sources[:, spec.first_neuron :] = from_inputs, rows
    return Segment(
        name=name, plastic=plastic, keep=keep, events=events, spikes=rows, input_spikes=from_inputs,
        counts=counts, stored=liquid.weights, working=working, load=given,
        walked=walk_clocks(network, sources, plastic=plastic),
    )  # fmt: skip


def saturating_segments(network: Network) -> list[Segment]:
    """Frozen samples in which a potential stays at its lower, then at its upper end, and one step of that decides.

    Of the neuron with most inputs. After the lower end inputs lift it to a step below its threshold; had it stayed one
    step higher, it would fire. At the upper end it is still blocked by its last spike, and then others pull it down to
    the threshold itself; had it stayed one step lower, it would not fire. Nothing recurrent has a weight.

    Raises
    ------
    ValueError
        Its inputs do not suffice.
    """
    spec = network.spec
    neuron = int(np.bincount(network.target[network.source < spec.inputs], minlength=spec.neurons).argmax())
    own = np.flatnonzero((network.target == neuron) & (network.source < spec.inputs))
    limit, every, total = spec.weight_code_max, spec.refractory_steps + 1, np.zeros(len(network), np.int64)
    volleys = np.arange(0, spec.steps - 1, every)
    half, few = len(own) // 2, max(2, len(own) // 6)
    most = (len(own) + few) // 2
    lower, upper = -spec.membrane_max - 1, spec.membrane_max
    found = []
    # synapses of each group, the steps of its events, its weights together; one group has every sum that it can have
    for name, ends, groups in (
        ("frozen at the lower end", (lower + 1, upper), (
            (own[:half], volleys[: len(volleys) // 2], [-limit * half]),
            (own[half:], volleys[len(volleys) // 2 :], range(limit * (len(own) - half))),
        )),
        ("frozen at the upper end", (lower, upper - 1), (
            (own[:few], volleys[:3], range(limit * few)),
            (own[few:most], volleys[2:3] + 2, [limit * (most - few)]),
            (own[most:], volleys[2:3] + 4, range(-limit * (len(own) - most), 0)),
        )),
    ):  # fmt: skip
        sums = np.stack(np.meshgrid(*(np.array(values) for _, _, values in groups), indexing="ij")).reshape(
            len(groups), -1
        )
        volley = np.zeros((spec.steps, len(groups)), np.int64)
        for number, (_, steps, _) in enumerate(groups):
            volley[steps[steps + 1 < spec.steps] + 1, number] = 1
        differs = (_fired(spec, volley @ sums, lower, upper) != _fired(spec, volley @ sums, *ends)).any(axis=0)
        if not differs.any():
            raise ValueError(f"{spec.name}: {len(own)} inputs of a neuron do not suffice for a sample {name}")
        events, weights = np.zeros((1, spec.steps, spec.inputs), np.uint8), total.copy()
        for (synapses, steps, _), sum_ in zip(groups, sums[:, int(differs.argmax())].tolist(), strict=True):
            share, rest = divmod(abs(sum_), len(synapses))
            weights[synapses] = np.sign(sum_) * (share + (np.arange(len(synapses)) < rest))
            events[0, steps[:, None], network.source[synapses]] = 1
        liquid = Liquid(network, Arithmetic.CHIP, Engine.NUMPY, weights)
        found.append(_as_modelled(liquid, name, events, weights, weights))
    return found


def _fired(spec: AstrocyteSpec, added: IntArray, lower: int, upper: int) -> npt.NDArray[np.bool_]:
    """Spikes of neurons whose currents grow by so much in each step, shape (steps, neurons), with ends as given."""
    neurons = added.shape[1]
    membrane, current, refractory = (np.zeros(neurons, np.int64) for _ in range(3))
    found = np.zeros((len(added) + 1, neurons), bool)
    for step, more in enumerate(added):
        after = sweep(membrane, current + more, refractory, found[step], spec)
        membrane, current, refractory = np.clip(after.membrane, lower, upper), after.current, after.refractory
        found[step + 1] = after.fires
    return found[:-1]


def walked(
    network: Network, from_inputs: npt.NDArray[np.uint8], spikes: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    """Synapses whose source or neuron spikes in any of these steps: what a plastic sample writes.

    A sample that keeps its weights reads only stored ones, and restores none: working weights of all other synapses
    stay what the sample before left.
    """
    spec = network.spec
    fired = np.zeros(spec.sources, bool)
    fired[: spec.inputs], fired[spec.first_neuron :] = from_inputs.any(axis=0), spikes.any(axis=0)
    found: npt.NDArray[np.bool_] = fired[network.source] | fired[spec.first_neuron + network.target]
    return found


def _steps(spec: AstrocyteSpec, mode: str) -> int:
    """Steps of a sample in a mode."""
    return max(2, spec.steps // 3) if mode.startswith("initialise") else spec.steps


def difference(got: Played, want: Segment, readout: Readout) -> str:
    """The first difference between what a chip put out and what it must, in words; empty if there is none."""
    steps = want.events.shape[1]
    for kind, one, other in (("input", got.input_spikes, want.input_spikes), ("neuron", got.spikes, want.spikes)):
        if (one != other).any():
            row, column = (int(place[0]) for place in np.nonzero(one != other))
            sample, step = divmod(row, steps)
            return f"{want.name}: sample {sample}, step {step}, {kind} {column}: expected spike {other[row, column]}"
    for name, values, expected in (
        ("counts", got.counts, want.counts.ravel()),
        ("scores", got.scores, readout.scores(want.counts).ravel()),
        ("classes", got.classes, readout.classify(want.counts)),
    ):
        if len(values) != len(expected):
            return f"{want.name}: {len(values)} {name} came, expected {len(expected)}"
        if (values != expected).any():
            place = int(np.argmax(values != expected))
            return f"{want.name}: {name}[{place}]: expected {expected[place]}, got {values[place]}"
    if not (got.status & 1).all():
        return (
            f"{want.name}: sample {int(np.argmin(got.status & 1))}: expected a chip that runs until the class is known"
        )
    return ""


def late(spec: AstrocyteSpec, got: Played, want: Segment, words: IntArray) -> str:
    """The first step that does not end in the clock in which it must, in words; empty if there is none."""
    closing = np.flatnonzero(words >= 1 << max(1, (spec.first_neuron - 1).bit_length()))
    steps = want.events.shape[1]
    words_of = np.diff(closing, prepend=-1)
    expected = step_ends(spec, want.walked, words_of, steps, restores=want.plastic and not want.keep)
    if len(got.step_clocks) != len(expected):
        return f"{want.name}: {len(got.step_clocks)} steps ended, expected {len(expected)}"
    if (got.step_clocks != expected).any():
        place = int(np.argmax(got.step_clocks != expected))
        return (
            f"{want.name}: sample {place // steps}, step {place % steps}: expected to end in clock {expected[place]}, "
            f"got {got.step_clocks[place]}"
        )
    return ""


def play(
    network: Network, weights: IntArray, readout: Readout, segments: list[Segment], model: NativeModel,
    advance: Advance | None = None,
) -> str:  # fmt: skip
    """Reset and load a fresh model, run segments on it, read the weights after each; the first difference in words.

    Every step must end in the clock that `sim.astrocyte_liquid.clocks` says.

    Words are loaded in any order and also go to addresses that hold nothing; every other segment has another
    readout, and its events in an untidy order. After a reset all outputs must be 0, and between segments
    the chip must be idle.
    """
    spec = network.spec
    rng = np.random.default_rng(len(network))
    steps = 0
    if text := _reset(model, network, weights, rng):
        return text
    for number, segment in enumerate(segments):
        if segment.reset:
            # in the middle of whatever the events that are there lead to
            model.run({"i_events__payload": event_words(spec, segment.events)[: 3 * spec.inputs], "i_events__valid": 1})
            if text := _reset(model, network, weights, rng):
                return f"{segment.name}: {text}"
            steps = spec.steps
        if segment.load is not None:
            load(model, _shuffled(network_writes(network, segment.load), rng))
        used = readout if number % 2 == 0 else random_readout(spec, rng)
        load(model, readout_writes(used))
        wanted = segment.events.shape[1]
        settings = settings_writes(
            spec, plastic=segment.plastic, keep=segment.keep, steps=None if steps == wanted else wanted
        )
        # what a reset leaves is a frozen sample of all steps
        if not (segment.reset and not segment.plastic and steps == wanted):
            load(model, settings)
        steps = wanted
        load(model, _nowhere(spec, rng))
        spikes = int(segment.spikes.sum()) + int(segment.input_spikes.sum())
        words = untidy_words(spec, segment.events, rng) if number % 2 else event_words(spec, segment.events)
        played = play_events(model, spec, segment.events, spikes, words)
        if text := difference(played, segment, used) or late(spec, played, segment, words):
            return text
        reads, enable = _status_reads(spec)
        for place, word in enumerate(model.run({"read_address": reads, "read_enable": enable})["read_data"][2:]):
            if int(word) != int(played.classes[-1]) << 1:
                return f"{segment.name}: status {int(word)} in read {place}, expected class {int(played.classes[-1])}"
        for name, got, want in zip(
            ("stored", "working"), read_weights(model, network), (segment.stored, segment.working), strict=True
        ):
            if (got != want).any():
                place = int(np.argmax(got != want))
                return f"{segment.name}: {name} weight of synapse {place}: expected {want[place]}, got {got[place]}"
        if advance is not None:
            advance(len(segment.spikes))
    return ""


def _reset(model: NativeModel, network: Network, weights: IntArray, rng: np.random.Generator) -> str:
    """Reset, look at the outputs, load; what is wrong in words."""
    after = model.run({"rst": [0, 1, 1, 0], "i_events__valid": 0})
    for name, values in after.items():
        if name != "i_events__ready" and int(values[-1]) != 0:
            return f"after reset: {name} is {int(values[-1])}, expected 0"
    load(model, _shuffled(network_writes(network, weights), rng))
    return ""


def _status_reads(spec: AstrocyteSpec) -> tuple[IntArray, IntArray]:
    """Addresses and enables whose words are the status: any region without enable, and all but the weights with it."""
    regions = np.arange(len(Region))
    places = (regions << address_width(spec) - 3) + 1
    others = regions != Region.WEIGHTS
    reads = np.concatenate([places, places[others], [0, 0, 0]])
    enable = np.concatenate([0 * places, np.ones(others.sum(), np.int64), [0, 0, 0]])
    return reads, enable


def _shuffled(writes: Writes, rng: np.random.Generator) -> Writes:
    """The same words in another order."""
    order = rng.permutation(len(writes.address))
    return Writes(writes.address[order], writes.data[order])


def _nowhere(spec: AstrocyteSpec, rng: np.random.Generator) -> Writes:
    """Words for addresses that hold nothing: of no region, and of no setting."""
    top = 1 << index_bits(spec)
    last = len(Region)
    # lists that seeded chips do not have
    empty = (Region.BACK, Region.INCOMING) if spec.seeded else ()
    places = np.concatenate([
        address(spec, Region.SETTINGS, 0, np.unique(np.r_[2, 3, 4, 5, 8, 9, top - 2, top - 1])),
        *(address(spec, region, lane, np.arange(4)) for region in empty for lane in range(spec.lanes)),
        (last << address_width(spec) - 3) + np.arange(4),
    ])  # fmt: skip
    places = places[(places >= 2) & (places < 1 << address_width(spec))]
    return Writes(places, rng.integers(0, 1 << 32, len(places)))


def check_volume(
    spec: AstrocyteSpec, seed: int, steps: int, *, network: Network | None = None, weights: IntArray | None = None,
    readout: Readout | None = None, samples: int | None = None, stimuli: Stimuli | None = None,
    advance: Advance | None = None,
) -> Check:  # fmt: skip
    """Compare hardware and golden model over at least `steps` steps, spike for spike and weight for weight.

    Parameters
    ----------
    spec : AstrocyteSpec
    seed : int
    steps : int
    network, weights, readout : optional
        Of a trained model; drawn from the seed where left out.
    samples : int, optional
        Of each mode, instead of as many as there are densities of events, or `steps` asks for.
    stimuli : Stimuli, optional
        Recordings in place of random events, shared out to the modes.
    advance : callable, optional
    """
    rng = np.random.default_rng(seed)
    network = network or draw(spec, seed)
    weights = random_weights(network, rng) if weights is None else weights
    readout = readout or random_readout(spec, rng)
    engine = Engine.NUMPY if spec.sources * spec.neurons <= 20_000 else Engine.NUMBA
    each = sum(_steps(spec, name) for name in MODES)
    kind, key = "", "steps"
    if stimuli is not None:
        kind, key = f" of {len(stimuli)} recordings", "recorded_steps"
        samples = samples or -(-len(stimuli) // len(MODES))
    samples = samples or max(len(DENSITIES), -(-steps // each))
    small = engine is Engine.NUMPY
    segments = make_segments(
        network, weights, rng, samples, engine, single=len(SINGLE) if small else 2, stimuli=stimuli
    )  # fmt: skip
    tally = Tally(advance)
    with AstrocyteBench(spec).model() as model:
        tally.first = play(network, weights, readout, segments, model, tally.add)
    moved = int((segments[len(MODES) - 1].stored != weights).sum())
    check = tally.check(
        f"{spec.name}: spikes, counts, scores, weights{kind} in all modes (seed {seed})", f"{key}__spec:{spec.name}",
        "steps", steps,
    )  # fmt: skip
    found = f"{sum(int(s.spikes.sum()) for s in segments):,} spikes, {moved:,} of {len(network):,} weights changed"
    return check if check.detail else Check(**vars(check) | {"detail": found})


def check_mutants(
    spec: AstrocyteSpec, seed: int, count: int, *, threads: int = 2, advance: Advance | None = None
) -> tuple[Check, mutation.CampaignResult]:
    """Mutate the chip `count` times and run `play` on every mutant."""
    from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid
    from hw.common.export import to_rtlil

    rng = np.random.default_rng(seed)
    network = draw(spec, seed)
    weights, readout = random_weights(network, rng), random_readout(spec, rng)
    segments = make_segments(network, weights, rng, len(DENSITIES), Engine.NUMPY, single=300)
    full = full_list(network)
    other = rng.spawn(1)[0]  # `rng` goes on as if there were no second network: it chooses the mutants
    first = random_weights(full, other)
    few = make_segments(full, first, other, 1, Engine.NUMPY) + saturating_segments(full)
    # lists of slots are those of many sources: none is emptied for one neuron
    ends, another = slots_without_own(network) if spec.seeded else dead_ends(network), other.spawn(1)[0]
    given = random_weights(ends, another)
    last = make_segments(ends, given, another, 2, Engine.NUMPY)
    runs = [(network, weights, segments), (full, first, few), (ends, given, last)]

    def check(model: NativeModel) -> bool:
        return not any(play(where, loaded, readout, played, model) for where, loaded, played in runs)

    result = mutation.run_campaign(
        to_rtlil(AstrocyteLiquid(spec=spec, boxes=False), spec.name), spec.name, check, count=count, rng=rng,
        clock="clk", threads=threads, advance=advance,
        loaded=[
            mutation.Loaded(stage, what.registers, partial(prove_stage_loaded, spec, stage))
            for stage, (_, what) in loaded_stages(spec).items()
        ],
        meant=[mutation.Meant("walker", WALKER_OUTPUTS, partial(prove_walks, spec))],
    )  # fmt: skip
    return mutation_check(spec.name, seed, count, result), result


def check_proofs(spec: AstrocyteSpec, *, advance: Advance | None = None) -> tuple[Check, tuple[Proof, ...]]:
    """Run all proofs of `flows.formal.astrocyte` for a spec."""
    proofs = tuple(prove_liquid(spec, advance=advance))
    return proof_check(spec.name, proofs), proofs


def recorded(folder: Path, count: int) -> Recordings:
    """The first `count` recordings of a folder, as a liquid of N-MNIST's sensor sees them.

    Raises
    ------
    FileNotFoundError, ValueError
        As of `sim.lsm_crossbar.recordings.events.find_recordings`.
    """
    return binned(map(read_recording, list(find_recordings(folder).values())[:count]))


def verify_design(design: Design, journal: Journal, options: VerificationOptions) -> VerificationReport:
    """Verify the generated hardware of an astrocyte liquid.

    Mutants are those of `campaign_spec`, or of `seeded_spec` for a seeded chip; with a trained model its network,
    weights and readout run.

    Raises
    ------
    ValueError
        If an option is for another chip, or the model is for another spec.
    """
    spec, seed, steps = design.spec, options.seed, options.crossings or design.crossings
    if options.vectors:
        raise ValueError(f"published vectors are for an encoder; {spec.name} is none")
    if options.recordings is not None and spec.inputs != SENSOR.inputs:
        raise ValueError(
            f"{spec.name} has {spec.inputs:,} inputs; recordings need {SENSOR.inputs:,}, one for each pixel and "
            "polarity"
        )
    stimuli = None if options.recordings is None else recorded(options.recordings, options.count)
    model = None if options.weights is None else TrainedLiquid.load(options.weights)
    if model is not None and model.spec != spec:
        raise ValueError(f"{options.weights} was trained for another spec than {spec.name}")
    run = VerificationRun(spec, seed, journal)
    if options.proofs:
        run.prove(proof_count(spec), lambda advance: check_proofs(spec, advance=advance))
    with journal.step(f"{spec.name}: Amaranth to Verilog to simulator"):
        AstrocyteBench(spec, astrocyte_verilog(spec))
    with journal.step(f"{spec.name}: samples in all modes") as advance:
        chosen: dict[str, Any] = {} if model is None else {
            "network": model.network, "weights": model.weights, "readout": model.readout,
        }  # fmt: skip
        check = check_volume(spec, seed, steps, **chosen, advance=advance)
    run.note(check)
    if stimuli is not None:
        with journal.step(f"{spec.name}: {len(stimuli)} recordings in all modes") as advance:
            check = check_volume(spec, seed, 1, **chosen, stimuli=stimuli, advance=advance)
        run.note(check)
    for number in range(options.random_specs):
        drawn = random_spec(np.random.default_rng((seed, number)), f"RANDOM_{number}")
        with journal.step(f"{drawn.name}: samples in all modes"):
            check = check_volume(drawn, seed + number, 400)
        run.note(check)
    mutated, mutants = seeded_spec() if spec.seeded else campaign_spec(), options.mutants
    run.mutate(mutated.name, mutants, lambda advance: check_mutants(mutated, seed, mutants, advance=advance))
    return run.report()
