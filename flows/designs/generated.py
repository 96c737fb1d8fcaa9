"""What a generator of design files takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import WordOrder

__all__ = ["FileOptions", "Generated"]


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What the files are to hold beside the hardware itself.

    Attributes
    ----------
    weights : Path or None
        Of an encoder a weight image; of a crossbar a trained model, its seed and readout.
    settings : Path or None
        Published settings of an encoder (YAML).
    seed : int or None
        Of the conductances of a crossbar.
    scheme : Scheme or None
        The whole chip around an encoder as well, protected so.
    loading : Loading or None
        Of that chip, and of an encoder's register map; `Loading.DIRECT` where left out.
    registers : WordOrder or None
        For which ECON-T an encoder's settings are written out: first silicon, at whose addresses the generated chip is,
        or production as well; None: as the settings file is spelled.
    conductances : Path or None
        Measured conductances of a crossbar, instead of those of a seed.
    """

    weights: Path | None = None
    settings: Path | None = None
    seed: int | None = None
    scheme: Scheme | None = None
    loading: Loading | None = None
    registers: WordOrder | None = None
    conductances: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What `generate` wrote.

    Attributes
    ----------
    directory : Path
    files : tuple of Path
        Verilog, ``ports.csv``, ``registers.csv``, ``registers.md``, ``registers.h``, ``spec.toml``, ``design.json``;
        with weights ``weights.hex`` and ``writes.csv``, with settings as well ``image.txt``; with a scheme the Verilog
        of the whole chip, ``<name>_CHIP.v``. With weights of the size of ECON_T also ``settings_p1.yaml`` and
        ``settings_production.yaml``, and for a production chip ``production_registers.csv`` and
        ``production_writes.csv``.
    latency : int
        Clocks from words at the pins to frames at the pins.
    lines : int
        Lines of Verilog.
    """

    directory: Path
    files: tuple[Path, ...]
    latency: int
    lines: int
