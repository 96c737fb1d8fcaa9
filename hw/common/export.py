"""Verilog and RTLIL of a component: deterministic text, readable names, one module per distinct component."""

import gc
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.lib.wiring import Component

from hw.common.hierarchy import Library, flat_ports

__all__ = ["ExportError", "Port", "ports", "rtlil_to_verilog", "to_rtlil", "to_verilog"]

Port = tuple[str, str, int]
"""Name, direction (``"input"`` or ``"output"``), width."""

_RUN = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1].split(";"):
    libyosys.run_pass(command.strip(), design)
"""
_IDENTIFIER = re.compile(r"\\(\S+)")
_INITIAL = re.compile(r"^ *attribute \\init .*\n", re.M)
_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExportError(RuntimeError):
    """yosys could not convert the design; the message holds the end of its log."""


def ports(component: Component) -> list[Port]:
    """Ports of the Verilog module: those of the component, behind clock and reset if it holds state.

    Components say so by an attribute `latency` above 0 or `clocked` being true.
    """
    clock = [("clk", "input", 1), ("rst", "input", 1)] if _is_clocked(component) else []
    return clock + [(name, direction, len(value)) for name, direction, value in flat_ports(component)]


def _is_clocked(component: Component) -> bool:
    return bool(getattr(component, "clocked", False) or getattr(component, "latency", 0))


def to_rtlil(component: Component, name: str) -> str:
    """RTLIL of a component and all it is made of.

    Parameters
    ----------
    component : Component
        Fresh component; Amaranth elaborates an object once.
    name : str
        Name of the top module and start of the name of every other.

    Returns
    -------
    str
        Modules in order of use, the top module last and marked ``top``. The same component gives the same text.

    Raises
    ------
    ValueError
        If the name is not a Verilog identifier.
    """
    if not _LEGAL.fullmatch(name):
        raise ValueError(f"expected a Verilog identifier as name of the design, got {name!r}")
    library = Library(name)
    # nothing becomes garbage meanwhile: the collector would only search millions of live tuples, a quarter of the time
    collecting = gc.isenabled()
    gc.disable()
    try:
        library.convert(component, name)
    finally:
        if collecting:
            gc.enable()
    texts = []
    for module, text in library.modules.items():
        if module != name:
            text = text.replace("attribute \\top 1\n", "")
        texts.append(_readable(text))
    return "".join(texts)


def to_verilog(component: Component, name: str) -> str:
    """Verilog-2005 of a component and all it is made of; parameters and errors as `to_rtlil`.

    Raises
    ------
    ExportError
        If yosys fails.
    """
    return rtlil_to_verilog(to_rtlil(component, name))


def rtlil_to_verilog(text: str) -> str:
    """Verilog of RTLIL text, by yosys.

    Raises
    ------
    ExportError
        If yosys fails.
    """
    # a process of its own: an error inside yosys ends its process, and the memory is free again afterwards
    with tempfile.TemporaryDirectory(prefix="liquidcal-export-") as folder:
        Path(folder, "design.il").write_text(text)
        # without opt_clean, aliases of ports and unused wires would triple the text
        commands = "read_rtlil design.il; proc -norom; opt_clean -purge; opt_dff; write_verilog -noattr design.v"
        run = subprocess.run(
            [
                sys.executable,
                "-c",
                _RUN,
                commands,
            ],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        written = Path(folder, "design.v")
        if run.returncode or not written.is_file():
            raise ExportError(f"yosys ended with status {run.returncode}: {(run.stdout + run.stderr)[-2000:]}")
        # the first line names the version of yosys and its build
        return written.read_text().partition("\n")[2]


def _readable(text: str) -> str:
    """Rename what Verilog would have to escape, ``x[0]`` to ``x_0`` and ``a.b`` to ``a_b``; drop initial values.

    No chip starts with initial values: what a simulator shows before the reset must not depend on them.
    """
    text = _INITIAL.sub("", text)
    found = dict.fromkeys(_IDENTIFIER.findall(text))
    taken = {name for name in found if _LEGAL.fullmatch(name)}
    renamed = {}
    for name in found:
        if name in taken or name.startswith("$"):
            continue
        stem = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", name)).strip("_") or "signal"
        stem = stem if _LEGAL.fullmatch(stem) else f"_{stem}"
        new = stem
        number = 0
        while new in taken:
            number += 1
            new = f"{stem}_{number}"
        taken.add(new)
        renamed[name] = new
    return _IDENTIFIER.sub(lambda match: "\\" + renamed.get(match[1], match[1]), text)
