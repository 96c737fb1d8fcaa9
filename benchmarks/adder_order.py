"""Orders in which a neuron's adder trees take their bits, in energy: ``python -m benchmarks.adder_order``.

One neuron of the dense layer (128 taps) and one position of the convolution (9 taps, 8 filters) of the chip of least
energy, latches in front: synthesised, placed with repair, simulated with showers and trained weights, every word equal
to the golden model's, glitches by a replay with delays. Orders:

* ``words``: what yosys makes of sums of words (``maccmap``); in all others each full adder is placed by the order of
  its column, and columns go up from the lowest;
* ``tree``: as synthesis with `Recipe.trees` has it (`flows.synthesis.adder_trees`): the three earliest together, the
  latest at the carry input, all that enters a tree at once;
* ``arrival``: the same in the hardware's source, by the arrival times of ``words``;
* ``level``: likewise, all that enters a tree at once and every adder equally slow;
* ``latest``: the three latest together;
* ``source``: first in, first out, in the order of the taps;
* ``digit``: the same, bits sorted by the digit of the weight that they belong to, carries first;
* ``chain``: last in, first out;
* ``random_N``: three at random, seed N.

Writes ``benchmarks/results/adder_order.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value
from amaranth.hdl._ast import Concat
from amaranth.lib.wiring import Component

from benchmarks.measured import RESULTS, Rows, kept
from flows.common.metrics import Metric, write_metrics
from flows.library.catalogue import cell_library
from flows.netlist.delays import arrivals
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.netlist.netlist import Netlist
from flows.netlist.view import NetlistView, prepare
from flows.physical.mapped import Mapped
from flows.physical.measure import measure_placement
from flows.power.activity import Activity, record
from flows.power.summary import summarise
from flows.stimulus.showers import shower_stimulus
from flows.synthesis.recipe import AREA
from flows.synthesis.synthesise import synthesise
from hw.common.dot_product import DotProduct, DotProductFormat, PartialDotProduct
from hw.common.export import to_rtlil
from hw.hgcal_encoder.convolution import Convolution
from hw.hgcal_encoder.dense import Dense
from hw.hgcal_encoder.schedule import CLOCK_HIGH
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.spec import CELLS, ECON_T, EncoderSpec

Ints = npt.NDArray[np.int64]

COMMAND = "python -m benchmarks.adder_order"
RANDOM = 5
ORDERS = (
    "words",
    "tree",
    "arrival",
    "level",
    "latest",
    "source",
    "digit",
    "chain",
    *(f"random_{seed}" for seed in range(1, RANDOM + 1)),
)
STREAMS, CROSSINGS, GLITCH_CLOCKS, PERIOD_NS = 64, 12, 96, 25.0
UTILISATION, ASPECT = 0.7, 1.0


@dataclass(frozen=True, kw_only=True)
class Times:
    """When the bits of a neuron's trees come, in ns after the latches have opened.

    Attributes
    ----------
    row, carry : float
        Rows of partial products, and carries from the columns that are dropped.
    part : tuple of float
        Each bit of the sum of eight taps.
    sum_ns, carry_ns : float
        Delay of a full adder to its sum and to its carry.
    """

    row: float
    carry: float
    part: tuple[float, ...]
    sum_ns: float
    carry_ns: float


EQUAL = Times(row=0.0, carry=0.0, part=(0.0,), sum_ns=1.0, carry_ns=1.0)
"""Everything comes at once, and adders take one unit: the order of ``level``."""


@dataclass(frozen=True, kw_only=True)
class Bit:
    """A bit of a column: when it comes, and the digit of the weight that it is of (-1: a carry)."""

    value: Value
    arrival: float
    digit: int


class Order:
    """Picks the next three bits of a column.

    Parameters
    ----------
    name : str
        One of `ORDERS`.
    times : Times
    """

    def __init__(self, name: str, times: Times) -> None:
        self.name, self.times = name, times
        self._rng = np.random.default_rng(int(name.rpartition("_")[2]) if name.startswith("random") else 0)

    def sorted(self, column: Sequence[Bit]) -> list[Bit]:
        """The bits that a column begins with, as they are taken."""
        return sorted(column, key=lambda bit: bit.digit) if self.name == "digit" else list(column)

    def take(self, column: list[Bit]) -> list[Bit]:
        """Remove three."""
        places = range(len(column))
        if self.name == "chain":
            chosen = list(places[-3:])
        elif self.name.startswith("random"):
            chosen = self._rng.choice(len(column), 3, replace=False).tolist()
        elif self.name in ("arrival", "level", "latest"):
            ordered = sorted(places, key=lambda place: column[place].arrival)
            chosen = ordered[-3:] if self.name == "latest" else ordered[:3]
        else:
            chosen = list(places[:3])
        taken = [column[place] for place in chosen]
        for place in sorted(chosen, reverse=True):
            del column[place]
        return taken

    def total(self, m: Module, terms: Sequence[tuple[Value, Sequence[float], int]], width: int) -> Value:
        """Sum of unsigned terms by full adders and one word addition at the end.

        Parameters
        ----------
        m : Module
        terms : sequence of (value, arrival of each bit or of all, digit)
        width : int
            Bits of the sum, which wraps.
        """
        columns: list[list[Bit]] = [[] for _ in range(width + 1)]
        for value, arrival, digit in terms:
            for place, bit in _bits(m, value):
                if place < width:
                    when = arrival[min(place, len(arrival) - 1)]
                    columns[place].append(Bit(value=bit, arrival=when, digit=digit))
        ends: list[list[Value]] = [[], []]
        for place in range(width):
            column = self.sorted(columns[place])
            while len(column) > 2:
                taken = self.take(column)
                total, carry = Signal(name=f"sum_{place}"), Signal(name=f"carry_out_{place}")
                pins = dict(zip(("i_A", "i_B", "i_C"), (bit.value for bit in taken), strict=True))
                m.submodules += Instance("$fa", p_WIDTH=1, **pins, o_Y=total, o_X=carry)
                at = max(bit.arrival for bit in taken)
                column.append(Bit(value=total, arrival=at + self.times.sum_ns, digit=99))
                columns[place + 1].append(Bit(value=carry, arrival=at + self.times.carry_ns, digit=99))
            for end, number in zip(ends, range(2), strict=True):
                end.append(column[number].value if number < len(column) else Const(0, 1))
        return (Cat(ends[0]) + Cat(ends[1]))[:width]


def _bits(m: Module, value: Value) -> list[tuple[int, Value]]:
    """Bits of a term with their columns, without constant zeros."""
    found: list[tuple[int, Value]] = []
    place = 0
    for part in value.parts if isinstance(value, Concat) else [value]:
        if isinstance(part, Const):
            found += [(place + k, Const(1, 1)) for k in range(len(part)) if part.value >> k & 1]
        else:
            named = Signal(len(part), name="term")
            m.d.comb += named.eq(part)
            found += [(place + k, named[k]) for k in range(len(part))]
        place += len(part)
    return found


def ordered(name: str, times: Times) -> tuple[type[PartialDotProduct], type[DotProduct]]:
    """The generator's components with their trees in an order."""

    def rows(f: DotProductFormat, terms: Sequence[Value]) -> list[tuple[Value, Sequence[float], int]]:
        digits = [row.bit for row in f.rows] + [-1] * (len(terms) - len(f.rows))
        return [
            (term, (times.row if digit >= 0 else times.carry,), digit)
            for term, digit in zip(terms, digits, strict=True)
        ]

    class Part(PartialDotProduct):
        def elaborate(self, _platform: object) -> Module:
            m = Module()
            terms = rows(self._format, self._terms(m))
            m.d.comb += self.sum.eq(Order(name, times).total(m, terms, len(self.sum)))
            return m

    class Whole(DotProduct):
        def elaborate(self, platform: object) -> Module:
            f, m = self._format, Module()
            if self._group:
                terms: list[tuple[Value, Sequence[float], int]] = [
                    (term, times.part, 0) for term in self._parts(m, platform)
                ]
            else:
                terms = rows(f, self._terms(m))
            bias = Cat(Const(0, f.bias_shift), ~self.bias[:-1], self.bias[-1])
            # the bias stands still
            terms += [(bias, (-1.0,), -1), (self.offset, (0.0,), -1)]
            total = Signal(f.sum_width)
            m.d.comb += [total.eq(Order(name, times).total(m, terms, f.sum_width)), self.sum.eq((~total).as_signed())]
            return m

    Part.__name__, Whole.__name__ = "PartialDotProduct", "DotProduct"
    return Part, Whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What is measured: a component, what its ports get in each clock, and what must come out.

    Attributes
    ----------
    name : str
    component : callable
    stages : str
        Start of the names of its neurons.
    still, moving : dict of str to ndarray, shape (streams, values) and (streams, clocks, values)
    widths : dict of str to int
        Bits of a value at each port.
    output : str
    expected : ndarray, shape (streams, clocks, values)
    """

    name: str
    component: Callable[[], Component]
    stages: str
    still: Mapping[str, Ints]
    moving: Mapping[str, Ints]
    widths: Mapping[str, int]
    output: str
    expected: Ints


def blocks() -> tuple[Block, Block]:
    """A neuron of each latent, and a position of the convolution, over the modules of the stimulus."""
    model = TrainedModel.load("econ_t_5elinks")
    stimulus = shower_stimulus(
        ECON_T, streams=STREAMS, crossings=CROSSINGS, select=model.multiplexer, etx_count=model.elinks,
        keep_mask=model.keep_mask,
    )  # fmt: skip
    weights = replace(model.weights, spec=ECON_T)
    traces = [
        Encoder(ECON_T, weights, settings).trace(words)
        for settings, words in zip(stimulus.settings, stimulus.words, strict=True)
    ]
    latent = np.arange(STREAMS) % ECON_T.latents
    dense = Block(
        name="neuron", stages="neuron", output="latents",
        component=lambda: Dense(spec=replace(ECON_T, latents=1), isolated=True),
        still={"weights": weights.dense.T[latent], "bias": weights.dense_bias[latent, None]},
        moving={"activations": np.stack([trace.activations for trace in traces])},
        widths={"weights": 6, "bias": 6, "activations": 8, "latents": ECON_T.latent.width},
        expected=np.stack([trace.latents[:, [k]] for trace, k in zip(traces, latent, strict=True)]),
    )  # fmt: skip
    full = [position for position, taps in enumerate(ECON_T.taps) if len(taps) == ECON_T.kernel_taps]
    position = np.array(full)[np.arange(STREAMS) % len(full)]
    pixels = np.zeros((STREAMS, CROSSINGS, CELLS), np.int64)
    for stream, (trace, at) in enumerate(zip(traces, position, strict=True)):
        pixels[stream, :, : ECON_T.kernel_taps] = trace.pixels[:, [cell for cell, _ in ECON_T.taps[at]]]
    kernel = np.tile(weights.kernel.ravel(), (STREAMS, 1))
    filters = np.arange(ECON_T.filters)
    convolution = Block(
        name="position", stages="neuron", output="activations",
        component=lambda: Convolution(spec=one_position(), isolated=True),
        still={"kernel": kernel, "bias": np.tile(weights.kernel_bias, (STREAMS, 1))},
        moving={"pixels": pixels},
        widths={"kernel": 6, "bias": 6, "pixels": 8, "activations": ECON_T.activation.width},
        expected=np.stack([
            trace.activations[:, at * ECON_T.filters + filters] for trace, at in zip(traces, position, strict=True)
        ]),
    )  # fmt: skip
    return dense, convolution


def one_position() -> EncoderSpec:
    """A convolution of one position that sees nine trigger cells."""
    return replace(
        ECON_T, name="POSITION", grid=(3, 3, 1), cell_map=tuple(range(9)), stride=1, padding=(0, 0, 0, 0), latents=1
    )


def as_bits(values: Ints, width: int) -> npt.NDArray[np.uint64]:
    """Values of shape (streams, n) as the words of a port, two's complement, first value lowest."""
    bits = values[:, :, None] >> np.arange(width) & 1
    return from_lanes(np.ascontiguousarray(bits.reshape(len(values), -1).T))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Energy in pJ of a crossing, and the netlist that it is of."""

    toggles: float
    glitches: float
    leakage: float
    cells: int
    delay_ns: float
    times: Times


def measure(block: Block, order: str, times: Times, folder: Path) -> Measured:
    """Synthesise, place with repair, simulate."""
    if order in ("words", "tree"):
        text = to_rtlil(block.component(), block.name)
    else:
        part, whole = ordered(order, EQUAL if order == "level" else times)
        with patch("hw.common.dot_product.PartialDotProduct", part), patch("hw.hgcal_encoder.neuron.DotProduct", whole):
            text = to_rtlil(block.component(), block.name)
    library = cell_library("nangate45")
    recipe = replace(AREA, trees=order == "tree")
    synthesise(text, top=block.name, library=library, out_dir=folder / "synthesis", recipe=recipe)
    mapped = Mapped(folder=folder)
    measure_placement(mapped, utilisation=UTILISATION, aspect=ASPECT, spread=True, repair=True)
    mapped = mapped.with_placement()
    simulator = GateSimulator(mapped.netlist, mapped.library, words=STREAMS // 64, clock="clk")
    activity = simulated(simulator, block)
    view = prepare(
        mapped.netlist, mapped.library, simulator.level, mapped.wires(), trees=("clk", "rst"),
        port_load_ff=library.load_ff,
    )  # fmt: skip
    usable = [name for name in library.cells if name not in library.dont_use]
    found = summarise(simulator, activity, view, usable=usable, glitch_clocks=GLITCH_CLOCKS)
    per_pj = PERIOD_NS / 1000
    mine = [row for name, row in found.stages.items() if name.startswith(block.stages)]
    latest = arrivals(simulator, view.timing, activity.opens_ns) - activity.opens_ns
    return Measured(
        toggles=sum(row["internal"] + row["switching"] for row in mine) * per_pj,
        glitches=sum(row["glitches"] for row in mine) * per_pj,
        leakage=sum(row["leakage"] for row in mine) * per_pj,
        cells=mapped.netlist.cells, delay_ns=float(latest.max()),
        times=times_of(mapped.netlist, view, latest) if order == "words" else times,
    )  # fmt: skip


def simulated(simulator: GateSimulator, block: Block) -> Activity:
    """Activity of a block; every word that comes out is compared."""
    ports = simulator.netlist.ports
    if "rst" in ports:
        simulator.set_port("rst", np.zeros((1, simulator.words), np.uint64))
    for name, values in block.still.items():
        simulator.set_port(name, as_bits(values, block.widths[name]))

    def drive(sim: GateSimulator, clock: int) -> None:
        for name, values in block.moving.items():
            sim.set_port(name, as_bits(values[:, clock], block.widths[name]))

    def watch(sim: GateSimulator, clock: int) -> None:
        width = block.widths[block.output]
        bits = to_lanes(sim.values[ports[block.output].nets]).astype(np.int64)
        values = (bits.reshape(-1, width, STREAMS) << np.arange(width)[:, None]).sum(1).T
        if not np.array_equal(values, block.expected[:, clock]):
            raise SystemExit(f"{block.name}: words of clock {clock} differ from the golden model's")

    return record(
        simulator, drive, clocks=CROSSINGS - 1, warm_up=1, lanes=STREAMS, period_ns=PERIOD_NS, source="showers",
        snapshots=CROSSINGS - 1, clock_high=CLOCK_HIGH, watch=watch,
    )  # fmt: skip


def times_of(netlist: Netlist, view: NetlistView, latest: npt.NDArray[np.float64]) -> Times:
    """Arrival times of a netlist's trees: means over what enters its full adders."""
    adders = netlist.groups["FA_X1"]
    delays = {
        pin: np.mean([view.timing.delays["FA_X1", i, pin].mean() for i in ("A", "B", "CI")]) for pin in ("S", "CO")
    }
    driven = np.zeros(netlist.nets, np.bool_)
    for pin in ("S", "CO"):
        driven[adders.pin(pin)[adders.pin(pin) >= 0]] = True
    inputs = np.unique(np.concatenate([adders.pin(pin) for pin in ("A", "B", "CI")]))
    inputs = inputs[(inputs > 1) & ~driven[inputs]]
    carry = np.zeros(netlist.nets, np.bool_)
    part: list[list[float]] = []
    for instance in netlist.instances:
        for name, nets in instance.names.items():
            if name.rpartition(".")[2].startswith("carry_") and name.endswith("_n"):
                carry[nets] = True
            if name == "sum" and "partial_dot_product" in instance.module:
                part.append(latest[nets].tolist())
    late, early = inputs[carry[inputs]], inputs[~carry[inputs] & (latest[inputs] > 0)]
    return Times(
        row=float(latest[early].mean()), carry=float(latest[late].mean()) if len(late) else float(latest[early].max()),
        part=tuple(np.mean(part, axis=0).tolist()) if part else (0.0,), sum_ns=float(delays["S"]),
        carry_ns=float(delays["CO"]),
    )  # fmt: skip


def rows_of(block: Block, order: str, found: Measured) -> list[Metric]:
    """Figures of one order."""
    how = f"{block.name.replace('_', ' ')}, {order.replace('_', ' ')}"
    what = f"{how}, {STREAMS} modules x {CROSSINGS - 1} crossings, every word equal to the golden model's"
    rows = Rows(COMMAND)
    case = f"case:{block.name}_{order}"
    rows.add(f"energy__{case}", found.toggles + found.glitches, "pJ", f"toggles and glitches of the neurons; {what}")
    rows.add(f"glitches__{case}", found.glitches, "pJ", f"of it glitches; {how}, replay of {GLITCH_CLOCKS} clocks")
    rows.add(f"leakage__{case}", found.leakage, "pJ", f"leakage of the neurons in 25 ns; {how}")
    rows.add(f"cells__{case}", found.cells, "", f"cells with latches and multiples; {how}")
    rows.add(f"delay__{case}", found.delay_ns, "ns", f"from the opening of the latches to the last output; {how}")
    return list(rows)


def main() -> None:
    """Measure the orders asked for; figures of others stay."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--blocks", nargs="*", choices=("neuron", "position"), default=["neuron", "position"])
    parser.add_argument("--orders", nargs="*", choices=ORDERS, default=list(ORDERS), help="arrival comes after words")
    options = parser.parse_args()
    for block in blocks():
        if block.name not in options.blocks:
            continue
        times = EQUAL
        for order in options.orders:
            with TemporaryDirectory(prefix="liquidcal-order-") as temporary:
                found = measure(block, order, times, Path(temporary))
            if order == "words":
                times = found.times
            keep(rows_of(block, order, found))


def keep(rows: Sequence[Metric]) -> None:
    """Write rows in place of those of the same names, in the order of blocks and orders."""
    path = RESULTS / "adder_order.json"
    names = {row.name for row in rows}
    found = [*kept(path, lambda row: row.name in names), *rows]
    cases = [f"{block}_{order}" for block in ("neuron", "position") for order in ORDERS]
    write_metrics(path, sorted(found, key=lambda row: cases.index(row.name.partition("__case:")[2])))


if __name__ == "__main__":
    main()
