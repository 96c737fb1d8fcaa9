"""Verilog and RTLIL of a component: deterministic text, readable names, one module per distinct component."""

import gc
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.lib.wiring import Component

from hw.common.hierarchy import Library, flat_ports
from hw.common.replica import keep_replicas

__all__ = ["ExportError", "Port", "load_memory", "ports", "rtlil_to_verilog", "to_rtlil", "to_verilog"]

Port = tuple[str, str, int]
"""Name, direction (``"input"`` or ``"output"``), width."""

_RUN = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1].split(";"):
    libyosys.run_pass(command.strip(), design)
"""
# not the text of a string: that of a memory's name doubles the backslash
_IDENTIFIER = re.compile(r'(?<!["\\])\\([^\s"\\]+)')
_INITIAL = re.compile(r"^ *attribute \\init .*\n", re.M)
_EMPTY_MEMORY = re.compile(
    r"^  cell \$meminit_v2 \S+\n(?: {4}\S.*\n)*? {4}connect \\DATA \d+'0*\n(?: {4}\S.*\n)*  end\n", re.M
)
_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED_CELL = re.compile(r"^( *cell )\\(\$\w+)", re.M)
"""A cell of yosys' own kinds, which Amaranth takes for a module of the user's."""


class ExportError(RuntimeError):
    """yosys could not convert the design; the message holds the end of its log."""


def ports(component: Component) -> list[Port]:
    """Ports of the Verilog module: those of the component, after clock and reset if it holds state.

    Components say so by an attribute `latency` above 0 or `clocked` being true.
    """
    clock = [("clk", "input", 1), ("rst", "input", 1)] if _is_clocked(component) else []
    return clock + [(name, direction, len(value)) for name, direction, value in flat_ports(component)]


def _is_clocked(component: Component) -> bool:
    return bool(getattr(component, "clocked", False) or getattr(component, "latency", 0))


def to_rtlil(component: Component, name: str, library: Library | None = None) -> str:
    """RTLIL of a component and all it is made of.

    Parameters
    ----------
    component : Component
        Fresh component; Amaranth elaborates an object once.
    name : str
        Name of the top module and start of the name of every other.
    library : Library, optional
        Empty library of the same name, to convert components in another way.

    Returns
    -------
    str
        Modules in order of use, the top module last and marked ``top``; replicas are marked to be kept. The same
        component gives the same text.

    Raises
    ------
    ValueError
        If the name is not a Verilog identifier.
    """
    if not _LEGAL.fullmatch(name):
        raise ValueError(f"expected a Verilog identifier as name of the design, got {name!r}")
    library = library or Library(name)
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
    return keep_replicas("".join(texts))


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
        return keep_replicas(written.read_text().partition("\n")[2])


def load_memory(verilog: str, module: str, file: str, *, plusarg: str = "", suffix: str = "") -> str:
    """Verilog text in which the memory of a module is loaded from a file by ``$readmemh``.

    Parameters
    ----------
    verilog : str
        Text with the module, as `to_verilog` writes it.
    module : str
        Module with one memory that has no initial contents.
    file : str
        Name of the file, as simulator or synthesis tool will find it.
    plusarg : str
        For simulation: a file named by ``+<plusarg>=<file>`` is loaded instead.
    suffix : str
        What is added to that name, where several memories hang on one plusarg.

    Raises
    ------
    ValueError
        If there is no such module, or it has not one memory.
    """
    if '"' in file or "\n" in file or "\\" in file:
        raise ValueError(f"a file name in Verilog holds neither quote, backslash nor newline: {file!r}")
    found = re.search(rf"^module \\?{re.escape(module)} ?\(.*?^endmodule", verilog, re.M | re.S)
    if found is None:
        raise ValueError(f"the Verilog text has no module {module!r}")
    memories = list(re.finditer(r"^  reg \[\d+:0\] (\w+) \[\d+:0\];\n", found[0], re.M))
    if len(memories) != 1:
        raise ValueError(f"module {module!r}: expected one memory, got {len(memories)}")
    memory = memories[0][1]
    load = f'  initial $readmemh("{file}", {memory});\n'
    if plusarg:
        name = f"{memory}_file"
        found_ = f"$readmemh({name}, {memory});"
        if suffix:
            found_ = f'begin $sformat({name}, "%0s{suffix}", {name}); {found_} end'
        load = (
            f"  reg [{8 * 1024 - 1}:0] {name};\n"
            f'  initial if ($value$plusargs("{plusarg}=%s", {name})) {found_}\n'
            f'    else $readmemh("{file}", {memory});\n'
        )
    end = found.start() + memories[0].end()
    return verilog[:end] + load + verilog[end:]


def _readable(text: str) -> str:
    """Rename what Verilog would have to escape, ``x[0]`` to ``x_0`` and ``a.b`` to ``a_b``; drop initial values.

    No chip starts with initial values: what a simulator shows before the reset must not depend on them. A memory of
    zeros is one that is loaded later.
    """
    text = _EMPTY_MEMORY.sub("", _INITIAL.sub("", text))
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
    text = _IDENTIFIER.sub(lambda match: "\\" + renamed.get(match[1], match[1]), text)
    return _ESCAPED_CELL.sub(r"\1\2", text)
