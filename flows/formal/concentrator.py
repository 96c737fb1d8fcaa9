"""Formal proofs of a concentrator: codes, sorting network, packer, buffer.

Formulas are plain behavioural Verilog from the data sheet (docs/chips/concentrator.md), independent of the generator.
The sorting network is read out of the generated hardware as a list of comparators, and sorts by the 0-1 principle
(D. E. Knuth, "The Art of Computer Programming" 3, 2nd ed. 1998, section 5.3.4, theorem Z): if it sorts all sequences of
zeros and ones, it sorts all sequences. There are too many of 48 to try. But each pass of the network, with a step p,
joins places that are equal modulo p, two sorted halves each; a sorted half of zeros and ones is told by its number of
ones, so all cases of all passes can be tried. What a comparator does is proved over all pairs of values.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from flows.formal.solver import Proof, Status, instance, prove_claims, prove_module, prove_reset
from flows.tools.rtlil import RtlilModule, parse_rtlil
from flows.tools.yosys import run_yosys
from hw.common.export import ports, to_rtlil
from hw.hgcal_encoder.cell_codes import DROPPED_WIDTH, CellCode
from hw.hgcal_encoder.concentrator_core import ConcentratorCore
from hw.hgcal_encoder.float_encode import FloatEncode
from hw.hgcal_encoder.frame import Compact, CompactControl
from hw.hgcal_encoder.merge_exchange import CompareExchange, MergeExchange
from hw.hgcal_encoder.output_buffer import BufferControl
from hw.hgcal_encoder.super_trigger_cell import LargestOf
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec, EqualLargest
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH

__all__ = [
    "comparators_of", "control_width", "proof_count", "prove_concentrator", "prove_quiet", "sorts_by_passes",
]  # fmt: skip

_A = AlgorithmNumber


def prove_code(width: int, exponent: int, mantissa: int, timeout_s: float) -> Proof:
    """Code of every value: leading one, bits below it, all ones beyond the largest code."""
    most = (1 << exponent) - 1
    formula = f"""
  integer i;
  reg [6:0] m;
  always @* begin
    m = 0;
    for (i = 0; i < {width}; i = i + 1) if (value[i]) m = i;
  end
  wire [{width + mantissa}:0] tail = {{value, {mantissa}'d0}} >> m;
  assign code = (value < {1 << mantissa}) ? value
    : (m - {mantissa - 1} > {most}) ? {{{exponent + mantissa}{{1'b1}}}}
    : (((m - {mantissa - 1}) << {mantissa}) | tail[{mantissa - 1}:0]);
"""
    component = FloatEncode(width=width, exponent=exponent, mantissa=mantissa)
    name = f"code_{exponent}E{mantissa}M_{width}"
    return prove_module(
        name, f"{exponent}E{mantissa}M code of {width} bits", ports(component), formula,
        instance(f"{name}_hardware", "dut", value="value", code="code"),
        [to_rtlil(component, f"{name}_hardware")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_cell_code(timeout_s: float) -> Proof:
    """Dropped bits, clamp and code of every charge."""
    formula = """
  wire [2:0] by = (drop > 4) ? 3'd0 : drop;
  wire [21:0] left = charge >> by;
  assign dropped = (left > 22'd262143) ? 18'd262143 : left[17:0];
  integer i;
  reg [4:0] m;
  always @* begin
    m = 0;
    for (i = 0; i < 18; i = i + 1) if (dropped[i]) m = i;
  end
  wire [20:0] tail = {dropped, 3'd0} >> m;
  assign code = (dropped < 8) ? dropped[6:0] : {m[3:0] - 4'd2, tail[2:0]};
"""
    component = CellCode()
    pins = {name: name for name, _, _ in ports(component)}
    return prove_module(
        "cell_code", "charge without dropped bits, clamped at 18 bits, and its 4E3M code", ports(component), formula,
        instance("cell_code_hardware", "dut", **pins), [to_rtlil(component, "cell_code_hardware")],
        timeout_s=timeout_s,
    )  # fmt: skip


def prove_largest(timeout_s: float, equal: EqualLargest = EqualLargest.HIGHEST) -> Proof:
    """The largest of four; of equal ones the highest or the lowest."""
    lowest = equal is EqualLargest.LOWEST
    width = CHARGE_WIDTH
    values = [f"values[{width * i} +: {width}]" for i in range(4)]

    def above(i: int) -> str:
        """Not below any other; above those that come before it among equal ones."""
        before = [j < i if lowest else j > i for j in range(4)]
        return " && ".join(f"{values[i]} {'>' if before[j] else '>='} {values[j]}" for j in range(4) if j != i)

    rows = "".join(f"  wire is_{i} = {above(i)};\n" for i in range(4))
    formula = rows + f"""
  assign position = is_3 ? 2'd3 : is_2 ? 2'd2 : is_1 ? 2'd1 : 2'd0;
  assign largest = values[{width} * position +: {width}];
"""  # fmt: skip
    component = LargestOf(equal=equal)
    return prove_module(
        "largest_of_four", f"largest of four charges, the {equal} place of equal ones", ports(component), formula,
        instance("largest_hardware", "dut", **{name: name for name, _, _ in ports(component)}),
        [to_rtlil(component, "largest_hardware")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_comparator(timeout_s: float) -> Proof:
    """A comparator of the sorting network, every pair of charges."""
    component = CompareExchange(width=DROPPED_WIDTH)
    formula = """
  assign exchanged = second > first;
  assign larger = exchanged ? second : first;
  assign smaller = exchanged ? first : second;
"""
    return prove_module(
        "comparator", "two charges in falling order, exchanged only if the second is strictly larger",
        ports(component), formula,
        instance("comparator_hardware", "dut", **{name: name for name, _, _ in ports(component)}),
        [to_rtlil(component, "comparator_hardware")], timeout_s=timeout_s,
    )  # fmt: skip


def comparators_of(module: RtlilModule, size: int, width: int) -> list[tuple[int, int]]:
    """Comparators of a sorting network in RTLIL, as places that they compare, in an order of the data flow.

    Every instance with the pins of a comparator is followed from the inputs on, through pipeline registers.

    Raises
    ------
    ValueError
        If the module is not a network of comparators: a value is used twice, or an output is not the value of a place.
    """
    place_of = {f"\\values [{width * place}]": place for place in range(size)}
    through: dict[str, str] = {}
    for target, value in module.connections:
        through |= dict(zip(module.bits(target), module.bits(value), strict=True))
    for cell in module.cells:
        pins = cell.connections
        if cell.type == "$mux":  # a register that keeps its word while it is not enabled
            through |= dict(zip(module.bits(pins["Y"]), module.bits(pins["B"]), strict=True))
        elif set(pins) >= {"i", "o"}:
            through |= dict(zip(module.bits(pins["o"]), module.bits(pins["i"]), strict=True))

    def source(text: str) -> str:
        bit = module.bits(text)[0]
        while bit in through:
            bit = through[bit]
        return bit

    left = [cell.connections for cell in module.cells if "exchanged" in cell.connections]
    found = []
    while left:
        ready = [pins for pins in left if {source(pins["first"]), source(pins["second"])} <= set(place_of)]
        if not ready:
            raise ValueError("a comparator waits for a value that never comes, or that another one took")
        for pins in ready:
            low, high = place_of.pop(source(pins["first"])), place_of.pop(source(pins["second"]))
            place_of |= {source(pins["larger"]): low, source(pins["smaller"]): high}
            found.append((low, high))
        left = [pins for pins in left if pins not in ready]
    ends = [place_of.get(source(f"\\ordered [{width * place}]")) for place in range(size)]
    if ends != list(range(size)):
        raise ValueError(f"the outputs are not the places in order: {ends}")
    return found


def sorts_by_passes(comparators: Sequence[tuple[int, int]], size: int) -> str:
    """Whether comparators sort every sequence of zeros and ones, larger first; why not, empty if they do.

    Passes with steps p = 2**k, ..., 2, 1: those of a pass compare places that are equal modulo p. Before it, the places
    that are equal modulo 2 p are in order, after it those that are equal modulo p: tried for all numbers of ones.
    """
    step = 1 << ((size - 1).bit_length() - 1)
    rest = list(comparators)
    while step:
        own = []
        while rest and (rest[0][1] - rest[0][0]) % step == 0:
            own.append(rest.pop(0))
        for residue in range(step):
            places = range(residue, size, step)
            halves = [range(residue + half * step, size, 2 * step) for half in range(2)]
            part = [pair for pair in own if pair[0] % step == residue]
            for ones in range(len(halves[0]) + 1):
                for others in range(len(halves[1]) + 1):
                    values = dict.fromkeys(places, 0)
                    values |= dict.fromkeys(halves[0][:ones], 1) | dict.fromkeys(halves[1][:others], 1)
                    for low, high in part:
                        values[low], values[high] = max(values[low], values[high]), min(values[low], values[high])
                    row = [values[place] for place in places]
                    if row != sorted(row, reverse=True):
                        return f"step {step}, places {residue} modulo {step}: {ones} and {others} ones end as {row}"
        step >>= 1
    return f"{len(rest)} comparators are left over" if rest else ""


def prove_sorter() -> Proof:
    """The network in the generated hardware sorts."""
    start = time.monotonic()
    name = "sorter"
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(to_rtlil(MergeExchange(size=CELLS, width=DROPPED_WIDTH, cut=11), name))
        run_yosys("read_rtlil design.il\nproc\nopt_clean\nwrite_rtlil cells.il\n", directory=work)
        module = parse_rtlil((work / "cells.il").read_text())[name]
    found = comparators_of(module, CELLS, DROPPED_WIDTH)
    why = sorts_by_passes(_by_passes(found, CELLS), CELLS)
    return Proof(
        name="sorter", statement=f"{len(found)} comparators sort {CELLS} values, by the 0-1 principle pass by pass",
        status=Status.REFUTED if why else Status.PROVED, input_bits=CELLS, wall_s=time.monotonic() - start,
        counterexample={why: 0} if why else {},
    )  # fmt: skip


def _by_passes(found: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """The same network pass by pass: the step of a comparator's pass is the lowest one in its distance.

    Raises
    ------
    ValueError
        If two comparators at one place would change their order: then it is another network.
    """

    def step(pair: tuple[int, int]) -> int:
        distance = pair[1] - pair[0]
        return distance & -distance

    ordered = sorted(found, key=step, reverse=True)
    for place in range(size):
        if [pair for pair in found if place in pair] != [pair for pair in ordered if place in pair]:
            raise ValueError(f"place {place}: comparators of a smaller step come before those of a larger one")
    return ordered


def prove_packer(timeout_s: float, width: int = 16) -> Proof:
    """Marked bits move together in their order, and zeros follow: none lost, none invented.

    The packer of 48 cells is 13 times this hardware at another width.
    """
    formula = f"""
  reg [{width - 1}:0] kept;
  reg [7:0] count;
  integer i;
  always @* begin
    kept = 0;
    count = 0;
    for (i = 0; i < {width}; i = i + 1) if (keep[i]) begin
      kept = kept | ({{ {width - 1}'d0, bits[i] }} << count);
      count = count + 1;
    end
  end
  assign compacted = kept;
"""
    steps = (width - 1).bit_length()
    gate = f"  wire [{width * steps - 1}:0] move;\n"
    gate += instance("control_hardware", "control", keep="keep", move="move")
    gate += instance("compact_hardware", "dut", bits="bits", keep="keep", move="move", compacted="compacted")
    return prove_module(
        "packer", f"marked bits of {width} move together in order, zeros behind them",
        [("bits", "input", width), ("keep", "input", width), ("compacted", "output", width)], formula, gate,
        [to_rtlil(CompactControl(width=width), "control_hardware"), to_rtlil(Compact(width=width), "compact_hardware")],
        timeout_s=timeout_s,
    )  # fmt: skip


def _place_width(rows: int) -> int:
    return max((rows - 1).bit_length(), 1) + 5


def control_width(rows: int) -> int:
    """Bits of the state of the buffer's control: words that wait, two places, words that leave."""
    return 10 + 2 * _place_width(rows) + 5


def prove_quiet(spec: ConcentratorSpec, timeout_s: float) -> Proof:
    """While `run` is 0 the control of the buffer does the same whatever the packet is, and lets nothing in."""
    inputs = {"state": control_width(spec.buffer_rows), "length": 5, "other": 5, "links": 4, "t1": 9, "t2": 9, "t3": 5}
    gate = ""
    for side, length in (("a", "length"), ("b", "other")):
        pins = {name: name for name in inputs if name not in ("length", "other")}
        outputs = ("next_state", "no_room", "early", "overflow", "accepted", "leaving")
        pins |= {"length": length, "run": "1'd0"} | {name: f"{name}_{side}" for name in outputs}
        gate += f"  wire [{inputs['state'] - 1}:0] next_state_{side}; wire no_room_{side}, early_{side};\n"
        gate += f"  wire overflow_{side}; wire [4:0] accepted_{side}, leaving_{side};\n"
        gate += instance("control_hardware", f"dut_{side}", **pins)
    gate += """
  assign same = next_state_a == next_state_b && leaving_a == leaving_b;
  assign quiet = accepted_a == 0 && accepted_b == 0 && !overflow_a && !overflow_b;
"""
    return prove_claims(
        "quiet", "while run is 0 nothing is let in and no packet changes what the buffer does", inputs,
        ["same", "quiet"], gate, [to_rtlil(BufferControl(rows=spec.buffer_rows), "control_hardware")],
        timeout_s=timeout_s,
    )  # fmt: skip


def prove_buffer(spec: ConcentratorSpec, timeout_s: float) -> Proof:
    """Control of the buffer: every word that is let in leaves once, and the depth is never exceeded.

    The state is any that the statements themselves allow: places below the depth, and the words waiting between them
    and what leaves. One step from it shows that they hold for ever (induction); after reset all is 0.
    """
    rows = spec.buffer_rows
    control = BufferControl(rows=rows)
    place, depth = _place_width(rows), 32 * rows
    state_width = control_width(rows)
    inputs = {"state": state_width, "length": 5, "run": 1, "links": 4, "t1": 9, "t2": 9, "t3": 5}
    pins = {name: name for name in inputs} | {
        name: name for name in ("next_state", "no_room", "early", "overflow", "accepted", "leaving")
    }
    gate = f"""
  wire [{state_width - 1}:0] next_state; wire no_room, early, overflow; wire [4:0] accepted, leaving;
{instance("control_hardware", "dut", **pins)}
  wire [15:0] waiting = state[9:0], waiting_next = next_state[9:0];
  wire [15:0] written = state[10 +: {place}], written_next = next_state[10 +: {place}];
  wire [15:0] read = state[{10 + place} +: {place}], read_next = next_state[{10 + place} +: {place}];
  wire [15:0] leaves = state[{10 + 2 * place} +: 5], leaves_next = next_state[{10 + 2 * place} +: 5];
  wire [15:0] between = written - read + (written >= read ? 0 : {depth});
  wire [15:0] between_next = written_next - read_next + (written_next >= read_next ? 0 : {depth});
  wire legal = written < {depth} && read < {depth} && waiting < {depth} && leaves <= 26
    && (waiting + leaves == between || (between == 0 && waiting + leaves == {depth}))
    && length <= 26 && links <= 13;
  wire [15:0] on = (written + accepted >= {depth}) ? written + accepted - {depth} : written + accepted;
  wire [15:0] room = 2 * links;
  assign conserved = !legal || (waiting + accepted == waiting_next + leaves_next && written_next == on);
  assign bounded = !legal || (waiting + accepted <= {depth} && waiting_next < {depth} && written_next < {depth}
    && read_next < {depth} && leaves_next <= 26
    && (waiting_next + leaves_next == between_next || (between_next == 0 && waiting_next + leaves_next == {depth})));
  assign ruled = !legal || !run || links == 0
    || accepted == ((waiting + length > t1 || waiting + length > {depth}) ? 1
                    : (waiting > t2 && length <= t3) ? 1 : length);
  assign sends = !legal || leaves_next == ((waiting + accepted > room) ? room : waiting + accepted);
  assign twelve = !legal || t1 != 24 * links || links == 0 || waiting > t1 || (!overflow && waiting + accepted <= t1 + 1
    && waiting_next <= t1);
"""  # fmt: skip
    return prove_claims(
        "buffer", f"words are conserved, at most {depth} wait, the rules hold; with T1 = 24 n the depth never decides",
        inputs, ["conserved", "bounded", "ruled", "sends", "twelve"], gate,
        [to_rtlil(control, "control_hardware")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_concentrator(
    spec: ConcentratorSpec, *, timeout_s: float = 120.0, advance: Callable[[int], None] | None = None
) -> Iterator[Proof]:
    """All proofs for a spec, in the order of the data path."""
    for step in _steps(spec, timeout_s):
        yield step()
        if advance is not None:
            advance(1)


def proof_count(spec: ConcentratorSpec) -> int:
    """How many proofs `prove_concentrator` runs for a spec."""
    return len(_steps(spec, 0.0))


def _steps(spec: ConcentratorSpec, timeout_s: float) -> list[Callable[[], Proof]]:
    steps: list[Callable[[], Proof]] = []
    if spec.has(_A.THRESHOLD_SUM, _A.BEST_CHOICE, _A.REPEATER):
        steps.append(partial(prove_cell_code, timeout_s))
    if spec.has(_A.THRESHOLD_SUM, _A.BEST_CHOICE):
        steps += [partial(prove_code, 28, 5, 3, timeout_s), partial(prove_code, 24, 5, 3, timeout_s),
                  partial(prove_packer, timeout_s)]  # fmt: skip
    if spec.has(_A.SUPER_TRIGGER_CELL):
        steps += [partial(prove_code, 24, 5, 4, timeout_s), partial(prove_code, 26, 5, 4, timeout_s),
                  partial(prove_code, 24, 4, 3, timeout_s),
                  partial(prove_largest, timeout_s, spec.equal_largest)]  # fmt: skip
    if spec.has(_A.BEST_CHOICE):
        steps += [partial(prove_comparator, timeout_s), prove_sorter]
    steps += [partial(prove_buffer, spec, timeout_s), partial(prove_quiet, spec, timeout_s)]

    def reset() -> Proof:
        return prove_reset(to_rtlil(ConcentratorCore(spec=spec), spec.name))

    return [*steps, reset]
