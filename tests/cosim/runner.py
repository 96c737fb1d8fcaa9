"""How benches here are run and judged; what builds and runs them is `flows.simulation.cocotb_bench`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from flows.simulation import cocotb_bench
from flows.simulation.cocotb_bench import Results, build_bench
from flows.tools.verilog import Port

__all__ = ["Results", "build_bench", "demand", "run_bench"]


def run_bench(
    verilog: str, top: str, ports: Iterable[Port], module: str, environment: dict[str, str], folder: Path,
    optimise: str = "-O0", plusargs: Sequence[str] = (), function_size: int = 0,
) -> Results:  # fmt: skip
    """A bench that sees the given ports."""
    return cocotb_bench.run_bench(
        verilog,
        top,
        module,
        folder,
        ports=ports,
        environment=environment,
        optimise=optimise,
        plusargs=plusargs,
        function_size=function_size,
    )


def demand(results: Results, tests: int, skipped: int) -> None:
    """All tests ran and passed: `test` of cocotb's runner does not say so."""
    assert results.tests == tests
    assert results.skipped == skipped
    assert results.failures == 0, results.messages
