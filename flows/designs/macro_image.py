"""Conductances of a crossbar as the words of its macros' memories, and macros that load them from their file."""

from __future__ import annotations

from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["load_macros", "macro_image"]


def macro_image(conductances: Conductances, *, words: bool = False):  # type: ignore[no-untyped-def]
    """The `hw.lsm_crossbar.crossbar.Image` of a conductance file, with or without the words of the memory."""
    from hw.lsm_crossbar.crossbar import Image

    return Image(
        words=conductances.row_words if words else (),
        gains=tuple(map(int, conductances.adc_gain)),
        offsets=tuple(map(int, conductances.adc_offset)),
    )


def load_macros(verilog: str, spec: CrossbarSpec, file: str, *, plusarg: str = "") -> str:
    """Verilog of a chip, top module `spec.name`, whose macros load a conductance file; see `hw.common.export`."""
    from hw.common.export import load_memory
    from hw.lsm_crossbar.crossbar import macro_modules

    for module in macro_modules(spec, spec.name):
        verilog = load_memory(verilog, module, file, plusarg=plusarg)
    return verilog
