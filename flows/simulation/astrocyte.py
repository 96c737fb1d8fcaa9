"""Native simulation of a whole astrocyte liquid: network and events in; spikes, counts, classes, weights out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.simulation.native import NativeModel, build_native
from sim.astrocyte_liquid.liquid import Events
from sim.astrocyte_liquid.network import Network
from sim.astrocyte_liquid.readout import Readout
from sim.astrocyte_liquid.registers import (
    Writes,
    decode_weights,
    network_writes,
    readout_writes,
    settings_writes,
    weight_reads,
)
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray

__all__ = [
    "STROBES",
    "AstrocyteBench",
    "Played",
    "astrocyte_verilog",
    "event_words",
    "load",
    "play_events",
    "read_weights",
]

STROBES = ("spike_valid", "step_valid", "count_valid", "score_valid", "class_valid")
"""Outputs that say that another one is to be read, or that a step has ended."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """What the chip put out.

    Attributes
    ----------
    spikes : ndarray of uint8, shape (steps of all samples, neurons)
    input_spikes : ndarray of uint8, shape (steps of all samples, inputs)
    counts : ndarray of int64, shape (samples * neurons,)
    scores : ndarray of int64, shape (samples * outputs,)
    classes, class_clocks : ndarray of int64, shape (samples,)
        Clocks count from the first event.
    step_clocks : ndarray of int64, shape (steps of all samples,)
        Clocks in which steps end.
    status : ndarray of int64, shape (samples,)
        What the host's port reads in the clock of `class_clocks`.
    """

    spikes: npt.NDArray[np.uint8]
    input_spikes: npt.NDArray[np.uint8]
    counts: IntArray
    scores: IntArray
    classes: IntArray
    class_clocks: IntArray
    step_clocks: IntArray
    status: IntArray


def astrocyte_verilog(spec: AstrocyteSpec) -> str:
    """The chip of a spec with behavioural memories; its top module has the name of the spec."""
    from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid
    from hw.common.export import to_verilog

    return to_verilog(AstrocyteLiquid(spec=spec, boxes=False), spec.name)


class AstrocyteBench:
    """Native simulation of a chip.

    Parameters
    ----------
    spec : AstrocyteSpec
    verilog : str, optional
        Its Verilog, where it is there already.
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, spec: AstrocyteSpec, verilog: str = "", timeout_s: float = 900.0) -> None:
        self.spec = spec
        self.library, self.ports = build_native(
            verilog or astrocyte_verilog(spec), spec.name, clock="clk", timeout_s=timeout_s
        )

    def model(self, seed: int = 1) -> NativeModel:
        """A fresh model, before reset."""
        return NativeModel(self.library, self.ports, "clk", seed)

    def run(
        self, network: Network, weights: npt.NDArray[np.integer], readout: Readout, events: Events, spikes: int, *,
        plastic: bool, keep: bool = False, seed: int = 1,
    ) -> tuple[Played, IntArray, IntArray]:  # fmt: skip
        """Reset, load, run samples back to back, read the weights.

        Parameters
        ----------
        network : Network
        weights : ndarray of int, shape (synapses,)
        readout : Readout
        events : ndarray of uint8, shape (n, steps, inputs)
        spikes : int
            As of `play_events`.
        plastic, keep : bool
            As `sim.astrocyte_liquid.registers.settings_writes`.
        seed : int
            Of uninitialised state.

        Returns
        -------
        Played
        stored, working : ndarray of int64, shape (synapses,)
            Weights after the last sample.
        """
        with self.model(seed) as model:
            model.run({"rst": [0, 1, 1, 0]})
            load(model, network_writes(network, weights))
            load(model, readout_writes(readout))
            load(model, settings_writes(self.spec, plastic=plastic, keep=keep, steps=events.shape[1]))
            played = play_events(model, self.spec, events, spikes)
            return played, *read_weights(model, network)


def load(model: NativeModel, writes: Writes) -> None:
    """One write per clock."""
    model.run({"write_address": writes.address, "write_data": writes.data, "write_enable": 1})


def read_weights(model: NativeModel, network: Network) -> tuple[IntArray, IntArray]:
    """Stored and working weights of a chip that does not run."""
    addresses = weight_reads(network)
    # a read shows two clocks later
    padded = np.append(addresses, [0, 0])
    enable = np.append(np.ones(len(addresses), np.int64), [0, 0])
    words = model.run({"read_address": padded, "read_enable": enable})["read_data"]
    return decode_weights(words[2:])


def event_words(spec: AstrocyteSpec, events: Events) -> IntArray:
    """Words of the event stream: the inputs of each step in ascending order, then the end of the step."""
    end = 1 << max(1, (spec.first_neuron - 1).bit_length())
    flat = events.reshape(-1, spec.inputs)
    marked = np.concatenate([flat, np.ones((len(flat), 1), np.uint8)], axis=1)
    column = np.nonzero(marked)[1]
    return np.where(column == spec.inputs, end, column).astype(np.int64)


def play_events(
    model: NativeModel, spec: AstrocyteSpec, events: Events, spikes: int, words: IntArray | None = None
) -> Played:
    """Offer events without pause until the chip has put out what is expected, or the clocks that it can take are over.

    Parameters
    ----------
    model : NativeModel
    spec : AstrocyteSpec
    events : ndarray of uint8, shape (n, steps, inputs)
    spikes : int
        Spikes of all sources that the golden model has: a chip that fires more often ends early.
    words : ndarray of int64, optional
        Words that mean these events; left out, those of `event_words`.
    """
    words = event_words(spec, events) if words is None else words
    samples, steps = len(events), events.shape[1]
    each = spec.groups + spec.inputs + 16
    most = samples * (steps * each + spec.lane_synapses + (spec.neurons + 1) * spec.outputs + 64)
    most += spikes * (12 + spec.neuron_groups + max(spec.fan_in_max, spec.slots))
    kept, times, _ = model.run_stream(
        {"i_events__payload": np.append(words, 0), "i_events__valid": np.append(np.ones(len(words), np.int64), 0)},
        valid="i_events__valid", ready="i_events__ready", strobes=STROBES, clocks=most + len(words),
        count=spikes + samples * (steps + spec.neurons + spec.outputs + 1),
    )  # fmt: skip
    ends = kept["step_valid"] == 1
    at = np.cumsum(ends) - ends
    raster = np.zeros((samples * steps, spec.sources), np.uint8)
    fired = (kept["spike_valid"] == 1) & (at < len(raster))
    raster[at[fired], np.minimum(kept["spike"][fired], spec.sources - 1)] = 1
    scores = kept["score"][kept["score_valid"] == 1]
    told = kept["class_valid"] == 1
    return Played(
        spikes=raster[:, spec.first_neuron :], input_spikes=raster[:, : spec.inputs],
        counts=kept["count"][kept["count_valid"] == 1],
        scores=scores - ((scores >> (spec.score_width - 1)) << spec.score_width),
        classes=kept["class_index"][told], class_clocks=times[told], step_clocks=times[ends],
        status=kept["read_data"][told],
    )  # fmt: skip
