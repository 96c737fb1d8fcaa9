"""Energy and area of the array and its ADCs, from published models: what synthesis cannot measure.

Every figure is an `Estimate` with a range, since published models of the same thing differ by factors; the text of each
function says where its equation comes from. Counts of reads, activations and conversions are those of the golden model.

- Cells, as NeuroSim costs a read (P.-Y. Chen, X. Peng, S. Yu, "NeuroSim: a circuit-level macro model for
  benchmarking neuro-inspired architectures in online learning", IEEE TCAD 37 (2018) 3067): V^2 G t for every conducting
  cell, with the conductances of the draw.
- ADCs: the regression on B. Murmann's survey of published converters in T. Andrulis, R. Chen, H.-S. Lee, J. S. Emer,
  V. Sze, "Modeling analog-digital-converter energy and area for compute-in-memory accelerator design", arXiv
  2404.06553, with the coefficients of its program (hwcomponents-adc 1.0.21). It describes converters as good as the
  best fifth of the survey. Below it is the bound k1 B + k2 4^B of B. Murmann, "Mixed-signal computing for deep neural
  network inference", IEEE TVLSI 29 (2021) 3, doi 10.1109/TVLSI.2020.3020286. Its k1 and k2 are those of ZigZag's
  analogue arrays (KULeuven-MICAS), 100 fF and 1 aF times the square of the supply, here at 1 V; they were not seen in
  the paper itself. Above it, the same regression for the mean converter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.lsm_crossbar.liquid import Activity
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec

CELL_AREA_F2 = 54.0
"""Area of a 1T1R cell in squares of the feature size; the cell files of NVMExplorer have 53."""
WIRE_FF_PER_UM = 0.2
"""Capacitance of a wire, fF/um: the constant that NeuroSim uses for all nodes."""
GATE_FF_PER_UM = 1.0
"""Gate capacitance of an access transistor per width, fF/um, typical of planar nodes (ITRS 2011)."""
ACCESS_WIDTH_F = 6.0
"""Width of the access transistor in feature sizes, of the same cell files."""
BEST_FIFTH = -1.470202
"""Logarithm of the energy of a converter at the best fifth of the survey over that of the mean one."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with the range in which published models put it.

    Attributes
    ----------
    low, nominal, high : float
    """

    low: float
    nominal: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.nominal <= self.high:
            raise ValueError(f"not a range: {self.low}, {self.nominal}, {self.high}")

    def __add__(self, other: Estimate) -> Estimate:
        """Sum of two figures whose errors are not independent: the ends add."""
        return Estimate(low=self.low + other.low, nominal=self.nominal + other.nominal, high=self.high + other.high)

    def __mul__(self, factor: float) -> Estimate:
        """The figure times a known number."""
        return Estimate(low=self.low * factor, nominal=self.nominal * factor, high=self.high * factor)


@dataclass(frozen=True, kw_only=True)
class InferenceEnergy:
    """Energy of one inference in array and ADCs, mean over the samples it was taken from.

    Attributes
    ----------
    cells_pj, word_lines_pj, adcs_pj : Estimate
        Currents through cells; charging of word lines; conversions. pJ.
    reads, row_activations, conversions : float
        Counts per inference.
    synaptic_operations : float
        Spikes times synapses they pass, formed or not: row activations times neurons.
    """

    cells_pj: Estimate
    word_lines_pj: Estimate
    adcs_pj: Estimate
    reads: float
    row_activations: float
    conversions: float
    synaptic_operations: float

    @property
    def total_pj(self) -> Estimate:
        """Array and ADCs together, pJ."""
        return self.cells_pj + self.word_lines_pj + self.adcs_pj

    @property
    def per_synaptic_operation_pj(self) -> Estimate:
        """Array and ADCs together, pJ per synaptic operation; 0 if there was none."""
        return self.total_pj * (1 / self.synaptic_operations if self.synaptic_operations else 0.0)


def cell_read_energy_fj(conductance_us: npt.ArrayLike, voltage_v: float, time_ns: float) -> npt.NDArray[np.float64]:
    """Energy of current through cells, V^2 G t; fJ, in the shape of `conductance_us` (uS V^2 ns = fJ)."""
    return np.asarray(conductance_us, np.float64) * voltage_v**2 * time_ns


def word_line_energy_pj(columns: int, node_nm: float, supply_v: float) -> float:
    """Energy of switching one word line on and off, C V^2, pJ.

    Per cell, the wire over a pitch of sqrt(54) feature sizes and the gate of the access transistor.
    """
    pitch_um = math.sqrt(CELL_AREA_F2) * node_nm * 1e-3
    gate_um = ACCESS_WIDTH_F * node_nm * 1e-3
    return columns * (WIRE_FF_PER_UM * pitch_um + GATE_FF_PER_UM * gate_um) * supply_v**2 * 1e-3


def array_area_um2(rows: int, columns: int, node_nm: float) -> float:
    """Area of the cells, um2: `CELL_AREA_F2` feature squares each, without drivers."""
    return rows * columns * CELL_AREA_F2 * (node_nm * 1e-3) ** 2


def survey_adc_energy_pj(bits: float, node_nm: float, samples_per_s: float) -> float:
    """Energy of a conversion by the regression on the Murmann survey (arXiv 2404.06553), pJ.

    ``SNDR / (2 FOM_S)`` with the Schreier figure of merit of good converters, the smaller of what sampling rate and
    resolution allow, scaled by node and resolution. The regression starts at 4 bits: less costs what 4 bits cost.

    Parameters
    ----------
    bits : float
        Effective number of bits.
    node_nm : float
        Technology node, nm.
    samples_per_s : float
        Conversions per second of one ADC.
    """
    bits = max(bits, 4.0)
    by_rate_db = 213.780669 - 2.871903 * math.log(samples_per_s)
    by_resolution_db = 128.306829 + 3.220521 * math.ceil(bits)
    sndr_db = 20 * bits * math.log10(2) + 10 * math.log10(1.5)
    energy = math.pow(10, (sndr_db - min(by_rate_db, by_resolution_db)) / 10) / 2
    scale = 26.049622 + BEST_FIFTH + 1.880037 * math.log(node_nm) - 2.829126 * math.log(bits)
    return energy * math.exp(scale)


def survey_adc_area_um2(bits: float, node_nm: float, samples_per_s: float) -> float:
    """Area of an ADC by the regression on the Murmann survey (arXiv 2404.06553), um2; parameters as the energy's."""
    logarithm = (
        1.346192
        + 0.993279 * math.log(node_nm)
        + 0.180715 * math.log(samples_per_s)
        + 0.299124 * math.log(survey_adc_energy_pj(bits, node_nm, samples_per_s))
    )
    return math.exp(logarithm)


def bound_adc_energy_pj(bits: float) -> float:
    """Energy of a conversion by Murmann's bound, k1 B + k2 4^B with k1 = 100 fJ and k2 = 1 aJ (supply of 1 V), pJ."""
    return 0.1 * bits + 1e-6 * math.pow(4, bits)


def adc_energy_pj(spec: CrossbarSpec, node_nm: float = 40.0) -> Estimate:
    """Energy of a conversion, pJ: Murmann's bound, the best fifth of the survey, the mean of the survey."""
    survey = survey_adc_energy_pj(spec.adc_bits, node_nm, _rate(spec))
    return Estimate(
        low=min(bound_adc_energy_pj(spec.adc_bits), survey), nominal=survey, high=survey * math.exp(-BEST_FIFTH)
    )


def adc_area_um2(spec: CrossbarSpec, node_nm: float = 40.0) -> float:
    """Area of all ADCs of the macro, um2, by the regression."""
    return spec.all_adcs * survey_adc_area_um2(spec.adc_bits, node_nm, _rate(spec))


def _rate(spec: CrossbarSpec) -> float:
    return 1e9 / (spec.clock_period_ns * spec.convert_clocks)


def inference_energy(
    spec: CrossbarSpec,
    conductances: Conductances,
    activity: Activity,
    node_nm: float = 40.0,
    supply_v: float = 1.1,
) -> InferenceEnergy:
    """Energy of an inference in array and ADCs.

    Cells conduct while the columns settle; then a sample-and-hold stage keeps the sums (low and nominal). Without one
    they conduct until the last conversion of the read (high). Columns without a neuron are not biased, their ADCs are
    off. Word lines carry their wire and gates (nominal), give or take a factor of two.

    Parameters
    ----------
    spec : CrossbarSpec
    conductances : Conductances
        The image that was run.
    activity : Activity
        What the liquid did for n samples, n at least 1.
    node_nm : float
        Technology node, nm.
    supply_v : float
        Swing of word lines, V.

    Raises
    ------
    ValueError
        If the image is not one for `spec`, or there is no sample.
    """
    conductances.check(spec)
    samples = len(activity.reads)
    if samples == 0:
        raise ValueError("energy per inference: expected at least one sample, got none")
    activations = activity.row_activations.sum(axis=0) / samples
    row_us = conductances.codes[:, : 2 * spec.neurons].sum(axis=1) * spec.g_lsb_us
    settle_ns = spec.settle_clocks * spec.clock_period_ns
    per_ns = float(activations @ cell_read_energy_fj(row_us, spec.read_voltage_v, 1.0)) * 1e-3
    reads = float(activity.reads.mean())
    line = float(activations.sum()) * word_line_energy_pj(spec.columns, node_nm, supply_v)
    conversions = reads * spec.columns_per_adc * 2 * spec.active_lanes
    return InferenceEnergy(
        cells_pj=Estimate(
            low=per_ns * settle_ns,
            nominal=per_ns * settle_ns,
            high=per_ns * spec.read_clocks * spec.clock_period_ns,
        ),
        word_lines_pj=Estimate(low=line / 2, nominal=line, high=line * 2),
        adcs_pj=adc_energy_pj(spec, node_nm) * conversions,
        reads=reads,
        row_activations=float(activations.sum()),
        conversions=conversions,
        synaptic_operations=float(activations.sum()) * spec.neurons,
    )
