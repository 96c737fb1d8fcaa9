"""What a generator of design files returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Generated"]


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What `generate` wrote.

    Attributes
    ----------
    directory : Path
    files : tuple of Path
        Verilog, ``ports.csv``, ``registers.csv``, ``registers.md``, ``registers.h``, ``spec.toml``, ``design.json``;
        with weights ``weights.hex`` and ``writes.csv``, with settings as well ``image.txt``; with a scheme the Verilog
        of the whole chip, ``<name>_CHIP.v``.
    latency : int
        Clocks from words at the pins to frames at the pins.
    lines : int
        Lines of Verilog.
    """

    directory: Path
    files: tuple[Path, ...]
    latency: int
    lines: int
