"""Random legal crossbar specs and images, and a scalar definition of the chip to compare models with.

The definition is written from the contract in the data sheet, one number at a time, on Python integers, and shares no
code with the models.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec

SMALL_CROSSBAR = CrossbarSpec(
    name="SMALL_CROSSBAR",
    inputs=5,
    neurons=6,
    steps=8,
    outputs=3,
    threshold=4,
    leak=(-2,),
    windows=2,
    rows=12,
    columns=16,
    rows_per_read=3,
    conductance_bits=4,
    columns_per_adc=4,
    adc_bits=4,
    adc_shift=2,
)
"""A chip whose numbers fit on a page."""


def random_crossbar(rng: np.random.Generator, **fields: Any) -> CrossbarSpec:
    """A small legal spec with every option in play."""
    columns_per_adc = int(rng.choice([1, 2, 4]))
    pairs = columns_per_adc * int(rng.integers(1, 6))
    neurons = int(rng.integers(1, pairs + 1))
    inputs = int(rng.integers(1, 20))
    windows = int(rng.integers(1, 4))
    conductance_bits = int(rng.integers(1, 9))
    rows_per_read = int(rng.integers(1, inputs + neurons + 1))
    adc_bits = int(rng.integers(1, 9))
    # the range of the ADC somewhere around the largest sum
    widest = (rows_per_read * ((1 << conductance_bits) - 1)).bit_length()
    values: dict[str, Any] = {
        "name": "RANDOM",
        "inputs": inputs,
        "neurons": neurons,
        "steps": windows * int(rng.integers(1, 7)),
        "windows": windows,
        "outputs": int(rng.integers(1, 5)),
        "threshold": 0,
        "leak": [(-1,), (-2,), (-3, -4), (-1, -2, 5), (-2, 4, -6), (-5,), (-1, -1)][int(rng.integers(0, 7))],
        "refractory_steps": int(rng.choice([0, 0, 1, 3])),
        "readout_weight_bits": int(rng.integers(2, 9)),
        "rows": inputs + neurons + int(rng.integers(0, 4)),
        "columns": 2 * pairs,
        "rows_per_read": rows_per_read,
        "conductance_bits": conductance_bits,
        "column_current_limit_ua": None,
        "columns_per_adc": columns_per_adc,
        "adc_bits": adc_bits,
        "adc_shift": max(0, widest - adc_bits - int(rng.integers(0, 3))),
        "gain_fraction": int(rng.integers(2, 8)),
        "offset_bits": int(rng.integers(4, 12)),
        "noise_scale": None if rng.random() < 0.5 else int(rng.choice([1, 15, 64, 255])),
        **fields,
    }
    spec = CrossbarSpec(**values)
    if rng.random() < 0.3:
        codes = int(rng.integers(1, spec.column_sum_max + 1))
        spec = replace(spec, column_current_limit_ua=(codes + 0.5) * spec.read_voltage_v * spec.g_lsb_us)
    # a threshold that some neurons pass
    return replace(spec, threshold=int(rng.integers(0, max(2, spec.adc_max // 2))))


def random_image(spec: CrossbarSpec, rng: np.random.Generator, ideal: bool | None = None) -> Conductances:
    """Random codes, and ADCs with any legal gain and offset (or ideal ones)."""
    codes = rng.integers(0, spec.code_max + 1, (spec.image_rows, spec.columns)) * (
        rng.random((spec.image_rows, spec.columns)) < 0.6
    )
    if ideal if ideal is not None else rng.random() < 0.3:
        return Conductances.of(spec, codes)
    return Conductances.of(
        spec,
        codes,
        adc_gain=rng.integers(1, spec.gain_max + 1, spec.image_adcs),
        adc_offset=rng.integers(-spec.offset_max - 1, spec.offset_max + 1, spec.image_adcs),
    )


@dataclass
class ScalarRun:
    """What the scalar definition found for one sample."""

    spikes: list[list[bool]]
    counts: list[list[int]]
    reads: list[tuple[int, list[int], list[int]]]
    """Step, active rows, ADC codes of all columns of each read."""
    largest: int
    """Largest magnitude that any membrane had at any time."""
    stored: int
    """Largest magnitude between steps."""


def scalar_run(
    spec: CrossbarSpec, image: Conductances, inputs: list[list[int]], seed: int | None, sample: int,
    thresholds: list[int] | None = None,
) -> ScalarRun:  # fmt: skip
    """One sample, as the data sheet says it; with thresholds of the neurons instead of the spec's."""
    threshold = thresholds or [spec.threshold] * spec.neurons
    codes = image.codes.tolist()
    gain, offset = image.adc_gain.tolist(), image.adc_offset.tolist()
    noisy = spec.noise_scale is not None and seed is not None
    state = []
    if noisy:
        base = (seed + sample * 0x05EBCA6B) % 2**31
        state = [(base ^ ((adc + 1) * 0x1E3779B1 % 2**31)) | 1 for adc in range(spec.adcs)]
    membrane = [0] * spec.neurons
    rest = [0] * spec.neurons
    fired = [False] * spec.neurons
    counts = [[0] * spec.neurons for _ in range(spec.windows)]
    run = ScalarRun(spikes=[], counts=counts, reads=[], largest=0, stored=0)
    for step in range(spec.steps):
        rows = [row for row in range(spec.inputs) if inputs[step][row]]
        rows += [spec.inputs + neuron for neuron in range(spec.neurons) if fired[neuron]]
        while rows:
            # of a tile, rows of one macro alone
            macro = rows[0] // (spec.macro_rows or spec.rows)
            here = [row for row in rows if row // (spec.macro_rows or spec.rows) == macro][: spec.rows_per_read]
            batch, rows = here, rows[len(here) :]
            converted = [0] * spec.columns
            for select in range(spec.columns_per_adc):
                for adc in range(spec.adcs):
                    lane, minus = divmod(adc, 2)
                    column = 2 * (lane * spec.columns_per_adc + select) + minus
                    total = sum(codes[row][column] for row in batch)
                    if spec.column_limit is not None:
                        total = min(total, spec.column_limit)
                    if noisy:
                        # sixteen single steps of the shift register, one bit each
                        for _ in range(16):
                            bit = (state[adc] >> 30 ^ state[adc] >> 27) & 1
                            state[adc] = (state[adc] << 1 | bit) % 2**31
                        nibbles = [state[adc] >> place & 15 for place in (0, 4, 8, 12)]
                        total += ((sum(nibbles) - 30) * spec.noise_scale + 32) // 64
                    value = (total * gain[adc] + offset[adc]) // 2 ** (spec.adc_shift + spec.gain_fraction)
                    converted[column] = min(max(value, 0), 2**spec.adc_bits - 1)
            for neuron in range(spec.neurons):
                membrane[neuron] += converted[2 * neuron] - converted[2 * neuron + 1]
                run.largest = max(run.largest, abs(membrane[neuron]))
            run.reads.append((step, batch, converted))
        for neuron in range(spec.neurons):
            u = membrane[neuron]
            fired[neuron] = u > threshold[neuron] and rest[neuron] == 0
            if fired[neuron]:
                membrane[neuron] = 0
                rest[neuron] = spec.refractory_steps
                counts[step // (spec.steps // spec.windows)][neuron] += 1
            else:
                membrane[neuron] = u + sum((1 if term > 0 else -1) * (u // 2 ** abs(term)) for term in spec.leak)
                rest[neuron] = max(0, rest[neuron] - 1)
            run.stored = max(run.stored, abs(membrane[neuron]))
        run.spikes.append(list(fired))
    return run
