"""Formal proofs: stages of the generated hardware equal their formulas for every input.

Each formula is written here as plain behavioural Verilog from the data sheet (docs/hgcal_encoder.md; the equations are
those of the ECON-T emulator), independent of the generator. yosys builds a miter of formula and hardware and its SAT
solver (MiniSat) shows that no input makes them differ, or finds one that does.

Where a multiplication meets a shift, one miter is beyond the solver; the proof is then split into cases of some inputs,
which together cover all of their values.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Cat, Const, Module, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from flows.rtlil import Cell, RtlilModule, constant, parse_rtlil
from flows.simulation import NativeModel, build_native
from flows.yosys import YosysError, run_yosys
from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.spec import EncoderSpec, WordOrder

if TYPE_CHECKING:
    from hw.hgcal_encoder.dot_product import DotProductFormat

__all__ = [
    "FlatNetlist", "Proof", "Status", "dot_products", "proof_count", "prove_dot_product", "prove_encoder",
    "prove_equal", "prove_rectify", "prove_reset",
]  # fmt: skip


class Status(StrEnum):
    """Outcome of a proof."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    """The solver ran into its time limit."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A statement and what became of it.

    Attributes
    ----------
    name : str
        Short name of the proof.
    statement : str
        What is shown, for every input.
    status : Status
    input_bits : int
        Bits over which the statement quantifies.
    wall_s : float
        Time in seconds.
    counterexample : dict of str to int
        Inputs that make formula and hardware differ, if refuted.
    """

    name: str
    statement: str
    status: Status
    input_bits: int
    wall_s: float
    counterexample: dict[str, int]


def prove_equal(
    name: str,
    statement: str,
    gold: str,
    gate: str,
    rtlil: Sequence[str] = (),
    *,
    cases: Sequence[Mapping[str, int]] = ({},),
    timeout_s: float = 120.0,
) -> Proof:
    """Prove that two combinational modules are equal.

    Parameters
    ----------
    name, statement : str
        For the result.
    gold : str
        Verilog with a module `gold`: the formula.
    gate : str
        Verilog with a module `gate` that has the same ports and instantiates the hardware.
    rtlil : sequence of str
        RTLIL texts of the hardware.
    cases : sequence of mappings
        Values of inputs by name; the statement is proved case by case, and the caller sees to it that they cover all.
    timeout_s : float
        Limit of the solver in seconds.

    Raises
    ------
    YosysError
        If the proof cannot be set up (ports that differ, Verilog that is not understood).
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        lines = []
        for number, text in enumerate(rtlil):
            (work / f"part{number}.il").write_text(text.replace("attribute \\top 1\n", ""))
            lines.append(f"read_rtlil -overwrite part{number}.il")
        (work / "gold.v").write_text(gold)
        (work / "gate.v").write_text(gate)
        lines += [
            "read_verilog -sv gold.v gate.v", "hierarchy -check", "proc", "flatten gold gate", "opt_clean",
            "miter -equiv -flatten -make_outputs -make_assert gold gate miter", "hierarchy -top miter",
            "opt_expr", "opt_merge", "opt_clean",
        ]  # fmt: skip
        for case in cases:
            given = " ".join(f"-set in_{port} {value}" for port, value in case.items())
            lines.append(f"sat -verify -prove-asserts -show-inputs -timeout {max(1, int(timeout_s))} {given} miter")
        status = Status.PROVED
        counterexample: dict[str, int] = {}
        start = time.monotonic()
        try:
            run = run_yosys("\n".join(lines) + "\n", directory=work, name=name, timeout_s=timeout_s + 60)
            log = run.log
            if log.count("SAT proof finished - no model found: SUCCESS!") != len(cases):
                raise YosysError(f"proof {name!r} ended without a verdict", log)
        except YosysError as error:
            log = error.log
            if "model found: FAIL" in log:
                status, counterexample = Status.REFUTED, _model(log)
            elif (
                "Interrupted SAT solver: TIMEOUT" in log or "ran into its limit" in str(error) or "limit" in str(error)
            ):
                status = Status.UNDECIDED
            else:
                raise
    wall_s = time.monotonic() - start
    bits = sum(int(high or 0) + 1 for high in re.findall(r"\binput\s+(?:\[(\d+):0\]\s+)?\w+", gold))
    return Proof(
        name=name, statement=statement, status=status, input_bits=bits, wall_s=wall_s, counterexample=counterexample
    )


def _model(log: str) -> dict[str, int]:
    """Inputs of the counterexample that yosys prints."""
    return {
        name: int(binary, 2)
        for name, binary in re.findall(r"^\s+\\in_(\w+)\s+\S+\s+\S+\s+([01]+)\s*$", log, re.MULTILINE)
    }


_DECODE = """
  wire [3:0] e = code[6:3];
  wire [4:0] drop = high_density ? 5'd3 : 5'd1;
  wire [31:0] value = (e == 0) ? {29'd0, code[2:0]} : ({28'd0, 1'b1, code[2:0]} << (e - 4'd1));
  wire [4:0] place = drop + (e > 0 ? e - 4'd1 : 4'd0) - 5'd1;
  wire [31:0] decoded = (value << drop) + (32'd1 << place);
"""
"""The decoded charge by the text of the emulator: value, shifted by the dropped bits, plus half of the last bit."""


def _header(module: str, ports: Sequence[tuple[str, str, int]]) -> str:
    inner = ", ".join(f"{direction} [{width - 1}:0] {name}" for name, direction, width in ports)
    return f"module {module}({inner});\n"


def _gate(component: Component, name: str) -> tuple[str, str, list[tuple[str, str, int]]]:
    """Module `gate` around one component: Verilog, RTLIL, ports."""
    from hw.common.export import ports, to_rtlil

    found = [port for port in ports(component) if port[2]]
    body = f"  {name} dut({', '.join(f'.{port}({port})' for port, _, _ in found)});\nendmodule\n"
    return _header("gate", found) + body, to_rtlil(component, name), found


def _simple(
    name: str, statement: str, component: Component, formula: str, timeout_s: float,
    legal: str = "1'b1",
) -> Proof:  # fmt: skip
    """Prove a component equal to a formula over its own ports; where `legal` is false, outputs may be anything."""
    gate, rtlil, ports = _gate(component, f"{name}_hardware")
    gold = _header("gold", ports) + formula + "endmodule\n"
    if legal != "1'b1":
        # both sides show 0 for inputs that the specification excludes
        outputs = [(port, width) for port, direction, width in ports if direction == "output"]
        for port, width in outputs:
            for side in (0, 1):
                text = (gold, gate)[side]
                text = text.replace(f"assign {port} =", f"assign {port}_all =") if side == 0 else text.replace(
                    f".{port}({port})", f".{port}({port}_all)"
                )  # fmt: skip
                start = text.index(";") + 1
                wires = f"\n  wire [{width - 1}:0] {port}_all;\n  assign {port} = ({legal}) ? {port}_all : 0;"
                text = text[:start] + wires + text[start:]
                gold, gate = (text, gate) if side == 0 else (gold, text)
    return prove_equal(name, statement, gold, gate, [rtlil], timeout_s=timeout_s)


def prove_words(spec: EncoderSpec, timeout_s: float) -> Proof:
    """Codes are the stated bits of the words; an orbit starts with header 9."""
    from hw.hgcal_encoder.words import Words

    lines = ["  assign orbit_start = words[31:28] == 4'h9;\n"]
    for cell in range(48):
        inner = cell % 4 if spec.word_order is WordOrder.P1 else 3 - cell % 4
        low = 32 * (cell // 4) + 7 * inner
        lines.append(f"  assign codes[{7 * cell + 6}:{7 * cell}] = words[{low + 6}:{low}];\n")
    return _simple("words", f"codes of the words, order {spec.word_order}", Words(spec=spec), "".join(lines), timeout_s)


def prove_multiplex(timeout_s: float) -> Proof:
    """One output of the multiplexer, every selection."""
    from hw.hgcal_encoder.multiplex import MultiplexCell

    component = MultiplexCell()
    output = next(name for name, member in component.signature.members.items() if member.flow.name == "Out")
    formula = f"  wire [447:0] wide = {{112'd0, codes}};\n  assign {output} = wide[7 * select +: 7];\n"
    return _simple("multiplex_cell", "output is input `select`, 0 from 48 up", component, formula, timeout_s)


def prove_decode(timeout_s: float) -> Proof:
    """Mantissa and shift stand for the decoded charge."""
    from hw.common.export import to_rtlil
    from hw.hgcal_encoder.decode import DecodeCell

    ports = [("code", "input", 7), ("high_density", "input", 1), ("charge", "output", 21)]
    gold = _header("gold", ports) + _DECODE + "  assign charge = decoded;\nendmodule\n"
    gate = (
        _header("gate", ports)
        + """
  wire [3:0] mantissa; wire [4:0] shift;
  decode_hardware d(.code(code), .high_density(high_density), .mantissa(mantissa), .shift(shift));
  assign charge = {16'd0, mantissa, 1'b1} << (5'd16 - shift);
endmodule
"""
    )
    rtlil = to_rtlil(DecodeCell(), "decode_hardware")
    return prove_equal("decode_cell", "4E3M code to charge", gold, gate, [rtlil], timeout_s=timeout_s)


def prove_calibrate(timeout_s: float) -> Proof:
    """Code to calibrated charge, decode and calibration cells joined; one case for each exponent and density."""
    from hw.common.export import to_rtlil
    from hw.hgcal_encoder.calibrate import CalibrateCell
    from hw.hgcal_encoder.decode import DecodeCell

    ports = [("code", "input", 7), ("high_density", "input", 1), ("factor", "input", 12), ("charge", "output", 22)]
    gold = _header("gold", ports) + _DECODE
    gold += "  wire [47:0] product = decoded * factor;\n  assign charge = product[32:11];\nendmodule\n"
    gate = (
        _header("gate", ports)
        + """
  wire [3:0] mantissa; wire [4:0] shift;
  decode_hardware d(.code(code), .high_density(high_density), .mantissa(mantissa), .shift(shift));
  calibrate_hardware c(.mantissa(mantissa), .shift(shift), .factor(factor), .charge(charge));
endmodule
"""
    )
    return prove_equal(
        "calibrate_cell", "4E3M code to (charge * factor) >> 11", gold, gate,
        [to_rtlil(DecodeCell(), "decode_hardware"), to_rtlil(CalibrateCell(), "calibrate_hardware")],
        cases=[{"code[6:3]": e, "high_density": density} for e in range(16) for density in range(2)],
        timeout_s=timeout_s,
    )  # fmt: skip


_LEADING_ONE = """
  reg [4:0] m;
  integer i;
  always @* begin
    m = 0;
    for (i = 0; i < 28; i = i + 1) if (module_sum[i]) m = i;
  end
"""


def prove_sum_code(timeout_s: float) -> Proof:
    """5E4M code and shift of every module sum."""
    from hw.hgcal_encoder.normalise import SumCode

    formula = (
        _LEADING_ONE
        + """
  wire [4:0] exponent = m - 5'd3;
  wire [27:0] tail = module_sum >> (m - 5'd4);
  assign sum_code = (m <= 3) ? {5'd0, module_sum[3:0]} : {exponent, tail[3:0]};
  assign shift = (m > 21) ? 5'd21 : m;
"""
    )
    return _simple("sum_code", "5E4M code and shift of the module sum", SumCode(), formula, timeout_s)


def prove_normalise(fraction: int, timeout_s: float) -> Proof:
    """Charge to pixel, for every charge that is not above its module sum."""
    from hw.hgcal_encoder.normalise import NormaliseCell

    formula = f"""
  wire [63:0] wide = charge;
  assign pixel = (shift >= {fraction}) ? (wide >> (shift - {fraction})) : (wide << ({fraction} - shift));
"""
    legal = "shift <= 21 && ({42'd0, charge} >> 1) < (64'd1 << shift)"
    return _simple(
        "normalise_cell", f"charge divided by 2**shift, {fraction} fraction bits, truncated",
        NormaliseCell(fraction=fraction), formula, timeout_s, legal,
    )  # fmt: skip


def prove_frame(spec: EncoderSpec, timeout_s: float) -> Proof:
    """The whole frame, every mask, latents and number of links."""
    from hw.hgcal_encoder.frame import Frame

    keep, full = spec.keep_bits, -(-(14 + spec.keep_bits) // 32)
    formula = f"""
  reg [{keep - 1}:0] kept;
  reg [15:0] count;
  integer i;
  always @* begin
    kept = 0;
    count = 0;
    for (i = 0; i < {keep}; i = i + 1) if (keep_mask[i]) begin
      kept = kept | ({{ {keep - 1}'d0, latents[i] }} << count);
      count = count + 1;
    end
  end
  wire [3:0] links = (etx_count == 0 || etx_count > {full}) ? {full} : etx_count;
  wire [{32 * full - 1}:0] room = (kept << 0) & ~({{{32 * full}{{1'b1}}}} << (32 * links - 14));
  wire [{32 * full - 1}:0] sent = ({{counter, sum_code, {32 * full - 14}'d0}}) | (room << (32 * ({full} - links)));
  genvar w;
  generate for (w = 0; w < 13; w = w + 1) begin : word
    if (w < {full}) assign frames[32 * w +: 32] = sent[32 * ({full} - 1 - w) +: 32];
    else assign frames[32 * w +: 32] = 32'd0;
  end endgenerate
"""
    statement = f"frame of {keep} latent bits, every keep mask and number of links"
    return _simple("frame", statement, Frame(spec=spec), formula, timeout_s)


class WholeDotProduct(Component):  # type: ignore[misc]
    """A dot product with everything that neurons share, from activations, weights and bias to the sum."""

    def __init__(self, *, dot_format: DotProductFormat) -> None:
        self._format = dot_format
        super().__init__({
            "x": In(ArrayLayout(dot_format.activation_width, dot_format.taps)),
            "weight": In(ArrayLayout(dot_format.weight_width, dot_format.taps)),
            "bias": In(dot_format.bias_width),
            "sum": Out(signed(dot_format.sum_width)),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        from hw.hgcal_encoder.dot_product import ActivationMultiples, ActivationOffset, DotProduct, WeightRecoder

        f = self._format
        m = Module()
        m.submodules.multiples = multiples = ActivationMultiples(count=f.taps, width=f.activation_width, pairs=f.pairs)
        m.submodules.offset = offset = ActivationOffset(dot_format=f)
        m.submodules.recoder = recoder = WeightRecoder(dot_format=f)
        m.submodules.dot = dot = DotProduct(dot_format=f)
        for i in range(f.taps):
            m.d.comb += [part.x[i].eq(self.x[i]) for part in (multiples, offset, dot)]
            m.d.comb += [dot.triple[i].eq(multiples.triple[i]), recoder.weight[i].eq(self.weight[i])]
        for i in range(f.pairs):
            m.d.comb += [part.pair[i].eq(multiples.pair[i]) for part in (offset, dot)]
        m.d.comb += [port.eq(select) for port, select in zip(dot.select, recoder.select, strict=True)]
        if f.accumulated:
            # the first of several partial sums: it starts from the bias, inverted
            aligned = Cat(Const(0, f.bias_shift), self.bias)
            m.d.comb += dot.partial.eq(~Cat(aligned, self.bias[-1].replicate(f.sum_width - len(aligned))))
        else:
            m.d.comb += dot.bias.eq(self.bias)
        m.d.comb += [dot.offset.eq(offset.offset), self.sum.eq(dot.sum)]
        return m


class FlatNetlist:
    """A flat combinational module, seen bit by bit."""

    _BITWISE = frozenset({"$and", "$or", "$xor", "$xnor", "$not", "$pos"})

    def __init__(self, module: RtlilModule) -> None:
        self.module = module
        self._alias: dict[str, str] = {}
        self._driver: dict[str, tuple[Cell, int]] = {}
        self._cones: dict[str, frozenset[str]] = {}
        for left, right in module.connections:
            self._alias |= dict(zip(module.bits(left), module.bits(right), strict=True))
        for cell in module.cells:
            for index, bit in enumerate(module.bits(cell.connections["Y"])):
                self._driver[bit] = (cell, index)

    def bits(self, spec: str) -> list[str]:
        """Bits of a sigspec, each traced back to the cell output, input or constant that it is."""
        found = []
        for bit in self.module.bits(spec):
            while bit in self._alias:
                bit = self._alias[bit]
            found.append(bit)
        return found

    def driver(self, bit: str) -> tuple[Cell, int] | None:
        """Cell that drives a bit, and the place of the bit in its output; None for inputs and constants."""
        return self._driver.get(bit)

    def cone(self, bit: str) -> frozenset[str]:
        """Input bits that a bit can depend on."""
        stack = [bit]
        while stack:
            top = stack[-1]
            if top in self._cones:
                stack.pop()
                continue
            sources = self._sources(top)
            if missing := [source for source in sources if source not in self._cones]:
                stack += missing
                continue
            leaf = frozenset() if constant(top) else frozenset({top})
            driven = self.driver(top) is not None
            self._cones[top] = frozenset().union(*(self._cones[s] for s in sources)) if driven else leaf
        return self._cones[bit]

    def _sources(self, bit: str) -> list[str]:
        driven = self.driver(bit)
        if driven is None:
            return []
        cell, index = driven
        pins = {pin: self.bits(spec) for pin, spec in cell.connections.items() if pin != "Y"}
        if cell.type in self._BITWISE or cell.type == "$mux":
            # beyond its width an operand repeats its sign or is 0
            return [bits[0 if pin == "S" else min(index, len(bits) - 1)] for pin, bits in pins.items()]
        if cell.type in ("$add", "$sub", "$neg"):
            return [source for bits in pins.values() for source in {*bits[: index + 1], bits[-1]}]
        return [source for bits in pins.values() for source in bits]

    def addends(self, word: list[str]) -> list[str]:
        """Bits whose sum, each at its own weight and with some constant, is the word modulo ``2**len(word)``.

        Additions are taken apart where that is exact: unsigned, and either with room for the carry or cut at the end
        of the word. Whatever is no such addition stays as it is, bit by bit.
        """
        size = len(word)
        words = [word]
        found = []
        while words:
            bits = words.pop()
            start = next((i for i, bit in enumerate(bits) if not constant(bit)), size)
            if start == size:
                continue
            driven = self.driver(bits[start])
            if driven is not None and driven[0].type == "$add" and driven[1] == 0:
                cell = driven[0]
                result = self.bits(cell.connections["Y"])
                operands = [self.bits(cell.connections[pin]) for pin in "AB"]
                room = len(result) > max(map(len, operands)) or start + len(result) >= size
                plain = cell.parameters["A_SIGNED"] == cell.parameters["B_SIGNED"] == "0"
                whole = bits[start : start + len(result)] == result[: size - start]
                rest = bits[start + len(result) :]
                if room and plain and whole and all(map(constant, rest)):
                    words += [(["0"] * start + operand + ["0"] * size)[:size] for operand in operands]
                    continue
            found += [bit for bit in bits if not constant(bit)]
        return found


_MOST_BITS = 20
"""Bits that are tried exhaustively together."""


def prove_dot_product(name: str, dot_format: DotProductFormat, timeout_s: float = 900.0) -> Proof:
    """Sum of rounded products plus bias, for every activation, weight and bias.

    No solver decides a sum of many products at once, so the proof uses that the hardware is a sum:

    1. From the netlist: modulo ``2**sum_width``, the complement of the output is a constant plus bits, each at its own
       weight, that depend on few inputs each (`FlatNetlist.addends`, `FlatNetlist.cone`). The formula is such a sum:
       its terms depend on one activation and its weight, or on one bit of the bias.
    2. So the difference of hardware and formula is a sum of functions, each of one of these small sets of inputs. Such
       a sum is zero everywhere if it is zero wherever all inputs outside one of the sets are 0, for each set in turn
       (inclusion and exclusion over subsets, as in an analysis of variance).
    3. The simulator runs the whole dot product through all values of each set, the rest at 0.
    4. The extremes of the formula fit the output, so that equality modulo ``2**sum_width`` is equality.

    Parameters
    ----------
    name : str
        Short name of the proof.
    dot_format : DotProductFormat
        Dot product.
    timeout_s : float
        Limit of the build in seconds.

    Returns
    -------
    Proof
        `Status.UNDECIDED` if a set has more than 20 bits.
    """
    from hw.common.export import rtlil_to_verilog, to_rtlil

    f = dot_format
    start = time.monotonic()
    text = to_rtlil(WholeDotProduct(dot_format=f), name)
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(text)
        script = f"read_rtlil design.il\nhierarchy -top {name}\nproc\nflatten -noscopeinfo\nopt_clean\n"
        run_yosys(script + "write_rtlil flat.il\n", directory=work, timeout_s=timeout_s)
        netlist = FlatNetlist(parse_rtlil((work / "flat.il").read_text())[name])
    sets = _input_sets(netlist, f)
    status, example = Status.PROVED, {}
    if max(map(len, sets)) > _MOST_BITS:
        status = Status.UNDECIDED
    else:
        library, ports = build_native(rtlil_to_verilog(text), name, timeout_s=timeout_s)
        with NativeModel(library, ports, None) as model:
            for inputs in sets:
                example = _first_difference(model, f, sorted(inputs))
                if example:
                    status = Status.REFUTED
                    break
    return Proof(
        name=name, status=status, counterexample=example, wall_s=time.monotonic() - start,
        statement=f"sum of {f.taps} products, each rounded ({f.rounding}) by {f.shift} bits, plus bias; "
        f"{len(sets)} sets of up to {max(map(len, sets))} input bits tried exhaustively",
        input_bits=f.taps * (f.activation_width + f.weight_width) + f.bias_width,
    )  # fmt: skip


def _input_sets(netlist: FlatNetlist, f: DotProductFormat) -> list[frozenset[str]]:
    """Largest sets of input bits on which one term of hardware or formula depends."""
    word = []
    for bit in netlist.bits("\\sum"):
        driven = netlist.driver(bit)
        if driven is None or driven[0].type != "$not":
            raise ValueError(f"{netlist.module.name}: expected the output to be a complement, got {driven} for {bit}")
        word.append(netlist.bits(driven[0].connections["A"])[driven[1]])
    found = {netlist.cone(bit) for bit in netlist.addends(word)}
    a, w = f.activation_width, f.weight_width
    for tap in range(f.taps):
        found.add(frozenset(
            [f"\\x [{a * tap + bit}]" for bit in range(a)] + [f"\\weight [{w * tap + bit}]" for bit in range(w)]
        ))  # fmt: skip
    found |= {frozenset({f"\\bias [{bit}]"}) for bit in range(f.bias_width)}
    by_bit: dict[str, list[frozenset[str]]] = {}
    for inputs in sorted(found, key=lambda inputs: (-len(inputs), sorted(inputs))):
        first = next(iter(inputs), "")
        if not any(inputs <= other for other in by_bit.get(first, ())):
            for bit in inputs:
                by_bit.setdefault(bit, []).append(inputs)
    return list(dict.fromkeys(inputs for several in by_bit.values() for inputs in several))


def _rounded(product: npt.NDArray[np.int64], f: DotProductFormat) -> npt.NDArray[np.int64]:
    """``product / 2**shift`` rounded: floor; floor of one half more; that, and one less if a tie made it odd."""
    if f.rounding is Rounding.TRN or f.shift == 0:
        return product >> f.shift
    half = 1 << (f.shift - 1)
    up = (product + half) >> f.shift
    tie = (product & ((1 << f.shift) - 1)) == half
    return up - (tie & (up & 1 == 1)) if f.rounding is Rounding.RND_CONV else up


def _first_difference(model: NativeModel, f: DotProductFormat, inputs: list[str]) -> dict[str, int]:
    """Inputs, all others 0, for which hardware and formula differ; empty if there are none."""
    low, high = _extremes(f)
    if f.width is None and not -(1 << (f.sum_width - 1)) <= low <= high < 1 << (f.sum_width - 1):
        raise ValueError(f"sums of {low} to {high} do not fit {f.sum_width} bits")
    offsets, offset = {}, 0
    for port in model.inputs:
        offsets[port.name] = 32 * offset
        offset += port.words
    widths = {"x": f.activation_width, "weight": f.weight_width, "bias": f.bias_width}
    for first in range(0, 1 << len(inputs), 1 << 14):
        number = np.arange(first, min(first + (1 << 14), 1 << len(inputs)))
        rows = np.zeros((len(number), model.input_words), np.uint32)
        values: dict[tuple[str, int], npt.NDArray[np.int64]] = {}
        for place, bit in enumerate(inputs):
            name, position = re.fullmatch(r"\\(\w+) \[(\d+)\]", bit).groups()  # type: ignore[union-attr]
            chosen = number >> place & 1
            at = offsets[name] + int(position)
            rows[:, at // 32] |= (chosen << (at % 32)).astype(np.uint32)
            index, low_bit = divmod(int(position), widths[name])
            key = (name, index)
            values[key] = values.get(key, np.zeros(len(number), np.int64)) + (chosen << low_bit)
        expected = np.zeros(len(number), np.int64)
        for (name, index), value in values.items():
            half = 1 << (widths[name] - 1)
            if name == "bias":
                expected += (value - 2 * (value & half)) << f.bias_shift
            elif name == "weight" and ("x", index) in values:
                expected += _rounded(values["x", index] * (value - 2 * (value & half)), f)
        got = model.unpack(model.run_rows(rows))["sum"]
        wrong = np.flatnonzero((got - expected) & ((1 << f.sum_width) - 1))
        if len(wrong):
            return {f"{name}_{index}": int(value[wrong[0]]) for (name, index), value in values.items()} | {
                "expected": int(expected[wrong[0]]), "got": int(got[wrong[0]]),
            }  # fmt: skip
    return {}


def _extremes(f: DotProductFormat) -> tuple[int, int]:
    x, w = np.arange(1 << f.activation_width), np.arange(-(1 << (f.weight_width - 1)), 1 << (f.weight_width - 1))
    terms = _rounded(x[:, None] * w, f)
    bias = 1 << (f.bias_width - 1)
    low = f.taps * int(terms.min()) - (bias << f.bias_shift)
    return low, f.taps * int(terms.max()) + ((bias - 1) << f.bias_shift)


def dot_products(spec: EncoderSpec) -> dict[str, DotProductFormat]:
    """Every dot product of an encoder by name: one for each number of taps of the convolution, one dense."""
    from hw.hgcal_encoder.convolution import conv_format
    from hw.hgcal_encoder.dense import dense_format
    from hw.hgcal_encoder.schedule import Schedule
    from hw.hgcal_encoder.serial_neuron import serial_format

    if spec.reuse > 1:
        counts, dense = {len(taps) for taps in Schedule(spec=spec).unit_taps}, serial_format(spec)
    else:
        counts, dense = {len(taps) for taps in spec.taps}, dense_format(spec)
    formats = {f"conv_{count}_taps": conv_format(spec, count) for count in sorted(counts - {0})}
    return formats | {f"dense_{dense.taps}_taps": dense}


class _Rectifier(Component):  # type: ignore[misc]
    """The end of a neuron: sum to stored output."""

    def __init__(self, width: int, fraction: int, target: FixedPoint) -> None:
        self._fraction, self._target = fraction, target
        super().__init__({"sum": In(signed(width)), "y": Out(target.width)})

    def elaborate(self, _platform: object) -> Module:
        from hw.common.requantise import rectify

        m = Module()
        m.d.comb += self.y.eq(rectify(m, self.sum, self._fraction, self._target))
        return m


def prove_rectify(name: str, width: int, fraction: int, target: FixedPoint, timeout_s: float) -> Proof:
    """ReLU, rounding and overflow of every sum."""
    drop = fraction - target.fraction
    add, even = "0", "0"
    if drop > 0 and target.rounding is not Rounding.TRN:
        add = f"64'd{1 << (drop - 1)}"
        if target.rounding is Rounding.RND_CONV:
            even = f"(wide[{drop - 1}:0] == {drop}'d{1 << (drop - 1)} && rounded[0])"
    shifted = f"(wide + {add}) >> {drop}" if drop > 0 else f"wide << {-drop}"
    top = (1 << target.width) - 1
    stored = f"(exact > {top}) ? {top} : exact" if target.overflow is Overflow.SAT else f"exact & {top}"
    formula = f"""
  wire [63:0] wide = sum[{width - 1}] ? 64'd0 : {{ {64 - width}'d0, sum }};
  wire [63:0] rounded = {shifted};
  wire [63:0] exact = rounded - {even};
  assign y = {stored};
"""
    return _simple(
        name, f"ReLU of a {width}-bit sum, {fraction} fraction bits, stored as {target}",
        _Rectifier(width, fraction, target), formula, timeout_s,
    )  # fmt: skip


def prove_reset(rtlil: str, timeout_s: float = 300.0) -> Proof:
    """Every flip-flop has an asynchronous reset, and there is no latch: nothing relies on power-up values."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(rtlil)
        run_yosys("read_rtlil design.il\nproc\nopt_clean\nwrite_rtlil cells.il\n", directory=work, timeout_s=timeout_s)
        modules = parse_rtlil((work / "cells.il").read_text())
    bad: dict[str, int] = {}
    bits = 0
    for module in modules.values():
        for cell in module.cells:
            if re.match(r"\$.*(dff|latch|_sr|mem)", cell.type):
                width = int(cell.parameters.get("WIDTH", "0"))
                bits += width
                if "ARST_VALUE" not in cell.parameters or "latch" in cell.type:
                    bad[f"{module.name}.{cell.name} {cell.type}"] = width
    status = Status.PROVED if bits and not bad else Status.REFUTED
    return Proof(
        name="reset", statement="every flip-flop has an asynchronous reset; no latch, no memory", status=status,
        input_bits=0, wall_s=time.monotonic() - start, counterexample=bad,
    )  # fmt: skip


def prove_encoder(
    spec: EncoderSpec, *, threads: int = 2, timeout_s: float = 120.0, advance: Callable[[int], None] | None = None
) -> Iterator[Proof]:
    """All proofs for a spec, in the order of the data path.

    Frames of more than 16 latent bits are proved on a frame of 16 from the same generator: the solver does not finish
    on a symbolic mask of 144 bits.
    """

    def run(step: Callable[[], Proof]) -> Proof:
        proof = step()
        if advance is not None:
            advance(1)
        return proof

    with ThreadPoolExecutor(max(1, threads)) as pool:
        yield from pool.map(run, _steps(spec, timeout_s))


def proof_count(spec: EncoderSpec) -> int:
    """How many proofs `prove_encoder` runs for a spec."""
    return len(_steps(spec, 0.0))


def _steps(spec: EncoderSpec, timeout_s: float) -> list[Callable[[], Proof]]:
    small = replace(spec, latents=1, latent=replace(spec.latent, width=min(12, spec.latent.width)))

    def reset() -> Proof:
        from hw.common.export import to_rtlil
        from hw.hgcal_encoder.encoder import Encoder

        return prove_reset(to_rtlil(Encoder(spec=spec), spec.name))

    ends = {
        "conv": (spec.conv_product_fraction, spec.activation), "dense": (spec.dense_product_fraction, spec.latent),
    }  # fmt: skip
    dots = dot_products(spec)
    return [
        lambda: prove_words(spec, timeout_s),
        lambda: prove_multiplex(timeout_s),
        lambda: prove_decode(timeout_s),
        lambda: prove_calibrate(timeout_s),
        lambda: prove_sum_code(timeout_s),
        lambda: prove_normalise(spec.pixel.fraction, timeout_s),
        *(partial(prove_dot_product, name, f) for name, f in dots.items()),
        *(
            partial(prove_rectify, f"{name}_output", f.sum_width, *ends[name.partition("_")[0]], timeout_s)
            for name, f in dots.items()
        ),
        lambda: prove_frame(small, timeout_s),
        reset,
    ]
