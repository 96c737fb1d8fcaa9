# mypy: disallow-untyped-decorators=False
# (numba's decorators have no types)
# ruff: noqa: ARG001
# (the arguments of intrinsics are types)
"""Compiled kernel of the liquid, samples on all cores. Same results as the NumPy engine on every code.

Neurons lie in tiles of 32. A tile holds the codes of all rows for its neurons, plus in the low and minus in the high
byte of 16-bit words, and stays in the processor's nearest cache while the reads of many samples pass over it. Four rows
are added at a time, which a byte just holds; then plus and minus part into lanes of their own. With ideal ADCs a read
is converted before its sums leave the registers, and spikes are bits until a block of samples is done. Other chips are
computed read by read; where codes or sums of a spec are wider, rows of 32-bit numbers are added.
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
    from sim.lsm_crossbar.macro_model.conductance_file import Conductances
    from sim.lsm_crossbar.spec import CrossbarSpec

TILE = 32
"""Neurons of a tile: one row of it is a cache line, and 512 rows are a first-level cache."""
CHUNK = 16
"""Rows that are added at once."""
PLACE = 8
"""Where a row begins in a tile, over its number: counted in 64 bits, so that a place has 16 bits."""
BLOCK = 64
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
        # what is added to the chip's own columns has no conductance and no effect; nor has the row after the last one
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
    threshold: int | npt.NDArray[np.int64],
    noise_seed: int | None,
    first_sample: int,
) -> dict[str, npt.NDArray[Any]]:
    """The fields of `sim.lsm_crossbar.liquid.Activity` for checked input spikes of shape (n, steps, inputs).

    The threshold is one for all neurons, or one for each.
    """
    n = len(spikes)
    # what fills the last tile stays at 0, and does not fire
    thresholds = np.zeros(tables.cells.shape[0] * TILE, np.int32)
    thresholds[: spec.neurons] = threshold
    limit = spec.column_sum_max if spec.column_limit is None else min(spec.column_limit, spec.column_sum_max)
    # whole tiles of input channels
    words = np.ascontiguousarray(spikes)
    if spec.inputs % TILE:
        words = np.pad(words, ((0, 0), (0, 0), (0, -spec.inputs % TILE)))
    result = _empty(
        {
            "counts": ((n, spec.windows, spec.neurons), np.dtype(np.int64)),
            "reads": ((n,), np.dtype(np.int64)),
            "row_activations": ((n, spec.rows), np.dtype(np.int64)),
            "spikes": ((n, spec.steps, spec.neurons), np.dtype(np.bool_)),
        }
    )
    # of the spikes the kernel writes all
    for name in ("counts", "reads", "row_activations"):
        result[name][...] = 0
    leak = np.array(spec.leak, np.int32)
    # a macro of a tile begins every so many places; one macro never ends
    macro_places = np.int64(PLACE * (spec.macro_rows or 1 << 16))
    written = (result["spikes"].view(np.uint8), result["counts"], result["reads"], result["row_activations"])
    if tables.ideal and noise_seed is None:
        # every core has the same number of blocks
        cores = numba.get_num_threads()
        blocks = max(1, -(-n // (BLOCK * cores)) * cores)
        _run_ideal(
            words,
            spec.inputs,
            max(1, -(-n // blocks)),
            tables.cells,
            spec.membrane_width <= 16,
            # a cut sum, converted, is the converted sum cut
            np.uint16(min(spec.adc_max, limit >> spec.adc_shift, np.iinfo(np.int16).max)),
            spec.rows_per_read,
            spec.batches_per_step,
            macro_places,
            np.uint16(spec.adc_shift),
            leak,
            thresholds,
            np.int16(spec.refractory_steps),
            spec.window_length,
            _ONES,
            *written,
        )
        return result
    states = np.zeros((n, 2, 0), np.uint32)
    if noise_seed is not None:
        flat = start_states(noise_seed, first_sample + np.arange(n), spec.adcs)
        states = flat.reshape(n, spec.lanes, 2).transpose(0, 2, 1)[:, :, : spec.active_lanes].astype(np.uint32)
    _run(
        words,
        spec.inputs,
        tables.cells,
        tables.packable,
        tables.wide,
        tables.gain,
        tables.offset,
        np.ascontiguousarray(states),
        np.int32(spec.noise_scale if noise_seed is not None and spec.noise_scale is not None else 0),
        spec.columns_per_adc,
        np.int32(limit),
        spec.rows_per_read,
        macro_places,
        np.uint32(spec.conversion_shift),
        np.int32(min((1 << (spec.adc_bits + spec.conversion_shift)) - 1, np.iinfo(np.int32).max)),
        leak,
        thresholds,
        np.int16(spec.refractory_steps),
        spec.window_length,
        _ONES,
        *written,
    )
    return result


def _empty(
    fields: dict[str, tuple[tuple[int, ...], np.dtype[Any]]],
) -> dict[str, npt.NDArray[Any]]:
    """Arrays of the shapes and types, the widest types first, in one piece of memory.

    NumPy asks for huge pages where a piece has 4 MiB. With small pages, first writes to fresh memory took longer than
    the liquid, and longest from two threads at once.
    """
    sizes = {name: int(np.prod(shape)) * dtype.itemsize for name, (shape, dtype) in fields.items()}
    room = np.empty(sum(sizes.values()), np.uint8)
    result, start = {}, 0
    for name, (shape, dtype) in fields.items():
        result[name] = room[start : start + sizes[name]].view(dtype).reshape(shape)
        start += sizes[name]
    return result


def _aligned(shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Zeros that begin with a cache line."""
    room = np.zeros(int(np.prod(shape)) + 32, np.uint16)
    start = -room.ctypes.data % 64 // 2
    return room[start : start + int(np.prod(shape))].reshape(shape)


def _ones() -> npt.NDArray[np.uint8]:
    """For each byte, which of its bits are set, as places."""
    places = np.zeros((256, 8), np.uint8)
    for byte in range(256):
        ones = [PLACE * bit for bit in range(8) if byte >> bit & 1]
        places[byte, : len(ones)] = ones
    return places


_ONES = _ones()


@numba.njit(cache=True)
def _of_one_macro(active: Any, start: int, length: int, macro_places: int) -> int:
    """How many of the next `length` active rows are of the same macro as the first of them."""
    end = (np.int64(active[start]) // macro_places + 1) * macro_places
    if active[start + length - 1] < end:
        return length
    for i in range(1, length):
        if active[start + i] >= end:
            return i
    return length


@numba.njit(parallel=True, cache=True)
def _run_ideal(
    inputs: Any,
    channels: int,
    block: int,
    cells: Any,
    narrow: bool,
    top: Any,
    rows_per_read: int,
    reads_per_step: int,
    macro_places: int,
    shift: Any,
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
    n, steps, neurons = out_spikes.shape
    tiles = cells.shape[0]
    half = tiles * TILE
    nothing = np.uint16((cells.shape[1] - 1) * PLACE)
    gaps = rows_per_read % 4 != 0 or (channels + neurons) * PLACE > macro_places
    width = -(-rows_per_read // 4) * 4
    fused = narrow and refractory_steps == 0
    for number in numba.prange(-(-n // block)):
        first = number * block
        count = min(block, n - first)
        # the potentials or, where they are wider, what a step adds to them
        narrow_membrane = np.zeros((count, half), np.int16)
        membrane = np.zeros((count, 0 if narrow else half), np.int32)
        narrow_leaked = np.zeros(0 if fused else count * half, np.int16)
        leaked = np.zeros(0 if narrow else count * half, np.int32)
        # of each neuron, or of the neurons of each sample where all samples fire in one go
        narrow_threshold = np.zeros(0 if not narrow else half if fused else count * half, np.int16)
        wide_threshold = np.zeros(0 if narrow else count * half, np.int32)
        for i in range(narrow_threshold.shape[0]):
            narrow_threshold[i] = threshold[i % half]
        for i in range(wide_threshold.shape[0]):
            wide_threshold[i] = threshold[i % half]
        refractory = np.zeros(0 if fused else count * half, np.int16)
        fired = np.zeros((count, half), np.uint8)
        tally = np.zeros((count, half), np.uint8)
        # a bit for each input channel in each step, and for each neuron in each step and before the first one
        heard = np.zeros((count, steps, inputs.shape[2] // 8), np.uint8)
        said = np.zeros((count, steps + 1, half // 8), np.uint8)
        # active rows of all reads as places in a tile; reads by the number of their quads of rows, with the potentials
        # that they change
        rows = np.zeros(count * (reads_per_step * width + 8) + 8, np.uint16)
        active = np.zeros(channels + neurons + 16, np.uint16)
        sizes = np.zeros(5, np.int64)
        reads = np.zeros((5, count * reads_per_step, 2), np.uintp)
        bytes_ = np.zeros(inputs.shape[2], np.uint8)
        line = np.zeros(half, np.uint8)
        for sample in range(count):
            bytes_[:] = 0
            _activations(inputs[first + sample], bytes_, channels, out_rows[first + sample])
            _pack(inputs[first + sample], heard[sample])
        for step in range(steps):
            sizes[:] = 0
            place = 0
            for sample in range(count):
                target = active.ctypes.data if gaps else rows.ctypes.data + np.uintp(2 * place)
                found = _list(heard[sample, step].ctypes.data, heard.shape[2], np.uint16(0), ones.ctypes.data, target)
                found += _list(
                    said[sample, step].ctypes.data,
                    said.shape[2],
                    np.uint16(channels * PLACE),
                    ones.ctypes.data,
                    target + np.uintp(2 * found),
                )
                potentials = narrow_membrane[sample].ctypes.data
                if not gaps:
                    for i in range(4):
                        rows[place + found + i] = nothing
                start = 0
                while start < found:
                    length = min(found - start, rows_per_read)
                    if gaps:
                        length = _of_one_macro(active, start, length, macro_places)
                    quads = (length + 3) // 4
                    if gaps:
                        for i in range(4 * quads):
                            rows[place + i] = active[start + i] if i < length else nothing
                    reads[quads, sizes[quads], 0] = rows.ctypes.data + np.uintp(2 * place)
                    reads[quads, sizes[quads], 1] = potentials
                    sizes[quads] += 1
                    place += 4 * quads
                    start += length
                    out_reads[first + sample] += 1
            for tile in range(tiles):
                codes = cells[tile].ctypes.data
                column = np.uintp(2 * TILE * tile)
                for i in range(sizes[4]):
                    _add_read_4(codes, reads[4, i, 0], reads[4, i, 1] + column, shift, top)
                for i in range(sizes[3]):
                    _add_read_3(codes, reads[3, i, 0], reads[3, i, 1] + column, shift, top)
                for i in range(sizes[2]):
                    _add_read_2(codes, reads[2, i, 0], reads[2, i, 1] + column, shift, top)
                for i in range(sizes[1]):
                    _add_read_1(codes, reads[1, i, 0], reads[1, i, 1] + column, shift, top)
            if fused:
                for sample in range(count):
                    for tile in range(tiles):
                        _fire_tile(
                            narrow_membrane[sample].ctypes.data + np.uintp(2 * TILE * tile),
                            leak.ctypes.data,
                            leak.shape[0],
                            narrow_threshold.ctypes.data + np.uintp(2 * TILE * tile),
                            tally[sample].ctypes.data + np.uintp(TILE * tile),
                            said[sample, step + 1].ctypes.data + np.uintp(TILE // 8 * tile),
                        )
            else:
                # all samples in one go: long vector loops
                if narrow:
                    _leak(narrow_membrane.reshape(-1), leak, narrow_leaked)
                    _fire(
                        narrow_leaked,
                        narrow_threshold,
                        refractory_steps,
                        narrow_membrane.reshape(-1),
                        refractory,
                        fired.reshape(-1),
                    )
                else:
                    _take(narrow_membrane.reshape(-1), membrane.reshape(-1))
                    _leak(membrane.reshape(-1), leak, leaked)
                    _fire(leaked, wide_threshold, refractory_steps, membrane.reshape(-1), refractory, fired.reshape(-1))
                _add(fired.reshape(-1), tally.reshape(-1))
                for sample in range(count):
                    _pack(fired[sample : sample + 1], said[sample, step + 1 : step + 2])
            # a byte holds 255 spikes
            if (step + 1) % window_length == 0 or (step + 1) % 255 == 0:
                for sample in range(count):
                    _flush(tally[sample], out_counts[first + sample, step // window_length])
        for sample in range(count):
            for step in range(steps):
                _unpack(said[sample, step + 1], line)
                _copy(
                    out_spikes.ctypes.data + np.uintp(((first + sample) * steps + step) * neurons),
                    line.ctypes.data,
                    np.uintp(neurons),
                )
            # a neuron's row is active after each spike but the last step's
            _recurrent_activations(out_counts[first + sample], line, channels, out_rows[first + sample])


@numba.njit(parallel=True, cache=True)
def _run(
    inputs: Any,
    channels: int,
    cells: Any,
    packable: bool,
    wide: Any,
    gain: Any,
    offset: Any,
    states: Any,
    noise_scale: Any,
    columns_per_adc: int,
    limit: Any,
    rows_per_read: int,
    macro_places: int,
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
    n, steps, neurons = out_spikes.shape
    half = wide.shape[1] // 2
    nothing = np.uint16((wide.shape[0] - 1) * PLACE)
    for sample in numba.prange(n):
        membrane = np.zeros(half, np.int32)
        leaked = np.zeros(half, np.int32)
        refractory = np.zeros(half, np.int16)
        fired = np.zeros((1, half), np.uint8)
        tally = np.zeros(half, np.uint8)
        heard = np.zeros((steps, inputs.shape[2] // 8), np.uint8)
        said = np.zeros((1, half // 8), np.uint8)
        narrow_sums = np.zeros(2 * half, np.int16)
        sums = np.zeros(2 * half, np.int32)
        noise = np.zeros(2 * half, np.int32)
        codes = np.zeros(2 * half, np.int32)
        own = states[sample].copy()
        drawn = np.zeros(own.shape[1], np.int32)
        # where in a tile a row begins: active rows, then those of a read, filled up with the row of nothing
        active = np.zeros(channels + neurons + 16, np.uint16)
        rows = np.zeros(-(-rows_per_read // CHUNK) * CHUNK, np.uint16)
        _activations(inputs[sample], np.zeros(inputs.shape[2], np.uint8), channels, out_rows[sample])
        _pack(inputs[sample], heard)
        for step in range(steps):
            target = active.ctypes.data
            found = _list(heard[step].ctypes.data, heard.shape[1], np.uint16(0), ones.ctypes.data, target)
            found += _list(
                said.ctypes.data,
                said.shape[1],
                np.uint16(channels * PLACE),
                ones.ctypes.data,
                target + np.uintp(2 * found),
            )
            start = 0
            while start < found:
                length = _of_one_macro(active, start, min(found - start, rows_per_read), macro_places)
                for i in range(rows.shape[0]):
                    rows[i] = active[start + i] if i < length else nothing
                if noise_scale:
                    _draw(own, columns_per_adc, noise_scale, drawn, noise, neurons)
                if packable:
                    _sum_packed(cells, rows, narrow_sums)
                    _limit(narrow_sums, np.int16(limit))
                    _convert(narrow_sums, noise, gain, offset, shift, top, codes)
                else:
                    _sum_wide(wide, rows, sums)
                    _limit(sums, limit)
                    _convert(sums, noise, gain, offset, shift, top, codes)
                _integrate(codes, membrane)
                start += length
                out_reads[sample] += 1
            _leak(membrane, leak, leaked)
            _fire(leaked, threshold, refractory_steps, membrane, refractory, fired.reshape(-1))
            _pack(fired, said)
            _add(fired.reshape(-1), tally)
            for i in range(neurons):
                out_spikes[sample, step, i] = fired[0, i]
            if (step + 1) % window_length == 0 or (step + 1) % 255 == 0:
                _flush(tally, out_counts[sample, step // window_length])
        _recurrent_activations(out_counts[sample], fired[0], channels, out_rows[sample])


@intrinsic
def _list(_context: Any, bits: Any, length: Any, first: Any, ones: Any, rows: Any) -> Any:
    """Write the places of the rows whose bits are set, eight bits at a time, as 16-bit numbers; how many there are.

    Addresses of the bits, of `_ONES` and of where to write, where 14 bytes more are overwritten; place of the first
    row.
    """

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        bits, length, first, ones, rows = values
        byte, number = (ir.VectorType(ir.IntType(width), 8) for width in (8, 16))
        word = length.type
        next_ = cgutils.alloca_once_value(builder, ir.Constant(word, 0))
        start = cgutils.alloca_once_value(builder, _spread(builder, first, number))
        with cgutils.for_range(builder, length) as loop:
            eight = _load(builder, builder.add(bits, loop.index), ir.IntType(8))
            entry = builder.add(ones, builder.shl(builder.zext(eight, word), ir.Constant(word, 3)))
            places = builder.zext(_load(builder, entry, byte), number)
            found, begin = builder.load(next_), builder.load(start)
            # eight rows are written, whether they are active or not: no branch to mispredict
            _store(builder, builder.add(rows, builder.shl(found, ir.Constant(word, 1))), builder.add(places, begin))
            active = builder.ctpop(builder.zext(eight, ir.IntType(32)))
            builder.store(builder.add(found, builder.zext(active, word)), next_)
            builder.store(builder.add(begin, ir.Constant(number, [8 * PLACE] * 8)), start)
        return builder.load(next_)

    return numba.intp(numba.uintp, numba.intp, numba.uint16, numba.uintp, numba.uintp), generate


@intrinsic
def _copy(_context: Any, target: Any, source: Any, length: Any) -> Any:
    """Copy bytes from one address to another."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        target, source = (builder.inttoptr(value, byte) for value in values[:2])
        cgutils.raw_memcpy(builder, target, source, values[2], 1)
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp, numba.uintp), generate


_BYTES = ir.VectorType(ir.IntType(8), TILE)
_BITS = ir.VectorType(ir.IntType(1), TILE)


@intrinsic
def _pack_tile(_context: Any, source: Any, target: Any) -> Any:
    """Write the lowest bits of the TILE bytes at the address `source` to `target`."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        bits = builder.trunc(_load(builder, values[0], _BYTES), _BITS)
        _store(builder, values[1], builder.bitcast(bits, ir.IntType(TILE)))
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp), generate


@intrinsic
def _unpack_tile(_context: Any, source: Any, target: Any) -> Any:
    """Write the TILE bits at the address `source` to `target`, a byte for each."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        bits = builder.bitcast(_load(builder, values[0], ir.IntType(TILE)), _BITS)
        _store(builder, values[1], builder.zext(bits, _BYTES))
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp), generate


@numba.njit(cache=True)
def _pack(spikes: Any, bits: Any) -> None:
    """A bit for each byte of `spikes`, which hold whole tiles."""
    for tile in range(spikes.size // TILE):
        _pack_tile(
            spikes.ctypes.data + np.uintp(TILE * tile),
            bits.ctypes.data + np.uintp(TILE // 8 * tile),
        )


@numba.njit(cache=True)
def _unpack(bits: Any, spikes: Any) -> None:
    for tile in range(spikes.size // TILE):
        _unpack_tile(
            bits.ctypes.data + np.uintp(TILE // 8 * tile),
            spikes.ctypes.data + np.uintp(TILE * tile),
        )


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


def _plus_and_minus(builder: Any, cells: Any, rows: Any, quads: int) -> tuple[Any, Any]:
    """Vectors of the plus and of the minus sums of a tile over `quads` times four rows of a read.

    Addresses of the tile and of the rows' places in it. Written in LLVM's vectors, which it maps to those of the
    processor: its own vectoriser would compare all addresses before each read.
    """
    codes = builder.inttoptr(cells, ir.IntType(8 * TILE * 2 // PLACE).as_pointer())
    places = builder.inttoptr(rows, ir.IntType(16).as_pointer())
    low, eight = (ir.Constant(_CODES, [value] * TILE) for value in (0xFF, 8))
    plus = minus = None
    for four in range(0, 4 * quads, 4):
        together = None
        for row in range(four, four + 4):
            place = builder.load(builder.gep(places, [ir.Constant(ir.IntType(32), row)]), align=2)
            cell = builder.gep(codes, [builder.zext(place, ir.IntType(64))])
            here = builder.load(builder.bitcast(cell, _CODES.as_pointer()), align=2)
            together = here if together is None else builder.add(together, here)
        even, odd = builder.and_(together, low), builder.lshr(together, eight)
        plus = even if plus is None else builder.add(plus, even)
        minus = odd if minus is None else builder.add(minus, odd)
    return plus, minus


def _read_adder(quads: int) -> Any:
    """An intrinsic that reads `quads` times four rows."""

    @intrinsic
    def add_read(_context: Any, cells: Any, rows: Any, membrane: Any, shift: Any, top: Any) -> Any:
        """Add the differences of the ideal ADCs' codes, min(sum >> shift, top), to the tile's 16-bit `membrane`."""

        def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            cells, rows, target = values[:3]
            shift, top = (_spread(builder, value, _CODES) for value in values[3:])
            codes = []
            for sums in _plus_and_minus(builder, cells, rows, quads):
                code = builder.lshr(sums, shift)
                codes.append(builder.select(builder.icmp_unsigned("<", code, top), code, top))
            _store(builder, target, builder.add(_load(builder, target, _CODES), builder.sub(*codes)))
            return context.get_dummy_value()

        return numba.void(numba.uintp, numba.uintp, numba.uintp, numba.uint16, numba.uint16), generate

    return add_read


_add_read_1, _add_read_2, _add_read_3, _add_read_4 = (_read_adder(quads) for quads in range(1, 5))


@intrinsic
def _add_sums(_context: Any, cells: Any, rows: Any, plus: Any, minus: Any) -> Any:
    """Add the sums of a tile's columns to the 16-bit numbers at the addresses `plus` and `minus`."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        cells, rows = values[:2]
        for target, sums in zip(values[2:], _plus_and_minus(builder, cells, rows, CHUNK // 4), strict=True):
            _store(builder, target, builder.add(_load(builder, target, _CODES), sums))
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp, numba.uintp, numba.uintp), generate


@intrinsic
def _fire_tile(_context: Any, membrane: Any, leak: Any, terms: Any, threshold: Any, tally: Any, bits: Any) -> Any:
    """Fire a tile's neurons, whose potentials have 16 bits and which know no refractory time.

    Addresses of potentials, leak terms (32 bits, their number beside), thresholds (16 bits), tallies (bytes), and of
    where to write a bit for each neuron.
    """

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        target, leak, terms, threshold, tally, bits = values
        i16 = ir.IntType(16)
        membrane = _load(builder, target, _CODES)
        leaked = cgutils.alloca_once_value(builder, membrane)
        with cgutils.for_range(builder, terms) as loop:
            place = builder.add(leak, builder.shl(loop.index, ir.Constant(loop.index.type, 2)))
            term = builder.trunc(_load(builder, place, ir.IntType(32)), i16)
            adds = builder.icmp_signed(">", term, ir.Constant(i16, 0))
            places = builder.select(adds, term, builder.neg(term))
            most = ir.Constant(i16, 15)
            places = builder.select(builder.icmp_signed("<", places, most), places, most)
            # minus x is x with all bits turned, plus one
            turn = _spread(builder, builder.select(adds, ir.Constant(i16, 0), ir.Constant(i16, -1)), _CODES)
            part = builder.xor(builder.ashr(membrane, _spread(builder, places, _CODES)), turn)
            builder.store(builder.add(builder.load(leaked), builder.sub(part, turn)), leaked)
        fired = builder.icmp_signed(">", membrane, _load(builder, threshold, _CODES))
        _store(builder, target, builder.select(fired, ir.Constant(_CODES, [0] * TILE), builder.load(leaked)))
        _store(builder, tally, builder.add(_load(builder, tally, _BYTES), builder.zext(fired, _BYTES)))
        _store(builder, bits, builder.bitcast(fired, ir.IntType(TILE)))
        return context.get_dummy_value()

    return numba.void(numba.uintp, numba.uintp, numba.intp, numba.uintp, numba.uintp, numba.uintp), generate


@numba.njit(cache=True)
def _sum_packed(cells: Any, rows: Any, sums: Any) -> None:
    sums[:] = 0
    half = sums.shape[0] // 2
    for chunk in range(rows.shape[0] // CHUNK):
        for tile in range(cells.shape[0]):
            _add_sums(
                cells[tile].ctypes.data,
                rows.ctypes.data + np.uint64(2 * CHUNK * chunk),
                sums.ctypes.data + np.uint64(2 * TILE * tile),
                sums.ctypes.data + np.uint64(2 * (half + TILE * tile)),
            )


@numba.njit(cache=True)
def _sum_wide(codes: Any, rows: Any, sums: Any) -> None:
    sums[:] = 0
    for index in range(rows.shape[0]):
        row = rows[index] // np.uint16(PLACE)
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
            fired[i] = (membrane[i] > threshold[i]) & (refractory[i] == 0)
        for i in range(fired.shape[0]):
            rest, spike = refractory[i], fired[i]
            refractory[i] = refractory_steps if spike else rest - (rest > 0)
        for i in range(fired.shape[0]):
            kept, spike = leaked[i], fired[i]
            membrane[i] = 0 if spike else kept
    else:
        for i in range(fired.shape[0]):
            fired[i] = membrane[i] > threshold[i]
        for i in range(fired.shape[0]):
            kept = leaked[i]
            membrane[i] = 0 if membrane[i] > threshold[i] else kept


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
def _activations(inputs: Any, tally: Any, channels: int, out: Any) -> None:
    for start in range(0, inputs.shape[0], 255):
        for step in range(start, min(start + 255, inputs.shape[0])):
            _add(inputs[step], tally)
        _flush(tally, out[:channels])


@numba.njit(cache=True)
def _recurrent_activations(counts: Any, fired: Any, channels: int, out: Any) -> None:
    for i in range(counts.shape[1]):
        out[channels + i] = -np.int64(fired[i])
    for window in range(counts.shape[0]):
        for i in range(counts.shape[1]):
            out[channels + i] += counts[window, i]
