"""The specification of a crossbar chip: one object that device draw, model, hardware, benches and report all read.

Numbering, for every reader:

- Rows (word lines): ``0 .. inputs-1`` carry the input channels, ``inputs .. inputs+neurons-1`` the liquid's own spikes
  of the previous step. Rows beyond are never driven.
- Columns (bit lines) come in differential pairs: pair ``j`` is column ``2*j`` (plus) and ``2*j + 1`` (minus).
  Neuron ``j`` is pair ``j``.
- Macros: with ``macros`` above 1 all that is written here is of each macro. All macros see the inputs, and each the
  spikes of its own neurons; neuron ``j`` of macro ``m`` is neuron ``m*neurons + j`` of the chip.
- ADCs: ``columns_per_adc`` neighbouring pairs take turns on one pair of ADCs, a *lane*. Lane ``l`` reads pair
  ``l*columns_per_adc + k`` while `select` is ``k``. ADC ``2*l`` is the plus, ``2*l + 1`` the minus ADC of lane ``l``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.messages import shown
from sim.readout_spec import ReadoutSizes, ReadoutSpec
from sim.spec_file import check_fields, check_integer, check_name, check_real, load_preset, parse_toml, toml_value

NOISE_STATE_WIDTH = 31
"""Bits of one read-noise generator (see `sim.lsm_crossbar.noise`)."""
NOISE_SAMPLE_STEP = 0x05EBCA6B
"""What the seed of the read noise grows by from sample to sample."""
NOISE_ADC_STEP = 0x1E3779B1
"""What tells the ADCs' generators apart."""
NOISE_UNIT = 30
"""Largest magnitude of the unscaled noise: four 4-bit numbers minus their mean."""
NOISE_FRACTION = 6
"""Fraction bits of `CrossbarSpec.noise_scale`."""


_ALONE = {"macros": 1}
"""Fields that a spec file leaves out where they have this value."""

TINY, HUGE = 1e-15, 1e15
"""What a positive physical quantity is between, so that no arithmetic on it overflows."""
_POSITIVE = f"a positive number, {TINY:g} to {HUGE:g}"
_DEVICE_RANGES = (
    (
        (
            "programming_voltage_v",
            "compliance_ua",
            "breakdown_mean_v",
            "breakdown_sigma_v",
            "pristine_resistance_mohm",
            "drift_time_s",
            "drift_reference_s",
            "source_line_ohm",
            "bit_line_ohm",
        ),
        (TINY, HUGE, _POSITIVE),
    ),
    (("log_sigma",), (TINY, 10, f"a positive number, {TINY:g} to 10")),
    (("drift_exponent", "drift_exponent_sigma"), (0, 10, "a number of at least 0, at most 10")),
    (("programming_error",), (0, HUGE, f"a number of at least 0, at most {HUGE:g}")),
    (("log_mean",), (-30, 30, "the logarithm of a conductance in uS, -30 to 30")),
    (("stuck_on", "stuck_off"), (0, 1, "a fraction of cells, 0 to 1")),
)
"""Names of device parameters, their lowest and highest value, and that in words."""
_EFFECTS = frozenset({
    "breakdown_sigma_v", "log_sigma", "pristine_resistance_mohm", "programming_error", "stuck_on", "stuck_off",
    "drift_exponent", "drift_exponent_sigma", "source_line_ohm", "bit_line_ohm",
})  # fmt: skip
"""Device parameters that None switches off."""


@dataclass(frozen=True, kw_only=True)
class DeviceParameters:
    """What the cells of the array are like. ``None`` switches an effect off; sources are in
    `sim.lsm_crossbar.macro_model.device`.

    Attributes
    ----------
    programming_voltage_v : float
        Forming voltage between source and bit lines, V; together with the spread of breakdown voltages it sets the
        fraction of cells that form.
    compliance_ua : float
        Current that the word line allows while forming, uA; it sets the conductance of formed cells.
    breakdown_mean_v : float
    breakdown_sigma_v : float or None
        Normal distribution of the breakdown voltage, V; None: all cells break down at the mean.
    log_mean : float
    log_sigma : float or None
        Mean and standard deviation of ln(conductance / uS) of formed cells at the reference compliance; None: all
        formed cells are equal.
    pristine_resistance_mohm : float or None
        Resistance of cells that did not form, Mohm; None: no conductance at all (infinite on/off ratio).
    programming_error : float or None
        Relative standard deviation of an error on top of the measured spread.
    stuck_on, stuck_off : float or None
        Fraction of cells that stay at `CrossbarSpec.g_max_us`, or at zero conductance, whatever was done to them.
    drift_exponent, drift_exponent_sigma : float or None
        Mean and cell-to-cell standard deviation of the exponent nu in G(t) = G(t0) (t/t0)^-nu.
    drift_time_s, drift_reference_s : float
        Time of use and of programming check, s.
    source_line_ohm, bit_line_ohm : float or None
        Resistance of the line along a row, driven beside column 0, and along a column, read below the last row, from
        one cell to the next, ohm; None: no IR drop along it.
    """

    programming_voltage_v: float = 3.431
    compliance_ua: float = 5.0
    breakdown_mean_v: float = 3.433
    breakdown_sigma_v: float | None = 0.114
    log_mean: float = 2.5016
    log_sigma: float | None = 0.1475
    pristine_resistance_mohm: float | None = 10.0
    programming_error: float | None = None
    stuck_on: float | None = None
    stuck_off: float | None = None
    drift_exponent: float | None = None
    drift_exponent_sigma: float | None = None
    drift_time_s: float = 1.0
    drift_reference_s: float = 1.0
    source_line_ohm: float | None = None
    bit_line_ohm: float | None = None

    def __post_init__(self) -> None:
        for names, (low, high, expected) in _DEVICE_RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None or name not in _EFFECTS:
                    check_real(f"device.{name}", value, low, high, expected)
        if (self.stuck_on or 0) + (self.stuck_off or 0) > 1:
            raise ValueError(f"device: stuck_on {self.stuck_on} and stuck_off {self.stuck_off} exceed all cells")
        if self.drift_exponent is None and self.drift_exponent_sigma is not None:
            raise ValueError("device.drift_exponent_sigma needs a drift_exponent")


RATIO_FRACTION = 8
"""Fraction bits of `HomeostatParameters.ratio`."""
RATIO_MAX = (1 << 12) - 1
"""Largest `HomeostatParameters.ratio`: 16 liquid spikes for one input spike, less a step."""
BAND_MAX = (1 << 24) - 1
"""Largest `HomeostatParameters.band`."""
OWN_RATIO_FRACTION = 16
"""Fraction bits of the ratio of one neuron, where each has its own."""
OWN_RATIO_MAX = (1 << OWN_RATIO_FRACTION) - 1
"""Largest ratio of one neuron: one spike for one input spike, less a step."""
OFFSET_FRACTION = 16
"""Fraction bits of the offset of a neuron's own threshold."""
RATE_MAX = 8
"""Largest `HomeostatParameters.rate`."""


@dataclass(frozen=True, kw_only=True)
class HomeostatParameters:
    """A homeostat of `sim.lsm_crossbar.homeostat`: what keeps a fixed liquid as busy as its input says.

    Attributes
    ----------
    per : str
        ``layer``: one threshold for all neurons, moved at the end of a window of samples. ``neuron``: one for each
        neuron, moved after every sample.
    samples : int
        Samples of a window, 2 or more, after which the threshold of the layer may move by one.
    ratio : int
        Liquid spikes that one input spike is to cause, in units of ``2**-RATIO_FRACTION``. Reset value of a register,
        of the layer.
    band : int
        Liquid spikes of a window that do not matter. Reset value of a register, of the layer.
    rate : int
        ``2**rate`` spikes too many or too few move a neuron's own threshold by one, 0 to `RATE_MAX`. Reset value of a
        register. Ratios of neurons come with the readout, into a memory.
    """

    per: str = "layer"
    samples: int = 16
    ratio: int = 1 << RATIO_FRACTION
    band: int = 0
    rate: int = 4

    def __post_init__(self) -> None:
        if self.per not in ("layer", "neuron"):
            raise ValueError(f"homeostat.per: expected 'layer' or 'neuron', got {shown(self.per)}")
        for name, low, high in (
            ("samples", 2, 1 << 12), ("ratio", 0, RATIO_MAX), ("band", 0, BAND_MAX), ("rate", 0, RATE_MAX),
        ):  # fmt: skip
            check_integer(f"homeostat.{name}", getattr(self, name), low, high)
        for f in fields(self):
            if f.name not in self.used and getattr(self, f.name) != f.default:
                raise ValueError(f"homeostat.{f.name}: expected none with per = '{self.per}'")

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the fields that this kind has."""
        return ("per", "rate") if self.per == "neuron" else ("per", "samples", "ratio", "band")


@dataclass(frozen=True, kw_only=True)
class CrossbarSpec:
    """One macro of ``rows x columns`` cells, its ADCs, the neurons of its column pairs and a linear readout.

    Attributes
    ----------
    name : str
        Name of the design; also the stem of generated file names.
    inputs, neurons, steps, outputs : int
        Input channels, liquid neurons, time steps of a sample, classes.
    threshold : int
        A neuron spikes when its membrane potential exceeds this; in ADC codes. Reset value of the chip's register.
    leak : tuple of int
        Terms of the leak: ``-s`` subtracts ``u >> s``, ``+s`` adds it. ``(-4, -5)`` is u - (u >> 4) - (u >> 5).
        Shifts are arithmetic: they round towards minus infinity.
    refractory_steps : int
        Steps after a spike in which a neuron integrates but cannot spike.
    windows : int
        Equal parts of a sample in which spikes are counted apart; divides `steps`.
    readout_weight_bits : int
        Bits of a readout weight, two's complement; 1: a sign, stored as 0 for +1 and 1 for -1.
    rows, columns : int
        Cells of the macro; two columns are a differential pair.
    rows_per_read : int
        Word lines that may be active in one read.
    conductance_bits : int
        Bits of a conductance code; codes are 0 .. 2**conductance_bits - 1.
    g_max_us : float
        Conductance of the largest code, uS.
    read_voltage_v : float
        Voltage over a cell during a read, V.
    column_current_limit_ua : float or None
        Current at which the column's driver saturates, uA; None: no limit.
    columns_per_adc : int
        Column pairs that share a pair of ADCs.
    adc_bits : int
        Resolution of an ADC.
    adc_shift : int
        Range of the ADC: one ADC step is ``2**adc_shift`` conductance codes.
    gain_fraction : int
        Fraction bits of an ADC's gain; an ideal ADC has the gain ``2**gain_fraction``.
    offset_bits : int
        Bits of an ADC's offset, two's complement, in units of ``2**-gain_fraction`` conductance codes.
    gain_spread : float or None
        Relative standard deviation of the ADCs' gains; None: ideal.
    offset_spread : float or None
        Standard deviation of the ADCs' offsets in ADC steps; None: ideal.
    noise_scale : int or None
        Strength of the read noise in units of ``2**-NOISE_FRACTION`` (see `sim.lsm_crossbar.noise`); None: no noise.
    clock_period_ns : float
        Clock of the digital part, ns.
    settle_clocks : int
        Clocks between the sample strobe and the columns' settled, held sum.
    convert_clocks : int
        Clocks of one conversion.
    homeostat : HomeostatParameters or None
        A homeostat beside the liquid, off until a register says otherwise; None: the chip has none.
    macros : int
        Macros side by side: independent liquids of `neurons` neurons each that see the same inputs, and one readout of
        all their counts. With more than one there is neither read noise nor a homeostat of any kind.
    macro_rows : int or None
        Rows of one macro of a tile: the cells are those of several macros below and beside each other, each with ADCs
        of its own; no read drives word lines of two macros of a column of them, and their codes are added in the
        neurons. None: all rows are one macro's. A tile has ideal ADCs.
    macro_columns : int or None
        Columns of one macro of a tile; None: all columns are one macro's. It tells where one macro ends on the chip,
        and changes no result.
    device : DeviceParameters
        What the cells are like.

    Raises
    ------
    ValueError
        If the fields do not describe a chip; the message says which and why.
    """

    name: str
    inputs: int
    neurons: int
    steps: int
    outputs: int
    threshold: int
    leak: tuple[int, ...]
    refractory_steps: int = 0
    windows: int = 1
    readout_weight_bits: int = 8
    rows: int = 512
    columns: int = 512
    rows_per_read: int = 16
    conductance_bits: int = 6
    g_max_us: float = 20.0
    read_voltage_v: float = 0.1
    column_current_limit_ua: float | None = None
    columns_per_adc: int = 8
    adc_bits: int = 6
    adc_shift: int = 3
    gain_fraction: int = 6
    offset_bits: int = 12
    gain_spread: float | None = None
    offset_spread: float | None = None
    noise_scale: int | None = None
    clock_period_ns: float = 10.0
    settle_clocks: int = 1
    convert_clocks: int = 8
    homeostat: HomeostatParameters | None = None
    macros: int = 1
    macro_rows: int | None = None
    macro_columns: int | None = None
    device: DeviceParameters = field(default_factory=DeviceParameters)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not isinstance(self.leak, tuple | list):
            raise ValueError(f"leak: expected a list of integers, got {shown(self.leak)}")
        object.__setattr__(self, "leak", tuple(self.leak))
        if not isinstance(self.device, DeviceParameters):
            raise ValueError(f"device: expected parameters of a device, got {shown(self.device)}")
        if self.homeostat is not None and not isinstance(self.homeostat, HomeostatParameters):
            raise ValueError(f"homeostat: expected parameters of a homeostat, got {shown(self.homeostat)}")
        for name, low, high in (
            ("inputs", 1, 1 << 16),
            ("neurons", 1, 1 << 16),
            ("steps", 1, 1 << 16),
            ("outputs", 1, 1 << 10),
            ("refractory_steps", 0, 255),
            ("windows", 1, 1 << 16),
            ("readout_weight_bits", 1, 16),
            ("rows", 1, 1 << 12),
            ("columns", 2, 1 << 12),
            ("rows_per_read", 1, 1 << 12),
            ("conductance_bits", 1, 8),
            ("columns_per_adc", 1, 1 << 11),
            ("adc_bits", 1, 12),
            ("adc_shift", 0, 16),
            ("gain_fraction", 0, 10),
            ("offset_bits", 1, 24),
            ("settle_clocks", 1, 1 << 10),
            ("convert_clocks", 1, 1 << 10),
            ("macros", 1, 16),
        ):
            check_integer(name, getattr(self, name), low, high)
        for name in ("g_max_us", "read_voltage_v", "clock_period_ns"):
            check_real(name, getattr(self, name), TINY, HUGE, _POSITIVE)
        for name in ("gain_spread", "offset_spread"):
            if getattr(self, name) is not None:
                expected = f"a number of at least 0, at most {HUGE:g}, or None"
                check_real(name, getattr(self, name), 0, HUGE, expected)
        if self.column_current_limit_ua is not None:
            check_real("column_current_limit_ua", self.column_current_limit_ua, TINY, HUGE, _POSITIVE)
        if self.noise_scale is not None:
            check_integer("noise_scale", self.noise_scale, 1, 255)
        if self.macros > 1:
            for name in ("noise_scale", "homeostat"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: expected none of any kind with {self.macros} macros")
        if self.macro_rows is not None:
            check_integer("macro_rows", self.macro_rows, 1, self.rows)
            if self.rows % self.macro_rows or self.rows_per_read > self.macro_rows:
                raise ValueError(
                    f"macro_rows: expected a part of the {self.rows} rows, at least rows_per_read "
                    f"{self.rows_per_read}, got {self.macro_rows}"
                )
            for name in ("gain_spread", "offset_spread"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: expected none in a tile of macros")
        if self.macro_columns is not None:
            check_integer("macro_columns", self.macro_columns, 1, self.columns)
            if self.columns % self.macro_columns or self.macro_columns % (2 * self.columns_per_adc):
                raise ValueError(
                    f"macro_columns: expected a part of the {self.columns} columns with whole lanes of "
                    f"{2 * self.columns_per_adc}, got {self.macro_columns}"
                )
        if self.macros > 1 and (self.macro_rows, self.macro_columns) != (None, None):
            raise ValueError(f"macros: expected 1 in a tile of macros, got {self.macros}")
        if self.inputs + self.neurons > self.rows:
            raise ValueError(
                f"{self.inputs} inputs and {self.neurons} recurrent rows do not fit the {self.rows} rows of the macro"
            )
        if self.columns % 2 or self.pairs < self.neurons:
            raise ValueError(
                f"{self.neurons} neurons need as many column pairs, the macro has {self.columns} columns"
                f"{' (odd)' if self.columns % 2 else ''}"
            )
        if self.pairs % self.columns_per_adc:
            raise ValueError(f"columns_per_adc: {self.columns_per_adc} does not divide the {self.pairs} column pairs")
        if self.rows_per_read > self.rows:
            raise ValueError(f"rows_per_read: expected at most the {self.rows} rows, got {self.rows_per_read}")
        if self.steps % self.windows:
            raise ValueError(f"windows: {self.windows} does not divide the {self.steps} steps")
        if not self.leak or any(isinstance(s, bool) or not isinstance(s, int) for s in self.leak):
            raise ValueError(f"leak: expected at least one term, integers, got {shown(self.leak)}")
        if any(not 1 <= abs(s) <= 16 for s in self.leak):
            raise ValueError(f"leak: shifts must be 1 to 16 (negative: subtracted), got {shown(self.leak)}")
        if not 0 <= self.decay < 1:
            raise ValueError(f"leak {self.leak} multiplies by {float(self.decay)}; expected 0 to below 1")
        if self.column_current_limit_ua is not None and self.column_limit is not None and self.column_limit < 1:
            raise ValueError(
                f"column_current_limit_ua: {self.column_current_limit_ua} uA is below one conductance code"
            )
        for name in ("conversion_width", "membrane_width"):
            if getattr(self, name) > 31:
                raise ValueError(f"{name} would be {getattr(self, name)} bits; at most 31 are supported")
        check_integer("threshold", self.threshold, 0, self.threshold_max)

    # --- geometry ---

    @property
    def all_neurons(self) -> int:
        """Neurons of all macros."""
        return self.macros * self.neurons

    @property
    def image_rows(self) -> int:
        """Rows of a conductance image: those of macro 0, then those of macro 1, and so on."""
        return self.macros * self.rows

    @property
    def image_adcs(self) -> int:
        """ADCs of all macros, in the same order."""
        return self.macros * self.adcs

    @property
    def all_adcs(self) -> int:
        """ADCs of all macros, of a tile also those of the macros below the first."""
        return self.image_adcs * (self.rows // self.macro_shape[0])

    @property
    def macro_shape(self) -> tuple[int, int]:
        """Rows and columns of one macro: of a tile, those of each."""
        return self.macro_rows or self.rows, self.macro_columns or self.columns

    @property
    def tiled(self) -> bool:
        """Whether rows and columns are those of several macros."""
        return self.macro_shape != (self.rows, self.columns)

    @property
    def one_macro(self) -> CrossbarSpec:
        """The spec of each macro on its own."""
        return self if self.macros == 1 else replace(self, macros=1)

    def macro_seed(self, seed: int, macro: int) -> int:
        """Seed of one macro of a chip of a seed; those of different chips differ."""
        return self.macros * seed + macro

    @property
    def pairs(self) -> int:
        """Differential column pairs of the macro."""
        return self.columns // 2

    @property
    def lanes(self) -> int:
        """Pairs of ADCs of the macro."""
        return self.pairs // self.columns_per_adc

    @property
    def adcs(self) -> int:
        """ADCs of the macro: plus and minus of every lane."""
        return 2 * self.lanes

    @property
    def active_lanes(self) -> int:
        """Lanes that serve at least one neuron; the others convert, and nobody looks."""
        return -(-self.neurons // self.columns_per_adc)

    @property
    def row_bits(self) -> int:
        """Bits of a row address."""
        return max(1, (self.rows - 1).bit_length())

    @property
    def select_bits(self) -> int:
        """Bits of `select`."""
        return max(1, (self.columns_per_adc - 1).bit_length())

    @property
    def used_rows(self) -> int:
        """Rows that can be active: inputs and recurrent ones."""
        return self.inputs + self.neurons

    @property
    def tile_rows(self) -> tuple[int, ...]:
        """Used rows of each macro of a column of macros; with one macro all used rows."""
        each = self.macro_shape[0]
        return tuple(min(each, self.used_rows - first) for first in range(0, self.used_rows, each))

    @property
    def batches_per_step(self) -> int:
        """Most reads of one step: all used rows active."""
        return sum(-(-rows // self.rows_per_read) for rows in self.tile_rows)

    @property
    def window_length(self) -> int:
        """Steps of a counting window."""
        return self.steps // self.windows

    @property
    def features(self) -> int:
        """Counts that the readout sees; index = window * all_neurons + neuron."""
        return self.windows * self.all_neurons

    @property
    def readout_sizes(self) -> ReadoutSpec:
        """What the readout has to know: the spec itself with one macro, else one liquid of all neurons."""
        if self.macros == 1:
            return self
        return ReadoutSizes(
            neurons=self.all_neurons, outputs=self.outputs, features=self.features, count_width=self.count_width,
            readout_weight_bits=self.readout_weight_bits, bias_width=self.bias_width, score_width=self.score_width,
            class_bits=self.class_bits,
        )  # fmt: skip

    # --- conductances ---

    @property
    def code_max(self) -> int:
        """Largest conductance code."""
        return (1 << self.conductance_bits) - 1

    @property
    def g_lsb_us(self) -> float:
        """Conductance of one code, uS."""
        return self.g_max_us / self.code_max

    # --- one conversion ---

    @property
    def column_limit(self) -> int | None:
        """Column current limit in conductance codes, rounded down: I / (read voltage * g_lsb); None: no limit."""
        if self.column_current_limit_ua is None:
            return None
        return int(self.column_current_limit_ua / (self.read_voltage_v * self.g_lsb_us))

    @property
    def column_sum_max(self) -> int:
        """Largest column sum of a read: rows_per_read codes of `code_max`, cut at the current limit."""
        largest = min(self.rows_per_read, self.used_rows) * self.code_max
        return largest if self.column_limit is None else min(largest, self.column_limit)

    @property
    def column_sum_width(self) -> int:
        """Bits of the uncut column sum (unsigned)."""
        return (min(self.rows_per_read, self.used_rows) * self.code_max).bit_length()

    @property
    def noise_max(self) -> int:
        """Largest magnitude of the read noise in codes: (NOISE_UNIT * noise_scale + half) >> NOISE_FRACTION."""
        if self.noise_scale is None:
            return 0
        return (NOISE_UNIT * self.noise_scale + (1 << (NOISE_FRACTION - 1))) >> NOISE_FRACTION

    @property
    def gain_max(self) -> int:
        """Largest gain of an ADC; the smallest is 1. Twice the ideal gain less one step."""
        return (2 << self.gain_fraction) - 1

    @property
    def offset_max(self) -> int:
        """Largest offset; the smallest is ``-offset_max - 1``."""
        return (1 << (self.offset_bits - 1)) - 1

    @property
    def conversion_shift(self) -> int:
        """Bits dropped by a conversion: those of the range and those of the gain's fraction."""
        return self.adc_shift + self.gain_fraction

    @property
    def conversion_width(self) -> int:
        """Bits of ``(sum + noise) * gain + offset`` (two's complement).

        Its magnitude is at most ``(column_sum_max + noise_max) * gain_max + 2**(offset_bits-1)``.
        """
        largest = (self.column_sum_max + self.noise_max) * self.gain_max + (1 << (self.offset_bits - 1))
        return largest.bit_length() + 1

    @property
    def adc_max(self) -> int:
        """Largest code that an ADC can put out: its full scale, or what the largest column sum converts to."""
        largest = (self.column_sum_max + self.noise_max) * self.gain_max + self.offset_max
        return min((1 << self.adc_bits) - 1, largest >> self.conversion_shift)

    @property
    def differential_width(self) -> int:
        """Bits of plus code minus minus code (two's complement)."""
        return self.adc_bits + 1

    # --- neurons ---

    @property
    def decay(self) -> Fraction:
        """What the leak multiplies by, but for rounding: 1 + sum of sign * 2**-shift."""
        return Fraction(1) + sum((Fraction(1 if s > 0 else -1, 1 << abs(s)) for s in self.leak), Fraction(0))

    @property
    def step_input_max(self) -> int:
        """Largest magnitude D of what one step adds to a membrane: ``batches_per_step * adc_max``.

        Each batch adds plus minus minus code, each 0 to `adc_max`.
        """
        return self.batches_per_step * self.adc_max

    @property
    def membrane_rest_max(self) -> int:
        """Bound V on the stored potential between steps: ``|v| <= V`` is inductive.

        With decay d, and m the larger of the numbers of subtracted and of added leak terms (each rounds by less than
        one), a stored v becomes at most ``d * (V + D) + m`` in magnitude, so the smallest such V is
        ``ceil((d * D + m) / (1 - d))``. A spike stores 0. It holds for any threshold and any conductance image.
        """
        terms = max(sum(s < 0 for s in self.leak), sum(s > 0 for s in self.leak))
        return -int(-(self.decay * self.step_input_max + terms) // (1 - self.decay))

    @property
    def membrane_max(self) -> int:
        """Bound on the potential at any time, also between the batches of a step: V + D."""
        return self.membrane_rest_max + self.step_input_max

    @property
    def membrane_width(self) -> int:
        """Bits of a membrane potential (two's complement) that hold ``-membrane_max .. membrane_max``."""
        return self.membrane_max.bit_length() + 1

    @property
    def threshold_width(self) -> int:
        """Bits of the threshold (unsigned): the membrane's without the sign."""
        return self.membrane_width - 1

    @property
    def threshold_max(self) -> int:
        """Largest threshold."""
        return (1 << self.threshold_width) - 1

    @property
    def refractory_width(self) -> int:
        """Bits of the counter of refractory steps; 0 if there is none."""
        return self.refractory_steps.bit_length()

    # --- homeostat ---

    @property
    def own_thresholds(self) -> bool:
        """Whether the homeostat moves a threshold of each neuron."""
        return self.homeostat is not None and self.homeostat.per == "neuron"

    @property
    def offset_width(self) -> int:
        """Bits of a neuron's threshold less that of the register (two's complement), without its fraction.

        They hold half and twice the spec's threshold; with a larger one in the register they are the limit.
        """
        return self.threshold.bit_length() + 1

    def homeostat_range(self, threshold: int) -> tuple[int, int]:
        """Lowest and highest threshold of a homeostat whose register says `threshold`.

        Half, and twice as much; of a neuron's own at most what an offset can say.
        """
        low, high = threshold >> 1, min(2 * threshold, self.threshold_max)
        if not self.own_thresholds:
            return low, high
        reach = 1 << (self.offset_width - 1)
        return max(low, threshold - reach), min(high, threshold + reach - 1)

    @property
    def balance_width(self) -> int:
        """Bits of the balance of the layer's homeostat (two's complement); 0 without one.

        Its magnitude is at most that of a window in which every neuron spikes in every step, or every input with the
        largest ratio.
        """
        if self.homeostat is None or self.own_thresholds:
            return 0
        each = max(self.neurons << RATIO_FRACTION, self.inputs * RATIO_MAX)
        return (self.homeostat.samples * self.steps * each).bit_length() + 1

    @property
    def input_count_width(self) -> int:
        """Bits of the number of input spikes in a counting window."""
        return (self.inputs * self.window_length).bit_length()

    # --- counters and readout ---

    @property
    def count_max(self) -> int:
        """Most spikes of a neuron in a window: one in every ``refractory_steps + 1`` steps."""
        return -(-self.window_length // (self.refractory_steps + 1))

    @property
    def count_width(self) -> int:
        """Bits of a spike count (unsigned)."""
        return self.count_max.bit_length()

    @property
    def readout_weight_max(self) -> int:
        """Largest readout weight."""
        return 1 if self.readout_weight_bits == 1 else (1 << (self.readout_weight_bits - 1)) - 1

    @property
    def readout_weight_min(self) -> int:
        """Smallest readout weight, also the one of the largest magnitude."""
        return -(1 << (self.readout_weight_bits - 1))

    def checked_readout_weights(self, weights: npt.ArrayLike) -> IntArray:
        """Readout weights as integers that the chip can store.

        Raises
        ------
        TypeError
            If they are not integers.
        ValueError
            If one is out of range, or 0 where a weight is a sign; the message names its index.
        """
        found = check_range(weights, self.readout_weight_min, self.readout_weight_max, "readout weight")
        if self.readout_weight_bits == 1 and (found == 0).any():
            index = [int(i) for i in np.argwhere(found == 0)[0]]
            raise ValueError(f"readout weight{index}: expected -1 or 1, got 0")
        return found

    def readout_weight_codes(self, weights: npt.ArrayLike) -> IntArray:
        """Bits of the weights as the memory stores them, unsigned; errors as of `checked_readout_weights`."""
        found = self.checked_readout_weights(weights)
        if self.readout_weight_bits == 1:
            return (found < 0).astype(np.int64)
        return (found & ((1 << self.readout_weight_bits) - 1)).astype(np.int64)

    def readout_weights_of(self, codes: npt.ArrayLike) -> IntArray:
        """Weights of stored bits: the inverse of `readout_weight_codes`."""
        stored = check_range(codes, 0, (1 << self.readout_weight_bits) - 1, "weight code")
        if self.readout_weight_bits == 1:
            return 1 - 2 * stored
        half = 1 << (self.readout_weight_bits - 1)
        return (stored ^ half) - half

    @property
    def bias_width(self) -> int:
        """Bits of a readout bias (two's complement): those of the largest weighted sum.

        Its magnitude is at most ``features * count_max * 2**(readout_weight_bits-1)``.
        """
        return (self.features * self.count_max * -self.readout_weight_min).bit_length() + 1

    @property
    def bias_max(self) -> int:
        """Largest bias; the smallest is ``-bias_max - 1``."""
        return (1 << (self.bias_width - 1)) - 1

    @property
    def score_width(self) -> int:
        """Bits of a score (two's complement): bias plus weighted sum."""
        return self.bias_width + 1

    @property
    def class_bits(self) -> int:
        """Bits of the class index."""
        return max(1, (self.outputs - 1).bit_length())

    # --- timing ---

    @property
    def read_clocks(self) -> int:
        """Clocks of one read: settle, then one conversion per shared column pair."""
        return self.settle_clocks + self.columns_per_adc * self.convert_clocks

    # --- text ---

    def to_toml(self) -> str:
        """The spec as TOML text that `from_toml` reads back to an equal spec; ideal (None) fields are left out."""
        lines = []
        for f in fields(self):
            # one macro goes without saying: files from before there were more say the same
            if f.name not in ("device", "homeostat") and getattr(self, f.name) not in (None, _ALONE.get(f.name)):
                lines.append(f"{f.name} = {toml_value(getattr(self, f.name))}")
        if self.homeostat is not None:
            lines += ["", "[homeostat]"]
            lines += [f"{name} = {toml_value(getattr(self.homeostat, name))}" for name in self.homeostat.used]
        lines += ["", "[device]"]
        for f in fields(self.device):
            value = getattr(self.device, f.name)
            lines.append(f"{f.name} = {toml_value('none' if value is None else value)}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str) -> CrossbarSpec:
        """Read a spec.

        A device effect is switched off by the word ``"none"``; a device field that is left out has its default.

        Raises
        ------
        ValueError
            If the text is not TOML, or a field is missing, unknown or illegal.
        """
        return cls.from_table(parse_toml(text))

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> CrossbarSpec:
        """The spec in a table of a TOML file; errors as in `from_toml`."""
        check_fields(table, cls)
        device = table.get("device", {})
        if not isinstance(device, dict):
            raise ValueError(f"device: expected a table [device], got {shown(device)}")
        check_fields(device, DeviceParameters, "device.")
        device = {key: None if value == "none" else value for key, value in device.items()}
        parts: dict[str, Any] = {"device": DeviceParameters(**device)}
        if "homeostat" in table:
            homeostat = table["homeostat"]
            if not isinstance(homeostat, dict):
                raise ValueError(f"homeostat: expected a table [homeostat], got {shown(homeostat)}")
            check_fields(homeostat, HomeostatParameters, "homeostat.")
            parts["homeostat"] = HomeostatParameters(**homeostat)
        try:
            return cls(**(table | parts))
        except TypeError as error:
            raise ValueError(f"not a crossbar spec: {shown(error, quoted=False)}") from None


N_MNIST = CrossbarSpec(
    name="N_MNIST", inputs=256, neurons=200, steps=50, outputs=10, threshold=40, leak=(-4, -5), windows=5
)
"""Neuromorphic MNIST of arXiv 2307.00771, 256 inputs and 200 neurons: decay 0.9 as 0.90625.

Threshold and windows are chosen on validation (docs/results/lsm_accuracy.md); the paper counts spikes in one window.
"""

N_MNIST_4_MACROS = replace(N_MNIST, name="N_MNIST_4_MACROS", macros=4)
"""`N_MNIST` with four macros side by side: 800 neurons, one readout."""

N_TIDIGITS = CrossbarSpec(name="N_TIDIGITS", inputs=64, neurons=200, steps=129, outputs=11, threshold=26, leak=(-5,))
"""Spoken digits of arXiv 2307.00771: 64 cochlea channels, decay 0.97 as 0.96875."""

SPOKEN_DIGITS = replace(N_TIDIGITS, name="SPOKEN_DIGITS", windows=3)
"""The same liquid, its spikes counted in three windows instead of one; a trained readout ships for it."""

FULL_MACRO = CrossbarSpec(
    name="FULL_MACRO", inputs=256, neurons=256, steps=50, outputs=10, threshold=40, leak=(-4, -5), windows=5
)
"""All 512 rows and all 256 column pairs of the macro."""

N_MNIST_HOMEOSTAT = replace(N_MNIST, name="N_MNIST_HOMEOSTAT", homeostat=HomeostatParameters())
"""`N_MNIST` with a homeostat beside its liquid; training sets the ratio."""

N_MNIST_OWN_THRESHOLDS = replace(N_MNIST, name="N_MNIST_OWN_THRESHOLDS", homeostat=HomeostatParameters(per="neuron"))
"""`N_MNIST` with a homeostat that moves a threshold of each neuron; training sets the ratios."""

PRESETS = {
    spec.name: spec
    for spec in (
        N_MNIST,
        N_MNIST_4_MACROS,
        N_TIDIGITS,
        SPOKEN_DIGITS,
        FULL_MACRO,
        N_MNIST_HOMEOSTAT,
        N_MNIST_OWN_THRESHOLDS,
    )
}

load_spec = partial(load_preset, presets=PRESETS, from_toml=CrossbarSpec.from_toml)
"""A preset by name, or a spec from a TOML file; see `sim.spec_file.load_preset`."""
