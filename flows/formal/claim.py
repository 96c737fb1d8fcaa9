"""A claim about hardware whose state is cut out: the text of a module that is true for every input.

What the proofs of the chips around a crossbar share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from amaranth.lib.wiring import Component

from flows.formal.state import CutState, cut_state

__all__ = ["Claim", "cut", "state_pins"]


class Claim:
    """Text of a module `claim`: inputs, hardware under test, and what must hold."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.body: list[str] = []
        self.premises: list[str] = ["1'b1"]
        self.claims: list[str] = []

    def free(self, name: str, width: int, *, signed: bool = False) -> str:
        """An input that may have any value."""
        self.inputs.append(f"input {'signed ' if signed else ''}[{width - 1}:0] {name}")
        return name

    def wire(self, name: str, width: int, value: str = "", *, signed: bool = False) -> str:
        """A wire."""
        assign = f" = {value}" if value else ""
        self.body.append(f"  wire {'signed ' if signed else ''}[{width - 1}:0] {name}{assign};")
        return name

    def state(self, design: CutState, now: str = "now_{}", next_: str = "next_{}") -> list[str]:
        """An input and a wire for each register, of the names given; pins that put them to the hardware."""
        for register, width in design.registers.items():
            self.free(now.format(register), width)
            self.wire(next_.format(register), width)
        return state_pins(design, {r: (now.format(r), next_.format(r)) for r in design.registers})

    def place(self, design: CutState, name: str, pins: Sequence[str]) -> None:
        """Instantiate hardware whose state was cut out."""
        self.body.append(f"  {design.name} {name}({', '.join(pins)}, .clk(1'b0), .rst(1'b0));")

    def text(self) -> str:
        """The module."""
        premises, claims = " &&\n    ".join(self.premises), " &&\n    ".join(self.claims)
        return (
            f"module claim({', '.join(self.inputs)}, output ok);\n"
            + "\n".join(self.body)
            + f"\n  wire legal = {premises};\n  assign ok = !legal || ({claims});\nendmodule\n"
        )


def state_pins(design: CutState, nets: Mapping[str, tuple[str, str]]) -> list[str]:
    """Pins of the state and the next state from the two nets of each register."""
    pairs = [nets[register] for register in reversed(design.registers)]
    return [
        f".{port}({{{', '.join(pair[side] for pair in pairs)}}})" for side, port in enumerate(("state", "next_state"))
    ]


def cut(component: Component, name: str, *, loaded: bool = False, without: Collection[str] = ()) -> CutState:
    """Hardware without its state; invariants start from 0, so every register must be reset to it.

    With `loaded` none has a reset: their invariants must begin where they are loaded. Registers of `without` may have
    none.
    """
    design = cut_state(component, name)
    expected, what = ("-", "without a reset") if loaded else ("0", "that are reset to 0")
    other = {
        bit for bit, reset in zip(design.bits, design.resets, strict=True)
        if reset != expected and (reset != "-" or bit.rpartition("[")[0] not in without)
    }  # fmt: skip
    if other:
        raise ValueError(f"{name}: expected registers {what}, got others: {', '.join(sorted(other))}")
    return design
