# mypy: disallow-untyped-decorators=False
# (numba's decorators have no types)
# ruff: noqa: ARG001
# (the arguments of intrinsics are types)
"""Compiled kernel of the liquid, samples on all cores. Same results as the NumPy engine on every code.

Neurons lie in tiles of 32. A tile holds the codes of all rows for its neurons, plus in the low and minus in the high
byte of 16-bit words, and stays in the processor's nearest cache while the reads of many samples pass over it. Four rows
are added at a time, which a byte just holds; then plus and minus part into lanes of their own. With ideal ADCs a read
is converted before its sums leave the registers. Where codes or sums of a spec are wider, rows of 32-bit numbers are
added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.extending import intrinsic

from sim.lsm_crossbar.noise import start_states

if TYPE_CHECKING:
    from sim.lsm_crossbar.conductance_file import Conductances
    from sim.lsm_crossbar.spec import CrossbarSpec

TILE = 32
"""Neurons of a tile: one row of it is a cache line, and 512 rows are a first-level cache."""
CHUNK = 16
"""Rows that are added at once."""
BLOCK = 32
"""Samples that go through a tile together."""


@dataclass(frozen=True, eq=False)
class Tables:
    """A macro as the kernel reads it.

    Attributes
    ----------
    cells : ndarray of uint16, shape (tiles, rows + 1, TILE)
        Plus code in the low, minus code in the high byte; the last row is silent. Zeros unless `packable`.
    wide : ndarray of int32, shape (rows + 1, 2 * tiles * TILE)
        The same codes, all plus codes before all minus codes.
    gain, offset : ndarray of int32, shape (2 * tiles * TILE,)
        Of the columns' ADCs.
    packable : bool
        Four codes fit a byte, and all codes of a read 15 bits.
    ideal : bool
        The ADCs have neither gain error nor offset, and what a step adds to a potential fits 16 bits.
    """

    cells: npt.NDArray[np.uint16]
    wide: npt.NDArray[np.int32]
    gain: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int32]
    packable: bool
    ideal: bool

    @classmethod
    def of(cls, spec: CrossbarSpec, image: Conductances) -> Tables:
        """Lay out an image."""
        # what is added to the chip's own columns has no conductance and no effect; nor has the row behind the last one
        tiles = -(-spec.neurons // TILE)
        half = tiles * TILE
        pairs = np.zeros((spec.used_rows + 1, half, 2), np.int32)
        pairs[:-1, : spec.neurons] = image.codes[: spec.used_rows, : 2 * spec.neurons].reshape(-1, spec.neurons, 2)
        packable = spec.conductance_bits <= 6 and spec.column_sum_width <= 15
        cells = _aligned((tiles, spec.used_rows + 1, TILE))
        if packable:
            cells[:] = (pairs[:, :, 0] | pairs[:, :, 1] << 8).reshape(-1, tiles, TILE).transpose(1, 0, 2)
        gain = np.full((2, half), 1 << spec.gain_fraction, np.int32)
        offset = np.zeros((2, half), np.int32)
        lane = np.arange(spec.neurons) // spec.columns_per_adc
        for side in (0, 1):
            gain[side, : spec.neurons] = image.adc_gain[2 * lane + side]
            offset[side, : spec.neurons] = image.adc_offset[2 * lane + side]
        ideal = bool((gain == 1 << spec.gain_fraction).all() and (offset == 0).all())
        return cls(
            cells=cells,
            wide=np.concatenate([pairs[:, :, 0], pairs[:, :, 1]], axis=1),
            gain=gain.ravel(),
            offset=offset.ravel(),
            packable=packable,
            ideal=ideal
            and packable
            and spec.rows_per_read <= CHUNK
            and spec.step_input_max < 1 << 15
            and spec.adc_shift < 16,
        )


def run(
    spec: CrossbarSpec,
    tables: Tables,
    spikes: npt.NDArray[np.uint8],
    *,
    threshold: int,
    noise_seed: int | None,
    first_sample: int,
) -> dict[str, npt.NDArray[Any]]:
    """The fields of `sim.lsm_crossbar.liquid.Activity` for checked input spikes of shape (n, steps, inputs)."""
    n = len(spikes)
    ideal = tables.ideal and noise_seed is None
    limit = spec.column_sum_max if spec.column_limit is None else min(spec.column_limit, spec.column_sum_max)
    states = np.zeros((n, 2, 0), np.uint32)
    if noise_seed is not None:
        flat = start_states(noise_seed, first_sample + np.arange(n), spec.adcs)
        states = flat.reshape(n, spec.lanes, 2).transpose(0, 2, 1)[:, :, : spec.active_lanes].astype(np.uint32)
    # eight input channels are looked at together
    words = np.ascontiguousarray(spikes)
    if spec.inputs % 8:
        words = np.pad(words, ((0, 0), (0, 0), (0, -spec.inputs % 8)))
    result = {
        # the kernel writes all of it
        "spikes": np.empty((n, spec.steps, spec.neurons), np.bool_),
        "counts": np.zeros((n, spec.windows, spec.neurons), np.int64),
        "reads": np.zeros(n, np.int64),
        "row_activations": np.zeros((n, spec.rows), np.int64),
    }
    _run(
        words,
        words.view(np.uint64),
        spec.inputs,
        spec.neurons,
        # no more blocks than there are cores, if samples are few
        max(1, min(BLOCK, -(-n // numba.get_num_threads()))),
        tables.cells,
        tables.packable,
        tables.wide,
        tables.gain,
        tables.offset,
        ideal,
        ideal and spec.membrane_width <= 16,
        # a cut sum, converted, is the converted sum cut
        np.uint16(min(spec.adc_max, limit >> spec.adc_shift, np.iinfo(np.int16).max)),
        np.ascontiguousarray(states),
        np.int32(spec.noise_scale if noise_seed is not None and spec.noise_scale is not None else 0),
        spec.columns_per_adc,
        np.int32(limit),
        spec.rows_per_read,
        np.uint32(spec.adc_shift if ideal else spec.conversion_shift),
        np.int32(min((1 << (spec.adc_bits + spec.conversion_shift)) - 1, np.iinfo(np.int32).max)),
        np.array(spec.leak, np.int32),
        np.int32(threshold),
        np.int16(spec.refractory_steps),
        spec.window_length,
        _ONES,
        result["spikes"].view(np.uint8),
        result["counts"],
        result["reads"],
        result["row_activations"],
    )
    return result


def _aligned(shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Zeros that begin with a cache line."""
    room = np.zeros(int(np.prod(shape)) + 32, np.uint16)
    start = -room.ctypes.data % 64 // 2
    return room[start : start + int(np.prod(shape))].reshape(shape)


def _ones() -> npt.NDArray[np.uint8]:
    """For each byte, which of its bits are set, as places in a tile."""
    places = np.zeros((256, 8), np.uint8)
    for byte in range(256):
        ones = [TILE * bit for bit in range(8) if byte >> bit & 1]
        places[byte, : len(ones)] = ones
    return places


_ONES = _ones()


@numba.njit(parallel=True, cache=True)
def _run(
    inputs: Any,
    words: Any,
    channels: int,
    neurons: int,
    block: int,
    cells: Any,
    packable: bool,
    wide: Any,
    gain: Any,
    offset: Any,
    ideal: bool,
    narrow: bool,
    top_code: Any,
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
    ones: Any,
    out_spikes: Any,
    out_counts: Any,
    out_reads: Any,
    out_rows: Any,
) -> None:
    n, steps = inputs.shape[0], inputs.shape[1]
    half = wide.shape[1] // 2
    nothing = np.uint32((wide.shape[0] - 1) * TILE)
    reads_per_step = -(-(channels + neurons) // rows_per_read)
    width = -(-rows_per_read // CHUNK) * CHUNK
    for number in numba.prange(-(-n // block)):
        first = number * block
        count = min(block, n - first)
        # the potentials or, where they are wider, what a step adds to them
        narrow_membrane = np.zeros((count, half), np.int16)
        membrane = np.zeros((count, half), np.int32)
        narrow_leaked = np.zeros(count * half, np.int16)
        leaked = np.zeros(count * half, np.int32)
        refractory = np.zeros(count * half, np.int16)
        fired = np.zeros((count, half), np.uint8)
        fired_words = fired.view(np.uint64)
        tally = np.zeros((count, half), np.uint8)
        narrow_sums = np.zeros(2 * half, np.int16)
        sums = np.zeros(2 * half, np.int32)
        noise = np.zeros(2 * half, np.int32)
        codes = np.zeros(2 * half, np.int32)
        own = states[first : first + count].copy()
        drawn = np.zeros(own.shape[2], np.int32)
        # where in a tile a row begins: active rows of one sample, then of all reads, filled up with the row of nothing
        active = np.zeros(channels + neurons + 8 + width, np.uint32)
        # what is written behind the last read's rows has a place too
        rows = np.zeros(count * reads_per_step * width + 8 + CHUNK, np.uint32)
        owner = np.zeros(count * reads_per_step, np.int64)
        for step in range(steps):
            reads = 0
            for sample in range(count):
                if rows_per_read == CHUNK:
                    # reads without gaps: rows of one begin where those of the other end
                    begin = reads * CHUNK
                    end = _list(words[first + sample, step], 0, ones, rows, begin)
                    end = _list(fired_words[sample], channels, ones, rows, end)
                    for i in range(CHUNK):
                        rows[end + i] = nothing
                    for _ in range(-(-(end - begin) // CHUNK)):
                        owner[reads] = sample
                        reads += 1
                    out_reads[first + sample] += -(-(end - begin) // CHUNK)
                    continue
                found = _list(words[first + sample, step], 0, ones, active, 0)
                found = _list(fired_words[sample], channels, ones, active, found)
                for start in range(0, found, rows_per_read):
                    length = min(found - start, rows_per_read)
                    for i in range(width):
                        rows[reads * width + i] = active[start + i] if i < length else nothing
                    owner[reads] = sample
                    out_reads[first + sample] += 1
                    reads += 1
            if ideal:
                _add_reads(cells, rows, owner, reads, np.uint16(shift), top_code, narrow_membrane)
            else:
                for read in range(reads):
                    sample = owner[read]
                    if noise_scale:
                        _draw(own[sample], columns_per_adc, noise_scale, drawn, noise, neurons)
                    if packable:
                        _sum_packed(cells, rows[read * width : (read + 1) * width], narrow_sums)
                        _limit(narrow_sums, np.int16(limit))
                        _convert(narrow_sums, noise, gain, offset, shift, top, codes)
                    else:
                        _sum_wide(wide, rows[read * width : (read + 1) * width], sums)
                        _limit(sums, limit)
                        _convert(sums, noise, gain, offset, shift, top, codes)
                    _integrate(codes, membrane[sample])
            # all samples in one go: long vector loops
            if ideal and not narrow:
                _take(narrow_membrane.reshape(-1), membrane.reshape(-1))
            if narrow:
                _leak(narrow_membrane.reshape(-1), leak, narrow_leaked)
                _fire(
                    narrow_leaked,
                    np.int16(threshold),
                    refractory_steps,
                    narrow_membrane.reshape(-1),
                    refractory,
                    fired.reshape(-1),
                )
            else:
                _leak(membrane.reshape(-1), leak, leaked)
                _fire(leaked, threshold, refractory_steps, membrane.reshape(-1), refractory, fired.reshape(-1))
            _add(fired.reshape(-1), tally.reshape(-1))
            for sample in range(count):
                _copy(
                    out_spikes.ctypes.data + np.uint64(((first + sample) * steps + step) * neurons),
                    fired.ctypes.data + np.uint64(sample * half),
                    np.uint64(neurons),
                )
            # a byte holds 255 spikes
            if (step + 1) % window_length == 0 or (step + 1) % 255 == 0:
                for sample in range(count):
                    _flush(tally[sample], out_counts[first + sample, step // window_length])
        # a neuron's row is active after each spike but the last step's
        for sample in range(count):
            _activations(
                inputs[first + sample],
                out_counts[first + sample],
                fired[sample],
                np.zeros(channels, np.uint8),
                channels,
                out_rows[first + sample],
            )


@numba.njit(cache=True)
def _list(words: Any, first: int, ones: Any, rows: Any, found: Any) -> Any:
    """Write where the rows of the set bytes begin behind the `found` ones; how many there are then."""
    for word in range(words.shape[0]):
        spikes = words[word]
        # one bit of each byte beside the other in the highest byte; the sum of all bytes in the highest byte
        bits = (spikes * np.uint64(0x0102040810204080)) >> np.uint64(56)
        count = (spikes * np.uint64(0x0101010101010101)) >> np.uint64(56)
        # eight rows are written, whether they are active or not: no branch to mispredict
        _write_places(
            ones.ctypes.data + np.uint64(8) * bits,
            np.uint32((first + 8 * word) * TILE),
            rows.ctypes.data + np.uint64(4 * found),
        )
        found += np.int64(count)
    return found


@intrinsic
def _write_places(_context: Any, ones: Any, start: Any, rows: Any) -> Any:
    """Add a 32-bit number to the eight bytes at the address `ones`, and write them as 32-bit numbers to `rows`."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        byte, number = (ir.VectorType(ir.IntType(bits), 8) for bits in (8, 32))
        places = builder.zext(_load(builder, values[0], byte), number)
        _store(builder, values[2], builder.add(places, _spread(builder, values[1], number)))
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uint32, numba.uintp), generate


@intrinsic
def _copy(_context: Any, target: Any, source: Any, length: Any) -> Any:
    """Copy bytes from one address to another."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        target, source = (builder.inttoptr(value, byte) for value in values[:2])
        cgutils.raw_memcpy(builder, target, source, values[2], 1)
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp, numba.uintp), generate


def _load(builder: Any, address: Any, vector: Any) -> Any:
    return builder.load(builder.inttoptr(address, vector.as_pointer()), align=1)


def _store(builder: Any, address: Any, values: Any) -> None:
    builder.store(values, builder.inttoptr(address, values.type.as_pointer()), align=1)


def _spread(builder: Any, value: Any, vector: Any) -> Any:
    """A vector of `value` in all lanes."""
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, nothing, zeros)


_CODES = ir.VectorType(ir.IntType(16), TILE)


def _plus_and_minus(builder: Any, cells: Any, rows: Any) -> tuple[Any, Any]:
    """Vectors of the plus and of the minus sums of a tile over the CHUNK rows of a read.

    Addresses of the tile and of the rows' places in it. Written in LLVM's vectors, which it maps to those of the
    processor: its own vectoriser would compare all addresses before each read.
    """
    codes = builder.inttoptr(cells, ir.IntType(16).as_pointer())
    places = builder.inttoptr(rows, ir.IntType(32).as_pointer())
    low, eight = (ir.Constant(_CODES, [value] * TILE) for value in (0xFF, 8))
    plus = minus = None
    for four in range(0, CHUNK, 4):
        together = None
        for row in range(four, four + 4):
            place = builder.load(builder.gep(places, [ir.Constant(ir.IntType(32), row)]), align=4)
            cell = builder.gep(codes, [builder.zext(place, ir.IntType(64))])
            here = builder.load(builder.bitcast(cell, _CODES.as_pointer()), align=2)
            together = here if together is None else builder.add(together, here)
        even, odd = builder.and_(together, low), builder.lshr(together, eight)
        plus = even if plus is None else builder.add(plus, even)
        minus = odd if minus is None else builder.add(minus, odd)
    return plus, minus


@intrinsic
def _add_read(_context: Any, cells: Any, rows: Any, membrane: Any, shift: Any, top: Any) -> Any:
    """Add the differences of the ideal ADCs' codes, min(sum >> shift, top), to the tile's 16-bit `membrane`."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        cells, rows, target = values[:3]
        shift, top = (_spread(builder, value, _CODES) for value in values[3:])
        codes = []
        for sums in _plus_and_minus(builder, cells, rows):
            code = builder.lshr(sums, shift)
            codes.append(builder.select(builder.icmp_unsigned("<", code, top), code, top))
        _store(builder, target, builder.add(_load(builder, target, _CODES), builder.sub(*codes)))
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp, numba.uintp, numba.uint16, numba.uint16), generate


@intrinsic
def _add_sums(_context: Any, cells: Any, rows: Any, plus: Any, minus: Any) -> Any:
    """Add the sums of a tile's columns to the 16-bit numbers at the addresses `plus` and `minus`."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        for target, sums in zip(values[2:], _plus_and_minus(builder, *values[:2]), strict=True):
            _store(builder, target, builder.add(_load(builder, target, _CODES), sums))
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp, numba.uintp, numba.uintp), generate


@numba.njit(cache=True)
def _add_reads(cells: Any, rows: Any, owner: Any, reads: int, shift: Any, top: Any, membrane: Any) -> None:
    # addresses, because an index costs a multiplication
    half = membrane.shape[1]
    for tile in range(cells.shape[0]):
        codes = cells[tile].ctypes.data
        for read in range(reads):
            _add_read(
                codes,
                rows.ctypes.data + np.uint64(4 * CHUNK * read),
                membrane.ctypes.data + np.uint64(2 * (owner[read] * half + TILE * tile)),
                shift,
                top,
            )


@numba.njit(cache=True)
def _sum_packed(cells: Any, rows: Any, sums: Any) -> None:
    sums[:] = 0
    half = sums.shape[0] // 2
    for chunk in range(rows.shape[0] // CHUNK):
        for tile in range(cells.shape[0]):
            _add_sums(
                cells[tile].ctypes.data,
                rows.ctypes.data + np.uint64(4 * CHUNK * chunk),
                sums.ctypes.data + np.uint64(2 * TILE * tile),
                sums.ctypes.data + np.uint64(2 * (half + TILE * tile)),
            )


@numba.njit(cache=True)
def _sum_wide(codes: Any, rows: Any, sums: Any) -> None:
    sums[:] = 0
    for index in range(rows.shape[0]):
        row = rows[index] // np.uint32(TILE)
        for i in range(codes.shape[1]):
            sums[i] += codes[row, i]


@numba.njit(cache=True)
def _limit(sums: Any, limit: Any) -> None:
    for i in range(sums.shape[0]):
        sums[i] = sums[i] if sums[i] < limit else limit


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
def _take(added: Any, membrane: Any) -> None:
    for i in range(membrane.shape[0]):
        membrane[i] += added[i]
    added[:] = 0


@intrinsic
def _shift_right(_context: Any, value: Any, places: Any) -> Any:
    """Arithmetic shift of a number by fewer places than it has, in its own width."""
    return value(value, value), lambda _context, builder, _signature, values: builder.ashr(*values)


@numba.njit(cache=True)
def _leak(membrane: Any, terms: Any, leaked: Any) -> None:
    for i in range(leaked.shape[0]):
        leaked[i] = membrane[i]
    for index in range(terms.shape[0]):
        places = min(abs(terms[index]), 8 * leaked.itemsize - 1)
        if terms[index] > 0:
            for i in range(leaked.shape[0]):
                leaked[i] += _shift_right(membrane[i], places)
        else:
            for i in range(leaked.shape[0]):
                leaked[i] -= _shift_right(membrane[i], places)


@numba.njit(cache=True)
def _fire(leaked: Any, threshold: Any, refractory_steps: Any, membrane: Any, refractory: Any, fired: Any) -> None:
    # what a choice may take is loaded before: a load that may not happen is not vectorised
    if refractory_steps:
        for i in range(fired.shape[0]):
            fired[i] = (membrane[i] > threshold) & (refractory[i] == 0)
        for i in range(fired.shape[0]):
            rest, spike = refractory[i], fired[i]
            refractory[i] = refractory_steps if spike else rest - (rest > 0)
        for i in range(fired.shape[0]):
            kept, spike = leaked[i], fired[i]
            membrane[i] = 0 if spike else kept
    else:
        for i in range(fired.shape[0]):
            fired[i] = membrane[i] > threshold
        for i in range(fired.shape[0]):
            kept = leaked[i]
            membrane[i] = 0 if membrane[i] > threshold else kept


@numba.njit(cache=True)
def _add(values: Any, sums: Any) -> None:
    for i in range(sums.shape[0]):
        sums[i] += values[i]


@numba.njit(cache=True)
def _flush(tally: Any, counts: Any) -> None:
    for i in range(counts.shape[0]):
        counts[i] += tally[i]
    tally[:] = 0


@numba.njit(cache=True)
def _activations(inputs: Any, counts: Any, fired: Any, tally: Any, channels: int, out: Any) -> None:
    for start in range(0, inputs.shape[0], 255):
        for step in range(start, min(start + 255, inputs.shape[0])):
            _add(inputs[step], tally)
        _flush(tally, out[:channels])
    for i in range(counts.shape[1]):
        out[channels + i] = -np.int64(fired[i])
    for window in range(counts.shape[0]):
        for i in range(counts.shape[1]):
            out[channels + i] += counts[window, i]
