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
from pathlib import Path

from amaranth.lib.wiring import Component

from flows.rtlil import parse_rtlil
from flows.yosys import YosysError, run_yosys
from sim.hgcal_encoder.spec import EncoderSpec, WordOrder

__all__ = ["Proof", "Status", "proof_count", "prove_encoder", "prove_equal", "prove_reset"]


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
    gate = _header("gate", ports) + """
  wire [3:0] mantissa; wire [4:0] shift;
  decode_hardware d(.code(code), .high_density(high_density), .mantissa(mantissa), .shift(shift));
  assign charge = {16'd0, mantissa, 1'b1} << (5'd16 - shift);
endmodule
"""
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
    gate = _header("gate", ports) + """
  wire [3:0] mantissa; wire [4:0] shift;
  decode_hardware d(.code(code), .high_density(high_density), .mantissa(mantissa), .shift(shift));
  calibrate_hardware c(.mantissa(mantissa), .shift(shift), .factor(factor), .charge(charge));
endmodule
"""
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

    formula = _LEADING_ONE + """
  wire [4:0] exponent = m - 5'd3;
  wire [27:0] tail = module_sum >> (m - 5'd4);
  assign sum_code = (m <= 3) ? {5'd0, module_sum[3:0]} : {exponent, tail[3:0]};
  assign shift = (m > 21) ? 5'd21 : m;
"""
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

    return [
        lambda: prove_words(spec, timeout_s),
        lambda: prove_multiplex(timeout_s),
        lambda: prove_decode(timeout_s),
        lambda: prove_calibrate(timeout_s),
        lambda: prove_sum_code(timeout_s),
        lambda: prove_normalise(spec.pixel.fraction, timeout_s),
        lambda: prove_frame(small, timeout_s),
        reset,
    ]
