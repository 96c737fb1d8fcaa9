"""Builds and runs cocotb benches on Verilator, and reads the results file."""

import hashlib
import os
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cocotb
import cocotb_tools.config
from cocotb_tools.runner import Verilator

from flows.common.content_cache import cache_directory
from flows.tools.verilator import WARNINGS, build, compile_design, runtime_objects, verilator_version
from flows.tools.verilog import Port, split_modules


@dataclass(frozen=True)
class Results:
    """Counts of a results file."""

    tests: int
    failures: int
    skipped: int
    messages: tuple[str, ...]


def read_results(path: Path) -> Results:
    """Counts of tests, failures and skips; cocotb's `test` returns normally whatever they are."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    messages = []
    for case in failed:
        found = case.find("failure") if case.find("failure") is not None else case.find("error")
        messages.append(f"{case.get('name')}: {found.attrib.get('message', '') if found is not None else ''}")
    return Results(len(cases), len(failed), len(skipped), tuple(messages))


def build_bench(verilog: str, top: str, ports: Iterable[Port], optimise: str, timeout_s: float = 1800.0) -> Path:
    """Simulation of `top` for cocotb, from the cache or new; the folder with the program.

    As cocotb's own runner builds it, but only the ports of the top are visible, Verilator's runtime is compiled once
    and not for every design, and large modules with several instances are Verilated once. The program names no folder
    of cocotb, since the next checkout to take it from the cache has an environment of its own.
    """
    control = "`verilator_config\n" + "".join(f'public_flat_rw -module "{top}" -var "{port.name}"\n' for port in ports)
    flags = ["--cc", "--vpi", "--timescale", "1ns/1ps", "-O3", *WARNINGS]
    parts = (verilog, control, verilator_version(), cocotb.__version__, *flags, optimise)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    folder = cache_directory() / "cocotb"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"{top}-{key[:24]}"
    if program.exists():
        return program
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    libraries = cocotb_tools.config.libs_dir
    runtime = runtime_objects(("verilated", "verilated_threads", "verilated_dpi", "verilated_vpi"), timeout_s)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
        work = Path(temporary)
        (work / "ports.vlt").write_text(control)
        # cocotb expects the class Vtop, whatever the top is
        (work / "Vtop.h").write_text(f'#include "V{top}.h"\nusing Vtop = V{top};\n')
        shutil.copy(main, work / "verilator.cpp")
        objects = compile_design(
            split_modules(verilog), top, work, sources=["ports.vlt"], harness="verilator.cpp",
            verilator_flags=flags, optimise=optimise, timeout_s=timeout_s,
        )  # fmt: skip
        link = ["g++", "-o", top, *objects, *map(str, runtime), f"-L{libraries}"]
        command = [*link, "-lcocotbvpi_verilator", "-lpthread"]
        build(command, task=f"linking of {top}", directory=work, timeout_s=timeout_s)
        done = work / "done"
        done.mkdir()
        os.replace(work / top, done / top)
        os.replace(done, program)
    return program


def run_bench(
    verilog: str,
    top: str,
    ports: Iterable[Port],
    module: str,
    environment: dict[str, str],
    folder: Path,
    optimise: str = "-O0",
    plusargs: Sequence[str] = (),
) -> Results:
    """Build the simulation of `top`, or take it from the cache, and run a bench module.

    Small designs run for less time than an optimising compiler takes.
    """
    runner = Verilator()
    runner.build_dir = build_bench(verilog, top, ports, optimise)
    runner.timescale = ("1ns", "1ps")
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    libraries = os.pathsep.join(filter(None, (str(cocotb_tools.config.libs_dir), os.environ.get("LD_LIBRARY_PATH"))))
    runner.test(
        hdl_toplevel=top, hdl_toplevel_lang="verilog", test_module=module, build_dir=runner.build_dir,
        test_dir=folder, results_xml=str(results), extra_env={**environment, "LD_LIBRARY_PATH": libraries},
        log_file=folder / "run.log", plusargs=list(plusargs),
    )  # fmt: skip
    return read_results(results)


def demand(results: Results, tests: int, skipped: int) -> None:
    """All tests ran and passed: `test` of cocotb's runner does not say so."""
    assert results.tests == tests
    assert results.skipped == skipped
    assert results.failures == 0, results.messages
