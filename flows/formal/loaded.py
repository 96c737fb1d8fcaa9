"""Formal proofs that reset values do not matter: registers that are loaded before they count.

Two copies of a component that a reset left with different values of these registers see the same inputs. By induction
over clocks the registers that control agree, each of the others agrees where its condition says that it counts, and so
does everything that the copies put out. What enters and leaves may count under a condition, too: an address with its
enable. After a reset no condition holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from string import Formatter

from amaranth.lib.wiring import Component

from flows.formal.claim import Claim, cut, state_pins
from flows.formal.solver import Proof, Status, prove_always
from flows.formal.state import CutState
from hw.common.hierarchy import flat_ports
from hw.common.readout import Readout
from sim.readout_spec import ReadoutSpec

__all__ = ["Loaded", "prove_readout_loaded", "prove_reset_values", "readout_loaded"]

COPIES = ("one", "other")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What of a component counts when.

    Conditions are Verilog in which ``{register}`` stands for a register or a flag, and names of ports for themselves
    (``begin_`` for a word of Verilog). A register that may differ is that of one copy, so that it may stand only where
    it counts.

    Attributes
    ----------
    registers : mapping of str to str
        Registers whose reset value does not matter, with the condition under which they count, of registers and flags.
    inputs, outputs : mapping of str to str
        Ports that count under a condition alone, of registers, flags and ports.
    flags : mapping of str to str
        Bits that are not in the component, 0 after a reset, with what they become: what happened before.
    premises : tuple of str
        What those who drive the component keep to, of registers, flags and ports.
    invariants : tuple of str
        Of registers and flags; they are proved, too.
    claims : tuple of str
        Further statements about a clock, of registers, flags and ports.
    split : bool
        Whether every choice of the conditions of registers is a proof of its own: copies that agree throughout are then
        one, which multipliers ask for.
    """

    registers: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    premises: tuple[str, ...] = ()
    invariants: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    split: bool = False


def prove_reset_values(
    name: str, statement: str, component: Component, loaded: Loaded, timeout_s: float = 120.0
) -> Proof:
    """Prove that what a reset leaves in some registers is never seen.

    Parameters
    ----------
    name, statement : str
        Of the proof.
    component : Component
        Fresh.
    loaded : Loaded
    timeout_s : float, optional
        Of each choice of conditions.

    Raises
    ------
    ValueError
        A register that the component does not have.
    """
    design = cut(component, "dut", without=loaded.registers)
    if lacking := set(loaded.registers) - set(design.registers):
        raise ValueError(f"{name}: expected registers of {sorted(design.registers)}, got {sorted(lacking)}")
    ports = [(port, direction, len(value)) for port, direction, value in flat_ports(component)]
    proofs: list[Proof] = []
    for holding in _choices(loaded):
        text = _claim(design, ports, loaded, holding)
        proofs.append(prove_always(name, statement, text, [design.rtlil], timeout_s))
        if proofs[-1].status is not Status.PROVED:
            break
    return replace(proofs[-1], wall_s=sum(proof.wall_s for proof in proofs))


def readout_loaded(spec: ReadoutSpec) -> Loaded:
    """What of `hw.common.readout` counts when: scores from the start of a sample on."""
    return Loaded(
        registers={
            "read_neuron": "{read}", "read_address": "{begun}", "output": "{score_valid}",
            "best": "{score_valid} && {output} != 0",
            **{f"lane_{number}.score": "{begun}" for number in range(spec.outputs)},
        },
        inputs={"read_count": "{read}"},
        outputs={"read_neuron": "{read}", "read_address": "{read}"},
        flags={"begun": "{begun} || (start && first)"}, premises=("!start || first || {begun}",),
        invariants=tuple(f"!{{{name}}} || {{begun}}" for name in ("read", "count_valid", "draining", "score_valid")),
    )  # fmt: skip


def prove_readout_loaded(name: str, spec: ReadoutSpec, timeout_s: float = 120.0) -> Proof:
    """Registers of the readout are loaded by the first window of a sample before they count."""
    statement = "the readout loads its addresses, scores and the best of them before they count"
    return prove_reset_values(f"{name}_readout_loaded", statement, Readout(spec=spec), readout_loaded(spec), timeout_s)


def _choices(loaded: Loaded) -> Iterator[dict[str, bool]]:
    """Conditions of registers with whether they hold; none where the proof is not split."""
    conditions = sorted(set(loaded.registers.values())) if loaded.split else []
    for values in product((False, True), repeat=len(conditions)):
        yield dict(zip(conditions, values, strict=True))


def _claim(design: CutState, ports: Sequence[tuple[str, str, int]], loaded: Loaded, holding: Mapping[str, bool]) -> str:
    """Text of the claim where the conditions hold as chosen."""
    claim = Claim()
    known = {*design.registers, *loaded.flags}

    def of(condition: str, when: str) -> str:
        """A condition, of a clock's registers before and after it, and of those after a reset."""
        named = {name for _, name, _, _ in Formatter().parse(condition) if name}
        if other := named - known:
            raise ValueError(f"expected a condition of {sorted(known)}, got one of {sorted(other)}: {condition}")
        return "(" + condition.format(**{name: f"{when}_{_plain(name)}" for name in named}) + ")"

    nets: dict[str, dict[str, tuple[str, str]]] = {copy: {} for copy in COPIES}
    for register, width in design.registers.items():
        plain = _plain(register)
        control = register not in loaded.registers
        one = holding.get(loaded.registers.get(register, ""), control)
        for copy in COPIES[: 1 if one else 2]:
            claim.free(f"now_{plain}_{copy}", width)
        for copy in COPIES:
            claim.wire(f"after_{plain}_{copy}", width)
            nets[copy][register] = (f"now_{plain}_{'one' if one else copy}", f"after_{plain}_{copy}")
        claim.wire(f"now_{plain}", width, f"now_{plain}_one")
        claim.wire(f"after_{plain}", width, f"after_{plain}_one")
        if control:
            claim.wire(f"reset_{plain}", width, "0")
            claim.claims.append(f"after_{plain}_one == after_{plain}_other")
        else:
            claim.free(f"reset_{plain}", width)
    for flag in loaded.flags:
        claim.free(f"now_{flag}", 1)
        claim.wire(f"reset_{flag}", 1, "0")
    pins: dict[str, list[str]] = {copy: [] for copy in COPIES}
    for port, direction, width in ports:
        named = _plain(port)
        shared = direction == "input" and port not in loaded.inputs
        if shared:
            claim.free(named, width)
        for copy in COPIES:
            net = named if shared else f"{port}_of_{copy}"
            if direction == "output":
                claim.wire(net, width)
            elif not shared:
                claim.free(net, width)
            pins[copy].append(f".\\{port} ({net})")
        if direction == "output":
            claim.wire(named, width, f"{port}_of_one")
    for flag, becomes in loaded.flags.items():
        claim.wire(f"after_{flag}", 1, of(becomes, "now"))
    for port, direction, _ in ports:
        counts = of(loaded.inputs.get(port, loaded.outputs.get(port, "1'b1")), "now")
        same = f"(!{counts} || {port}_of_one == {port}_of_other)"
        if port in loaded.inputs:
            claim.premises.append(same)
        elif direction == "output":
            claim.claims.append(same)
    for copy in COPIES:
        claim.place(design, copy, [*pins[copy], *state_pins(design, nets[copy])])
    for register, condition in loaded.registers.items():
        plain = _plain(register)
        claim.premises.append(f"(!{of(condition, 'now')} || {' == '.join(_both(nets, register))})")
        claim.claims += [
            f"(!{of(condition, 'after')} || after_{plain}_one == after_{plain}_other)", f"!{of(condition, 'reset')}"
        ]  # fmt: skip
    claim.premises += [of(text, "now") for text in (*loaded.premises, *loaded.invariants)]
    claim.premises += [f"{of(condition, 'now')} == 1'b{int(value)}" for condition, value in holding.items()]
    claim.claims += [of(text, when) for text in loaded.invariants for when in ("after", "reset")]
    claim.claims += [of(text, "now") for text in loaded.claims]
    return claim.text()


def _both(nets: Mapping[str, Mapping[str, tuple[str, str]]], register: str) -> list[str]:
    """What a register holds in either copy."""
    return [nets[copy][register][0] for copy in COPIES]


def _plain(name: str) -> str:
    """Name of a register or port as one that Verilog takes."""
    return re.sub(r"\W", "_", name) + ("_" if name == "begin" else "")
