"""A clocked design as a combinational module: its flip-flops become inputs and outputs."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.lib.wiring import Component

from flows.tools.rtlil import Cell, RtlilModule, Wire, parse_rtlil, sigspec
from flows.tools.yosys import run_yosys
from hw.common.export import to_rtlil

__all__ = ["InsideOut", "cut_state", "inside_out"]


def cut_state(component: Component, name: str) -> tuple[str, dict[str, int]]:
    """The component without its flip-flops: of each register ``x`` the ports ``now_x`` and ``next_x``.

    Parameters
    ----------
    component : Component
        Fresh component.
    name : str
        Name of its module.

    Returns
    -------
    rtlil : str
    state : dict of str to int
        Registers and their bits.

    Raises
    ------
    ValueError
        If a register has no name, no asynchronous reset, or a reset value other than 0.
    """
    from hw.common.export import to_rtlil

    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(to_rtlil(component, name))
        script = f"read_rtlil design.il\nhierarchy -top {name}\nproc\nflatten -noscopeinfo\nopt_clean\n"
        run_yosys(script + "write_rtlil flat.il\n", directory=work)
        module = parse_rtlil((work / "flat.il").read_text())[name]
    result = replace(module, wires=dict(module.wires), cells=[], connections=list(module.connections))
    state: dict[str, int] = {}
    for cell in module.cells:
        if "dff" not in cell.type and "latch" not in cell.type and "mem" not in cell.type:
            result.cells.append(cell)
            continue
        register = _register(module, cell.connections["Q"])
        if cell.type != "$adff" or "1" in cell.parameters["ARST_VALUE"].partition("'")[2]:
            raise ValueError(f"{name}: register {register} is a {cell.type}, expected one that is reset to 0")
        state[register] = module.wires[f"\\{register}"].width
        for prefix, output, spec in (("now", False, cell.connections["Q"]), ("next", True, cell.connections["D"])):
            port = f"\\{prefix}_{register}"
            result.wires[port] = Wire(name=port, width=state[register], input=not output, output=output)
            result.connections.append((port, spec) if output else (spec, port))
    return "autoidx 2000000\n" + result.text().replace("attribute \\top 1\n", ""), state


def _register(module: RtlilModule, spec: str) -> str:
    if spec in module.wires and spec.startswith("\\"):
        return spec.removeprefix("\\")
    bits = module.bits(spec)
    for left, right in module.connections:
        if left.startswith("\\") and left in module.wires and module.bits(right) == bits:
            return left.removeprefix("\\")
    raise ValueError(f"{module.name}: expected a named register, got {spec}")


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
