"""Formal proofs about protection, guarded loading and the I2C target.

A protected component is turned inside out: its flip-flops become inputs (`state`) and outputs (`next_state`) of a
combinational module. "Any single flip in any state" is then a statement over all values of inputs, which yosys' SAT
solver decides without unrolling: whatever word is stored, whichever flip-flop is inverted, the outputs are those of the
plain component, and the flip-flops hold the right word again behind the next clock edge (or behind the next scrub).
Since the statement takes any state and gives a right state, it holds at every clock, and chains over time by itself.

How the proofs compose to the chip is argued in docs/radiation.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib.wiring import Component, In, Out

from flows.proofs import Proof, Status, WholeDotProduct, dot_products, prove_equal
from flows.rtlil import Cell, RtlilModule, Wire, parse_rtlil, sigspec
from flows.simulation import SimulatorError, run_group, verilator_environment
from flows.yosys import YosysError, run_yosys
from hw.common.error_counters import ErrorCountersLogic
from hw.common.export import ports, to_rtlil
from hw.common.hierarchy import place
from hw.common.i2c_target import DEVICE_ADDRESS, I2cPhase, I2cTargetLogic
from hw.common.loader import LoaderLogic, LoadPhase
from hw.common.register_file import RegisterFile
from hw.common.registered import described, plain, ports_of
from hw.common.registered_replica import RegisteredReplica
from hw.common.scrubber import ScrubberLogic
from hw.common.secded_cell import SecdedCell
from hw.common.triplicated_cell import TriplicatedCell
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.common.word_access import WordAccessLogic
from hw.common.word_code import WordCode
from hw.common.word_corrector import WordCorrector
from hw.common.word_store import StoredWord, WordPiece, WordStore
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.coded_words import DenseWords
from hw.hgcal_encoder.word_selector import WordSelector
from sim.hgcal_encoder.chip_registers import image_masks
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec, load_spec
from sim.hgcal_encoder.weights import Weights
from sim.register_map import Field

if TYPE_CHECKING:
    from hw.hgcal_encoder.dot_product import DotProductFormat

__all__ = [
    "InsideOut", "StoredByte", "TripleCell", "TripleMachine", "inside_out", "prove_cell", "prove_counters",
    "prove_double_errors",
    "prove_folded_neuron", "prove_folded_neurons", "prove_gates", "prove_i2c_writes", "prove_loader", "prove_machine",
    "prove_protection", "prove_register", "prove_scrubber", "prove_swap", "prove_word_access", "prove_word_corrector",
    "prove_word_double_errors", "prove_word_selector", "prove_word_store",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InsideOut:
    """A component without its flip-flops.

    Attributes
    ----------
    rtlil : str
        Module `name`, combinational, with the ports of the component and `state`, `next_state`, and with `struck` if
        there are gates.
    name : str
    bits : tuple of str
        Flip-flops in the order of `state`: instances and signal, joined by dots, and the bit.
    gates : int
        Enables that `struck` inverts, one for each of its bits.
    """

    rtlil: str
    name: str
    bits: tuple[str, ...]
    gates: int = 0

    def copies(self) -> list[int]:
        """For each flip-flop the number of its copy, from the instance ``..._0`` to ``..._2`` that it lies in.

        Raises
        ------
        ValueError
            If a flip-flop lies in no such instance.
        """
        found = []
        for bit in self.bits:
            number = re.search(r"(?:^|\.)(?:replica|copy|cell)_([012])\.", bit)
            if number is None:
                raise ValueError(f"flip-flop {bit} belongs to no copy")
            found.append(int(number[1]))
        return found


def inside_out(component: Component, name: str, *, gates: bool = False) -> InsideOut:
    """Take the flip-flops out of a component; reset is left out (it loads fixed values).

    Parameters
    ----------
    component : Component
    name : str
        Of the module that is made.
    gates : bool
        Find enables as synthesis does, and let the input `struck` invert each: a clock gate that passes a clock too
        many, or one too few.

    Raises
    ------
    ValueError
        If there is no flip-flop; with `gates`, if one has no enable.
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-inside-out-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(to_rtlil(component, name))
        run_yosys(
            f"read_rtlil design.il\nsetattr -mod -unset keep_hierarchy\nhierarchy -top {name}\nproc -noopt\n"
            + ("opt_clean\nopt_dff -nosdff\n" if gates else "")
            + "flatten -noscopeinfo\nwrite_rtlil flat.il\n",
            directory=work,
        )
        module = parse_rtlil((work / "flat.il").read_text())[name]
    kept = []
    held: list[tuple[list[str], list[str]]] = []
    found = 0
    for cell in module.cells:
        if "dff" not in cell.type:
            kept.append(cell)
            continue
        q, d = (module.bits(cell.connections[port]) for port in "QD")
        if gates:
            if "EN" not in cell.connections:
                raise ValueError(f"{name}: no enable of {q[0].removeprefix(chr(92))}")
            d = _struck(module, kept, cell, found)
            found += 1
        held.append((q, d))
    width = sum(len(q) for q, _ in held)
    if not width:
        raise ValueError(f"{name} has no flip-flop")
    module.cells = kept
    for port, size, output in (("\\state", width, False), ("\\next_state", width, True), ("\\struck", found, False)):
        if size:
            module.wires[port] = Wire(name=port, width=size, input=not output, output=output)
    names = []
    position = 0
    for q, d in held:
        span = [f"[{position + i}]" for i in range(len(q))]
        module.connections.append((sigspec(q), sigspec([f"\\state {bit}" for bit in span])))
        module.connections.append((sigspec([f"\\next_state {bit}" for bit in span]), sigspec(d)))
        names += [re.sub(r"^\\", "", bit).replace(" [", "[") for bit in q]
        position += len(q)
    return InsideOut(rtlil=module.text(), name=name, bits=tuple(names), gates=found)


def _struck(module: RtlilModule, cells: list[Cell], flip_flops: Cell, number: int) -> list[str]:
    """What flip-flops with an enable take when bit `number` of `struck` inverts it."""
    width = len(module.bits(flip_flops.connections["Q"]))
    enable, taken = f"\\gate_{number}", f"\\taken_{number}"
    module.wires |= {
        name: Wire(name=name, width=size, input=False, output=False) for name, size in ((enable, 1), (taken, width))
    }
    # an enable that is active low is the same with its bit of `struck` inverted
    high = int(flip_flops.parameters["EN_POLARITY"].rpartition("'")[2], 2)
    one_bit = {f"{port}_WIDTH": "1" for port in "ABY"} | {"A_SIGNED": "0", "B_SIGNED": "0"}
    cells += [
        Cell(
            name=f"$gate_{number}", type="$xor" if high else "$xnor", attributes={}, parameters=one_bit,
            connections={"A": flip_flops.connections["EN"], "B": f"\\struck [{number}]", "Y": enable},
        ),
        Cell(
            name=f"$taken_{number}", type="$mux", attributes={}, parameters={"WIDTH": str(width)},
            connections={
                "A": flip_flops.connections["Q"], "B": flip_flops.connections["D"], "S": enable, "Y": taken,
            },
        ),
    ]  # fmt: skip
    return [f"{taken} [{bit}]" for bit in range(width)]


def _header(module: str, declared: Sequence[tuple[str, str, int]]) -> str:
    inner = ", ".join(f"{direction} [{width - 1}:0] {name}" for name, direction, width in declared)
    return f"module {module}({inner});\n"


def _instance(module: str, name: str, **nets: str) -> str:
    return f"  {module} {name}({', '.join(f'.{port}({net})' for port, net in nets.items())});\n"


def _prove(
    name: str,
    statement: str,
    declared: Sequence[tuple[str, str, int]],
    gold: str,
    gate: str,
    rtlil: Sequence[str],
    timeout_s: float,
    cases: Sequence[dict[str, int]] = ({},),
) -> Proof:
    gold = _header("gold", declared) + gold + "endmodule\n"
    gate = _header("gate", declared) + gate + "endmodule\n"
    return prove_equal(name, statement, gold, gate, list(rtlil), cases=cases, timeout_s=timeout_s)


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
    behind the next clock edge the flip-flops hold what a write of the new data, or of the old, would leave in them. In
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
    design = inside_out(cell(width=width, reset=0), "protected_cell")
    size = len(design.bits)
    has_scrub = "scrub" in probe.signature.members
    declared = [("stored", "input", width), ("data", "input", width), ("enable", "input", 1), ("scrub", "input", 1)]
    if whole_copies:
        declared += [("copy", "input", 2), ("flips", "input", width)]
        mask = _copy_mask(design)
    else:
        index = size.bit_length()
        declared += [("place", "input", index)]
        mask = f"  wire [{size - 1}:0] mask = (place < {size}) ? ({size}'d1 << place) : {size}'d0;\n"
    outputs = [port for port, direction, _ in ports(probe) if direction == "output" and port.startswith("value")]
    declared += [(port, "output", width) for port in outputs] + [("right", "output", 1), ("noticed", "output", 1)]
    scrub = {"scrub": "1'b0"} if has_scrub else {}
    zero = f"{size}'d0"
    gate = mask + f"  wire [{size - 1}:0] word, fresh, after;\n"
    gate += _instance(design.name, "old", state=zero, next_state="word", data="stored", enable="1'b1", **scrub)
    gate += _instance(design.name, "new", state=zero, next_state="fresh", data="data", enable="1'b1", **scrub)
    scrub = {"scrub": "scrub"} if has_scrub else {}
    gate += "  wire error;\n" + _instance(
        design.name, "dut", state="word ^ mask", next_state="after", data="data", enable="enable", error="error",
        **{port: port for port in outputs}, **scrub,
    )  # fmt: skip
    stays = "scrub ? word : word ^ mask" if has_scrub else "word"
    gate += f"  assign right = after == (enable ? fresh : {stays});\n"
    gate += f"  assign noticed = error == ({'scrub && ' if has_scrub else ''}mask != 0);\n"
    gold = (
        "".join(f"  assign {port} = stored;\n" for port in outputs)
        + "  assign right = 1'b1;\n  assign noticed = 1'b1;\n"
    )
    what = "any flips in one copy" if whole_copies else f"any one of {size} flip-flops inverted"
    gone = "behind the next scrub or write" if has_scrub else "one clock later"
    return _prove(
        name, f"{what}: never at the output, told to the counter, gone {gone}", declared, gold, gate, [design.rtlil],
        timeout_s,
    )  # fmt: skip


def _copy_mask(design: InsideOut) -> str:
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

    In copies the right value, old or new, shows behind it, and one clock later (with scrub) all copies hold it. In a
    code word a clock too many stores the corrected word, whatever one flip there was before; one too few leaves the
    word as it was, so that a correction waits for the next scrub, and a write is lost: that is not protected.

    Parameters as `prove_cell`.
    """
    design = inside_out(cell(width=width, reset=0), "protected_cell", gates=True)
    size = len(design.bits)
    probe = described(cell, width=width, reset=0)
    has_scrub = "scrub" in probe.signature.members
    outputs = [port for port, direction, _ in ports(probe) if direction == "output" and port.startswith("value")]
    index = max(size, design.gates).bit_length()
    declared = [("stored", "input", width), ("data", "input", width), ("enable", "input", 1), ("scrub", "input", 1)]
    declared += [("gate", "input", index), ("place", "input", index)]
    declared += [(port, "output", width) for port in outputs] + [("right", "output", 1)]
    zero, calm = f"{size}'d0", f"{design.gates}'d0"
    flip = f"(place < {size}) ? ({size}'d1 << place) : {size}'d0" if not whole_copies else zero
    gate = f"""
  wire [{size - 1}:0] mask = {flip};
  wire [{design.gates - 1}:0] struck = (gate < {design.gates}) ? ({design.gates}'d1 << gate) : {calm};
  wire [{size - 1}:0] word, fresh, after, again;
"""

    def instance(label: str, scrub: str, **nets: str) -> str:
        return _instance(design.name, label, **nets, **({"scrub": scrub} if has_scrub else {}))

    write = {"state": zero, "struck": calm, "enable": "1'b1"}
    gate += instance("old", "1'b0", next_state="word", data="stored", **write)
    gate += instance("new", "1'b0", next_state="fresh", data="data", **write)
    gate += instance(
        "dut", "scrub", state="word ^ mask", struck="struck", next_state="after", data="data", enable="enable"
    )
    gate += instance(
        "later", "1'b1", state="after", struck=calm, next_state="again", data=f"{width}'d0", enable="1'b0",
        **{port: port for port in outputs},
    )  # fmt: skip
    if whole_copies:
        gate += "  assign right = again == (enable ? fresh : word);\n"
        gold = "".join(f"  assign {port} = enable ? data : stored;\n" for port in outputs)
        what = "the right value shows, all copies hold it " + ("at the next scrub" if has_scrub else "one clock later")
    else:
        gate += "  wire asked = enable || scrub && mask != 0;\n"
        gate += "  assign right = after == (asked == (struck != 0) ? word ^ mask : enable ? fresh : word);\n"
        # a clock too many where nothing was asked for corrects, too
        gold = "".join(f"  assign {port} = enable && gate >= {design.gates} ? data : stored;\n" for port in outputs)
        what = "a clock too many corrects, one too few changes nothing"
    gold += "  assign right = 1'b1;\n"
    return _prove(
        name, f"any one of {design.gates} clock gates fails for a clock: {what}", declared, gold, gate, [design.rtlil],
        timeout_s,
    )  # fmt: skip


def prove_double_errors(timeout_s: float = 120.0, width: int = 8) -> Proof:
    """Two flips in a code word are told, and nothing is miscorrected."""
    design = inside_out(StoredByte(width=width, reset=0), "protected_cell")
    size = len(design.bits)
    index = size.bit_length()
    declared = [("stored", "input", width), ("first", "input", index), ("second", "input", index)]
    declared += [("told", "output", 1), ("kept", "output", 1)]
    gate = f"""
  wire [{size - 1}:0] one = {size}'d1;
  wire two = first < {size} && second < {size} && first != second;
  wire [{size - 1}:0] word, after, mask = two ? (one << first) | (one << second) : {size}'d0;
  wire error, double;
"""
    gate += _instance(
        design.name, "old", state=f"{size}'d0", next_state="word", data="stored", enable="1'b1", scrub="1'b0"
    )
    gate += _instance(
        design.name, "dut", state="word ^ mask", next_state="after", data=f"{width}'d0", enable="1'b0", scrub="1'b1",
        error="error", double="double",
    )  # fmt: skip
    gate += "  assign told = !error && double == two;\n  assign kept = after == (word ^ mask);\n"
    gold = "  assign told = 1'b1;\n  assign kept = 1'b1;\n"
    return _prove(
        "secded_double", f"any two of {size} flip-flops inverted: told, and nothing else is changed", declared, gold,
        gate, [design.rtlil], timeout_s,
    )  # fmt: skip


def prove_register(
    name: str, register: Callable[..., Component] = VotedRegister, width: int = 8, timeout_s: float = 120.0
) -> Proof:
    """A pipeline register in three copies: any flips in one copy never show, and are gone one clock later."""
    design = inside_out(register(width=width), "protected_register")
    size = len(design.bits)
    declared = [("stored", "input", width), ("i", "input", width), ("copy", "input", 2), ("flips", "input", width)]
    declared += [("o", "output", width), ("right", "output", 1), ("noticed", "output", 1)]
    gate = _copy_mask(design) + f"  wire [{size - 1}:0] word, fresh, after;\n  wire error;\n"
    gate += _instance(design.name, "old", state=f"{size}'d0", next_state="word", i="stored")
    gate += _instance(design.name, "new", state=f"{size}'d0", next_state="fresh", i="i")
    gate += _instance(design.name, "dut", state="word ^ mask", next_state="after", i="i", o="o", error="error")
    gate += "  assign right = after == fresh;\n  assign noticed = error == (mask != 0);\n"
    gold = "  assign o = stored;\n  assign right = 1'b1;\n  assign noticed = 1'b1;\n"
    return _prove(
        name, f"any flips in one copy of {width} bits: never at the output, told, gone one clock later", declared, gold,
        gate, [design.rtlil], timeout_s,
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
    design = inside_out(TripleMachine(logic=logic, **parameters), "protected_machine")
    plain_logic = logic(**parameters)
    width = len(plain(plain_logic.state))
    logic_ports = [port for port in ports(plain_logic) if port[0] not in ("state", "next_state", "clk", "rst")]
    inputs = [(port, "input", size) for port, direction, size in logic_ports if direction == "input"]
    outputs = [(port, size) for port, direction, size in logic_ports if direction == "output"]
    flips = (
        [("copy", "input", 2), ("flips", "input", width)]
        if whole_copies
        else [("place", "input", (3 * width).bit_length())]
    )
    declared = [*inputs, ("stored", "input", width), *flips]
    declared += [(f"{port}_{k}", "output", size) for port, size in outputs for k in range(3)]
    declared += [(f"next_{k}", "output", width) for k in range(3)]
    order = design.copies()
    word = ", ".join(f"stored[{order[:i].count(copy)}]" for i, copy in reversed(list(enumerate(order))))
    size = len(design.bits)
    given = {port: port for port, _, _ in inputs}
    gate = (
        _copy_mask(design)
        if whole_copies
        else f"  wire [{size - 1}:0] mask = (place < {size}) ? ({size}'d1 << place) : {size}'d0;\n"
    )
    gate += f"  wire [{size - 1}:0] after;\n"
    gate += _instance(
        design.name, "dut", state=f"{{{word}}} ^ mask", next_state="after", **given,
        **{f"{port}_{k}": f"{port}_{k}" for port, _ in outputs for k in range(3)},
    )  # fmt: skip
    for k in range(3):
        bits = [i for i, copy in enumerate(order) if copy == k]
        gate += f"  assign next_{k} = {{{', '.join(f'after[{i}]' for i in reversed(bits))}}};\n"
    gold = f"  wire [{width - 1}:0] after;\n" + "".join(f"  wire [{n - 1}:0] one_{port};\n" for port, n in outputs)
    gold += _instance(
        "plain_machine",
        "dut",
        state="stored",
        next_state="after",
        **given,
        **{port: f"one_{port}" for port, _ in outputs},
    )
    gold += "".join(f"  assign {port}_{k} = one_{port};\n" for port, _ in outputs for k in range(3))
    gold += "".join(f"  assign next_{k} = after;\n" for k in range(3))
    what = "any flips in one copy" if whole_copies else f"any one of {size} flip-flops inverted"
    return _prove(
        name, f"{what} of {width} bits: no copy puts out anything else, all are right one clock later", declared, gold,
        gate, [design.rtlil, to_rtlil(plain_logic, "plain_machine")], timeout_s,
    )  # fmt: skip


def prove_scrubber(
    first: int, last: int, timeout_s: float = 120.0, scrubber: Callable[..., Component] = ScrubberLogic
) -> Proof:
    """Every row comes up within ``last - first + 1`` clocks: its distance ahead falls by one in every clock."""
    period = last - first + 1
    declared = [("state", "input", 12), ("row", "input", 12), ("closer", "output", 1), ("inside", "output", 1)]
    gate = "  wire [11:0] after, shown;\n" + _instance("walk", "dut", state="state", next_state="after", row="shown")
    gate += f"""
  wire legal = state >= {first} && state <= {last} && row >= {first} && row <= {last};
  wire [12:0] now = (row >= state) ? row - state : row + {period} - state;
  wire [12:0] then = (row >= after) ? row - after : row + {period} - after;
  assign closer = !legal || shown == row || then + 1 == now;
  assign inside = !legal || (shown == state && after >= {first} && after <= {last});
"""
    gold = "  assign closer = 1'b1;\n  assign inside = 1'b1;\n"
    return _prove(
        "scrubber", f"every row is scrubbed within {period} clocks", declared, gold, gate,
        [to_rtlil(scrubber(first=first, last=last, width=12), "walk")], timeout_s,
    )  # fmt: skip


_FIELDS = {"phase": 3, "address": 16, "crc": 32, "step": 4, "status": 4, "dropped": 1}
_LOADER_BITS = sum(_FIELDS.values())


def _loader_gate(first: int, last: int, steps: int) -> tuple[list[tuple[str, str, int]], str, str]:
    """Ports, Verilog with the loader and its state fields as wires, and RTLIL."""
    logic = LoaderLogic(first=first, last=last, steps=steps)
    inputs = [("begin_", "input", 1), ("commit", "input", 1), ("write", "input", 1), ("pause", "input", 1)]
    inputs += [("mapped", "input", 1), ("shadow", "input", 8), ("active", "input", 8), ("bad", "input", 1)]
    inputs += [("expected", "input", 32), ("state", "input", _LOADER_BITS)]
    text = f"  wire [{_LOADER_BITS - 1}:0] after;\n  wire [{steps - 1}:0] swap;\n  wire mark, busy;\n"
    nets = {("begin" if port == "begin_" else port): port for port, _, _ in inputs}
    text += "  loader dut(" + ", ".join(f".\\{port} ({net})" for port, net in nets.items())
    text += ", .next_state(after), .swap(swap), .mark(mark), .busy(busy));\n"
    low = 0
    for field, width in _FIELDS.items():
        text += f"  wire [{width - 1}:0] {field} = state[{low + width - 1}:{low}];\n"
        text += f"  wire [{width - 1}:0] {field}_after = after[{low + width - 1}:{low}];\n"
        low += width
    return inputs, text, to_rtlil(logic, "loader")


def prove_loader(first: int, last: int, steps: int, timeout_s: float = 120.0) -> Proof:
    """The loader cannot hang: from any state, also one that an upset made, a rank falls in every clock.

    The rank is a number of clocks: it is 0 where the loader is idle, and falls by at least one in every clock in which
    the bus does not read. So the loader is idle at the latest after as many clocks as the rank of a commit.
    """
    declared, text, rtlil = _loader_gate(first, last, steps)

    def rank(after: str) -> str:
        left = f"((address{after} >= {last}) ? 20'd0 : {last} - address{after})"
        rest = f"((step{after} >= {steps - 1}) ? 20'd0 : {steps - 1} - step{after})"
        swap = 3 + last - first
        cases = {
            LoadPhase.IDLE: "20'd0",
            LoadPhase.CONFIRM: "20'd1",
            LoadPhase.VERIFY: f"20'd2 + {left}",
            LoadPhase.SWAP: f"20'd{swap} + {rest}",
            LoadPhase.JUDGE: f"20'd{swap + steps}",
            LoadPhase.CHECK: f"20'd{swap + steps + 1} + {left}",
        }
        return "".join(f"(phase{after} == {int(phase)}) ? ({value}) : " for phase, value in cases.items()) + "20'd1"

    bound = 3 + last - first + steps + 1 + last - first
    gate = text + f"  wire [19:0] now = {rank('')};\n  wire [19:0] then = {rank('_after')};\n"
    gate += f"""
  wire walking = phase == {int(LoadPhase.CHECK)} || phase == {int(LoadPhase.VERIFY)};
  assign falls = phase == 0 || (pause && walking ? then <= now : then < now);
  assign starts = phase != 0 || then == 0 || (commit && !bad && then == {bound});
"""
    gold = "  assign falls = 1'b1;\n  assign starts = 1'b1;\n"
    declared = [*declared, ("falls", "output", 1), ("starts", "output", 1)]
    return _prove(
        "loader_ends",
        f"from any state idle again; within {bound} clocks of a commit, and one for each byte read meanwhile",
        declared, gold, gate, [rtlil], timeout_s,
    )  # fmt: skip


def prove_swap(first: int, last: int, steps: int, timeout_s: float = 120.0) -> Proof:
    """Nothing is swapped in but an image with the right checksum and no bad byte, and then all of it, part by part."""
    declared, text, rtlil = _loader_gate(first, last, steps)
    swap = int(LoadPhase.SWAP)
    gate = (
        text
        + f"""
  wire right = ~crc == expected;
  wire entered = phase_after == {swap} && phase != {swap};
  wire last_part = step == {steps - 1} || (phase_after == {swap} && step_after == step + 1);
  assign only_judged = !entered || (phase == {int(LoadPhase.JUDGE)} && right && step_after == 0);
  assign only_good = swap == 0 || (phase == {swap} && !(step == 0 && bad));
  assign in_order = phase != {swap} || (step == 0 && bad) || step >= {steps}
                    || (swap == (1 << step) && last_part);
  assign idle_otherwise = !mark || (phase == 0 && begin_);
"""
    )
    names = ("only_judged", "only_good", "in_order", "idle_otherwise")
    gold = "".join(f"  assign {name} = 1'b1;\n" for name in names)
    return _prove(
        "loader_swap", "a swap only behind a right checksum and without bad bytes, all parts in order",
        [*declared, *((name, "output", 1) for name in names)], gold, gate, [rtlil], timeout_s,
    )  # fmt: skip


def prove_counters(count: int = 4, timeout_s: float = 120.0) -> Proof:
    """Error counters count events, stop at 255, and are cleared."""
    declared = [("events", "input", count), ("clear", "input", 1), ("state", "input", 8 * count)]
    declared += [("counts", "output", 8 * count), ("after", "output", 8 * count)]
    gate = _instance(
        "counters", "dut", events="events", clear="clear", state="state", counts="counts", next_state="after"
    )
    gold = "  assign counts = state;\n" + "".join(
        f"  assign after[{8 * k + 7}:{8 * k}] = clear ? 0 : (state[{8 * k + 7}:{8 * k}] == 255) ? 255 : "
        f"state[{8 * k + 7}:{8 * k}] + events[{k}];\n"
        for k in range(count)
    )
    return _prove(
        "counters", "each counts its events and stops at 255", declared, gold, gate,
        [to_rtlil(ErrorCountersLogic(count=count), "counters")], timeout_s,
    )  # fmt: skip


def prove_i2c_writes(timeout_s: float = 120.0, logic: Callable[..., Component] = I2cTargetLogic) -> Proof:
    """The target writes nothing outside a write transfer to its own address.

    By induction over clocks. The invariant: in the byte with the device address, once its acknowledge is due, the
    address is the own one. It holds after reset, is kept by every step, and with it:

    * a write happens in the phase for data only, behind eight bits, and not in a clock with a START or STOP;
    * that phase is entered from the second address byte, that from the first, that from a device address that is the
      own one with the write bit, each behind the acknowledge bit; and the device address behind a START only;
    * START and STOP lead out of every phase.

    So between a write and the START before it lie the own address with W, two address bytes and eight data bits, and
    neither START nor STOP.
    """
    layout = I2cTargetLogic.STATE
    text = "  wire [47:0] after;\n  wire write_enable;\n  wire [7:0] write_data;\n  wire [15:0] address;\n"
    text += _instance(
        "target", "dut", scl="scl", sda="sda", read_data="read_data", state="state", next_state="after",
        write_enable="write_enable", write_data="write_data", address="address",
    )  # fmt: skip
    for name, field in layout:
        high, low = field.offset + field.width - 1, field.offset
        for suffix, source in (("", "state"), ("_after", "after")):
            text += f"  wire [{high - low}:0] {name}_{suffix[1:] or 'now'} = {source}[{high}:{low}];\n"
    phases = {phase.name.lower(): int(phase) for phase in I2cPhase}

    def invariant(suffix: str) -> str:
        own = f"shift_{suffix}[7:1] == {DEVICE_ADDRESS}"
        due = f"(bits_{suffix} >= 9 || (bits_{suffix} == 8 && !scl_{suffix} && hold_{suffix} == 0))"
        return f"(!(phase_{suffix} == {phases['device']} && {due}) || {own})"

    moves = {"write": "low", "low": "high", "high": "device"}
    entered = " && ".join(
        f"(!(phase_after == {phases[to]} && phase_now != {phases[to]})"
        f" || (phase_now == {phases[source]} && bits_now >= 9))"
        for to, source in moves.items()
    )
    reset = described(I2cTargetLogic).reset
    text += f"""
  wire flips = scl_sync_now[1] != scl_now && scl_count_now == 3;
  wire data_flips = sda_sync_now[1] != sda_now && sda_count_now == 3;
  wire condition = settle_now == 1 && scl_now && !flips && !data_flips;
  wire kept = {invariant("now")};
  assign holds = (!kept || {invariant("after")}) && (state != 48'd{reset} || kept);
  wire due = phase_now == {phases["write"]} && bits_now == 8 && !condition;
  assign writes = !kept || !write_enable || (due && address == pointer_now && write_data == shift_now);
  assign path = !kept || ({entered});
  assign own = !kept || !(phase_after == {phases["high"]} && phase_now == {phases["device"]})
      || shift_now == {DEVICE_ADDRESS << 1};
  wire out = phase_after == {phases["device"]} || phase_after == {phases["idle"]};
  assign ends = !condition || (out && bits_after == 0);
  assign starts = !(phase_after == {phases["device"]} && phase_now != {phases["device"]}) || (condition && !sda_now);
"""
    names = ("holds", "writes", "path", "own", "ends", "starts")
    declared = [("scl", "input", 1), ("sda", "input", 1), ("read_data", "input", 8), ("state", "input", 48)]
    gold = "".join(f"  assign {name} = 1'b1;\n" for name in names)
    return _prove(
        "i2c_writes", "no write but in a write transfer to the own address, behind eight data bits",
        [*declared, *((name, "output", 1) for name in names)], gold, text, [to_rtlil(logic(), "target")], timeout_s,
    )  # fmt: skip


def _columns(code: WordCode, bits: Sequence[tuple[int, str]]) -> list[str]:
    """Check bits of data bits (place in the code, net) in Verilog: a row of the parity-check matrix each."""
    return [
        "^{" + ", ".join(["1'b0", *(net for bit, net in bits if code.columns[bit] >> row & 1)]) + "}"
        for row in range(code.check_bits)
    ]


def prove_word_corrector(
    width: int,
    used: Sequence[int] | None = None,
    *,
    corrector: Callable[..., Component] = WordCorrector,
    timeout_s: float = 120.0,
) -> Proof:
    """A code word with any one wrong bit leaves its corrector as it was stored.

    Parameters
    ----------
    width : int
        Data bits of the code.
    used : sequence of int, optional
        Those that the word has; all if left out.
    corrector : class of Component
        `WordCorrector` or a variant of it.
    timeout_s : float
        Limit of the solver in seconds.
    """
    code = WordCode(width=width)
    bits = tuple(range(width)) if used is None else tuple(used)
    size = len(bits) + code.check_bits - 1
    index = size.bit_length()
    checks = _columns(code, [(bit, f"stored[{i}]") for i, bit in enumerate(bits)])[:-1]
    gate = f"  wire [{code.check_bits - 2}:0] checks = {{{', '.join(reversed(checks))}}};\n"
    gate += f"  wire [{size - 1}:0] mask = (place < {size}) ? ({size}'d1 << place) : {size}'d0;\n"
    gate += _instance("corrector", "dut", raw="{checks, stored} ^ mask", data="data")
    declared = [("stored", "input", len(bits)), ("place", "input", index), ("data", "output", len(bits))]
    return _prove(
        f"word_corrector_{len(bits)}", f"word of {len(bits)} bits, any one of {size} inverted: corrected", declared,
        "  assign data = stored;\n", gate, [to_rtlil(corrector(width=width, used=bits), "corrector")], timeout_s,
    )  # fmt: skip


def prove_word_selector(
    spec: EncoderSpec, *, selector: Callable[..., Component] = WordSelector, timeout_s: float = 300.0
) -> Proof:
    """Weights of every slot from the code words of a neuron, any one bit of which is wrong."""
    layout = DenseWords(spec=spec)
    code, width = layout.code, spec.weight.width
    total = spec.activations * width
    declared = [("stored", "input", total), ("number", "input", max(1, (spec.reuse - 1).bit_length()))]
    declared += [
        ("place", "input", layout.raw_bits.bit_length()),
        ("weight", "output", width * layout.schedule.parallel),
    ]
    words = []
    for slot, group, _, _ in layout.layout:
        nets = []
        for piece, position in enumerate(layout.positions(group, slot)):
            if position is not None:
                first = position * layout.weights_bits
                nets += [(piece * layout.piece_bits + i, f"stored[{first + i}]") for i in range(layout.weights_bits)]
        words += [net for _, net in nets] + _columns(code, nets)[:-1]
    size = layout.raw_bits
    gate = f"  wire [{size - 1}:0] mask = (place < {size}) ? ({size}'d1 << place) : {size}'d0;\n"
    gate += f"  wire [{size - 1}:0] word = {{{', '.join(reversed(words))}}};\n"
    gate += (
        f"  wire [{spec.reuse - 1}:0] slot = (number < {spec.reuse}) ? ({spec.reuse}'d1 << number) : {spec.reuse}'d0;\n"
    )
    gate += _instance("selector", "dut", words="word ^ mask", slot="slot", weight="weight")
    chosen = []
    for tap in range(layout.schedule.parallel):
        for bit in range(width):
            terms = [
                f"(number == {slot} & stored[{activation * width + bit}])"
                for slot in range(spec.reuse)
                if (activation := layout.schedule.activation(slot, tap)) is not None
            ]
            chosen.append(" | ".join(terms) or "1'b0")
    gold = f"  assign weight = {{{', '.join(reversed(chosen))}}};\n"
    rtlil = to_rtlil(selector(spec=spec), "selector")
    return _prove(
        "word_selector", f"weights of {spec.reuse} slots, any one of {size} flip-flops of a neuron inverted", declared,
        gold, gate, [rtlil], timeout_s,
    )  # fmt: skip


STORE_OF_PROOF: dict[str, Any] = {
    "words": (
        StoredWord(
            name="word_a", piece_bits=5, block=0, static=True, reset=0x0F,
            pieces=(WordPiece(start=0, bits=tuple(range(5))), WordPiece(start=13, bits=(0, 1, 2, 4))),
        ),
        StoredWord(
            name="word_b", piece_bits=5, block=1, static=True, pieces=(WordPiece(start=5, bits=(0, 1, 2)), None)
        ),
        StoredWord(
            name="word_c", piece_bits=5, block=1, static=False,
            pieces=(WordPiece(start=18, bits=tuple(range(5))), WordPiece(start=23, bits=tuple(range(5)))),
        ),
    ),
    "addresses": (0x10, 0x11, 0x20, 0x21),
    "address_width": 8,
    "blocks": 2,
}  # fmt: skip
"""Parameters of a `WordStore` of three words: with holes, in one piece and in two, at any place in a byte and across
bytes, static and not. Words of ten bits: a SAT solver cannot do parities of many bits; those of the chip have the same
logic with longer sums."""


class _Store:
    """Verilog around a `WordStore` without flip-flops: what it holds as a function of an image."""

    def __init__(self, store: Callable[..., Component], parameters: dict[str, Any]) -> None:
        self.design = inside_out(store(**parameters), "store")
        self.words: tuple[StoredWord, ...] = parameters["words"]
        self.addresses: tuple[int, ...] = parameters["addresses"]
        self.blocks: int = parameters["blocks"]
        self.code = WordCode(width=self.words[0].piece_bits * len(self.words[0].pieces))
        self.size = len(self.design.bits)
        self.image_bits = 8 * len(self.addresses)
        self.number_bits = len(self.words).bit_length()
        self.places = {bit: place for place, bit in enumerate(self.design.bits)}

    def state(self, image: str) -> str:
        """Concatenation of all flip-flops if they hold an image."""
        nets = [""] * self.size
        for word in self.words:
            held = [(bit, f"{image}[{number}]") for bit, number in zip(word.used, word.image_bits, strict=True)]
            for i, net in enumerate([net for _, net in held] + _columns(self.code, held)):
                nets[self.places[f"{word.name}.value[{i}]"]] = net
        return "{" + ", ".join(reversed(nets)) + "}"

    def mine(self, word: StoredWord) -> str:
        """Mask of the flip-flops of a word."""
        bits = ["1" if bit.startswith(f"{word.name}.") else "0" for bit in reversed(self.design.bits)]
        return f"{self.size}'b{''.join(bits)}"

    @property
    def declared(self) -> list[tuple[str, str, int]]:
        """Inputs."""
        return [
            ("image", "input", self.image_bits), ("word", "input", self.number_bits), ("address", "input", 8),
            ("merge", "input", 1), ("value", "input", 8), ("first", "input", self.size.bit_length()),
            ("second", "input", self.size.bit_length()),
        ]  # fmt: skip

    def instance(self, state: str, merge: str) -> str:
        """The store with the inputs, its outputs in wires of their names, its next state in `after`."""
        static = sum(len(word.used) for word in self.words if word.static)
        text = f"  wire [{self.size - 1}:0] after;\n  wire [7:0] found_, read_;\n  wire [{static - 1}:0] static_;\n"
        text += f"  wire [{self.blocks - 1}:0] errors_, doubles_;\n"
        return text + _instance(
            "store", "dut", state=state, next_state="after", word="word", address="address", merge=merge, value="value",
            found="found_", read="read_", static="static_", errors="errors_", doubles="doubles_",
        )  # fmt: skip


def prove_word_store(
    *, store: Callable[..., Component] = WordStore, parameters: dict[str, Any] | None = None, timeout_s: float = 300.0
) -> Proof:
    """Words of a store, any one flip-flop of which is inverted: what is read, written back and merged is right.

    The flip-flops hold the code words of any image, but for one flip. In a clock in which any word is reached, with any
    byte looked for: static values are those of the image; the byte is what the image has of it in this word; the next
    image has the new byte in place of the old where `merge` asks for it, in code words; the flip is gone if it was in
    the word that was reached, and otherwise stays where it is; the counters of the word's block are told.
    """
    s = _Store(store, STORE_OF_PROOF if parameters is None else parameters)
    gate = f"  wire [{s.size - 1}:0] mask = (first < {s.size}) ? ({s.size}'d1 << first) : {s.size}'d0;\n"
    gate += f"  wire [{s.image_bits - 1}:0] own, there, next;\n"
    masks, flips, blocks = [], [], []
    for number, word in enumerate(s.words):
        held = sum(1 << bit for bit in word.image_bits)
        masks.append(f"(word == {number}) ? {s.image_bits}'d{held} : ")
        flips.append(f"(word == {number}) ? {s.mine(word)} : ")
        blocks.append(f"(word == {number}) ? {s.blocks}'d{1 << word.block} : ")
    at = "".join(f"(address == {a}) ? {s.image_bits}'d{0xFF << 8 * n} : " for n, a in enumerate(s.addresses))
    gate += f"  assign own = {''.join(masks)}{s.image_bits}'d0;\n  assign there = own & ({at}{s.image_bits}'d0);\n"
    spread = "{" + ", ".join(["value"] * len(s.addresses)) + "}"
    gate += f"  assign next = merge ? (image & ~there) | ({spread} & there) : image;\n"
    gate += f"  wire [{s.size - 1}:0] in_word = {''.join(flips)}{s.size}'d0;\n"
    gate += s.instance(f"{s.state('image')} ^ mask", "merge")
    bytes_there = " | ".join(f"there[{8 * n + 7}:{8 * n}]" for n in range(len(s.addresses)))
    bytes_read = " | ".join(
        f"(there[{8 * n + 7}:{8 * n}] & image[{8 * n + 7}:{8 * n}])" for n in range(len(s.addresses))
    )
    values = [f"image[{bit}]" for word in s.words if word.static for bit in word.image_bits]
    gate += f"""
  wire legal = word < {len(s.words)};
  assign kept = after == ({s.state("next")} ^ (mask & ~in_word));
  assign byte_found = !legal || found_ == ({bytes_there}) && read_ == ({bytes_read});
  assign shown = static_ == {{{", ".join(reversed(values))}}};
  assign told = errors_ == ((mask & in_word) != 0 ? ({"".join(blocks)}{s.blocks}'d0) : {s.blocks}'d0) && doubles_ == 0;
"""
    names = ("kept", "byte_found", "shown", "told")
    return _prove(
        "word_store", f"any one of {s.size} flip-flops inverted: never shown or stored, bytes merge into code words",
        [*s.declared, *((name, "output", 1) for name in names)],
        "".join(f"  assign {name} = 1'b1;\n" for name in names), gate, [s.design.rtlil], timeout_s,
        cases=[{"word": word, "merge": merge} for word in range(1 << s.number_bits) for merge in range(2)],
    )  # fmt: skip


def prove_word_double_errors(*, timeout_s: float = 300.0) -> Proof:
    """Two flips in a word are told, and the word is left as it is."""
    s = _Store(WordStore, STORE_OF_PROOF)
    pair = []
    for number, word in enumerate(s.words):
        both = f"(one & {s.mine(word)}) != 0 && (two & {s.mine(word)}) != 0"
        pair.append(f"(word == {number} && {both})")
    gate = f"""
  wire [{s.size - 1}:0] one = (first < {s.size}) ? ({s.size}'d1 << first) : {s.size}'d0;
  wire [{s.size - 1}:0] two = (second < {s.size}) ? ({s.size}'d1 << second) : {s.size}'d0;
  wire double = one != two && ({" || ".join(pair)});
"""
    gate += s.instance(f"{s.state('image')} ^ one ^ two", "1'b0")
    gate += "  assign told = !double || (doubles_ != 0 && errors_ == 0);\n"
    gate += f"  assign kept = !double || after == ({s.state('image')} ^ one ^ two);\n"
    names = ("told", "kept")
    return _prove(
        "word_double", "any two flip-flops of a word inverted: told, and nothing is changed",
        [*s.declared, *((name, "output", 1) for name in names)],
        "".join(f"  assign {name} = 1'b1;\n" for name in names), gate, [s.design.rtlil], timeout_s,
    )  # fmt: skip


def prove_word_access(
    words: int, *, access: Callable[..., Component] = WordAccessLogic, timeout_s: float = 120.0
) -> Proof:
    """Every word is reached once in as many clocks; a byte is merged in these clocks behind a write, and only then.

    The distance from the word that is reached to any other falls by one in every clock. `merge` is high while a count
    is above 0, which a write sets to the number of words and every other clock lowers by one.
    """
    n = words.bit_length()
    size = 2 * n + 16
    declared = [("write", "input", 1), ("write_data", "input", 8), ("moved", "input", 1), ("found", "input", 8)]
    declared += [("read", "input", 8), ("state", "input", size), ("other", "input", n)]
    gate = f"""
  wire [{size - 1}:0] after;
  wire [{n - 1}:0] word;
  wire [7:0] value, seen;
  wire merge;
  wire [{n - 1}:0] place = state[{n - 1}:0], place_after = after[{n - 1}:0];
  wire [{n - 1}:0] left = state[{2 * n - 1}:{n}], left_after = after[{2 * n - 1}:{n}];
  wire [7:0] held = state[{2 * n + 7}:{2 * n}], held_after = after[{2 * n + 7}:{2 * n}];
  wire [7:0] got = state[{2 * n + 15}:{2 * n + 8}], got_after = after[{2 * n + 15}:{2 * n + 8}];
  wire legal = place < {words} && other < {words} && left <= {words};
  wire [{n}:0] now = (other >= place) ? other - place : other + {words} - place;
  wire [{n}:0] then = (other >= place_after) ? other - place_after : other + {words} - place_after;
  assign closer = !legal || other == word || then + 1 == now;
  assign inside = !legal || (word == place && place_after < {words} && left_after <= {words});
  assign counts = left_after == (write ? {words} : (left == 0) ? 0 : left - 1);
  assign merges = merge == (left != 0) && value == held && held_after == (write ? write_data : held);
  assign reads = seen == got && got_after == (moved ? 0 : merge ? got : ((got & ~found) | (read & found)));
"""
    gate += _instance(
        "access", "dut", state="state", next_state="after", word="word", merge="merge", value="value", write="write",
        write_data="write_data", moved="moved", found="found", read="read", **{"\\byte ": "seen"},
    )  # fmt: skip
    names = ("closer", "inside", "counts", "merges", "reads")
    return _prove(
        "word_access", f"each of {words} words within {words} clocks; bytes merge in these behind a write only",
        [*declared, *((name, "output", 1) for name in names)],
        "".join(f"  assign {name} = 1'b1;\n" for name in names), gate, [to_rtlil(access(words=words), "access")],
        timeout_s,
    )  # fmt: skip


_SELECTED = replace(ECON_T, name="SELECTED", filters=1, reuse=8)
"""Two groups of taps in words of two weights: short parities."""


def prove_protection(*, first: int = 0x03B0, last: int = 0x0BE2, steps: int = 4, words: int = 149) -> Iterator[Proof]:
    """All fast proofs, one after the other.

    Parameters
    ----------
    first, last : int
        Lowest and highest address of the image; those of ECON_T.
    steps : int
        Parts of a swap; those of the default pipeline.
    words : int
        Code words of a store that is reached word by word; those of ECON_T with reused multipliers.
    """
    for width in range(1, 9):
        yield prove_cell(f"voted_cell_{width}", VotedCell, whole_copies=True, width=width)
        yield prove_cell(f"triplicated_cell_{width}", TripleCell, whole_copies=True, width=width)
        yield prove_cell(f"secded_cell_{width}", StoredByte, whole_copies=False, width=width)
    yield prove_gates("voted_cell_gates", VotedCell, whole_copies=True)
    yield prove_gates("triplicated_cell_gates", TripleCell, whole_copies=True)
    yield prove_gates("secded_cell_gates", StoredByte, whole_copies=False)
    yield prove_double_errors()
    yield prove_register("voted_register", width=64)
    yield prove_machine("i2c_in_triplicate", I2cTargetLogic, whole_copies=False)
    yield prove_scrubber(first >> 4, last >> 4)
    yield prove_word_corrector(10)
    yield prove_word_selector(_SELECTED)
    yield prove_word_store()
    yield prove_word_double_errors()
    yield prove_word_access(words)
    yield prove_counters()
    yield prove_loader(first, last, steps)
    yield prove_swap(first, last, steps)
    yield prove_i2c_writes()


def prove_folded_neuron(
    name: str,
    dot_format: DotProductFormat,
    weights: Sequence[int],
    bias: int,
    *,
    folded: tuple[Sequence[int], int] | None = None,
    timeout_s: float = 300.0,
) -> Proof:
    """The neuron with constant weights, optimised, equals the loadable neuron that holds the same weights.

    The loadable neuron's weight inputs are tied to the image; the other side is the same neuron generated for these
    constants and minimised by yosys and abc, which leaves no multiplexer and no weight in it. abc's combinational
    equivalence checker (``&cec``) decides equality for every activation.

    Parameters
    ----------
    name : str
    dot_format : DotProductFormat
        Sum of products of one neuron.
    weights : sequence of int
        Codes, one for each tap.
    bias : int
        Code.
    folded : (weights, bias), optional
        Another image for the constant side; the proof must then fail.
    timeout_s : float
        Limit of each tool in seconds.

    Returns
    -------
    Proof
        `Status.UNDECIDED` if abc runs into its limit.

    Raises
    ------
    ValueError
        If the number of weights or a code does not fit.
    """
    f = dot_format
    start = time.monotonic()
    sides = {"held": (weights, bias), "folded": folded or (weights, bias)}
    lines = ["read_rtlil neuron.il"]
    with tempfile.TemporaryDirectory(prefix="liquidcal-folded-") as folder:
        work = Path(folder)
        text = to_rtlil(WholeDotProduct(dot_format=f), "neuron")
        (work / "neuron.il").write_text(text.replace("attribute \\top 1\n", ""))
        for side, (codes, offset) in sides.items():
            (work / f"{side}.v").write_text(_held(side, f, codes, offset))
            lines.append(f"read_verilog {side}.v")
        lines.append("design -save both")
        for side in sides:
            lines += [f"design -load both\nhierarchy -top {side}", "proc", "flatten"]
            if side == "folded":
                lines += ["opt -full", "techmap", "opt -full", "abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX", "opt_clean"]
            lines += ["techmap", "aigmap", "opt_clean", f"write_aiger -symbols {side}.aig"]
        run_yosys("\n".join(lines) + "\n", directory=work, name="fold", timeout_s=timeout_s)
        try:
            log = run_group(
                [str(_abc()), "-c", f"&cec -T {int(timeout_s)} held.aig folded.aig"], cwd=work,
                env=verilator_environment(), timeout_s=timeout_s + 20, name="abc",
            )  # fmt: skip
        except SimulatorError:
            log = ""
    status = Status.UNDECIDED
    if "Networks are equivalent" in log:
        status = Status.PROVED
    elif "NOT EQUIVALENT" in log:
        status = Status.REFUTED
    return Proof(
        name=name, status=status, input_bits=f.taps * f.activation_width, wall_s=time.monotonic() - start,
        statement=f"constant-folded neuron of {f.taps} taps equals the loadable one with these weights",
        counterexample={},
    )  # fmt: skip


def _held(name: str, f: DotProductFormat, weights: Sequence[int], bias: int) -> str:
    """Verilog of the neuron with tied weights."""
    if len(weights) != f.taps:
        raise ValueError(f"weights: expected {f.taps}, got {len(weights)}")
    for what, code, width in [("bias", bias, f.bias_width), *(("weight", int(w), f.weight_width) for w in weights)]:
        if not -(1 << width - 1) <= code < 1 << width - 1:
            raise ValueError(f"{what}: expected {width} bits, got {code}")
    bits = "".join(f"{int(w) & (1 << f.weight_width) - 1:0{f.weight_width}b}" for w in reversed(weights))
    wide = f.taps * f.activation_width
    return (
        f"module {name}(input [{wide - 1}:0] x, output [{f.sum_width - 1}:0] y);\n"
        f"  neuron dut(.x(x), .weight({len(bits)}'b{bits}), .sum(y),\n"
        f"    .bias({f.bias_width}'d{bias & (1 << f.bias_width) - 1}));\nendmodule\n"
    )


def _abc() -> Path:
    """The abc that comes with pyosys."""
    found = importlib.util.find_spec("pyosys")
    path = (
        Path(found.submodule_search_locations[0]) / "yosys-abc" if found and found.submodule_search_locations else None
    )
    if path is None or not path.is_file():
        raise YosysError("yosys-abc is missing: it comes with the `pyosys` wheel", "")
    return path


def prove_folded_neurons(spec: EncoderSpec, weights: Weights, timeout_s: float = 600.0) -> Iterator[Proof]:
    """Every neuron of an image, constant against loaded: one for each filter and number of taps, one for each latent.

    The rest of the data path is the same module on both sides, so the whole encoder follows neuron by neuron.
    """
    for name, f in dot_products(spec).items():
        layer, _, _ = name.partition("_")
        if layer == "dense":
            for latent in range(spec.latents):
                codes = [int(code) for code in weights.dense[:, latent]]
                yield prove_folded_neuron(
                    f"{name}_{latent}", f, codes, int(weights.dense_bias[latent]), timeout_s=timeout_s
                )
            continue
        flat = weights.kernel.reshape(spec.kernel_taps, spec.filters)
        position = next(taps for taps in spec.taps if len(taps) == f.taps)
        for number in range(spec.filters):
            codes = [int(flat[tap, number]) for _, tap in position]
            bias = int(weights.kernel_bias[number])
            yield prove_folded_neuron(f"{name}_{number}", f, codes, bias, timeout_s=timeout_s)


def main() -> int:
    """Run all proofs; with weights also those of their constant neurons. The exit code is 1 if one does not close.

    Those on code words at their real width are of the design with multipliers reused four times, unless it reuses them.
    """
    from flows.word_proofs import prove_every_selector, prove_every_word

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--spec", default="ECON_T", help="preset or TOML file")
    parser.add_argument("--weights", type=Path, help="weights whose neurons are proved, constant against loaded")
    arguments = parser.parse_args()
    spec = load_spec(arguments.spec)
    reused = spec if spec.reuse > 1 else replace(spec, reuse=4)
    addresses = list(image_masks(spec))
    chip = described(Chip, spec=spec)
    proofs = chain(
        prove_protection(first=addresses[0], last=addresses[-1], steps=1 + max(chip.parts)),
        (prove(reused) for prove in (prove_every_selector, prove_every_word)),
    )
    if arguments.weights is not None:
        weights = Weights.load(arguments.weights, spec)
        proofs = chain(proofs, prove_folded_neurons(spec, weights))
    failed = 0
    for proof in proofs:
        failed += proof.status is not Status.PROVED
        print(f"{proof.name:24} {proof.status:10} {proof.wall_s:6.1f} s  {proof.statement}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
