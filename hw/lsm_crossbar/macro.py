"""The macro: resistive array, sample-and-hold, converters. A behavioural memory, or a black box with the same pins, or
several such boxes as a tile."""

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.common.black_box import BlackBox
from hw.common.hierarchy import place
from sim.lsm_crossbar.spec import (
    NOISE_ADC_STEP,
    NOISE_FRACTION,
    NOISE_SAMPLE_STEP,
    NOISE_STATE_WIDTH,
    NOISE_UNIT,
    CrossbarSpec,
)

__all__ = ["Macro", "MacroBox", "MacroTile", "macro_pins"]


def macro_pins(spec: CrossbarSpec, shape: tuple[int, int] | None = None) -> dict[str, Any]:
    """Pins of a macro beside clock and reset, documented in `MacroBox`.

    Parameters
    ----------
    spec : CrossbarSpec
    shape : tuple of int, optional
        Rows and columns; by default all that the spec has, which may be those of a tile.
    """
    rows, columns = shape or (spec.rows, spec.columns)
    return {
        "row": In(max(1, (rows - 1).bit_length())),
        "row_set": In(1),
        "row_clear": In(1),
        "sample": In(1),
        "select": In(spec.select_bits),
        "convert": In(1),
        "codes": Out(ArrayLayout(spec.adc_bits, columns // spec.columns_per_adc)),
        "codes_valid": Out(1),
    }


class MacroBox(BlackBox):
    """The resistive-memory macro as an ASIC sees it: pins and timing, nothing inside.

    All pins are sampled at, or change after, the rising edge of `clk`.

    1. `row_set` latches word line `row` on, one per clock. `row_clear` turns all word lines off first: with `row_set`
       in the same clock, `row` alone is on afterwards. At most `spec.rows_per_read` are ever on.
    2. `sample`, in the clock after the last `row_set` or later, starts the integration of all columns. The word lines
       do not change for `spec.settle_clocks` clocks, that of `sample` included; then every column holds its sum.
       Afterwards the word lines of the next read may be set.
    3. `convert`, `spec.settle_clocks` clocks after `sample` or later, converts the held sums of pair
       ``lane * columns_per_adc + select`` in every lane, plus and minus column at once. `codes` and `codes_valid` come
       `spec.convert_clocks` clocks after it and last one clock; the next `convert` comes no earlier than they do.
    4. The next `sample` comes no earlier than the last codes. Held sums last that long.

    `rst`, asynchronous, turns all word lines off and forgets conversions under way.

    Of a tile (`spec.macro_shape`), one of its macros: `MacroTile` has them all.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    row : In(bits of the macro's rows)
    row_set, row_clear, sample, convert : In(1)
    select : In(bits of spec.columns_per_adc)
    codes : Out(spec.adc_bits) x (columns of the macro // spec.columns_per_adc)
        ADC 2 * lane converts plus columns, ADC 2 * lane + 1 minus columns. Unsigned.
    codes_valid : Out(1)
    """

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(macro_pins(spec, spec.macro_shape))


class MacroTile(Component):
    """Macros below and beside each other, with the pins and the contract of one that has all their rows and columns.

    Rows 0 and up are those of the macros on top, columns 0 and up those of the macros on the left. A read has rows of
    one macro of each column of them (`hw.lsm_crossbar.row_driver`): its word lines are set there, it alone samples and
    converts, and `codes` are its codes.

    Reset: no macro was read; asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec
        With `spec.macro_rows`, `spec.macro_columns` or both.

    Members
    -------
    row, row_set, row_clear, sample, select, convert, codes, codes_valid
        As `MacroBox`, for `spec.rows` and `spec.columns`.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(macro_pins(spec))

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        rows, columns = spec.macro_shape
        # which macros have word lines on, and which are read: the next word lines may be set during conversions
        driven, read = Signal(range(spec.rows // rows)), Signal(range(spec.rows // rows), name="read")
        with m.If(self.sample):
            m.d.sync += read.eq(driven)
        codes, valid = [], []
        for number, first in enumerate(range(0, spec.rows, rows)):
            own = Signal(name=f"own_{number}")
            m.d.comb += own.eq((self.row >= first) & (self.row < first + rows))
            with m.If(self.row_set & own):
                m.d.sync += driven.eq(number)
            beside = [
                place(m, platform, f"macro_{number}_{column}", MacroBox, spec=spec)
                for column in range(spec.columns // columns)
            ]
            for macro in beside:
                m.d.comb += [
                    macro.row.eq(self.row - first),
                    macro.row_set.eq(self.row_set & own),
                    macro.row_clear.eq(self.row_clear),
                    macro.sample.eq(self.sample & (driven == number)),
                    macro.select.eq(self.select),
                    macro.convert.eq(self.convert & (read == number)),
                ]
            codes.append(Cat(macro.codes for macro in beside))
            valid.append(beside[0].codes_valid)
        m.d.comb += [
            self.codes.as_value().eq(Array(codes)[read]),
            self.codes_valid.eq(Array(valid)[read]),
        ]
        return m


class Macro(Component):
    """The macro's behaviour, bit for bit that of the golden model: for simulation and FPGA.

    One memory word per row holds the codes of all columns, as a line of the conductance file. `row_set` reads a word;
    it is added to the sums of all columns one clock later. A conversion is
    ``clamp(((min(sum, limit) + noise) * gain + offset) >> conversion_shift, 0, 2**adc_bits - 1)`` with gain and
    offset of its ADC.

    Pins and timing are those of `MacroBox`; with `spec.noise_scale` there are four more, for the read noise, which a
    real macro brings along. Each ADC has the shift register of `sim.lsm_crossbar.spec`: PRBS31, 16 places per
    conversion, four 4-bit numbers summed.

    Reset: word lines off, no conversion under way, generators 0 until `noise_start`; asynchronous. The memory is
    loaded, not reset.

    Parameters
    ----------
    spec : CrossbarSpec
    words : tuple of int
        Codes of each row, column 0 in the lowest bits. Empty: the memory is loaded by whoever uses the Verilog text
        (``$readmemh``), see `hw.common.export.load_memory`.
    gains, offsets : tuple of int
        Of each ADC.

    number : int
        Of several macros, which one: without words its memory holds the image of all, and it reads its own part, so
        that all load one file.

    Members
    -------
    row, row_set, row_clear, sample, select, convert, codes, codes_valid
        As `MacroBox`.
    noise_enable : In(1)
        Only with `spec.noise_scale`, as the following.
    noise_seed : In(31)
    noise_restart : In(1)
        The seed was written: the next sample is number 0.
    noise_start : In(1)
        A sample begins: generators start from seed and number of the sample.

    Raises
    ------
    ValueError
        If there are not as many words, gains and offsets as rows and ADCs.
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: CrossbarSpec,
        words: tuple[int, ...],
        gains: tuple[int, ...],
        offsets: tuple[int, ...],
        number: int = 0,
    ):
        lists = {"words": (words or range(spec.rows), spec.rows), "gains": (gains, spec.adcs)}
        for name, (values, count) in (lists | {"offsets": (offsets, spec.adcs)}).items():
            if len(values) != count:
                raise ValueError(f"{spec.name}: expected {count} {name}, got {len(values)}")
        self._spec, self._words, self._gains, self._offsets = spec, words, gains, offsets
        self._number = number
        pins = macro_pins(spec)
        if spec.noise_scale is not None:
            pins |= {
                "noise_enable": In(1),
                "noise_seed": In(NOISE_STATE_WIDTH),
                "noise_restart": In(1),
                "noise_start": In(1),
            }
        super().__init__(pins)

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        width = spec.columns * spec.conductance_bits
        depth, first = (spec.rows, 0) if self._words else (spec.image_rows, self._number * spec.rows)
        m.submodules.memory = memory = Memory(shape=width, depth=depth, init=self._words)
        port = memory.read_port()
        adding, clearing = Signal(), Signal(name="clearing")
        m.d.comb += [port.addr.eq(self.row + first if first else self.row), port.en.eq(self.row_set)]
        m.d.sync += [adding.eq(self.row_set), clearing.eq(self.row_clear)]

        # the sums have settled at the end of the clock in which `hold` is set
        hold = self.sample
        for number in range(spec.settle_clocks - 1):
            later = Signal(name=f"settling_{number}")
            m.d.sync += later.eq(hold)
            hold = later
        # one wide adder per lane: no carry leaves a column's field, since no column sum exceeds it
        each = 2 * spec.columns_per_adc
        held = []
        for lane in range(spec.lanes):
            sums, after, kept, added = (
                Signal(each * spec.column_sum_width, name=f"{name}_{lane}")
                for name in ("sums", "next", "held", "added")
            )
            codes = (port.data.word_select(each * lane + column, spec.conductance_bits) for column in range(each))
            m.d.comb += [
                added.eq(Cat(Cat(code, Const(0, spec.column_sum_width))[: spec.column_sum_width] for code in codes)),
                after.eq(Mux(clearing, 0, sums) + Mux(adding, added, 0)),
            ]
            m.d.sync += sums.eq(after)
            with m.If(hold):
                m.d.sync += kept.eq(after)
            held.append(kept)

        first: Any = Const(0, NOISE_STATE_WIDTH)
        if spec.noise_scale is not None:
            offset, first = Signal(NOISE_STATE_WIDTH), Signal(NOISE_STATE_WIDTH, name="first")
            m.d.comb += first.eq(self.noise_seed + offset)
            with m.If(self.noise_restart):
                m.d.sync += offset.eq(0)
            with m.Elif(self.noise_start):
                m.d.sync += offset.eq(offset + NOISE_SAMPLE_STEP)
        for adc in range(spec.adcs):
            lane, side = divmod(adc, 2)
            total = Signal(spec.column_sum_width, name=f"total_{adc}")
            pair = held[lane].word_select(self.select, 2 * spec.column_sum_width)
            m.d.comb += total.eq(pair.word_select(side, spec.column_sum_width))
            value = total if spec.column_limit is None else Mux(total > spec.column_limit, spec.column_limit, total)
            if spec.noise_scale is not None:
                value = value + self._noise(m, adc, first)
            converted = Signal(signed(spec.conversion_width), name=f"converted_{adc}")
            m.d.comb += converted.eq(value * self._gains[adc] + self._offsets[adc])
            shifted = converted >> spec.conversion_shift
            full = (1 << spec.adc_bits) - 1
            with m.If(self.convert):
                m.d.sync += self.codes[adc].eq(Mux(converted < 0, 0, Mux(shifted > full, full, shifted)))
        valid = self.convert
        for number in range(spec.convert_clocks - 1):
            later = Signal(name=f"converting_{number}")
            m.d.sync += later.eq(valid)
            valid = later
        m.d.sync += self.codes_valid.eq(valid)
        return m

    def _noise(self, m: Module, adc: int, first: Signal) -> Signal:
        """Noise of this clock's conversion, and the generator behind it."""
        spec = self._spec
        assert spec.noise_scale is not None
        mask = (1 << NOISE_STATE_WIDTH) - 1
        state = Signal(NOISE_STATE_WIDTH, name=f"noise_state_{adc}")
        fresh = Signal(16, name=f"noise_fresh_{adc}")
        m.d.comb += fresh.eq(state[15:31] ^ state[12:28])
        with m.If(self.noise_start):
            m.d.sync += state.eq((first ^ ((adc + 1) * NOISE_ADC_STEP & mask)) | 1)
        with m.Elif(self.convert):
            m.d.sync += state.eq(Cat(fresh, state[:15]))
        unit = Signal(signed(NOISE_UNIT.bit_length() + 1), name=f"noise_unit_{adc}")
        noise = Signal(signed(spec.noise_max.bit_length() + 1), name=f"noise_{adc}")
        nibbles = [fresh.word_select(place, 4) for place in range(4)]
        scaled = (unit * spec.noise_scale + (1 << (NOISE_FRACTION - 1))) >> NOISE_FRACTION
        m.d.comb += [
            unit.eq(nibbles[0] + nibbles[1] + nibbles[2] + nibbles[3] - NOISE_UNIT),
            noise.eq(Mux(self.noise_enable, scaled, 0)),
        ]
        return noise
