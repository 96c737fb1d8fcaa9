# mypy: disallow-untyped-decorators=False
# (numba's decorators have no types)
"""Compiled kernel of the liquid, samples on all cores. Same results as the NumPy engine on every code.

Plus columns stand side by side, then minus columns, each in the order of the neurons, so that sums, conversions and
membranes are long vector loops. Numbers are as narrow as the spec guarantees that they fit: 16 bits for column sums
where possible, 32 for products and membranes. Eight rows are added in one pass over the sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt

from sim.lsm_crossbar.noise import start_states

if TYPE_CHECKING:
    from sim.lsm_crossbar.liquid import Liquid


def run(liquid: Liquid, spikes: npt.NDArray[np.uint8], first_sample: int) -> dict[str, npt.NDArray[Any]]:
    """The fields of `sim.lsm_crossbar.liquid.Activity` for checked input spikes of shape (n, steps, inputs)."""
    spec, image = liquid.spec, liquid.conductances
    n, columns = len(spikes), 2 * spec.neurons
    adc = np.concatenate([2 * (np.arange(spec.neurons) // spec.columns_per_adc) + side for side in (0, 1)])
    gain, offset = image.adc_gain[adc], image.adc_offset[adc]
    codes = image.codes[: spec.used_rows, :columns]
    sum_type = np.int16 if spec.column_sum_width <= 15 else np.int32
    ideal = bool((gain == 1 << spec.gain_fraction).all() and (offset == 0).all() and liquid.noise_seed is None)
    shift = spec.adc_shift if ideal else spec.conversion_shift
    states = np.zeros((n, 2, 0), np.uint32)
    if liquid.noise_seed is not None:
        flat = start_states(liquid.noise_seed, first_sample + np.arange(n), spec.adcs)
        states = flat.reshape(n, spec.lanes, 2).transpose(0, 2, 1)[:, :, : spec.active_lanes].astype(np.uint32)
    # eight input channels are looked at together
    words = np.zeros((n, spec.steps, -(-spec.inputs // 8) * 8), np.uint8)
    words[:, :, : spec.inputs] = spikes
    result = {
        "spikes": np.zeros((n, spec.steps, spec.neurons), np.bool_),
        "counts": np.zeros((n, spec.windows, spec.neurons), np.int64),
        "reads": np.zeros(n, np.int64),
        "row_activations": np.zeros((n, spec.rows), np.int64),
    }
    _run(
        words,
        words.view(np.uint64),
        spec.inputs,
        np.concatenate([codes[:, 0::2], codes[:, 1::2]], axis=1).astype(sum_type),
        gain.astype(np.int32),
        offset.astype(np.int32),
        ideal,
        np.ascontiguousarray(states),
        np.int32(spec.noise_scale if liquid.noise_seed is not None and spec.noise_scale is not None else 0),
        spec.columns_per_adc,
        spec.column_limit if spec.column_limit is not None else spec.column_sum_max,
        spec.rows_per_read,
        np.uint32(shift),
        np.int32(min((1 << (spec.adc_bits + shift)) - 1, np.iinfo(np.int32).max)),
        np.array(spec.leak, np.int32),
        np.int32(liquid.threshold),
        np.int32(spec.refractory_steps),
        spec.window_length,
        result["spikes"],
        result["counts"],
        result["reads"],
        result["row_activations"],
    )
    return result


@numba.njit(parallel=True, cache=True)
def _run(
    inputs: Any,
    words: Any,
    channels: int,
    codes: Any,
    gain: Any,
    offset: Any,
    ideal: bool,
    states: Any,
    noise_scale: Any,
    columns_per_adc: int,
    limit: int,
    rows_per_read: int,
    shift: Any,
    top: Any,
    leak: Any,
    threshold: Any,
    refractory_steps: Any,
    window_length: int,
    out_spikes: Any,
    out_counts: Any,
    out_reads: Any,
    out_rows: Any,
) -> None:
    n, steps = inputs.shape[0], inputs.shape[1]
    columns = codes.shape[1]
    neurons = columns // 2
    for sample in numba.prange(n):
        sums = np.zeros(columns, codes.dtype)
        noise = np.zeros(columns, np.int32)
        adc_codes = np.zeros(columns, np.int32)
        membrane = np.zeros(neurons, np.int32)
        leaked = np.zeros(neurons, np.int32)
        refractory = np.zeros(neurons, np.int32)
        own = states[sample].copy()
        drawn = np.zeros(own.shape[1], np.int32)
        rows = np.empty(channels + neurons, np.uint64)
        reads = 0
        for step in range(steps):
            active = 0
            for word in range(words.shape[2]):
                if words[sample, step, word]:
                    for channel in range(8 * word, 8 * word + 8):
                        if inputs[sample, step, channel]:
                            rows[active] = channel
                            active += 1
            if step:
                for neuron in range(neurons):
                    if out_spikes[sample, step - 1, neuron]:
                        rows[active] = channels + neuron
                        active += 1
            for index in range(active):
                out_rows[sample, rows[index]] += 1
            for first in range(0, active, rows_per_read):
                reads += 1
                _sum(codes, rows, first, min(first + rows_per_read, active), limit, sums)
                if ideal:
                    _convert_ideal(sums, shift, top, adc_codes)
                else:
                    if noise_scale:
                        _draw(own, columns_per_adc, noise_scale, drawn, noise)
                    _convert(sums, noise, gain, offset, shift, top, adc_codes)
                _accumulate(adc_codes, membrane)
            _leak(membrane, leak, leaked)
            window = step // window_length
            _fire(
                leaked,
                threshold,
                refractory_steps,
                membrane,
                refractory,
                out_spikes[sample, step],
                out_counts[sample, window],
            )
        out_reads[sample] = reads


@numba.njit(cache=True)
def _sum(codes: Any, rows: Any, first: int, last: int, limit: int, sums: Any) -> None:
    columns = sums.shape[0]
    sums[:] = 0
    row = first
    while row + 8 <= last:
        a, b, c, d = rows[row], rows[row + 1], rows[row + 2], rows[row + 3]
        e, f, g, h = rows[row + 4], rows[row + 5], rows[row + 6], rows[row + 7]
        for i in range(columns):
            low = codes[a, i] + codes[b, i] + codes[c, i] + codes[d, i]
            sums[i] += low + codes[e, i] + codes[f, i] + codes[g, i] + codes[h, i]
        row += 8
    if row + 4 <= last:
        a, b, c, d = rows[row], rows[row + 1], rows[row + 2], rows[row + 3]
        for i in range(columns):
            sums[i] += codes[a, i] + codes[b, i] + codes[c, i] + codes[d, i]
        row += 4
    while row < last:
        a = rows[row]
        for i in range(columns):
            sums[i] += codes[a, i]
        row += 1
    if limit < (last - first) * 255:
        for i in range(columns):
            sums[i] = min(sums[i], limit)


@numba.njit(cache=True)
def _convert_ideal(sums: Any, shift: Any, top: Any, codes: Any) -> None:
    # cut before the shift: the comparison stays as narrow as the sums
    for i in range(codes.shape[0]):
        value = np.int32(sums[i])
        value = value if value < top else top
        codes[i] = np.uint32(value) >> shift


@numba.njit(cache=True)
def _convert(sums: Any, noise: Any, gain: Any, offset: Any, shift: Any, top: Any, codes: Any) -> None:
    # casts keep numba from widening every step to 64 bits; `top` is the largest value of the largest code
    zero = np.int32(0)
    for i in range(codes.shape[0]):
        value = np.int32(np.int32(np.int32(np.int32(sums[i]) + noise[i]) * gain[i]) + offset[i])
        value = value if value < top else top
        value = value if value > zero else zero
        codes[i] = np.uint32(value) >> shift


@numba.njit(cache=True)
def _accumulate(codes: Any, membrane: Any) -> None:
    neurons = membrane.shape[0]
    for i in range(neurons):
        membrane[i] += codes[i] - codes[neurons + i]


@numba.njit(cache=True)
def _draw(states: Any, columns_per_adc: int, scale: Any, drawn: Any, noise: Any) -> None:
    """One conversion after the other: advance all generators, then use the 16 fresh bits (see `noise`)."""
    neurons, lanes = noise.shape[0] // 2, states.shape[1]
    for select in range(columns_per_adc):
        for side in range(2):
            for lane in range(lanes):
                state = np.uint32(states[side, lane])
                fresh = np.uint32(((state >> np.uint32(15)) ^ (state >> np.uint32(12))) & np.uint32(0xFFFF))
                states[side, lane] = np.uint32(((state << np.uint32(16)) | fresh) & np.uint32(0x7FFFFFFF))
                # two nibbles in each byte at once
                bytes_ = np.uint32((fresh & np.uint32(0x0F0F)) + ((fresh >> np.uint32(4)) & np.uint32(0x0F0F)))
                total = np.int32((bytes_ + (bytes_ >> np.uint32(8))) & np.uint32(0xFF))
                drawn[lane] = np.int32(np.int32(np.int32(total - np.int32(30)) * scale) + np.int32(32)) >> np.int32(6)
            for lane in range(lanes):
                neuron = lane * columns_per_adc + select
                if neuron < neurons:
                    noise[side * neurons + neuron] = drawn[lane]


@numba.njit(cache=True)
def _leak(membrane: Any, terms: Any, leaked: Any) -> None:
    leaked[:] = membrane
    for index in range(terms.shape[0]):
        term = terms[index]
        if term > 0:
            for i in range(leaked.shape[0]):
                leaked[i] += membrane[i] >> term
        else:
            for i in range(leaked.shape[0]):
                leaked[i] -= membrane[i] >> -term


@numba.njit(cache=True)
def _fire(
    leaked: Any, threshold: Any, refractory_steps: Any, membrane: Any, refractory: Any, spikes: Any, counts: Any
) -> None:
    for i in range(leaked.shape[0]):
        spike = (membrane[i] > threshold) & (refractory[i] == 0)
        spikes[i] = spike
        counts[i] += spike
        membrane[i] = 0 if spike else leaked[i]
    if refractory_steps:
        for i in range(leaked.shape[0]):
            refractory[i] = refractory_steps if spikes[i] else max(refractory[i] - 1, 0)
