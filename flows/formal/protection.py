"""Formal proofs about protected storage: cells, code words, clock gates, pipeline registers, state machines.

The flip-flops of a protected component become inputs (`state`) and outputs (`next_state`) of a combinational module
(`flows.formal.state`). "Any single flip in any state" is then a statement over all values of inputs, which yosys' SAT
solver decides without unrolling: whatever word is stored, whichever flip-flop is inverted, the outputs are those of the
plain component, and the flip-flops hold the right word again after the next clock edge (or after the next scrub).
Since the statement takes any state and gives a right state, it holds at every clock, and chains over time by itself.

How the proofs compose to the chip is argued in docs/method/radiation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib.wiring import Component, In, Out

from flows.formal.solver import Port, Proof, instance, one_hot, prove_claims, prove_module
from flows.formal.state import CutState, cut_state
from hw.common.export import ports, to_rtlil
from hw.common.hierarchy import place
from hw.common.register_file import RegisterFile
from hw.common.registered import described, plain, ports_of
from hw.common.registered_replica import RegisteredReplica
from hw.common.secded_cell import SecdedCell
from hw.common.triplicated_cell import TriplicatedCell
from hw.common.voted_register import VotedRegister
from sim.register_map import Field

__all__ = [
    "StoredByte",
    "TripleCell",
    "TripleMachine",
    "prove_cell",
    "prove_double_errors",
    "prove_gates",
    "prove_machine",
    "prove_register",
    "prove_single_flips",
]


class TripleCell(Component):  # type: ignore[misc]
    """Three cells that see each other, as one cell: what the three register files are, byte by byte."""

    latency = 1

    def __init__(self, *, width: int, reset: int, cell: Callable[..., Component] = TriplicatedCell) -> None:
        self._kept: dict[str, Any] = {"width": width, "reset": reset}
        self._cell = cell
        super().__init__({
            "data": In(width), "enable": In(1), "scrub": In(1), "value": Out(width), "value_1": Out(width),
            "value_2": Out(width), "error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cells = [place(m, platform, f"cell_{k}", self._cell, **self._kept) for k in range(3)]
        for k, cell in enumerate(cells):
            m.d.comb += [
                cell.data.eq(self.data),
                cell.enable.eq(self.enable),
                cell.scrub.eq(self.scrub),
                cell.peers.eq(Cat(cells[(k + 1) % 3].raw, cells[(k + 2) % 3].raw)),
            ]
        m.d.comb += [
            port.eq(cell.value) for port, cell in zip((self.value, self.value_1, self.value_2), cells, strict=True)
        ]
        m.d.comb += self.error.eq(Cat(cell.error for cell in cells).any())
        return m


class StoredByte(Component):  # type: ignore[misc]
    """One byte of a register file as one cell: with the decoder and the encoder that its file has for it."""

    latency = 1

    def __init__(self, *, width: int, reset: int, cell: Callable[..., Component] = SecdedCell) -> None:
        self._field = Field(name="byte", address=_BYTE, width=width, reset=reset)
        self._cell = cell
        super().__init__({
            "data": In(width), "enable": In(1), "scrub": In(1), "value": Out(width), "error": Out(1), "double": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        file = place(m, platform, "file", RegisterFile, fields=(self._field,), address_width=5, cell=self._cell)
        m.d.comb += [
            file.write_address.eq(_BYTE),
            file.write_data.eq(self.data),
            file.write_enable.eq(self.enable),
            file.scrub_row.eq(Mux(self.scrub, _BYTE >> 4, 0)),
            self.value.eq(file.byte),
            self.error.eq(file.errors),
            self.double.eq(file.doubles),
        ]
        return m


_BYTE = 0x13
"""Address of a byte in row 1."""


def prove_cell(
    name: str, cell: Callable[..., Component], *, whole_copies: bool, width: int = 8, timeout_s: float = 120.0
) -> Proof:
    """A storage cell of a scheme: single flips do not show, and are gone when they should be.

    The stored word is whatever a write of any data leaves in the flip-flops. With one flip, the output is the data; and
    after the next clock edge the flip-flops hold what a write of the new data, or of the old, would leave in them. In
    clocks without write and scrub (of cells that have a scrub input) the flip may stay, but does not spread.

    Parameters
    ----------
    name : str
    cell : class of Component
        `StorageCell` or a component with its ports and constructor.
    whole_copies : bool
        Flips of any bits of one copy at once; otherwise of one flip-flop.
    width : int
        Bits of the cell.
    timeout_s : float
        Limit of the solver in seconds.
    """
    probe = described(cell, width=width, reset=0)
    design = cut_state(cell(width=width, reset=0), "protected_cell")
    size = len(design.bits)
    has_scrub = "scrub" in probe.signature.members
    declared = [("stored", "input", width), ("data", "input", width), ("enable", "input", 1), ("scrub", "input", 1)]
    if whole_copies:
        declared += [("copy", "input", 2), ("flips", "input", width)]
        mask = _copy_mask(design)
    else:
        declared += [("place", "input", size.bit_length())]
        mask = one_hot("mask", size, "place")
    outputs = [port for port, direction, _ in ports(probe) if direction == "output" and port.startswith("value")]
    declared += [(port, "output", width) for port in outputs] + [("right", "output", 1), ("detected", "output", 1)]
    scrub = {"scrub": "1'b0"} if has_scrub else {}
    zero = f"{size}'d0"
    gate = mask + f"  wire [{size - 1}:0] word, fresh, after;\n"
    gate += instance(design.name, "old", state=zero, next_state="word", data="stored", enable="1'b1", **scrub)
    gate += instance(design.name, "new", state=zero, next_state="fresh", data="data", enable="1'b1", **scrub)
    scrub = {"scrub": "scrub"} if has_scrub else {}
    gate += "  wire error;\n" + instance(
        design.name, "dut", state="word ^ mask", next_state="after", data="data", enable="enable", error="error",
        **{port: port for port in outputs}, **scrub,
    )  # fmt: skip
    stays = "scrub ? word : word ^ mask" if has_scrub else "word"
    gate += f"  assign right = after == (enable ? fresh : {stays});\n"
    gate += f"  assign detected = error == ({'scrub && ' if has_scrub else ''}mask != 0);\n"
    gold = (
        "".join(f"  assign {port} = stored;\n" for port in outputs)
        + "  assign right = 1'b1;\n  assign detected = 1'b1;\n"
    )
    what = "any flips in one copy" if whole_copies else f"any one of {size} flip-flops inverted"
    gone = "after the next scrub or write" if has_scrub else "one clock later"
    return prove_module(
        name, f"{what}: never at the output, reported to the error counter, gone {gone}", declared, gold, gate,
        [design.rtlil], timeout_s=timeout_s,
    )  # fmt: skip


def _copy_mask(design: CutState) -> str:
    """Verilog of a mask that inverts the bits `flips` in copy `copy`."""
    copies = design.copies()
    places: dict[int, int] = {}
    bits = []
    for copy in copies:
        bits.append(f"(copy == {copy}) & flips[{places.get(copy, 0)}]")
        places[copy] = places.get(copy, 0) + 1
    return f"  wire [{len(bits) - 1}:0] mask = {{{', '.join(reversed(bits))}}};\n"


def prove_gates(
    name: str, cell: Callable[..., Component], *, whole_copies: bool, width: int = 8, timeout_s: float = 120.0
) -> Proof:
    """A storage cell one of whose clock gates passes a clock too many or one too few.

    In copies the right value, old or new, shows after that clock, and one clock later (with scrub) all copies hold it.
    In a code word a clock too many stores the corrected word, whatever one flip there was before; one too few leaves
    the word as it was, so that a correction waits for the next scrub, and a write is lost: that is not protected.

    Parameters are those of `prove_cell`.
    """
    design = cut_state(cell(width=width, reset=0), "protected_cell", gates=True)
    size = len(design.bits)
    probe = described(cell, width=width, reset=0)
    has_scrub = "scrub" in probe.signature.members
    outputs = [port for port, direction, _ in ports(probe) if direction == "output" and port.startswith("value")]
    index = max(size, design.gates).bit_length()
    declared = [("stored", "input", width), ("data", "input", width), ("enable", "input", 1), ("scrub", "input", 1)]
    declared += [("gate", "input", index), ("place", "input", index)]
    declared += [(port, "output", width) for port in outputs] + [("right", "output", 1)]
    flip = one_hot("mask", size, "place") if not whole_copies else f"  wire [{size - 1}:0] mask = 0;\n"
    gate = flip + one_hot("upset", design.gates, "gate") + f"  wire [{size - 1}:0] word, fresh, after, again;\n"

    def copy_of(label: str, scrub: str, upset: str = f"{design.gates}'d0", **nets: str) -> str:
        given = {"scrub": scrub} if has_scrub else {}
        return instance(design.name, label, upset=upset, **nets, **given)

    write = {"state": f"{size}'d0", "enable": "1'b1"}
    gate += copy_of("old", "1'b0", next_state="word", data="stored", **write)
    gate += copy_of("new", "1'b0", next_state="fresh", data="data", **write)
    gate += copy_of("dut", "scrub", "upset", state="word ^ mask", next_state="after", data="data", enable="enable")
    gate += copy_of(
        "later", "1'b1", state="after", next_state="again", data=f"{width}'d0", enable="1'b0",
        **{port: port for port in outputs},
    )  # fmt: skip
    if whole_copies:
        gate += "  assign right = again == (enable ? fresh : word);\n"
        gold = "".join(f"  assign {port} = enable ? data : stored;\n" for port in outputs)
        what = "the right value shows, all copies hold it " + ("at the next scrub" if has_scrub else "one clock later")
    else:
        gate += "  wire asked = enable || scrub && mask != 0;\n"
        gate += "  assign right = after == (asked == (upset != 0) ? word ^ mask : enable ? fresh : word);\n"
        # a clock too many where nothing was asked for corrects, too
        gold = "".join(f"  assign {port} = enable && gate >= {design.gates} ? data : stored;\n" for port in outputs)
        what = "a clock too many corrects, one too few changes nothing"
    gold += "  assign right = 1'b1;\n"
    return prove_module(
        name, f"any one of {design.gates} clock gates fails for a clock: {what}", declared, gold, gate, [design.rtlil],
        timeout_s=timeout_s,
    )  # fmt: skip


def prove_double_errors(timeout_s: float = 120.0, width: int = 8) -> Proof:
    """Two flips in a code word are reported, and nothing is miscorrected."""
    design = cut_state(StoredByte(width=width, reset=0), "protected_cell")
    size = len(design.bits)
    index = size.bit_length()
    gate = f"""
  wire [{size - 1}:0] one = {size}'d1;
  wire two = first < {size} && second < {size} && first != second;
  wire [{size - 1}:0] word, after, mask = two ? (one << first) | (one << second) : {size}'d0;
  wire error, double;
"""
    gate += instance(
        design.name, "old", state=f"{size}'d0", next_state="word", data="stored", enable="1'b1", scrub="1'b0"
    )
    gate += instance(
        design.name, "dut", state="word ^ mask", next_state="after", data=f"{width}'d0", enable="1'b0", scrub="1'b1",
        error="error", double="double",
    )  # fmt: skip
    gate += "  assign reported = !error && double == two;\n  assign kept = after == (word ^ mask);\n"
    return prove_claims(
        "secded_double", f"any two of {size} flip-flops inverted: reported, and nothing else is changed",
        {"stored": width, "first": index, "second": index}, ("reported", "kept"), gate, [design.rtlil],
        timeout_s=timeout_s,
    )  # fmt: skip


def prove_register(
    name: str, register: Callable[..., Component] = VotedRegister, width: int = 8, timeout_s: float = 120.0
) -> Proof:
    """A pipeline register in three copies: any flips in one copy never show, and are gone one clock later."""
    design = cut_state(register(width=width), "protected_register")
    size = len(design.bits)
    declared = [("stored", "input", width), ("i", "input", width), ("copy", "input", 2), ("flips", "input", width)]
    declared += [("o", "output", width), ("right", "output", 1), ("detected", "output", 1)]
    gate = _copy_mask(design) + f"  wire [{size - 1}:0] word, fresh, after;\n  wire error;\n"
    gate += instance(design.name, "old", state=f"{size}'d0", next_state="word", i="stored")
    gate += instance(design.name, "new", state=f"{size}'d0", next_state="fresh", i="i")
    gate += instance(design.name, "dut", state="word ^ mask", next_state="after", i="i", o="o", error="error")
    gate += "  assign right = after == fresh;\n  assign detected = error == (mask != 0);\n"
    gold = "  assign o = stored;\n  assign right = 1'b1;\n  assign detected = 1'b1;\n"
    return prove_module(
        name, f"any flips in one copy of {width} bits: never at the output, reported, gone one clock later", declared,
        gold, gate, [design.rtlil], timeout_s=timeout_s,
    )  # fmt: skip


class TripleMachine(Component):  # type: ignore[misc]
    """Three replicas of a state machine that see each other, all outputs visible."""

    clocked = True

    def __init__(self, *, logic: Callable[..., Component], **parameters: Any) -> None:
        self._logic, self._parameters = logic, parameters
        self._model = described(logic, **parameters)
        members: dict[str, Any] = {}
        for name, member in ports_of(self._model).items():
            copies = [name] if member.flow == In else [f"{name}_{k}" for k in range(3)]
            members |= dict.fromkeys(copies, member)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = [
            place(m, platform, f"copy_{k}", RegisteredReplica, logic=self._logic, **self._parameters) for k in range(3)
        ]
        for k, copy in enumerate(copies):
            m.d.comb += copy.peers.eq(Cat(copies[(k + 1) % 3].raw, copies[(k + 2) % 3].raw))
            for name, member in ports_of(self._model).items():
                if member.flow == In:
                    m.d.comb += plain(getattr(copy, name)).eq(plain(getattr(self, name)))
                else:
                    m.d.comb += plain(getattr(self, f"{name}_{k}")).eq(plain(getattr(copy, name)))
        return m


def prove_machine(
    name: str, logic: Callable[..., Component], timeout_s: float = 300.0, whole_copies: bool = True, **parameters: Any
) -> Proof:
    """A state machine in three copies: with any flips in one copy, all copies put out what one without flips does, and
    all hold its next state one clock later."""
    design = cut_state(TripleMachine(logic=logic, **parameters), "protected_machine")
    plain_logic = logic(**parameters)
    width = len(plain(plain_logic.state))
    logic_ports = [port for port in ports(plain_logic) if port[0] not in ("state", "next_state", "clk", "rst")]
    inputs = [(port, "input", size) for port, direction, size in logic_ports if direction == "input"]
    outputs = [(port, size) for port, direction, size in logic_ports if direction == "output"]
    flips: list[Port] = [("place", "input", (3 * width).bit_length())]
    if whole_copies:
        flips = [("copy", "input", 2), ("flips", "input", width)]
    order = design.copies()
    size = len(order)
    word = ", ".join(f"stored[{order[:i].count(copy)}]" for i, copy in reversed(list(enumerate(order))))
    given = {port: port for port, _, _ in inputs}
    gate = _copy_mask(design) if whole_copies else one_hot("mask", size, "place")
    gate += f"  wire [{size - 1}:0] after;\n"
    gate += instance(
        design.name, "dut", state=f"{{{word}}} ^ mask", next_state="after", **given,
        **{f"{port}_{k}": f"{port}_{k}" for port, _ in outputs for k in range(3)},
    )  # fmt: skip
    gold = f"  wire [{width - 1}:0] after;\n" + "".join(f"  wire [{n - 1}:0] one_{port};\n" for port, n in outputs)
    gold += instance(
        "plain_machine", "dut", state="stored", next_state="after", **given,
        **{port: f"one_{port}" for port, _ in outputs},
    )  # fmt: skip
    for k in range(3):
        bits = [i for i, copy in enumerate(order) if copy == k]
        gate += f"  assign next_{k} = {{{', '.join(f'after[{i}]' for i in reversed(bits))}}};\n"
        gold += "".join(f"  assign {port}_{k} = one_{port};\n" for port, _ in outputs) + f"  assign next_{k} = after;\n"
    declared = [*inputs, ("stored", "input", width), *flips]
    declared += [(f"{port}_{k}", "output", n) for port, n in outputs for k in range(3)]
    declared += [(f"next_{k}", "output", width) for k in range(3)]
    what = "any flips in one copy" if whole_copies else f"any one of {size} flip-flops inverted"
    return prove_module(
        name, f"{what} of {width} bits: no copy puts out anything else, all are right one clock later", declared, gold,
        gate, [design.rtlil, to_rtlil(plain_logic, "plain_machine")], timeout_s=timeout_s,
    )  # fmt: skip


def prove_single_flips(
    component: Component, name: str, *, reports: Sequence[str] = (), timeout_s: float = 300.0
) -> Proof:
    """Any component: no flip of one flip-flop changes an output, and none is left one clock later.

    The state is any that some state leaves behind one clock later, whatever it is: what lies beyond the reset and was
    never hit. That of a component whose copies agree after each clock, as those of protected registers do.

    Parameters
    ----------
    component : Component
        Fresh component with flip-flops.
    name : str
        Of the module in the proof, an identifier.
    reports : sequence of str
        Outputs that are to show the flip, such as ``error``, and may therefore change.
    timeout_s : float
        Limit of the solver in seconds.

    Raises
    ------
    ValueError
        If there is no flip-flop, or a latch or memory.
    """
    design = cut_state(component, name)
    size = len(design.bits)
    members = [port for port in ports(component) if port[0] not in ("clk", "rst")]
    inputs = {port: width for port, direction, width in members if direction == "input"}
    outputs = {port: width for port, direction, width in members if direction == "output" and port not in reports}
    earlier = {f"{port}_before": width for port, width in inputs.items()}
    gate = one_hot("mask", size, "place") + f"  wire [{size - 1}:0] word, fresh, after;\n"
    gate += "".join(f"  wire [{width - 1}:0] right_{port}, seen_{port};\n" for port, width in outputs.items())
    gate += instance(
        design.name, "old", state="any_state", next_state="word", **{port: f"{port}_before" for port in inputs}
    )
    for label, state, after, prefix in (("good", "word", "fresh", "right"), ("hit", "word ^ mask", "after", "seen")):
        nets = {port: f"{prefix}_{port}" for port in outputs}
        gate += instance(design.name, label, state=state, next_state=after, **{port: port for port in inputs}, **nets)
    same = " && ".join(["1'b1", *(f"seen_{port} == right_{port}" for port in outputs)])
    gate += f"  assign unseen = {same};\n  assign gone = after == fresh;\n"
    return prove_claims(
        name, f"any of {size} flip-flops inverted: no output changes, gone one clock later",
        {"any_state": size, "place": size.bit_length(), **inputs, **earlier}, ("unseen", "gone"), gate, [design.rtlil],
        timeout_s=timeout_s,
    )  # fmt: skip
