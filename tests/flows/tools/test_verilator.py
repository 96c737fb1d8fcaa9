"""Verilator's headers are read once for all compilations that make the same of them."""

from pathlib import Path

import pytest

from flows.common.process import run_process
from flows.tools import verilator


@pytest.mark.parametrize(
    ("flags", "taken"), [((), True), (verilator.LIMITS, True), (("-DVM_TRACE=1",), False), (("-O1",), False)]
)
def test_what_was_read_of_headers_is_taken_where_it_fits(flags: tuple[str, ...], taken: bool, tmp_path: Path) -> None:
    headers = verilator.read_headers("-O0", 60)
    (tmp_path / "unit.cpp").write_text('#include "verilated.h"\nint limit = VL_THREADED;\n')
    command = ["g++", "-fPIC", *verilator.LANGUAGE, "-O0", *flags, *headers, *verilator._includes(), "-H", "-c",
               "unit.cpp", "-o", "unit.o"]  # fmt: skip
    done = run_process(command, tool="g++", directory=tmp_path, timeout_s=60, environment=None)
    assert done.status == 0, done.log
    assert (f"! {headers[-1]}.gch" in done.log) == taken
    assert ("/verilated_config.h\n" in done.log) != taken
