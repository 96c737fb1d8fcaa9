"""Compiled kernel of the liquid, samples on all cores. Same results as the NumPy engine on every code.

Neurons stand in the order of their conversion (select, then lane), plus and minus columns in arrays of their own, so
that sums, conversions and membranes are long vector loops without gathers. Sums are 16 bits wide wherever the spec
guarantees that they fit.
"""

# mypy: disallow-untyped-decorators=False
# (numba's decorators have no types)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.lsm_crossbar.noise import start_states

if TYPE_CHECKING:
    from sim.lsm_crossbar.liquid import Liquid


def run(liquid: Liquid, spikes: npt.NDArray[np.uint8], first_sample: int) -> dict[str, npt.NDArray[Any]]:
    """The fields of `sim.lsm_crossbar.liquid.Activity` for checked input spikes of shape (n, steps, inputs)."""
    spec, image = liquid.spec, liquid.conductances
    order = conversion_order(spec.neurons, spec.columns_per_adc)
    lane = order // spec.columns_per_adc
    narrow = min(spec.rows_per_read, spec.used_rows) * spec.code_max <= np.iinfo(np.int16).max
    sum_type = np.int16 if narrow else np.int32
    ideal = (
        bool(np.all(image.adc_gain == 1 << spec.gain_fraction) and np.all(image.adc_offset == 0))
        and liquid.noise_seed is None
    )
    # 32 bits hold the product unless somebody combines very wide ADCs with very long reads
    product_type = np.int32 if spec.conversion_width <= 31 and spec.membrane_width <= 31 else np.int64
    codes = image.codes[: spec.used_rows]
    n = len(spikes)
    if liquid.noise_seed is None:
        states = np.zeros((n, 2, 0), np.int32)
        scale = 0
    else:
        flat = start_states(liquid.noise_seed, first_sample + np.arange(n), spec.adcs)
        states = flat.reshape(n, spec.lanes, 2).transpose(0, 2, 1)[:, :, : spec.active_lanes].astype(np.int32)
        scale = spec.noise_scale or 0
    result = {
        "spikes": np.zeros((n, spec.steps, spec.neurons), np.bool_),
        "counts": np.zeros((n, spec.windows, spec.neurons), np.int64),
        "reads": np.zeros(n, np.int64),
        "row_activations": np.zeros((n, spec.rows), np.int64),
    }
    _run(
        np.ascontiguousarray(spikes),
        np.ascontiguousarray(codes[:, 2 * order]).astype(sum_type),
        np.ascontiguousarray(codes[:, 2 * order + 1]).astype(sum_type),
        order,
        np.searchsorted(order % spec.columns_per_adc, np.arange(spec.columns_per_adc + 1)),
        image.adc_gain[2 * lane].astype(product_type),
        image.adc_offset[2 * lane].astype(product_type),
        image.adc_gain[2 * lane + 1].astype(product_type),
        image.adc_offset[2 * lane + 1].astype(product_type),
        np.ascontiguousarray(states),
        np.int32(scale),
        ideal,
        sum_type(
            np.iinfo(sum_type).max if spec.column_limit is None else min(spec.column_limit, np.iinfo(sum_type).max)
        ),
        spec.rows_per_read,
        spec.adc_shift,
        spec.conversion_shift,
        (1 << spec.adc_bits) - 1,
        np.array(spec.leak, np.int64),
        liquid.threshold,
        spec.refractory_steps,
        spec.window_length,
        result["spikes"],
        result["counts"],
        result["reads"],
        result["row_activations"],
    )
    return result


def conversion_order(neurons: int, columns_per_adc: int) -> IntArray:
    """Neurons in the order of their conversion: by select, then by lane; shape (neurons,)."""
    index = np.arange(neurons)
    order: IntArray = np.lexsort((index, index % columns_per_adc))
    return order


@numba.njit(parallel=True, cache=True)
def _run(
    inputs: Any,
    plus: Any,
    minus: Any,
    order: Any,
    first_of_select: Any,
    plus_gain: Any,
    plus_offset: Any,
    minus_gain: Any,
    minus_offset: Any,
    states: Any,
    noise_scale: Any,
    ideal: bool,
    limit: Any,
    rows_per_read: int,
    adc_shift: int,
    conversion_shift: int,
    full_scale: int,
    leak: Any,
    threshold: int,
    refractory_steps: int,
    window_length: int,
    out_spikes: Any,
    out_counts: Any,
    out_reads: Any,
    out_rows: Any,
) -> None:
    n, steps, channels = inputs.shape
    neurons = len(order)
    for sample in numba.prange(n):
        membrane = np.zeros(neurons, np.int64)
        refractory = np.zeros(neurons, np.int64)
        plus_sum = np.zeros(neurons, plus.dtype)
        minus_sum = np.zeros(neurons, plus.dtype)
        plus_noise = np.zeros(neurons, np.int32)
        minus_noise = np.zeros(neurons, np.int32)
        own = states[sample].copy()
        rows = np.empty(channels + neurons, np.int64)
        fired = np.zeros(neurons, np.bool_)
        for step in range(steps):
            active = 0
            for channel in range(channels):
                if inputs[sample, step, channel]:
                    rows[active] = channel
                    active += 1
            for neuron in range(neurons):
                if fired[neuron]:
                    rows[active] = channels + neuron
                    active += 1
            for index in range(active):
                out_rows[sample, rows[index]] += 1
            for first in range(0, active, rows_per_read):
                last = min(first + rows_per_read, active)
                out_reads[sample] += 1
                _sum(plus, rows, first, last, limit, plus_sum)
                _sum(minus, rows, first, last, limit, minus_sum)
                if ideal:
                    _ideal(plus_sum, minus_sum, adc_shift, full_scale, membrane)
                else:
                    if noise_scale:
                        _draw(own, first_of_select, noise_scale, plus_noise, minus_noise)
                    _convert(plus_sum, plus_noise, plus_gain, plus_offset, conversion_shift, full_scale, 1, membrane)
                    _convert(
                        minus_sum, minus_noise, minus_gain, minus_offset, conversion_shift, full_scale, -1, membrane
                    )
            window = step // window_length
            for index in range(neurons):
                neuron = order[index]
                potential = membrane[index]
                spike = potential > threshold and refractory[index] == 0
                fired[neuron] = spike
                if spike:
                    membrane[index] = 0
                    refractory[index] = refractory_steps
                    out_spikes[sample, step, neuron] = True
                    out_counts[sample, window, neuron] += 1
                else:
                    stored = potential
                    for term in leak:
                        stored += potential >> term if term > 0 else -(potential >> -term)
                    membrane[index] = stored
                    refractory[index] = max(refractory[index] - 1, 0)


@numba.njit(cache=True)
def _sum(codes: Any, rows: Any, first: int, last: int, limit: Any, sums: Any) -> None:
    sums[:] = codes[rows[first]]
    for index in range(first + 1, last):
        row = codes[rows[index]]
        for column in range(len(sums)):
            sums[column] += row[column]
    for column in range(len(sums)):
        sums[column] = min(sums[column], limit)


@numba.njit(cache=True)
def _ideal(plus_sum: Any, minus_sum: Any, adc_shift: int, full_scale: int, membrane: Any) -> None:
    for index in range(len(membrane)):
        membrane[index] += min(plus_sum[index] >> adc_shift, full_scale) - min(
            minus_sum[index] >> adc_shift, full_scale
        )


@numba.njit(cache=True)
def _convert(
    sums: Any, noise: Any, gain: Any, offset: Any, shift: int, full_scale: int, sign: int, membrane: Any
) -> None:
    for index in range(len(sums)):
        code = ((sums[index] + noise[index]) * gain[index] + offset[index]) >> shift
        membrane[index] += sign * min(max(code, 0), full_scale)


@numba.njit(cache=True)
def _draw(states: Any, first_of_select: Any, scale: Any, plus_noise: Any, minus_noise: Any) -> None:
    """One conversion after the other: advance all generators, then use the 16 fresh bits (see `noise`)."""
    lanes = states.shape[1]
    for select in range(len(first_of_select) - 1):
        first, last = first_of_select[select], first_of_select[select + 1]
        for side in range(2):
            drawn = plus_noise if side == 0 else minus_noise
            for lane in range(lanes):
                state = states[side, lane]
                fresh = ((state >> 15) ^ (state >> 12)) & 0xFFFF
                states[side, lane] = ((state << 16) | fresh) & 0x7FFFFFFF
                if first + lane < last:
                    total = (fresh & 15) + ((fresh >> 4) & 15) + ((fresh >> 8) & 15) + (fresh >> 12)
                    drawn[first + lane] = ((total - 30) * scale + 32) >> 6
