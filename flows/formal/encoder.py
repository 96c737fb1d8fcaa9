"""Formal proofs: stages of the generated hardware equal their formulas for every input.

Each formula is written here as plain behavioural Verilog from the data sheet (docs/chips/hgcal_encoder.md; the
equations are those of the ECON-T emulator), independent of the generator. yosys builds a miter of formula and hardware
and its SAT solver (MiniSat) shows that no input makes them differ, or finds one that does.

Where a multiplication meets a shift, one miter is beyond the solver; the proof is then split into cases of some inputs,
which together cover all of their values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from amaranth.hdl import Module, signed
from amaranth.lib.wiring import Component, In, Out

from flows.formal.dot_product import dot_products, prove_dot_product
from flows.formal.solver import Port, Proof, instance, prove_module, prove_reset
from hw.common.export import ports, to_rtlil
from hw.common.requantise import rectify
from hw.hgcal_encoder.calibrate import CalibrateCell
from hw.hgcal_encoder.decode import DecodeCell
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.frame import Frame
from hw.hgcal_encoder.multiplex import MultiplexCell
from hw.hgcal_encoder.normalise import NormaliseCell, SumCode
from hw.hgcal_encoder.words import Words
from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.spec import EncoderSpec, WordOrder

__all__ = ["proof_count", "prove_encoder", "prove_rectify"]


_DECODE = """
  wire [3:0] e = code[6:3];
  wire [4:0] drop = high_density ? 5'd3 : 5'd1;
  wire [31:0] value = (e == 0) ? {29'd0, code[2:0]} : ({28'd0, 1'b1, code[2:0]} << (e - 4'd1));
  wire [4:0] place = drop + (e > 0 ? e - 4'd1 : 4'd0) - 5'd1;
  wire [31:0] decoded = (value << drop) + (32'd1 << place);
"""
"""The decoded charge by the text of the emulator: value, shifted by the dropped bits, plus half of the last bit."""


def _prove_stage(name: str, statement: str, component: Component, formula: str, timeout_s: float) -> Proof:
    """Prove a component equal to a formula over its own ports."""
    found = [port for port in ports(component) if port[2]]
    hardware = f"{name}_hardware"
    return prove_module(
        name, statement, found, formula, instance(hardware, "dut", **{port: port for port, _, _ in found}),
        [to_rtlil(component, hardware)], timeout_s=timeout_s,
    )  # fmt: skip


def prove_words(spec: EncoderSpec, timeout_s: float) -> Proof:
    """Codes are the stated bits of the words; an orbit starts with header 9."""
    lines = ["  assign orbit_start = words[31:28] == 4'h9;\n"]
    for cell in range(48):
        inner = cell % 4 if spec.word_order is WordOrder.P1 else 3 - cell % 4
        low = 32 * (cell // 4) + 7 * inner
        lines.append(f"  assign codes[{7 * cell + 6}:{7 * cell}] = words[{low + 6}:{low}];\n")
    statement = f"codes of the words, order {spec.word_order}"
    return _prove_stage("words", statement, Words(spec=spec), "".join(lines), timeout_s)


def prove_multiplex(timeout_s: float) -> Proof:
    """One output of the multiplexer, every selection."""
    component = MultiplexCell()
    output = next(name for name, member in component.signature.members.items() if member.flow.name == "Out")
    formula = f"  wire [447:0] wide = {{112'd0, codes}};\n  assign {output} = wide[7 * select +: 7];\n"
    return _prove_stage("multiplex_cell", "output is input `select`, 0 from 48 up", component, formula, timeout_s)


_DECODE_CELL = """
  wire [3:0] mantissa; wire [4:0] shift;
  decode_hardware d(.code(code), .high_density(high_density), .mantissa(mantissa), .shift(shift));
"""
_CODE: list[Port] = [("code", "input", 7), ("high_density", "input", 1)]


def prove_decode(timeout_s: float) -> Proof:
    """Mantissa and shift stand for the decoded charge."""
    return prove_module(
        "decode_cell", "4E3M code to charge", [*_CODE, ("charge", "output", 21)],
        _DECODE + "  assign charge = decoded;\n",
        _DECODE_CELL + "  assign charge = {16'd0, mantissa, 1'b1} << (5'd16 - shift);\n",
        [to_rtlil(DecodeCell(), "decode_hardware")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_calibrate(timeout_s: float) -> Proof:
    """Code to calibrated charge, decode and calibration cells joined; one case for each exponent and density."""
    calibrated = {port: port for port in ("mantissa", "shift", "factor", "charge")}
    return prove_module(
        "calibrate_cell", "4E3M code to (charge * factor) >> 11",
        [*_CODE, ("factor", "input", 12), ("charge", "output", 22)],
        _DECODE + "  wire [47:0] product = decoded * factor;\n  assign charge = product[32:11];\n",
        _DECODE_CELL + instance("calibrate_hardware", "c", **calibrated),
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
    formula = (
        _LEADING_ONE
        + """
  wire [4:0] exponent = m - 5'd3;
  wire [27:0] tail = module_sum >> (m - 5'd4);
  assign sum_code = (m <= 3) ? {5'd0, module_sum[3:0]} : {exponent, tail[3:0]};
  assign shift = (m > 21) ? 5'd21 : m;
"""
    )
    return _prove_stage("sum_code", "5E4M code and shift of the module sum", SumCode(), formula, timeout_s)


def prove_normalise(fraction: int, timeout_s: float) -> Proof:
    """Charge to pixel, for every charge that is not above its module sum; for others both sides show 0."""
    component = NormaliseCell(fraction=fraction)
    found = ports(component)
    width = next(size for port, _, size in found if port == "pixel")
    legal = "  wire legal = shift <= 21 && ({42'd0, charge} >> 1) < (64'd1 << shift);\n"
    formula = f"""
  wire [63:0] wide = charge;
  wire [{width - 1}:0] exact = (shift >= {fraction}) ? (wide >> (shift - {fraction})) : (wide << ({fraction} - shift));
  assign pixel = legal ? exact : 0;
"""
    gate = f"  wire [{width - 1}:0] shown;\n  assign pixel = legal ? shown : 0;\n"
    gate += instance("normalise_hardware", "dut", charge="charge", shift="shift", pixel="shown")
    return prove_module(
        "normalise_cell", f"charge divided by 2**shift, {fraction} fraction bits, truncated",
        [port for port in found if port[2]], legal + formula, legal + gate,
        [to_rtlil(component, "normalise_hardware")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_frame(spec: EncoderSpec, timeout_s: float) -> Proof:
    """The whole frame, every mask, latents and number of links."""
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
    return _prove_stage("frame", statement, Frame(spec=spec), formula, timeout_s)


class _Rectifier(Component):  # type: ignore[misc]
    """The end of a neuron: sum to stored output."""

    def __init__(self, width: int, fraction: int, target: FixedPoint) -> None:
        self._fraction, self._target = fraction, target
        super().__init__({"sum": In(signed(width)), "y": Out(target.width)})

    def elaborate(self, _platform: object) -> Module:
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
    return _prove_stage(
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
