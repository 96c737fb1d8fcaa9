"""Address map of the chip: settings, status, and the memories behind the same port of 32-bit words.

A word address is, from its highest bits down: the region, the lane, the index. A write needs one clock; reads are those
of status and weights.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.lanes import lane_contents, lane_places, lane_weights
from sim.astrocyte_liquid.network import Network
from sim.astrocyte_liquid.readout import Readout
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray
from sim.register_map import Field

__all__ = [
    "MODE_ADDRESS", "REGIONS", "STEPS_ADDRESS", "Region", "Writes", "address", "address_width", "decode_weights",
    "index_bits", "network_writes", "readout_writes", "register_map", "settings_writes",
    "weight_reads",
]  # fmt: skip

MODE_ADDRESS = 0
"""Bit 0 plastic, bit 1 keep: changes stay in the stored weights, traces go on, rates do not fade. The sample after a
write starts with traces of 0."""
STEPS_ADDRESS = 1
"""Steps of a sample."""


class Region(IntEnum):
    """Highest three bits of an address."""

    SETTINGS = 0
    """`MODE_ADDRESS`, `STEPS_ADDRESS`; reading: the status, bit 0 running, from bit 1 on the class."""
    WEIGHTS = 1
    """Synapses of a lane, or of its slots one after another. Writing: a weight, stored and working; reading: stored in
    bits 15-0, working in 31-16, both two's complement, extended by their sign."""
    TARGETS = 2
    """The neuron that each synapse of a lane enters, by its number within the lane; of a seeded chip its slots."""
    LISTS = 3
    """First synapse of each source in the low bits, above it how many; of a seeded chip first slot and how many."""
    BACK = 4
    """The same of each neuron of the lane, in the next region; not in a seeded chip."""
    INCOMING = 5
    """Synapses by neuron: number within the lane in the low bits, source above it; not in a seeded chip."""
    READOUT = 6
    """Readout weights: that of output o and neuron j at ``o * neurons + j``, two's complement."""


REGIONS = {
    "targets": Region.TARGETS, "slots": Region.TARGETS, "lists": Region.LISTS, "back": Region.BACK,
    "incoming": Region.INCOMING,
}  # fmt: skip
"""Region of each memory of a lane that the host loads beside the weights."""


class Writes(NamedTuple):
    """Words to write, in this order; arrays of int64."""

    address: IntArray
    data: IntArray


def index_bits(spec: AstrocyteSpec) -> int:
    """Bits of the index within a region."""
    largest = max(spec.lane_synapses, spec.groups * spec.lanes, spec.outputs * spec.neurons, 2)
    return (largest - 1).bit_length()


def address_width(spec: AstrocyteSpec) -> int:
    """Bits of a word address."""
    return 3 + (spec.lanes - 1).bit_length() + index_bits(spec)


def address(spec: AstrocyteSpec, region: Region, lane: int, index: npt.ArrayLike) -> IntArray:
    """Word addresses of indices in a region."""
    lane_bits, bits = (spec.lanes - 1).bit_length(), index_bits(spec)
    return (((int(region) << lane_bits) + lane) << bits) + np.asarray(index, np.int64)


def register_map(spec: AstrocyteSpec) -> tuple[Field, ...]:
    """All settings, ascending by address in bytes: four for each word."""
    return (
        Field(name="plastic", address=4 * MODE_ADDRESS, width=1),
        Field(name="keep", address=4 * MODE_ADDRESS, lsb=1, width=1),
        Field(name="steps", address=4 * STEPS_ADDRESS, width=steps_bits(spec), reset=spec.steps),
    )


def steps_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of steps of a sample."""
    return spec.steps.bit_length()


def settings_writes(spec: AstrocyteSpec, *, plastic: bool, keep: bool, steps: int | None = None) -> Writes:
    """Words that set the mode and, where given, the steps of a sample.

    Raises
    ------
    ValueError
        If there are no steps, or more than `spec.steps`, for which counters and readout are made.
    """
    if steps is not None and not 1 <= steps <= spec.steps:
        raise ValueError(f"steps: expected 1 to {spec.steps}, got {steps}")
    found = [(MODE_ADDRESS, int(plastic) + 2 * int(keep))]
    found += [] if steps is None else [(STEPS_ADDRESS, steps)]
    places, data = np.array(found, np.int64).T
    return Writes(address(spec, Region.SETTINGS, 0, places), data)


def network_writes(network: Network, weights: npt.NDArray[np.integer]) -> Writes:
    """Words that load a network and its weights (codes, shape (synapses,)) into the memories of all lanes."""
    spec = network.spec
    parts: list[tuple[IntArray, IntArray]] = []
    for lane in range(spec.lanes):
        data = {Region.WEIGHTS: lane_weights(network, weights, lane) & 0xFFFF}
        data |= {REGIONS[name]: words for name, words in lane_contents(network, lane).items()}
        parts += [(address(spec, region, lane, np.arange(len(words))), words) for region, words in data.items()]
    return Writes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def readout_writes(readout: Readout) -> Writes:
    """Words that load a readout."""
    spec = readout.spec
    words = readout.weights.astype(np.int64).ravel() & ((1 << spec.readout_weight_bits) - 1)
    return Writes(address(spec, Region.READOUT, 0, np.arange(len(words))), words)


def weight_reads(network: Network) -> IntArray:
    """Addresses whose words are the weights of a network, in the order of `Network.source`."""
    found = np.zeros(len(network), np.int64)
    for lane in range(network.spec.lanes):
        synapses, places = lane_places(network, lane)
        found[synapses] = address(network.spec, Region.WEIGHTS, lane, places)
    return found


def decode_weights(words: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Stored and working weights of words that were read."""
    values = np.asarray(words, np.int64)
    stored, working = values & 0xFFFF, values >> 16 & 0xFFFF
    return stored - ((stored >> 15) << 16), working - ((working >> 15) << 16)
