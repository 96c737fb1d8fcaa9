"""Capacitance and resistance of wires by length: of the process where it is known, else of the LEF files.

A wire between others has about twice the capacitance to its surroundings that a LEF file states (that is to ground
alone), and the slope of a library's wire load has nothing to do with either on some libraries. The values of
`PROCESSES` are those that OpenROAD-flow-scripts fitted to extracted layouts
(The-OpenROAD-Project/OpenROAD-flow-scripts, BSD-3, ``flow/platforms/*/setRC.tcl``): one capacitance and one resistance
for each routing layer that signals take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flows.library.liberty_file import read_liberty_file

if TYPE_CHECKING:
    from flows.library.lef import Lef

__all__ = ["PROCESSES", "Process", "WireUnit", "wire_unit"]

ASSUMED_FF_PER_UM = 0.2
"""What wires of minimal pitch have in any node, within a factor of two."""
SIGNAL_LAYERS = slice(1, 5)
"""Routing layers of a LEF file that signals take: the lowest is filled by cells."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """Wires of one process.

    Attributes
    ----------
    libraries : tuple of str
        Patterns of the names that Liberty files of this process give themselves.
    layers : dict of str to (float, float)
        Capacitance in fF/um and resistance in ohm/um by routing layer.
    platform : str
        Folder of OpenROAD-flow-scripts' ``flow/platforms`` that they are from.
    """

    libraries: tuple[str, ...]
    layers: dict[str, tuple[float, float]]
    platform: str


PROCESSES = (
    Process(
        libraries=("NangateOpenCellLibrary*",), platform="nangate45",
        layers={
            "metal2": (0.0831598, 3.69946), "metal3": (0.104578, 3.59251), "metal4": (0.116865, 1.47169),
            "metal5": (0.110884, 1.48720),
        },
    ),
    Process(
        libraries=("sky130_fd_sc_*",), platform="sky130hd",
        layers={
            "met1": (0.172375, 0.8929), "met2": (0.136233, 0.8929), "met3": (0.214962, 0.1567),
            "met4": (0.148128, 0.1567),
        },
    ),
    Process(
        libraries=("gf180mcu_*",), platform="gf180",
        layers={
            "Metal2": (0.135357, 0.385861), "Metal3": (0.146141, 0.206673), "Metal4": (0.150688, 0.168609),
            "Metal5": (0.155595, 0.0792778),
        },
    ),
    Process(
        libraries=("sg13g2_stdcell*",), platform="ihp-sg13g2",
        layers={
            "Metal2": (0.169121, 2.53519), "Metal3": (0.182832, 1.54329), "Metal4": (0.166454, 0.631424),
            "Metal5": (0.0857431, 0.684051),
        },
    ),
    Process(
        libraries=("asap7sc7p5t_*",), platform="asap7",
        layers={
            "M2": (0.184542, 29.7126), "M3": (0.153955, 31.2872), "M4": (0.189434, 18.0365), "M5": (0.171593, 18.9936),
        },
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class WireUnit:
    """A micrometre of wire, the mean of the layers that signals take.

    Attributes
    ----------
    ff_per_um, ohm_per_um : float
        The resistance is 0 where nothing states it.
    source : str
        Where they come from, for reports.
    process : bool
        Whether they are those of a known process.
    """

    ff_per_um: float
    ohm_per_um: float
    source: str
    process: bool = False

    @property
    def text(self) -> str:
        """Both values and their source."""
        return f"{self.ff_per_um:.3g} fF/um, {self.ohm_per_um:.3g} ohm/um ({self.source})"


def wire_unit(liberty: Sequence[Path], lef: Lef | None = None) -> WireUnit:
    """Wires of the process that a library's Liberty files name, else of its LEF files, else `ASSUMED_FF_PER_UM`.

    Raises
    ------
    LibraryError
        The first of the files is no Liberty file.
    """
    name = next(iter(read_liberty_file(liberty[0]).library.names), "")
    for process in PROCESSES:
        if any(fnmatchcase(name, pattern) for pattern in process.libraries):
            found = np.mean(list(process.layers.values()), axis=0)
            names = list(process.layers)
            return WireUnit(
                ff_per_um=float(found[0]), ohm_per_um=float(found[1]),
                source=f"{names[0]} to {names[-1]} of {process.platform}, fitted to extracted layouts", process=True,
            )  # fmt: skip
    layers = lef.layers[SIGNAL_LAYERS] if lef is not None else ()
    capacitance = [layer.ff_per_um for layer in layers if layer.ff_per_um is not None]
    resistance = [layer.ohm_per_um for layer in layers if layer.ohm_per_um is not None]
    return WireUnit(
        ff_per_um=float(np.mean(capacitance)) if capacitance else ASSUMED_FF_PER_UM,
        ohm_per_um=float(np.mean(resistance)) if resistance else 0.0,
        source="LEF, to ground alone, metals 2 to 5" if capacitance else "assumed",
    )
