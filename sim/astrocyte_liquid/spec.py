"""The specification of a neuron-astrocyte liquid: one object that network, models, hardware, benches and report read.

Numbering, for every reader:

- Sources are what spikes: the input neurons ``0 .. inputs-1``, and from `AstrocyteSpec.first_neuron` on the liquid
  neurons. Slots between the two, if the inputs do not fill the last group of lanes, never spike.
- Liquid neurons are numbered excitatory ones first; where on the grid a neuron lies is drawn.
- Source s, hence neuron j, belongs to *lane* ``s % lanes`` and is number ``s // lanes`` there.

Source of all default values: V. A. Ivanov and K. P. Michmizos, "Increasing liquid state machine performance with
edge-of-chaos dynamics organized by astrocyte-modulated plasticity", NeurIPS 2021 (arXiv 2111.01760), and its code,
combra-lab/NALSM. docs/chips/astrocyte_liquid.md lists where the two differ and what is chosen here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.messages import shown
from sim.spec_file import check_fields, check_integer, check_name, check_real, load_preset, parse_toml, toml_value

__all__ = [
    "CONNECTIVITIES",
    "CURRENT_DECAY",
    "NALSM_1000",
    "NALSM_1000_EVENTS",
    "NALSM_1000_SEEDED",
    "NALSM_216",
    "NALSM_216_200MHZ",
    "NALSM_216_SEEDED",
    "NALSM_8000",
    "PRESETS",
    "RATE_DECAY",
    "TRACE_DECAY",
    "AstrocyteSpec",
    "grid_steps",
    "load_spec",
]

CURRENT_DECAY = (3, 3)
"""exp(-1) as 3 / 2**3."""
TRACE_DECAY = (3, 5)
"""1 - exp(-1/10) as 3 / 2**5."""
RATE_DECAY = (5, 9)
"""1/100, of the astrocyte's time constant and of the fading of all rates in a sample, as 5 / 2**9."""
CONNECTIVITIES = ("lists", "seeded")
"""Values of `AstrocyteSpec.connectivity`."""


@dataclass(frozen=True, kw_only=True)
class AstrocyteSpec:
    """A liquid of leaky integrate-and-fire neurons on a grid, plastic synapses, one astrocyte, a linear readout.

    Voltages and weights are in the paper's units: a threshold of 20, weights up to 3. One step is 1 ms.

    Attributes
    ----------
    name : str
        Name of the design; also the stem of generated file names.
    grid : (int, int, int)
        Neurons along each axis.
    inputs, outputs, steps : int
        Input neurons, classes, steps of a sample.
    excitatory_fraction : float
        Share of excitatory neurons.
    reach : float
        lambda of ``P(connect) = C exp(-(D / lambda)^2)``, D the distance on the grid; no neuron projects to itself.
    connect_ee, connect_ei, connect_ie, connect_ii : float
        C from an excitatory neuron to an excitatory one, from excitatory to inhibitory, and so on.
    input_density : float
        Probability that an input neuron projects to a liquid neuron.
    spike_threshold : float
    leak_shift : int
        A step takes ``v / 2**leak_shift`` from a potential.
    refractory_steps : int
        Steps after a spike in which a neuron integrates but cannot spike.
    weight_max : float
        Largest magnitude of a weight, and its start value.
    trace_step : float
        What a spike adds to the trace of its neuron.
    potentiation : float
        A+, the rate of potentiation.
    astrocyte_weight, astrocyte_bias : float
        w_a and b_a: A-, the rate of depression, follows ``w_a (liquid - input spikes) + b_a``.
    weight_fraction : int
        Fraction bits of a weight, of potentials and currents.
    membrane_bits : int
        Bits of a potential, two's complement; it saturates.
    trace_fraction : int
        Fraction bits of a trace.
    rate_fraction, rate_bits : int
        Fraction bits and bits (two's complement) of A+, A-, w_a and b_a; A- saturates.
    rate_guard : int
        Lowest bits of a rate that the multipliers do not see.
    fan_in_max : int
        Most synapses of a neuron.
    lanes : int
        Synapses that the chip updates at once.
    lane_synapses : int
        Synapses that the memories of a lane hold; of a seeded chip at least a word for each slot and neuron.
    readout_weight_bits : int
        Bits of a readout weight, two's complement.
    clock_period_ns : float
        Clock of the chip, ns.
    connectivity : str
        ``lists``: every pair is drawn by itself, and the chip keeps both lists of every synapse. ``seeded``: the chip
        regenerates them (`sim.astrocyte_liquid.slots`).

    Raises
    ------
    ValueError
        If the fields do not describe a chip; the message says which and why.
    """

    name: str
    grid: tuple[int, int, int]
    inputs: int
    outputs: int
    steps: int = 250
    excitatory_fraction: float = 0.8
    reach: float = 3.0
    connect_ee: float = 0.2
    connect_ei: float = 0.1
    connect_ie: float = 0.3
    connect_ii: float = 0.05
    input_density: float = 0.15
    spike_threshold: float = 20.0
    leak_shift: int = 6
    refractory_steps: int = 2
    weight_max: float = 3.0
    trace_step: float = 0.1
    potentiation: float = 0.15
    astrocyte_weight: float = 0.015
    astrocyte_bias: float = 0.15
    weight_fraction: int = 6
    membrane_bits: int = 16
    trace_fraction: int = 12
    rate_fraction: int = 20
    rate_bits: int = 22
    rate_guard: int = 6
    fan_in_max: int = 256
    lanes: int = 8
    lane_synapses: int = 17_536
    readout_weight_bits: int = 8
    clock_period_ns: float = 10.0
    # not in the text of a spec that has lists: it stays what it was before there was a choice
    connectivity: str = field(default="lists", repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.grid, tuple | list) or len(self.grid) != 3:
            raise ValueError(f"grid: expected three integers, got {shown(self.grid)}")
        object.__setattr__(self, "grid", tuple(self.grid))
        for axis in self.grid:
            check_integer("grid", axis, 1, 64)
        for name, low, high in (
            ("inputs", 1, 1 << 14),
            ("outputs", 1, 1 << 10),
            ("steps", 1, 1 << 12),
            ("leak_shift", 1, 12),
            ("refractory_steps", 1, 15),
            ("weight_fraction", 0, 12),
            ("membrane_bits", 4, 24),
            ("trace_fraction", 4, 16),
            ("rate_fraction", 8, 24),
            ("rate_bits", 4, 28),
            ("rate_guard", 0, 12),
            ("fan_in_max", 1, 1 << 12),
            ("lanes", 1, 64),
            ("lane_synapses", 1, 1 << 24),
            ("readout_weight_bits", 2, 16),
        ):
            check_integer(name, getattr(self, name), low, high)
        for name in ("excitatory_fraction", "connect_ee", "connect_ei", "connect_ie", "connect_ii", "input_density"):
            check_real(name, getattr(self, name), 0, 1, "a fraction, 0 to 1")
        for name in ("reach", "spike_threshold", "weight_max", "clock_period_ns"):
            check_real(name, getattr(self, name), 1e-3, 1e3, "a number, 0.001 to 1000")
        for name in ("trace_step", "potentiation", "astrocyte_weight", "astrocyte_bias"):
            check_real(name, getattr(self, name), 0, 1, "a number, 0 to 1")
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"lanes: expected a power of two, got {self.lanes}")
        if self.neurons < self.lanes:
            raise ValueError(f"lanes: {self.lanes} lanes for {self.neurons} neurons; expected at most one each")
        if self.rate_guard >= self.rate_fraction:
            raise ValueError(
                f"rate_guard: expected less than rate_fraction {self.rate_fraction}, got {self.rate_guard}"
            )
        if not 1 <= self.threshold_code <= self.membrane_max:
            raise ValueError(
                f"spike_threshold: {self.spike_threshold} is {self.threshold_code} steps of "
                f"2**-{self.weight_fraction}; expected 1 to {self.membrane_max}, what {self.membrane_bits} bits hold"
            )
        if self.weight_code_max < 1:
            raise ValueError(f"weight_max: {self.weight_max} is no step of 2**-{self.weight_fraction}")
        if max(self.potentiation_code, self.bias_code, self.astrocyte_code) > self.rate_max:
            raise ValueError(
                f"rate_bits: {self.rate_bits} bits do not hold the rates at {self.rate_fraction} fraction bits"
            )
        if self.connectivity not in CONNECTIVITIES:
            raise ValueError(f"connectivity: expected {' or '.join(CONNECTIVITIES)}, got {shown(self.connectivity)}")
        if self.seeded:
            if self.neurons % self.lanes:
                raise ValueError(
                    f"lanes: {self.neurons} neurons are no multiple of {self.lanes} lanes, as seeded ones have to be"
                )
            if self.lane_synapses < self.slots * self.neuron_groups:
                raise ValueError(
                    f"lane_synapses: expected at least {self.slots * self.neuron_groups:,}, {self.slots} slots of "
                    f"{self.neuron_groups} neurons, got {self.lane_synapses:,}"
                )

    # --- geometry ---

    @property
    def neurons(self) -> int:
        """Neurons of the liquid."""
        return math.prod(self.grid)

    @property
    def excitatory(self) -> int:
        """Excitatory neurons, the first ones."""
        return round(self.excitatory_fraction * self.neurons)

    @property
    def first_neuron(self) -> int:
        """Source that is neuron 0: the inputs, filled up to whole groups of lanes."""
        return -(-self.inputs // self.lanes) * self.lanes

    @property
    def sources(self) -> int:
        """Sources, empty slots between inputs and neurons included."""
        return self.first_neuron + self.neurons

    @property
    def source_bits(self) -> int:
        """Bits of the number of a source."""
        return max(1, (self.sources - 1).bit_length())

    @property
    def input_groups(self) -> int:
        """Groups of `lanes` input neurons."""
        return self.first_neuron // self.lanes

    @property
    def neuron_groups(self) -> int:
        """Groups of `lanes` liquid neurons; the last may be filled in part."""
        return -(-self.neurons // self.lanes)

    @property
    def groups(self) -> int:
        """All groups, those of the inputs first."""
        return self.input_groups + self.neuron_groups

    # --- regenerated connectivity: see `sim.astrocyte_liquid.slots` ---

    @property
    def seeded(self) -> bool:
        """Whether the chip regenerates who projects to whom."""
        return self.connectivity == "seeded"

    @property
    def ring_bits(self) -> int:
        """Bits of the ring: the smallest power of two with room for the neurons of a lane."""
        return max(1, (self.neuron_groups - 1).bit_length())

    @property
    def input_blocks(self) -> int:
        """Blocks of inputs, as many as the ring each; the last may be filled in part."""
        return -(-self.inputs // (1 << self.ring_bits))

    @property
    def input_slots(self) -> int:
        """Slots of each block: neurons of a lane that an input projects to."""
        return max(1, round(self.input_density * (1 << self.ring_bits)))

    @cached_property
    def recurrent_slots(self) -> int:
        """Slots of recurrent synapses: the expected number of steps on an endless grid, rounded up."""
        return math.ceil(grid_steps(self)[1].sum())

    @property
    def slots(self) -> int:
        """Slots of a lane."""
        return self.input_blocks * self.input_slots + self.recurrent_slots

    @property
    def absent_code(self) -> int:
        """What stands in place of a weight where a slot has no synapse: no weight has that code."""
        return -1 << (self.weight_bits - 1)

    @property
    def windows(self) -> int:
        """Counting windows of a sample."""
        return 1

    @property
    def features(self) -> int:
        """Counts that the readout sees."""
        return self.neurons

    # --- codes of the chip ---

    @property
    def threshold_code(self) -> int:
        """Threshold in steps of a potential."""
        return round(self.spike_threshold * (1 << self.weight_fraction))

    @property
    def weight_code_max(self) -> int:
        """Largest magnitude of a weight in steps."""
        return round(self.weight_max * (1 << self.weight_fraction))

    @property
    def weight_bits(self) -> int:
        """Bits of a weight, two's complement."""
        return self.weight_code_max.bit_length() + 1

    @property
    def membrane_max(self) -> int:
        """Largest potential; the smallest is ``-membrane_max - 1``."""
        return (1 << (self.membrane_bits - 1)) - 1

    @property
    def current_max(self) -> int:
        """Bound on the magnitude of a neuron's current: all synapses at their largest weight in every step.

        With the decay d = 3/8 and its rounding, ``|i| <= (F + 1/2) / (1 - d)`` is inductive for F what one step adds.
        """
        numerator, shift = CURRENT_DECAY
        added = self.fan_in_max * self.weight_code_max
        return -(-(2 * added + 1) * (1 << shift) // (2 * ((1 << shift) - numerator)))

    @property
    def current_bits(self) -> int:
        """Bits of a current, two's complement."""
        return self.current_max.bit_length() + 1

    @property
    def trace_step_code(self) -> int:
        """What a spike adds to a trace, in steps."""
        return round(self.trace_step * (1 << self.trace_fraction))

    @cached_property
    def trace_max(self) -> int:
        """Largest trace: that of a neuron which spikes in every second step.

        Within a sample a neuron waits longer. But refractory counters start anew with a sample and traces may go on,
        and no neuron spikes in the first step. A step maps traces monotonically: no course of spikes leaves a larger
        one.
        """
        trace = before = 0
        while True:
            trace = decayed(decayed(trace, TRACE_DECAY) + self.trace_step_code, TRACE_DECAY)
            if trace <= before:
                return before
            before = trace

    @property
    def trace_bits(self) -> int:
        """Bits of a trace (unsigned)."""
        return max(1, self.trace_max.bit_length())

    @property
    def rate_max(self) -> int:
        """Largest rate; the smallest is ``-rate_max - 1``."""
        return (1 << (self.rate_bits - 1)) - 1

    @property
    def potentiation_code(self) -> int:
        """A+ at the start of a sample, in steps of a rate."""
        return round(self.potentiation * (1 << self.rate_fraction))

    @property
    def astrocyte_code(self) -> int:
        """w_a at the start of a sample, in steps of a rate."""
        return round(self.astrocyte_weight * (1 << self.rate_fraction))

    @property
    def bias_code(self) -> int:
        """b_a at the start of a sample, in steps of a rate; A- starts there, too."""
        return round(self.astrocyte_bias * (1 << self.rate_fraction))

    @property
    def change_shift(self) -> int:
        """Bits that the product of a rate, without its guard bits, and a trace loses to become steps of a weight."""
        return self.rate_fraction - self.rate_guard + self.trace_fraction - self.weight_fraction

    @property
    def potentiation_max(self) -> int:
        """Largest change of a weight by potentiation, in steps."""
        return _rounded((self.potentiation_code >> self.rate_guard) * self.trace_max, self.change_shift)

    @property
    def potentiation_bits(self) -> int:
        """Bits of a change by potentiation (unsigned)."""
        return max(1, self.potentiation_max.bit_length())

    @property
    def depression_max(self) -> int:
        """Largest magnitude of a change of a weight by depression, in steps."""
        return _rounded(((self.rate_max + 1) >> self.rate_guard) * self.trace_max, self.change_shift)

    @property
    def depression_bits(self) -> int:
        """Bits of a change by depression (two's complement: A- may be negative)."""
        return self.depression_max.bit_length() + 1

    @property
    def difference_max(self) -> int:
        """Largest magnitude of liquid minus input spikes of a step."""
        return max(self.neurons, self.inputs)

    # --- counters and readout ---

    @property
    def count_max(self) -> int:
        """Most spikes of a neuron in a sample; none in the first step."""
        return max(1, -(-(self.steps - 1) // (self.refractory_steps + 1)))

    @property
    def count_width(self) -> int:
        """Bits of a spike count (unsigned)."""
        return self.count_max.bit_length()

    @property
    def readout_weight_max(self) -> int:
        """Largest readout weight; the smallest is ``-readout_weight_max - 1``."""
        return (1 << (self.readout_weight_bits - 1)) - 1

    @property
    def bias_width(self) -> int:
        """Bits of a weighted sum (two's complement); there is no bias (see `sim.astrocyte_liquid.readout`)."""
        return (self.features * self.count_max * (self.readout_weight_max + 1)).bit_length() + 1

    @property
    def score_width(self) -> int:
        """Bits of a score (two's complement)."""
        return self.bias_width + 1

    @property
    def class_bits(self) -> int:
        """Bits of the class index."""
        return max(1, (self.outputs - 1).bit_length())

    # --- text ---

    def to_toml(self) -> str:
        """The spec as TOML text that `from_toml` reads back to an equal spec."""
        named = [f.name for f in fields(self) if f.name != "connectivity" or self.seeded]
        return "".join(f"{name} = {toml_value(getattr(self, name))}\n" for name in named)

    @classmethod
    def from_toml(cls, text: str) -> AstrocyteSpec:
        """Read a spec.

        Raises
        ------
        ValueError
            If the text is not TOML, or a field is missing, unknown or illegal.
        """
        table = parse_toml(text)
        check_fields(table, cls)
        try:
            return cls(**table)
        except TypeError as error:
            raise ValueError(f"not a spec of an astrocyte liquid: {error}") from None


def grid_steps(spec: AstrocyteSpec) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """All steps on the grid, shape (n, 3), and the largest probability of any pair of classes to connect at each."""
    axes = [np.arange(1 - length, length) for length in spec.grid]
    moves = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    moves = moves[moves.any(axis=1)]
    largest = max(spec.connect_ee, spec.connect_ei, spec.connect_ie, spec.connect_ii)
    chance: npt.NDArray[Any] = largest * np.exp(-(moves**2).sum(axis=1) / spec.reach**2)
    return moves, chance


def decayed(value: int, decay: tuple[int, int]) -> int:
    """``value`` less its part ``numerator / 2**shift``, that part rounded to nearest, halves upwards."""
    numerator, shift = decay
    return value - _rounded(numerator * value, shift)


def _rounded(value: int, shift: int) -> int:
    return (value + (1 << (shift - 1))) >> shift


NALSM_1000 = AstrocyteSpec(name="NALSM_1000", grid=(10, 10, 10), inputs=784, outputs=10)
"""NALSM1000 of arXiv 2111.01760 for MNIST: 1,000 neurons, about 134,320 synapses."""

NALSM_1000_EVENTS = replace(
    NALSM_1000, name="NALSM_1000_EVENTS", inputs=2_312, fan_in_max=512, lane_synapses=46_592
)  # fmt: skip
"""NALSM1000 for N-MNIST: an input for each of 34 x 34 pixels and each polarity, about 363,500 synapses."""

NALSM_8000 = AstrocyteSpec(
    name="NALSM_8000", grid=(20, 20, 20), inputs=784, outputs=10, astrocyte_weight=0.0075, lane_synapses=142_336,
)  # fmt: skip
"""NALSM8000 of arXiv 2111.01760 for MNIST: 8,000 neurons, w_a halved."""

NALSM_216 = AstrocyteSpec(
    name="NALSM_216", grid=(6, 6, 6), inputs=196, outputs=10, input_density=0.3, astrocyte_weight=0.07, lanes=4,
    lane_synapses=4_096,
)  # fmt: skip
"""A small liquid for digits of 14 x 14 pixels, for demonstrations."""

NALSM_216_200MHZ = replace(NALSM_216, name="NALSM_216_200MHZ", clock_period_ns=5.0)
"""`NALSM_216` at twice the clock: the same gates leak half as long for an operation."""

NALSM_1000_SEEDED = replace(NALSM_1000, name="NALSM_1000_SEEDED", connectivity="seeded", lane_synapses=22_250)
"""`NALSM_1000` whose connectivity is regenerated."""

NALSM_216_SEEDED = replace(NALSM_216, name="NALSM_216_SEEDED", connectivity="seeded", lane_synapses=6_480)
"""`NALSM_216` whose connectivity is regenerated."""

PRESETS = {
    spec.name: spec
    for spec in (
        NALSM_1000,
        NALSM_8000,
        NALSM_216,
        NALSM_1000_EVENTS,
        NALSM_216_200MHZ,
        NALSM_1000_SEEDED,
        NALSM_216_SEEDED,
    )
}

load_spec = partial(load_preset, presets=PRESETS, from_toml=AstrocyteSpec.from_toml)
"""A preset by name, or a spec from a TOML file; see `sim.spec_file.load_preset`."""
