"""A clocked component as a combinational module: its flip-flops become inputs and outputs."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib.wiring import Component

from flows.tools.rtlil import Cell, RtlilModule, Wire, parse_rtlil, sigspec
from flows.tools.yosys import run_yosys
from hw.common.export import to_rtlil

__all__ = ["CutState", "cut_state"]


@dataclass(frozen=True, kw_only=True)
class CutState:
    """A component without its flip-flops.

    Attributes
    ----------
    rtlil : str
        Module `name`, combinational, with the ports of the component and `state`, `next_state`, and with `upset` if
        there are clock gates.
    name : str
    bits : tuple of str
        Flip-flops in the order of `state`: instances and signal, joined by dots, and the bit. A signal that is called
        as one of the new ports has ``own_`` before its name.
    resets : str
        Value that the asynchronous reset gives each of them, ``0`` or ``1``; ``-`` where there is no such reset.
    gates : int
        Enables that `upset` inverts, one for each of its bits.
    """

    rtlil: str
    name: str
    bits: tuple[str, ...]
    resets: str
    gates: int = 0

    @property
    def registers(self) -> dict[str, int]:
        """Registers and their widths, in the order in which they lie in `state`."""
        widths: dict[str, int] = {}
        for bit in self.bits:
            name = bit.rpartition("[")[0]
            widths[name] = widths.get(name, 0) + 1
        return widths

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


def cut_state(component: Component, name: str, *, gates: bool = False) -> CutState:
    """Take the flip-flops out of a component; their reset is left out of the logic.

    Parameters
    ----------
    component : Component
        Fresh component.
    name : str
        Name of the module that is made.
    gates : bool
        Find enables as synthesis does, and let the input `upset` invert each: a clock gate that passes a clock too
        many, or one too few.

    Raises
    ------
    ValueError
        If there is no flip-flop, or a latch or memory; with `gates`, if a flip-flop has no enable.
    """
    module = _flattened(component, name, gates=gates)
    for cell in module.cells:
        if "latch" in cell.type or "$mem" in cell.type:
            raise ValueError(f"{name}: {cell.name} is a {cell.type}, expected flip-flops only")
    flip_flops = [cell for cell in module.cells if "dff" in cell.type]
    module.cells = [cell for cell in module.cells if "dff" not in cell.type]
    if not flip_flops:
        raise ValueError(f"{name} has no flip-flop")
    held: list[str] = []
    taken: list[str] = []
    resets = ""
    for number, cell in enumerate(flip_flops):
        q = module.bits(cell.connections["Q"])
        held += q
        taken += _gated(module, cell, number) if gates else module.bits(cell.connections["D"])
        reset = cell.parameters.get("ARST_VALUE")
        resets += "-" * len(q) if reset is None else "".join(module.bits(reset))
    upsets = len(flip_flops) if gates else 0
    for port, size, output in (("state", len(held), False), ("next_state", len(held), True), ("upset", upsets, False)):
        if size:
            module.wires[f"\\{port}"] = Wire(name=f"\\{port}", width=size, input=not output, output=output)
    module.connections += [(sigspec(held), "\\state"), ("\\next_state", sigspec(taken))]
    names = tuple(bit.removeprefix("\\").replace(" [", "[") for bit in held)
    # names that yosys makes up later must not meet those that it made up here
    rtlil = "autoidx 2000000\n" + module.text()
    return CutState(rtlil=rtlil, name=name, bits=names, resets=resets, gates=upsets)


def _flattened(component: Component, name: str, *, gates: bool) -> RtlilModule:
    """The component as one module, with enables separate from data where `gates` asks for it."""
    with tempfile.TemporaryDirectory(prefix="liquidcal-state-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(to_rtlil(component, name))
        run_yosys(
            f"read_rtlil design.il\nsetattr -mod -unset keep_hierarchy\nhierarchy -top {name}\nproc -noopt\n"
            + ("opt_clean\nopt_dff -nosdff\n" if gates else "")
            + "flatten -noscopeinfo\nwrite_rtlil flat.il\n",
            directory=work,
        )
        # a signal may have the name of a port that is made below
        text = re.sub(r"\\(state|next_state|upset)(?=\s)", r"\\own_\1", (work / "flat.il").read_text())
        return parse_rtlil(text)[name]


def _gated(module: RtlilModule, flip_flops: Cell, number: int) -> list[str]:
    """What flip-flops with an enable take when bit `number` of `upset` inverts the enable."""
    q = module.bits(flip_flops.connections["Q"])
    if "EN" not in flip_flops.connections:
        raise ValueError(f"{module.name}: no enable of {q[0].removeprefix(chr(92))}")
    enable, taken = f"\\gate_{number}", f"\\taken_{number}"
    module.wires |= {
        name: Wire(name=name, width=size, input=False, output=False) for name, size in ((enable, 1), (taken, len(q)))
    }
    # an enable that is active low is the same with its bit of `upset` inverted
    high = int(flip_flops.parameters["EN_POLARITY"].rpartition("'")[2], 2)
    one_bit = {f"{port}_WIDTH": "1" for port in "ABY"} | {"A_SIGNED": "0", "B_SIGNED": "0"}
    module.cells += [
        Cell(
            name=f"$gate_{number}", type="$xor" if high else "$xnor", attributes={}, parameters=one_bit,
            connections={"A": flip_flops.connections["EN"], "B": f"\\upset [{number}]", "Y": enable},
        ),
        Cell(
            name=f"$taken_{number}", type="$mux", attributes={}, parameters={"WIDTH": str(len(q))},
            connections={
                "A": flip_flops.connections["Q"], "B": flip_flops.connections["D"], "S": enable, "Y": taken,
            },
        ),
    ]  # fmt: skip
    return [f"{taken} [{bit}]" for bit in range(len(q))]
