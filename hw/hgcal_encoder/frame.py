"""Stage 9: the output frame. Counter, sum code and the kept latent bits on 1 to 13 eTx links."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from sim.hgcal_encoder.spec import ETX_WORDS, HEADER_WIDTH, EncoderSpec

__all__ = ["Compact", "CompactControl", "Frame", "frame_words"]

_WORD = 32
_ETX_COUNT_WIDTH = 4


def frame_words(spec: EncoderSpec) -> int:
    """Words of a frame that can be non-zero: 5 of 13 for ECON_T."""
    return min(-(-(HEADER_WIDTH + spec.keep_bits) // _WORD), ETX_WORDS)


class CompactControl(Component):
    """Which bits move at each step of `Compact`. Combinational, of static inputs only.

    A kept bit has to move down by the number of dropped bits below it. Bit k of that number is the parity of the bits
    dropped below once the carries of the lower places are taken out (H. S. Warren, "Hacker's Delight", 2nd ed. 2013,
    section 7-4): a running exclusive or per step. It is as long as the mask, which a static path may be.

    Parameters
    ----------
    width : int
        Bits.

    Members
    -------
    keep : In(width)
        Mask of kept bits.
    move : Out(steps x width)
        Bit p of step k: the bit at position p (after the steps before) moves down by ``2**k``.
    """

    latency = 0

    def __init__(self, *, width: int):
        self._width = width
        self._steps = (width - 1).bit_length()
        super().__init__({"keep": In(width), "move": Out(ArrayLayout(width, self._steps))})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        keep: Value = self.keep
        # dropped bits that count at this step, as seen by the bit above
        below: Value = Cat(Const(0, 1), ~self.keep[:-1])
        for step in range(self._steps):
            parity = Signal(self._width, name=f"parity_{step}")
            for bit in range(self._width):
                m.d.comb += parity[bit].eq(below[bit] ^ parity[bit - 1] if bit else below[0])
            move = Signal(self._width, name=f"move_{step}")
            moved = Signal(self._width, name=f"keep_{step + 1}")
            rest = Signal(self._width, name=f"below_{step + 1}")
            m.d.comb += [
                move.eq(parity & keep),
                moved.eq((keep & ~move) | (move >> (1 << step))),
                rest.eq(below & ~parity),
                self.move[step].eq(move),
            ]
            keep, below = moved, rest
        return m


class Compact(Component):
    """Kept bits moved together at the low end, in their order; zeros above. Combinational.

    One AND-OR per bit and step; a dropped bit costs its path no toggle.

    Parameters
    ----------
    width : int
        Bits.

    Members
    -------
    bits : In(width)
    keep : In(width)
        Mask of kept bits.
    move : In(steps x width)
        From `CompactControl` with the same mask.
    compacted : Out(width)
    """

    latency = 0

    def __init__(self, *, width: int):
        self._width = width
        self._steps = (width - 1).bit_length()
        super().__init__(
            {
                "bits": In(width),
                "keep": In(width),
                "move": In(ArrayLayout(width, self._steps)),
                "compacted": Out(width),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        value = Signal(self._width, name="kept")
        m.d.comb += value.eq(self.bits & self.keep)
        for step in range(self._steps):
            moved = Signal(self._width, name=f"moved_{1 << step}")
            move = self.move[step]
            m.d.comb += moved.eq((value & ~move) | ((value & move) >> (1 << step)))
            value = moved
        m.d.comb += self.compacted.eq(value)
        return m


class Frame(Component):
    """Words of a frame: 14 header bits, then the kept latent bits, right-justified in the words of the active links.

    Bits in order of transmission, most significant bit of word 0 first: 5-bit counter, 9-bit sum code, latent bits.
    When more bits are kept than fit, the lowest stay. A frame never grows beyond the words that hold all latents
    (`frame_words`); the words after are constant zero.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    spec : EncoderSpec

    Members
    -------
    counter : In(5)
        Bunch-crossing counter.
    sum_code : In(9)
        5E4M code of the module sum.
    latents : In(spec.latent.width) x latents
    keep_mask : In(keep_bits)
        One bit per latent bit, latent 0 in the lowest. Static.
    etx_count : In(4)
        Active links, 1 to 13. 0, 14 and 15, which name no number of links, act as 13. Static.
    frames : Out(32) x 13
        Words of links that are not active are 0.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec):
        self._spec = spec
        super().__init__(
            {
                "counter": In(5),
                "sum_code": In(9),
                "latents": In(ArrayLayout(spec.latent.width, spec.latents)),
                "keep_mask": In(spec.keep_bits),
                "etx_count": In(_ETX_COUNT_WIDTH),
                "frames": Out(ArrayLayout(_WORD, ETX_WORDS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        control = place(m, platform, "compact_control", CompactControl, width=spec.keep_bits)
        compact = place(m, platform, "compact", Compact, width=spec.keep_bits)
        m.d.comb += [
            control.keep.eq(self.keep_mask),
            compact.bits.eq(self.latents),
            compact.keep.eq(self.keep_mask),
            compact.move.eq(control.move),
        ]
        words = frame_words(spec)
        body = Signal(_WORD * words)
        m.d.comb += body.eq(compact.compacted)
        # exactly one is set: the number of words in use
        active = [Signal(name=f"active_{count}") for count in range(1, words + 1)]
        m.d.comb += [signal.eq(self.etx_count == count) for count, signal in enumerate(active[:-1], 1)]
        m.d.comb += active[-1].eq(~Cat(active[:-1]).any())
        for word in range(words):
            content: Value = Const(0, _WORD)
            for count in range(word + 1, words + 1):
                # the last active word carries the lowest bits
                content = content | (body.word_select(count - 1 - word, _WORD) & active[count - 1].replicate(_WORD))
            if word == 0:
                content = Cat(content[: _WORD - HEADER_WIDTH], self.sum_code, self.counter)
            m.d.comb += self.frames[word].eq(content)
        return m
