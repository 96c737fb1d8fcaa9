"""What Verilator says of generated Verilog."""

import subprocess
from dataclasses import replace

from flows.tools.verilator import verilator_environment
from hw.common.export import to_verilog
from hw.hgcal_encoder.encoder import Encoder
from tests.specs import SMALL

HOLES = replace(SMALL, name="HOLES", cell_map=(*range(8), *[-1] * 8))


def test_verilator_finds_nothing_to_complain_of(tmp_path):
    """No loops, missing pins, empty ranges, latches; widths and unused bits are how yosys writes Verilog."""
    (tmp_path / "holes.v").write_text(to_verilog(Encoder(spec=HOLES), "holes"))
    ignored = [f"-Wno-{kind}" for kind in ("DECLFILENAME", "UNUSEDSIGNAL", "VARHIDDEN", "WIDTH")]
    lint = subprocess.run(
        ["verilator", "--lint-only", "-Wall", *ignored, "--top-module", "holes", "holes.v"],
        cwd=tmp_path,
        env=verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "%" not in lint.stderr, lint.stderr
    assert lint.returncode == 0
