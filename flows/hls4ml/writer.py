"""The files of a converted graph: what `liquidcal generate` writes of the network, with its weights."""

from __future__ import annotations

from pathlib import Path

from flows.designs.network_files import generate
from sim.network.weights import NetworkWeights

__all__ = ["RTL", "write"]

RTL = "rtl"
"""Folder of the files below the output folder of the configuration."""


def write(weights: NetworkWeights, output_dir: Path, reuse: int = 1) -> None:
    """Verilog, ports, specification, weights and the writes that load them, vectors, and a bench that runs them.

    Parameters
    ----------
    weights : NetworkWeights
    output_dir : Path
        ``OutputDir`` of the configuration; the files are in its folder ``rtl``.
    reuse : int
        Multiplications of a sample that a multiplier serves.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    generate(weights.spec, output_dir / RTL, weights, reuse=reuse)
