"""Sorting network of best choice, and the way back through it."""

from collections.abc import Callable, Iterator, Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.hgcal_encoder.held_register import place_held

__all__ = ["CompareExchange", "MergeExchange", "layers"]


def layers(size: int) -> Iterator[list[tuple[int, int]]]:
    """Pairs that Batcher's merge exchange compares, in layers that touch every place at most once (D. E. Knuth, "The
    Art of Computer Programming" 3, 2nd ed. 1998, section 5.2.2, algorithm M)."""
    step = top = 1 << ((size - 1).bit_length() - 1)
    while step:
        distance, remainder, stride = step, 0, top
        while True:
            yield [(low, low + distance) for low in range(size - distance) if low & step == remainder]
            if stride == step:
                break
            distance, remainder, stride = stride - step, step, stride >> 1
        step >>= 1


class CompareExchange(Component):
    """Two values in falling order; equal ones stay where they are. Combinational.

    Parameters
    ----------
    width : int
        Bits of a value.

    Members
    -------
    first, second : In(width)
    larger, smaller : Out(width)
    exchanged : Out(1)
        The second value is strictly larger.
    """

    latency = 0

    def __init__(self, *, width: int):
        super().__init__(
            {"first": In(width), "second": In(width), "larger": Out(width), "smaller": Out(width), "exchanged": Out(1)}
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.exchanged.eq(self.first < self.second),
            self.larger.eq(Mux(self.exchanged, self.second, self.first)),
            self.smaller.eq(Mux(self.exchanged, self.first, self.second)),
        ]
        return m


class MergeExchange(Component):
    """Sorts values, and says where those at wanted ranks came from.

    Values run forward through the network. Positions do not run with them: a mark at each wanted rank runs backward
    through the same exchanges, one bit instead of a position of six, and arrives at the place where its value started.

    Throughput one set of values per clock, latency 1; no flow control: fixed rate. Reset: zeros, asynchronous.

    Parameters
    ----------
    size : int
        Values, at least 2.
    width : int
        Bits of a value.
    cut : int
        Layers before the pipeline register.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.

    Members
    -------
    values : In(width) x size
    enable : In(1)
        The register takes what the first layers give; else it keeps what it has.
    wanted : In(size)
        Ranks that are marked, the largest value's in bit 0. Static.
    ordered : Out(width) x size
        Values in falling order.
    chosen : Out(size)
        Places of the values at wanted ranks. Between equal values the network decides: it exchanges none.
    """

    latency = 1

    def __init__(
        self, *, size: int, width: int, cut: int, register: Callable[..., Component] = PipelineRegister
    ) -> None:
        self._size, self._width, self._cut, self._register = size, width, cut, register
        super().__init__({
            "values": In(ArrayLayout(width, size)), "enable": In(1), "wanted": In(size),
            "ordered": Out(ArrayLayout(width, size)), "chosen": Out(size),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, width = self._size, self._width
        network = list(layers(size))

        def forward(values: list[Value], part: Sequence[Sequence[tuple[int, int]]], name: str) -> list[Value]:
            """Values after some layers, in place; which pairs were exchanged."""
            exchanged = []
            for number, (low, high) in enumerate(pair for layer in part for pair in layer):
                cell = place(m, platform, f"{name}_{number}", CompareExchange, width=width)
                m.d.comb += [cell.first.eq(values[low]), cell.second.eq(values[high])]
                values[low], values[high] = cell.larger, cell.smaller
                exchanged.append(cell.exchanged)
            return exchanged

        def backward(
            marks: list[Value], part: Sequence[Sequence[tuple[int, int]]], exchanged: Sequence[Value], name: str
        ) -> None:
            """Marks before some layers, in place."""
            pairs = [pair for layer in part for pair in layer]
            for number, (low, high) in reversed(list(enumerate(pairs))):
                back = Signal(2, name=f"{name}_{number}")
                m.d.comb += [
                    back[0].eq(Mux(exchanged[number], marks[high], marks[low])),
                    back[1].eq(Mux(exchanged[number], marks[low], marks[high])),
                ]
                marks[low], marks[high] = back[0], back[1]

        values: list[Value] = [self.values[i] for i in range(size)]
        first, second = network[: self._cut], network[self._cut :]
        before = Cat(forward(values, first, "first"))
        kept = place_held(m, platform, "cut", Cat(*values, before), self.enable, register=self._register)
        values = [kept.word_select(i, width) for i in range(size)]
        after = forward(values, second, "second")
        m.d.comb += [self.ordered[i].eq(value) for i, value in enumerate(values)]
        marks: list[Value] = [self.wanted[i] for i in range(size)]
        backward(marks, second, after, "marks_second")
        backward(marks, first, [kept[size * width + i] for i in range(len(before))], "marks_first")
        m.d.comb += self.chosen.eq(Cat(marks))
        return m
