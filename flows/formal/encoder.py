"""Formal proofs: stages of the generated hardware equal their formulas for every input.

Each formula is written here as plain behavioural Verilog from the data sheet (docs/chips/hgcal_encoder.md; the
equations are those of the ECON-T emulator), independent of the generator. yosys builds a miter of formula and hardware
and its SAT solver (MiniSat) shows that no input makes them differ, or finds one that does.

Where a multiplication meets a shift, one miter is beyond the solver; the proof is then split into cases of some inputs,
which together cover all of their values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from amaranth.hdl import Module, signed
from amaranth.lib.wiring import Component, In, Out

from flows.formal.dot_product import dot_products, prove_dot_product
from flows.formal.solver import Proof, prove_equal, prove_reset
from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.spec import EncoderSpec, WordOrder

if TYPE_CHECKING:
    pass

__all__ = ["proof_count", "prove_encoder", "prove_rectify"]


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
