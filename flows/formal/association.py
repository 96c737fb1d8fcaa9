"""Formal proofs about the stages of the association chip: nothing overflows, embeddings saturate, all is reset.

Method as in `flows.formal.crossbar`: state is cut out, formulas are written here in arithmetic that is wide enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flows.formal.claim import Claim, cut
from flows.formal.crossbar import loaded_registers
from flows.formal.loaded import Loaded, prove_reset_values
from flows.formal.solver import Proof, prove_always, prove_reset, run_proofs
from hw.common.export import to_rtlil
from hw.lsm_crossbar.association import Association
from hw.lsm_crossbar.match import HammingMatch, Match, MatchLane
from hw.lsm_crossbar.projection import Projection
from sim.lsm_crossbar.association.spec import LEAK_SHIFT, MODALITIES, SHIFT_BITS, Activation, AssociationSpec

__all__ = [
    "loaded_stages",
    "proof_count",
    "prove_association",
    "prove_match",
    "prove_projection",
    "prove_stage_loaded",
]


def prove_projection(spec: AssociationSpec, modality: int, timeout_s: float = 120.0) -> Proof:
    """Every score becomes the component that the formula says, for every shift; no other component changes."""
    claim = Claim()
    width, bits = spec.crossbars[modality].score_width, spec.embedding_bits
    design = cut(Projection(spec=spec, score_width=width), "projection")
    claim.free("score", width, signed=True)
    claim.free("score_valid", 1)
    claim.free("shift", SHIFT_BITS)
    claim.free("take", 1)
    pins = [f".{port}({port})" for port in ("score", "score_valid", "take", *(() if spec.binary else ("shift",)))]
    pins += claim.state(design)
    claim.place(design, "dut", pins)
    wide = width + 2
    claim.wire("given", wide, "score", signed=True)
    active = {
        Activation.LINEAR: "given",
        Activation.RELU: f"given < 0 ? {wide}'sd0 : given",
        Activation.LEAKY: f"given < 0 ? (given >>> {LEAK_SHIFT}) : given",
    }[spec.activation]
    claim.wire("active", wide, active, signed=True)
    claim.wire("shifted", wide, "active >>> shift", signed=True)
    top = spec.embedding_max
    exact = f"shifted > {top} ? {top} : (shifted < -{top + 1} ? -{top + 1} : shifted)"
    claim.wire("exact", wide, "given < 0 ? -1 : 0" if spec.binary else exact, signed=True)
    claim.wire("stored", bits, f"exact[{bits - 1}:0]")
    buffers = [f"buffer_{d}" for d in range(spec.dimensions)]
    if not set(buffers) < set(design.registers):
        raise ValueError(f"expected the registers {buffers} among {sorted(design.registers)}")
    claim.premises += [f"now_index < {spec.dimensions}", "!(score_valid && now_full)"]
    claim.claims += [
        *(
            f"next_{name} == ((score_valid && now_index == {d}) ? stored : now_{name})"
            for d, name in enumerate(buffers)
        ),
        f"next_index == (score_valid ? (now_index == {spec.dimensions - 1} ? 0 : now_index + 1) : now_index)",
        f"next_full == ((score_valid && now_index == {spec.dimensions - 1}) || (now_full && !take))",
        "next_component_valid == score_valid", "(!score_valid || next_component == stored)",
    ]  # fmt: skip
    statement = f"scores of {width} bits become components of {bits} bits: {spec.activation}, any shift, saturated"
    name = f"{spec.name}_{MODALITIES[modality]}_projection"
    return prove_always(name, statement, claim.text(), [design.rtlil], timeout_s)


def prove_match(spec: AssociationSpec, timeout_s: float = 120.0) -> Proof:
    """No similarity overflows: after n components it lies within n largest products of 0; binary: it is the count."""
    claim = Claim()
    width, bits = spec.similarity_width, spec.embedding_bits
    if spec.binary:
        design = cut(HammingMatch(spec=spec), "match")
        claim.free("word", spec.dimensions)
        claim.free("query", spec.dimensions)
        claim.place(design, "dut", [".word(word)", ".query(query)", *claim.state(design)])
        claim.wire("equal", 32, " + ".join(f"(word[{d}] == query[{d}])" for d in range(spec.dimensions)))
        claim.wire("exact", 32, f"2 * equal - {spec.dimensions}", signed=True)
        claim.claims.append(f"(!now_arrived || next_similar == exact[{width - 1}:0])")
        claim.claims.append(f"(exact <= {(1 << width - 1) - 1} && exact >= -{1 << width - 1})")
        statement = f"a similarity of {width} bits is equal signs less different ones of {spec.dimensions}"
        return prove_always(f"{spec.name}_match", statement, claim.text(), [design.rtlil], timeout_s)
    design = cut(MatchLane(spec=spec), "match_lane")
    product = (spec.embedding_max + 1) ** 2
    for name, size in (("add", 1), ("first", 1)):
        claim.free(name, size)
    claim.free("component", bits, signed=True)
    claim.free("entry", bits, signed=True)
    claim.free("now", width, signed=True)
    claim.free("added", 32)
    claim.wire("next", width, signed=True)
    pins = [f".{port}({port})" for port in ("add", "first", "component", "entry")]
    claim.place(design, "dut", [*pins, ".state(now)", ".next_state(next)"])
    claim.wire("limit", 48, f"first ? 0 : added * {product}", signed=True)
    claim.wire("one", 48, "component", signed=True)
    claim.wire("other", 48, "entry", signed=True)
    claim.wire("exact", 48, "add ? (first ? 0 : now) + one * other : now", signed=True)
    claim.premises += [
        f"added < {spec.dimensions}", "(first || (now <= limit && now >= -limit))",
    ]  # fmt: skip
    claim.claims += [
        "next == exact", f"(!add || (next <= limit + {product} && next >= -limit - {product}))",
    ]  # fmt: skip
    statement = f"similarities of {width} bits hold {spec.dimensions} products of {bits} bits exactly"
    return prove_always(f"{spec.name}_match", statement, claim.text(), [design.rtlil], timeout_s)


def loaded_stages(spec: AssociationSpec) -> dict[str, Loaded]:
    """Which registers of the stages with multipliers count when; none of a chip of signs."""
    if spec.binary:
        return {}
    # the first lane's ports have given the common registers their names
    held, add, first = "lane_0__component", "{lane_0__add}", "{lane_0__first}"
    runs = f"({{read}} || {add} || {{draining}} || {{telling}})"
    summed = f"({{summed}} || ({add} && {first}))"
    return {
        "projection": Loaded(
            registers={
                **{f"buffer_{d}": f"{{full}} || {{index}} > {d}" for d in range(spec.dimensions)},
                "component": "{component_valid}",
            },
            outputs={"component": "{component_valid}", "read_component": "{full}"},
            premises=("!(score_valid && {full})", f"read_index < {spec.dimensions}"),
            invariants=("!{full} || {index} == 0", f"{{index}} < {spec.dimensions}"),
        ),
        "match": Loaded(
            registers={
                **dict.fromkeys(("read_address", "entry"), "{begun}"),
                held: add,
                "place_": "{telling}",
                **{f"lane_{number}.similarity": "{summed}" for number in range(spec.match_lanes)},
            },
            inputs={"component": "{read}"},
            outputs={"read_address": "{read}"},
            flags={"begun": "{begun} || (start && used != 0)", "summed": summed},
            premises=(f"!(start && {runs})",),
            invariants=(
                f"!{runs} || {{begun}}",
                f"!{add} || {first} || {{summed}}",
                f"{{read_index}} == 0 || {summed}",
                f"!{{draining}} || {summed}",
                "!{telling} || {summed}",
            ),
        ),
    }


def prove_stage_loaded(spec: AssociationSpec, stage: str, timeout_s: float = 120.0) -> Proof:
    """No reset value of a register of a stage matters that is loaded before it counts."""
    if stage == "match":
        component: Match | Projection = Match(spec=spec)
    else:
        component = Projection(spec=spec, score_width=spec.vision.score_width)
    statement = "registers are loaded before they count, whatever a reset leaves in them"
    name = f"{spec.name}_{stage}_loaded"
    return prove_reset_values(name, statement, component, loaded_stages(spec)[stage], timeout_s)


def prove_association(
    spec: AssociationSpec, *, timeout_s: float = 120.0, advance: Callable[[int], None] | None = None
) -> Iterator[Proof]:
    """All proofs of the chip's own stages; those of its crossbars are in `flows.formal.crossbar`."""
    return run_proofs(_steps(spec, timeout_s), advance)


def proof_count(spec: AssociationSpec) -> int:
    """How many proofs `prove_association` runs."""
    return len(_steps(spec, 0.0))


def _steps(spec: AssociationSpec, timeout_s: float) -> list[Callable[[], Proof]]:
    return [
        lambda: prove_projection(spec, 0, timeout_s),
        lambda: prove_projection(spec, 1, timeout_s),
        lambda: prove_match(spec, timeout_s),
        lambda: prove_reset(
            to_rtlil(Association(spec=spec), spec.name), loaded=set().union(*map(loaded_registers, spec.crossbars))
        ),
    ]
