"""Formal proofs about the astrocyte liquid: nothing overflows, every stage equals its formula, all is reset.

Flip-flops are cut out of the generated module (they become ports), so that a statement about one clock, for every state
that an invariant allows and every legal input, is one SAT problem (yosys, MiniSat). Formulas are written here as
behavioural Verilog in arithmetic that is wide enough, independent of the generator; only the constants come from the
spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component

from flows.formal.claim import Claim, state_pins
from flows.formal.loaded import Loaded, prove_reset_values
from flows.formal.solver import Proof, prove_always, prove_claims, prove_reset, run_proofs
from flows.formal.state import CutState, cut_state
from flows.tools.rtlil import Wire, parse_rtlil
from hw.astrocyte_liquid.astrocyte import Astrocyte, potentiation_rate_bits
from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid
from hw.astrocyte_liquid.input import Input, group_bits
from hw.astrocyte_liquid.neuron import Neuron, membrane_layout, state_layout
from hw.astrocyte_liquid.readout import Readout
from hw.astrocyte_liquid.scan import Scan
from hw.astrocyte_liquid.sequencer import Sequencer
from hw.astrocyte_liquid.synapse import Synapse
from hw.astrocyte_liquid.walker import Walker
from hw.common.export import to_rtlil
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = [
    "WALKER_OUTPUTS",
    "loaded_registers",
    "loaded_stages",
    "proof_count",
    "prove_astrocyte",
    "prove_liquid",
    "prove_neuron",
    "prove_stage_loaded",
    "prove_synapse",
    "prove_walks",
]


def _rounded(value: str, shift: int) -> str:
    return f"(({value} + {1 << (shift - 1)}) >>> {shift})"


def _signed(name: str, width: int, value: str) -> str:
    return f"  wire signed [{width - 1}:0] {name} = {value};\n"


def _registers(design: CutState) -> str:
    """Wires of the state before and after the clock, by name of the register."""
    text, low = "", 0
    for name, width in design.registers.items():
        text += f"  wire [{width - 1}:0] now_{name} = state[{low + width - 1}:{low}];\n"
        text += f"  wire [{width - 1}:0] next_{name} = after[{low + width - 1}:{low}];\n"
        low += width
    return text


def prove_synapse(spec: AstrocyteSpec, timeout_s: float = 120.0) -> Proof:
    """The rule of plasticity, for every weight, class and change: both terms together, then the limits of the class.

    And the sum of weight and current, where one moves.
    """
    limit, width = spec.weight_code_max, 24
    inputs = {
        "weight": spec.weight_bits, "excitatory": 1, "inhibitory": 1, "potentiation": spec.potentiation_bits,
        "depression": spec.depression_bits, "rests": 1, "current": spec.current_bits,
    }  # fmt: skip
    gate = f"  wire [{spec.current_bits - 1}:0] moved;\n  wire signed [{spec.current_bits - 1}:0] c = current;\n"
    gate += f"  wire signed [{spec.weight_bits - 1}:0] changed;\n"
    gate += f"  wire signed [{spec.weight_bits - 1}:0] w = weight;\n"
    gate += f"  wire signed [{spec.depression_bits - 1}:0] d = depression;\n"
    gate += f"  synapse dut({', '.join(f'.{name}({name})' for name in inputs)}, .changed(changed), .moved(moved));\n"
    gate += _signed("wide", width, "w") + _signed("loss", width, "d")
    gate += _signed("gain", width, f"{{{width - spec.potentiation_bits}'b0, potentiation}}")
    gate += _signed("total", width, "inhibitory ? wide - gain + loss : wide + gain - loss")
    gate += _signed("low", width, f"excitatory ? 0 : -{limit}") + _signed("high", width, f"inhibitory ? 0 : {limit}")
    gate += (
        "  assign exact = (excitatory && inhibitory) || changed == (total < low ? low : total > high ? high : total);\n"
    )
    gate += _signed("both", spec.current_bits, "c + w") + "  assign added = rests || moved == both;\n"
    return prove_claims(
        f"{spec.name}_synapse", "a changed weight is the formula's, within the limits of its class; currents add up",
        inputs, ["exact", "added"], gate, [to_rtlil(Synapse(spec=spec), "synapse")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_neuron(spec: AstrocyteSpec, timeout_s: float = 300.0) -> Proof:
    """One neuron of the sweep, for every state within the invariants, every current and every event.

    Invariants: a current lies within `spec.current_max` of 0; a trace does not exceed `spec.trace_max` right after a
    spike, and what a step leaves of that otherwise. What is stored equals the formula in arithmetic that
    cannot overflow; the trace obeys its invariant again, and so does the current after a step that adds
    `spec.fan_in_max` weights of the largest magnitude.
    """
    design = cut_state(Neuron(spec=spec), "neuron")
    wide = max(spec.membrane_bits, spec.current_bits) + 6
    inputs = {
        "state": len(design.bits), "valid": 1, "is_input": 1, "fresh": 1, "keep_trace": 1,
        "old_state": state_layout(spec).size, "old_membrane": membrane_layout(spec).size,
        "current": spec.current_bits, "kicked": 1,
        "potentiation_rate": potentiation_rate_bits(spec), "depression_rate": spec.rate_bits,
    }  # fmt: skip
    gate = _dut(design, inputs) + _registers(design) + _fields(state_layout(spec), "old_", "old_state")
    gate += _fields(membrane_layout(spec), "before_", "old_membrane")
    gate += _fields(state_layout(spec), "new_", "next_new_state")
    gate += _fields(membrane_layout(spec), "after_", "next_new_membrane")
    gate += _signed("i", wide, "fresh ? 0 : $signed(current)")
    gate += _signed("v", wide, "fresh || old_fired ? 0 : before_membrane")
    gate += "  wire fired = old_fired && !fresh;\n"
    gate += "  wire [15:0] r = fresh ? 0 : old_refractory;\n"
    gate += f"  wire [15:0] blocked = fired ? {spec.refractory_steps} : r == 0 ? 0 : r - 1;\n"
    gate += "  wire [31:0] x = fresh && !keep_trace ? 0 : old_trace;\n"
    gate += f"  wire [31:0] sum = x + (fired ? {spec.trace_step_code} : 0);\n"
    gate += "  wire [31:0] decayed = sum - ((3 * sum + 16) >> 5);\n"
    gate += _signed("sum_v", wide, f"v - {_rounded('v', spec.leak_shift)} + i")
    top = spec.membrane_max
    gate += _signed("potential", wide, f"sum_v > {top} ? {top} : sum_v < -{top + 1} ? -{top + 1} : sum_v")
    gate += _signed("left", wide, _rounded("3 * i", 3))
    gate += "  wire waits = is_input && ((!fresh && !old_fired && old_waits) || kicked);\n"
    gate += f"  wire fires = blocked == 0 && (is_input ? waits : potential >= {spec.threshold_code});\n"
    most = spec.trace_max
    below = most - ((3 * most + 16) >> 5)
    current = spec.current_max
    legal = [
        "valid", f"old_refractory <= {spec.refractory_steps}",
        f"old_trace <= (old_refractory == {spec.refractory_steps} ? {most} : {below})",
        "(!old_fired || old_refractory == 0)", f"$signed(current) <= {current}", f"$signed(current) >= -{current}",
    ]  # fmt: skip
    added = spec.fan_in_max * spec.weight_code_max
    formula = [
        "next_of_input == is_input", "new_fired == fires",
        "new_waits == waits",
        "(is_input || after_membrane == potential)",
        "new_refractory == blocked", "new_trace == decayed", "(is_input || $signed(next_new_current) == left)",
        f"(is_input || after_count == ((fresh ? 0 : before_count) + fired) % {1 << spec.count_width})",
    ]  # fmt: skip
    kept = [
        f"new_trace <= (new_refractory == {spec.refractory_steps} ? {most} : {below})",
        f"left + {added} <= {current}", f"left - {added} >= -{current}",
        "(!new_fired || new_refractory == 0)",
    ]  # fmt: skip
    gate += f"  wire legal = {' && '.join(legal)};\n"
    gate += f"  assign exact = !legal || ({' && '.join(formula)});\n  assign kept = !legal || ({' && '.join(kept)});\n"
    statement = (
        f"potentials, currents within {current}, traces and counters of refractory steps equal their formulas, "
        "and every clock keeps their ranges"
    )
    return prove_claims(
        f"{spec.name}_neuron", statement, inputs, ["exact", "kept"], gate, [design.rtlil], timeout_s=timeout_s
    )


def prove_astrocyte(spec: AstrocyteSpec, timeout_s: float = 300.0) -> Proof:
    """The rates of a step, for every state: what moves A- opens with ``b_a - A-``, every spike adds or subtracts w_a.

    The four rates of a sample that fades do so one after another, in states 1 to 4; the step opens in state 5. Nothing
    wraps: w_a is summed up at most `spec.difference_max` times.
    """
    design = cut_state(Astrocyte(spec=spec), "astrocyte")
    wide = design.registers["drive"] + 8
    inputs = {"state": len(design.bits), "start": 1, "input_spike": 1, "liquid_spike": 1, "update": 1, "fades": 1}
    gate = _dut(design, inputs) + _registers(design)
    for name in ("drive", "depression"):
        gate += _signed(f"s_{name}", wide, f"$signed(now_{name})")
        gate += _signed(f"t_{name}", wide, f"$signed(next_{name})")
    for name in ("bias", "potentiation", "weight"):  # never negative
        gate += _signed(f"s_{name}", wide, f"$signed({{1'b0, now_{name}}})")
        gate += _signed(f"t_{name}", wide, f"$signed({{1'b0, next_{name}}})")
    top = spec.rate_max
    gate += _signed("moved", wide, "s_depression + " + _rounded("5 * s_drive", 9))
    gate += _signed("held", wide, f"moved > {top} ? {top} : moved < -{top + 1} ? -{top + 1} : moved")
    gate += "  wire quiet = !start && !update;\n"
    order = ("depression", "potentiation", "weight", "bias")
    faded = " && ".join(
        f"t_{name} == (now_own_state == {number} ? s_{name} - {_rounded(f'5 * s_{name}', 9)} : s_{name})"
        for number, name in enumerate(order, 1)
    )
    first = (
        f"t_potentiation == {spec.potentiation_code} && t_depression == {spec.bias_code} && "
        f"t_weight == {spec.astrocyte_code} && t_bias == {spec.bias_code} && next_own_state == 5"
    )
    gate += f"  assign loaded = !start || ({first});\n"
    gate += "  assign moves = start || !update || (t_depression == held && next_own_state == (fades ? 1 : 5));\n"
    after = "now_own_state == 0 || now_own_state == 5 ? next_own_state == 0 : next_own_state == now_own_state + 1"
    gate += f"  assign fade = !quiet || now_own_state > 5 || ({faded} && ({after}));\n"
    most = spec.difference_max * spec.astrocyte_code + spec.bias_code + spec.rate_max + 1
    opened = "t_drive == s_bias - s_depression"
    counted = "t_drive == s_drive + (input_spike ? -s_weight : liquid_spike ? s_weight : 0)"
    legal = f"s_drive <= {most - spec.astrocyte_code} && s_drive >= -{most - spec.astrocyte_code}"
    gate += f"  wire legal = {legal} && s_weight <= {spec.astrocyte_code} && s_bias <= {spec.bias_code};\n"
    gate += f"  assign counts = !legal || (now_own_state == 5 ? {opened} : {counted});\n"
    return prove_claims(
        f"{spec.name}_astrocyte", "rates start, rest, saturate and fade as the formula says, and never wrap", inputs,
        ["loaded", "moves", "fade", "counts"], gate, [design.rtlil], timeout_s=timeout_s,
    )  # fmt: skip


WALKING = 1
"""State of the sequencer in which lanes walk."""


def prove_walks(spec: AstrocyteSpec, timeout_s: float = 120.0) -> Proof:
    """A walker is busy only while the sequencer lets lanes walk: what it writes, it does not write in a sweep.

    By induction over clocks from a reset on, of the whole chip around memories that may say anything.
    """
    design = cut_state(AstrocyteLiquid(spec=spec), "chip")
    module = parse_rtlil(design.rtlil)[design.name]
    boxes = [cell for cell in module.cells if "read_data" in cell.connections]
    module.cells = [cell for cell in module.cells if cell not in boxes]
    for number, box in enumerate(boxes):
        word = box.connections["read_data"]
        wire = Wire(name=f"\\word_{number}", width=len(module.bits(word)), input=True, output=False)
        module.wires[wire.name] = wire
        module.connections.append((word, wire.name))
    claim = Claim()
    names = {register: register.replace(".", "_") for register in design.registers}
    for register, width in design.registers.items():
        claim.free(f"now_{names[register]}", width)
        claim.wire(f"next_{names[register]}", width)
    pins = state_pins(design, {name: (f"now_{plain}", f"next_{plain}") for name, plain in names.items()})
    for wire in module.wires.values():
        if wire.input and wire.name not in ("\\state", "\\clk", "\\rst"):
            pins.append(f".{wire.name} ({claim.free('of_' + wire.name.removeprefix(chr(92)), wire.width)})")
    claim.place(design, "dut", pins)
    walker = ("state", "pop", "due", "one", "two", "fetched")
    for lane in range(spec.lanes):
        for when, statements in (("now", claim.premises), ("next", claim.claims)):
            of = f"{when}_lane_{lane}"
            walks = f"{when}_sequencer_state == {WALKING}"
            busy = " || ".join(f"{of}_walker_{name} != 0" for name in walker[:-1])
            # a source that was read stays in the scan until its walk has begun
            held = f"{of}_scan_left != 0 && !{of}_scan_fetched"
            statements += [
                f"(!({busy}) || {walks})",
                f"(!{of}_walker_fetched || ({held} && {walks} && !{of}_walker_due && !{of}_walker_pop))",
                f"(!{of}_walker_pop || ({held} && {of}_walker_state == 1))",
            ]
    idle = {f"lane_{lane}.walker.{name}" for lane in range(spec.lanes) for name in walker}
    if any(value != "0" for bit, value in zip(design.bits, design.resets, strict=True) if bit.split("[")[0] in idle):
        raise ValueError(f"{spec.name}: expected walkers that a reset leaves idle")
    return prove_always(
        f"{spec.name}_walks", "a walker is busy only while the sequencer lets lanes walk", claim.text(),
        ["autoidx 2000000\n" + module.text()], timeout_s,
    )  # fmt: skip


WALKER_OUTPUTS = {"current_write_data": ("current_write", "walk")}
"""Outputs of a walker that nothing reads but where these ports are 1: currents are written while lists are walked."""


def walker_loaded(spec: AstrocyteSpec) -> Loaded:
    """Numbers of the walker count while their list, or stage, is there.

    States are 0 idle, 1 forward, 2 backward, 3 restore. Registers have the names of the ports that show them: `pop`
    says that a list begins, and where lists are kept `target_address` is the place.
    """
    one, place = "{one}", "place" if spec.seeded else "target_address"
    lists = "({own_state} == 1 || {own_state} == 2)"
    # computed of the source, which does not count while weights are restored
    result = "{two} && !{fill_two}"
    registers = {
        # a clock longer: stage 1 has the place before
        place: f"{{own_state}} != 0 || {one}",
        "left": lists,
        "walked_source": f"(({lists} || {{due}}) && !{{pop}}) || ({one} && !{{fill_one}})",
        "back_one": one,
        "fill_one": one,
        "back_two": "{two}",
        "fill_two": "{two}",
        "weight_write_address": "{two}",
        **dict.fromkeys(("synapse__excitatory", "synapse__inhibitory"), result),
        **({"member_two": result} if spec.lanes > 1 else {}),
        "current_write_address": f"{result} && !{{back_two}}",
        **({"slot_address": lists, "inside_two": result} if spec.seeded else {}),
    }
    enables = {
        "list_address": "list_enable", "weight_address": "stored_enable || working_enable",
        "neuron_address": "neuron_enable",
        "group_address": "group_enable", "stored_write_data": "stored_write", "working_write_data": "working_write",
        "weight_write_address": "stored_write || working_write",
        "current_write_address": "current_write", "current_write_data": "current_write",
        **({"slot_address": "slot_enable"} if spec.seeded else {
            "back_address": "back_enable", "target_address": "target_enable", "incoming_address": "incoming_enable",
        }),
    }  # fmt: skip
    return Loaded(
        registers=registers, inputs={"source": "valid"}, outputs=enables,
        premises=("!({fetched} || {pop}) || valid",),
    )  # fmt: skip


NEURON = Loaded(
    registers={
        **dict.fromkeys(("of_input", "new_state"), "{write}"),
        **dict.fromkeys(("new_membrane", "new_current"), "{write} && !{of_input}"),
    },
    outputs={
        **dict.fromkeys(("new_state", "effect", "potentiation"), "{write}"),
        **dict.fromkeys(("new_membrane", "new_current"), "{write} && !{of_input}"),
    },
    flags={"write": "valid"},
    split=True,
)
ASTROCYTE = Loaded(
    registers={
        **dict.fromkeys(("potentiation", "depression", "weight", "bias"), "{started}"),
        # a step opens with it in state 5
        "drive": "{started} && {own_state} != 5",
    },
    outputs=dict.fromkeys(("potentiation", "depression"), "{started}"),
    flags={"started": "{started} || start"},
    premises=("!update || ({started} && {own_state} == 0)",),
    invariants=("{own_state} == 0 || {started}",),
    split=True,
)
INPUT = Loaded(registers={"marks": "{open_}"})
SEQUENCER = Loaded(
    registers={"swept_group": "{swept}", "write_group": "{write}"},
    outputs={"swept_group": "swept", "write_group": "write"},
    flags={"started": "{started} || begin_"},
    invariants=("{started} || ({own_state} == 0 && {step} == 0)",),
    claims=("!(sweep || update) || {started}",),
)


def scan_loaded(spec: AstrocyteSpec) -> Loaded:
    """What the scan holds counts from the first clear on: a sample begins with one."""
    wide = spec.groups.bit_length() > group_bits(spec)
    stored, following = ("stored", "following") if wide else ("write_address", "read_address")
    return Loaded(
        registers=dict.fromkeys((stored, following, "fetched", "left"), "{begun}"),
        inputs={"read_data": "{begun} && ({fetched} || {left} != 0)"},
        outputs={
            **dict.fromkeys(("valid", "waiting", "read_address", "read_enable"), "{begun}"),
            "source": "{begun} && valid", "write_address": "{begun} && write_enable",
        },
        flags={"begun": "{begun} || clear"}, premises=("!take || ({begun} && valid)",),
    )  # fmt: skip


READOUT = Loaded(
    registers={
        "neuron": "{read}", "address": "{read}", "sum": "({reading} && !{first}) || {score_valid}",
        "output": "{begun}", "best": "{begun} && {output} != 0",
    },
    inputs={"read_count": "{reading}", "weight": "{reading}"},
    outputs={"neuron": "{read}", "address": "{read}"},
    flags={"begun": "{begun} || start"},
    invariants=(
        "!({read} || {reading} || {score_valid}) || {begun}", "!{last} || {reading}",
        "!({read} && {neuron} != 0) || {reading}",
    ),
)  # fmt: skip


def loaded_stages(spec: AstrocyteSpec) -> dict[str, tuple[Callable[[], Component], Loaded]]:
    """By name of a stage how to make it, and which of its registers count when."""
    return {
        "sequencer": (lambda: Sequencer(spec=spec), SEQUENCER),
        "input": (lambda: Input(spec=spec), INPUT),
        "scan": (lambda: Scan(spec=spec), scan_loaded(spec)),
        "walker": (lambda: Walker(spec=spec, lane=0), walker_loaded(spec)),
        "neuron": (lambda: Neuron(spec=spec), NEURON),
        "astrocyte": (lambda: Astrocyte(spec=spec), ASTROCYTE),
        "readout": (lambda: Readout(spec=spec), READOUT),
    }


def loaded_registers(spec: AstrocyteSpec) -> set[str]:
    """Names of registers that are proved to be loaded before they count; those of the chip itself follow them."""
    stages = {name for _, loaded in loaded_stages(spec).values() for name in loaded.registers}
    return stages | {"counted", "shown", "shown_lane"}


def prove_stage_loaded(spec: AstrocyteSpec, stage: str, timeout_s: float = 120.0) -> Proof:
    """No reset value of a register of a stage matters that is loaded before it counts.

    What the proof of one stage asks of those around it (`Loaded.premises`, `Loaded.inputs`), theirs say, or their
    docstrings: rates are used from the start of the first sample on, the scan names its source together with `valid`.
    """
    make, loaded = loaded_stages(spec)[stage]
    statement = "registers are loaded before they count, whatever a reset leaves in them"
    if stage == "sequencer":
        statement = "no neuron is swept before a sample has begun, so that rates are loaded before they count"
    return prove_reset_values(f"{spec.name}_{stage}_loaded", statement, make(), loaded, timeout_s)


def _dut(design: CutState, inputs: Mapping[str, int]) -> str:
    """The hardware, its inputs by their own names; `after` is its next state."""
    pins = ", ".join(f".{name}({name})" for name in inputs)
    text = f"  wire [{len(design.bits) - 1}:0] after;\n"
    return text + f"  {design.name} dut({pins}, .next_state(after), .clk(1'b0), .rst(1'b0));\n"


def _fields(layout: StructLayout, prefix: str, word: str) -> str:
    """Wires of the fields of a word."""
    text = ""
    for name, field in layout:
        width = field.width
        signed = "signed " if name == "membrane" else ""
        low = field.offset
        text += f"  wire {signed}[{width - 1}:0] {prefix}{name} = {word}[{low + width - 1}:{low}];\n"
    return text


def prove_liquid(
    spec: AstrocyteSpec, *, timeout_s: float = 300.0, advance: Callable[[int], None] | None = None
) -> Iterator[Proof]:
    """All proofs for a spec, in the order of the data path."""
    return run_proofs(_steps(spec, timeout_s), advance)


def proof_count(spec: AstrocyteSpec) -> int:
    """How many proofs `prove_liquid` runs for a spec."""
    return len(_steps(spec, 0.0))


def _steps(spec: AstrocyteSpec, timeout_s: float) -> list[Callable[[], Proof]]:
    def reset() -> Proof:
        return prove_reset(to_rtlil(AstrocyteLiquid(spec=spec), spec.name), loaded=loaded_registers(spec))

    return [
        lambda: prove_synapse(spec, timeout_s),
        lambda: prove_neuron(spec, timeout_s),
        lambda: prove_astrocyte(spec, timeout_s),
        *(partial(prove_stage_loaded, spec, stage, timeout_s) for stage in loaded_stages(spec)),
        lambda: prove_walks(spec, timeout_s),
        reset,
    ]
