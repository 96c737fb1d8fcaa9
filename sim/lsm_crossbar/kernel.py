# mypy: disallow-untyped-decorators=False
# (numba's decorators have no types)
"""Compiled kernel of the liquid, samples on all cores. Same results as the NumPy engine on every code.

Sums are those of the plus columns side by side, then those of the minus columns, each in the order of the neurons, so
that conversions and membranes are long vector loops. A row lies in memory as in the macro, one byte per column; eight
columns are added at a time as one word, four rows, which a byte just holds; then even bytes (plus) are parted from odd
ones (minus) into lanes of 16 bits. Where codes or sums of a spec are wider, rows of 32-bit numbers are added.
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
    # the row behind the last one is always zero
    rows = np.zeros((spec.used_rows + 1, 2 * half), np.uint8)
    rows[:-1, : 2 * spec.neurons] = image.codes[: spec.used_rows, : 2 * spec.neurons]
    # four codes in a byte, all codes of a read in 15 bits
    packable = spec.conductance_bits <= 6 and spec.column_sum_width <= 15
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
        packable,
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
        np.int32(min((1 << (spec.adc_bits + shift)) - 1, np.iinfo(np.int16 if ideal and packable else np.int32).max)),
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
    packable: bool,
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
        plus_words, minus_words = packed_sums[: columns // 8], packed_sums[columns // 8 :]
        narrow_sums = packed_sums.view(np.int16)
        narrow_plus, narrow_minus = narrow_sums[:half], narrow_sums[half:]
        wide_sums = np.zeros(columns, np.int32)
        wide_plus, wide_minus = wide_sums[:half], wide_sums[half:]
        noise = np.zeros(columns, np.int32)
        adc_codes = np.zeros(columns, np.int32)
        membrane = np.zeros(half, np.int32)
        leaked = np.zeros(half, np.int32)
        refractory = np.zeros(half, np.int32)
        own = states[sample].copy()
        drawn = np.zeros(own.shape[1], np.int32)
        rows = np.empty(channels + neurons + 8, np.uint64)
        chunk = np.empty(16, np.uint64)
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
                if packable:
                    _sum_packed(packed, rows, first, last, chunk, plus_words, minus_words)
                    if limit >= 0:
                        _limit(narrow_sums, np.int16(limit))
                else:
                    _sum_wide(wide, rows, first, last, wide_sums)
                    if limit >= 0:
                        _limit(wide_sums, limit)
                if ideal and packable:
                    _integrate_ideal(narrow_plus, narrow_minus, shift, np.int16(top), membrane)
                elif ideal:
                    _integrate_ideal(wide_plus, wide_minus, shift, top, membrane)
                else:
                    if noise_scale:
                        _draw(own, columns_per_adc, noise_scale, drawn, noise, neurons)
                    if packable:
                        _convert(narrow_sums, noise, gain, offset, shift, top, adc_codes)
                    else:
                        _convert(wide_sums, noise, gain, offset, shift, top, adc_codes)
                    _integrate(adc_codes, membrane)
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
def _sum_packed(packed: Any, rows: Any, first: int, last: int, chunk: Any, plus: Any, minus: Any) -> None:
    nothing = packed.shape[0] - 1
    keep = np.uint64(0)
    for start in range(first, last, 16):
        count = min(last - start, 16)
        for i in range(16):
            chunk[i] = rows[start + i] if i < count else nothing
        if count > 8:
            _add_sixteen(packed, chunk, keep, plus, minus)
        else:
            _add_eight(packed, chunk, keep, plus, minus)
        keep = np.uint64(0xFFFFFFFFFFFFFFFF)


@numba.njit(cache=True)
def _add_eight(packed: Any, rows: Any, keep: Any, plus: Any, minus: Any) -> None:
    mask, eight = np.uint64(0x00FF00FF00FF00FF), np.uint64(8)
    a, b, c, d, e, f, g, h = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    for i in range(plus.shape[0]):
        low = packed[a, i] + packed[b, i] + packed[c, i] + packed[d, i]
        high = packed[e, i] + packed[f, i] + packed[g, i] + packed[h, i]
        plus[i] = (plus[i] & keep) + (low & mask) + (high & mask)
        minus[i] = (minus[i] & keep) + ((low >> eight) & mask) + ((high >> eight) & mask)


@numba.njit(cache=True)
def _add_sixteen(packed: Any, rows: Any, keep: Any, plus: Any, minus: Any) -> None:
    mask, eight = np.uint64(0x00FF00FF00FF00FF), np.uint64(8)
    a, b, c, d, e, f, g, h = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    k, m, n, p, q, r, s, t = rows[8], rows[9], rows[10], rows[11], rows[12], rows[13], rows[14], rows[15]
    for i in range(plus.shape[0]):
        w = packed[a, i] + packed[b, i] + packed[c, i] + packed[d, i]
        x = packed[e, i] + packed[f, i] + packed[g, i] + packed[h, i]
        y = packed[k, i] + packed[m, i] + packed[n, i] + packed[p, i]
        z = packed[q, i] + packed[r, i] + packed[s, i] + packed[t, i]
        plus[i] = (plus[i] & keep) + (w & mask) + (x & mask) + (y & mask) + (z & mask)
        minus[i] = (
            (minus[i] & keep)
            + ((w >> eight) & mask)
            + ((x >> eight) & mask)
            + ((y >> eight) & mask)
            + ((z >> eight) & mask)
        )


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
def _integrate_ideal(plus: Any, minus: Any, shift: Any, top: Any, membrane: Any) -> None:
    # cut before the shift: the comparison stays as narrow as the sums
    for i in range(membrane.shape[0]):
        a, b = plus[i], minus[i]
        a = a if a < top else top
        b = b if b < top else top
        membrane[i] += np.int32(np.uint32(a) >> shift) - np.int32(np.uint32(b) >> shift)


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
def _integrate(codes: Any, membrane: Any) -> None:
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
    # an arithmetic shift as a logical one of a number made positive: vector units have only that one
    up = np.int32(1 << 30)
    for i in range(leaked.shape[0]):
        leaked[i] = membrane[i]
    for index in range(terms.shape[0]):
        term = terms[index]
        sign = np.int32(1 if term > 0 else -1)
        shift = np.uint32(abs(term))
        down = np.int32(np.uint32(up) >> shift)
        for i in range(leaked.shape[0]):
            leaked[i] += sign * (np.int32(np.uint32(np.uint32(membrane[i] + up) >> shift)) - down)


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
