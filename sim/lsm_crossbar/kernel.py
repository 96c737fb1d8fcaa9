# mypy: disallow-untyped-decorators=False
# (numba's decorators have no types)
"""Compiled kernel of the liquid, samples on all cores. Same results as the NumPy engine on every code.

Sums are those of the plus columns side by side, then those of the minus columns, each in the order of the neurons, so
that conversions and membranes are long vector loops. A row lies in memory as in the macro, one byte per column; eight
columns are added at a time as one word, as many rows as fit a byte, and then even bytes (plus) are parted from odd ones
(minus) into lanes of 16 bits. Where 16 bits do not hold the sums of a spec, rows of 32-bit numbers are added.
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
    n = len(spikes)
    # columns in whole words of eight; what is added to the chip's own columns has no conductance and no effect
    half = -(-spec.neurons // 4) * 4
    rows = np.zeros((spec.used_rows, 2 * half), np.uint8)
    rows[:, : 2 * spec.neurons] = image.codes[: spec.used_rows, : 2 * spec.neurons]
    packable = spec.column_sum_width <= 15
    wide = np.concatenate([rows[:, 0::2], rows[:, 1::2]], axis=1).astype(np.int32)
    gain = np.full((2, half), 1 << spec.gain_fraction, np.int32)
    offset = np.zeros((2, half), np.int32)
    lane = np.arange(spec.neurons) // spec.columns_per_adc
    for side in (0, 1):
        gain[side, : spec.neurons] = image.adc_gain[2 * lane + side]
        offset[side, : spec.neurons] = image.adc_offset[2 * lane + side]
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
        spec.neurons,
        rows.view(np.uint64),
        255 // spec.code_max if packable else 0,
        wide,
        gain.ravel(),
        offset.ravel(),
        ideal,
        np.ascontiguousarray(states),
        np.int32(spec.noise_scale if liquid.noise_seed is not None and spec.noise_scale is not None else 0),
        spec.columns_per_adc,
        np.int32(-1 if spec.column_limit is None else min(spec.column_limit, spec.column_sum_max)),
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
    neurons: int,
    packed: Any,
    group: int,
    wide: Any,
    gain: Any,
    offset: Any,
    ideal: bool,
    states: Any,
    noise_scale: Any,
    columns_per_adc: int,
    limit: Any,
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
    columns = wide.shape[1]
    half = columns // 2
    for sample in numba.prange(n):
        packed_sums = np.zeros(columns // 4, np.uint64)
        narrow_sums = packed_sums.view(np.int16)
        wide_sums = np.zeros(columns, np.int32)
        noise = np.zeros(columns, np.int32)
        adc_codes = np.zeros(columns, np.int32)
        membrane = np.zeros(half, np.int32)
        leaked = np.zeros(half, np.int32)
        refractory = np.zeros(half, np.int32)
        own = states[sample].copy()
        drawn = np.zeros(own.shape[1], np.int32)
        rows = np.empty(channels + neurons + 8, np.uint64)
        reads = 0
        for step in range(steps):
            # rows are written whether they are active or not, and kept if they are: no branch to mispredict
            active = 0
            for word in range(words.shape[2]):
                if words[sample, step, word]:
                    for channel in range(8 * word, 8 * word + 8):
                        rows[active] = channel
                        active += inputs[sample, step, channel]
            if step:
                for neuron in range(neurons):
                    rows[active] = channels + neuron
                    active += out_spikes[sample, step - 1, neuron]
            for index in range(active):
                out_rows[sample, rows[index]] += 1
            for first in range(0, active, rows_per_read):
                reads += 1
                last = min(first + rows_per_read, active)
                if group:
                    _sum_packed(
                        packed, rows, first, last, group, packed_sums[: columns // 8], packed_sums[columns // 8 :]
                    )
                    if limit >= 0:
                        _limit(narrow_sums, np.int16(limit))
                else:
                    _sum_wide(wide, rows, first, last, wide_sums)
                    if limit >= 0:
                        _limit(wide_sums, limit)
                if ideal and group:
                    _convert_ideal(narrow_sums, shift, top, adc_codes)
                elif ideal:
                    _convert_ideal(wide_sums, shift, top, adc_codes)
                else:
                    if noise_scale:
                        _draw(own, columns_per_adc, noise_scale, drawn, noise, neurons)
                    if group:
                        _convert(narrow_sums, noise, gain, offset, shift, top, adc_codes)
                    else:
                        _convert(wide_sums, noise, gain, offset, shift, top, adc_codes)
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
def _sum_packed(packed: Any, rows: Any, first: int, last: int, group: int, plus: Any, minus: Any) -> None:
    mask, eight = np.uint64(0x00FF00FF00FF00FF), np.uint64(8)
    words = packed.shape[1]
    plus[:] = 0
    minus[:] = 0
    row = first
    while group >= 4 and row + 8 <= last:
        a, b, c, d = rows[row], rows[row + 1], rows[row + 2], rows[row + 3]
        e, f, g, h = rows[row + 4], rows[row + 5], rows[row + 6], rows[row + 7]
        for i in range(words):
            low = packed[a, i] + packed[b, i] + packed[c, i] + packed[d, i]
            high = packed[e, i] + packed[f, i] + packed[g, i] + packed[h, i]
            plus[i] += (low & mask) + (high & mask)
            minus[i] += ((low >> eight) & mask) + ((high >> eight) & mask)
        row += 8
    while group >= 2 and row + 2 <= last:
        a, b = rows[row], rows[row + 1]
        for i in range(words):
            both = packed[a, i] + packed[b, i]
            plus[i] += both & mask
            minus[i] += (both >> eight) & mask
        row += 2
    while row < last:
        a = rows[row]
        for i in range(words):
            plus[i] += packed[a, i] & mask
            minus[i] += (packed[a, i] >> eight) & mask
        row += 1


@numba.njit(cache=True)
def _sum_wide(codes: Any, rows: Any, first: int, last: int, sums: Any) -> None:
    sums[:] = 0
    for row in range(first, last):
        a = rows[row]
        for i in range(codes.shape[1]):
            sums[i] += codes[a, i]


@numba.njit(cache=True)
def _limit(sums: Any, limit: Any) -> None:
    for i in range(sums.shape[0]):
        sums[i] = sums[i] if sums[i] < limit else limit


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
def _draw(states: Any, columns_per_adc: int, scale: Any, drawn: Any, noise: Any, neurons: int) -> None:
    """One conversion after the other: advance all generators, then use the 16 fresh bits (see `noise`)."""
    half, lanes = noise.shape[0] // 2, states.shape[1]
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
                    noise[side * half + neuron] = drawn[lane]


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
    for i in range(spikes.shape[0]):
        spike = (membrane[i] > threshold) & (refractory[i] == 0)
        spikes[i] = spike
        counts[i] += spike
        membrane[i] = 0 if spike else leaked[i]
    if refractory_steps:
        for i in range(spikes.shape[0]):
            refractory[i] = refractory_steps if spikes[i] else max(refractory[i] - 1, 0)
