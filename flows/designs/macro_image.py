"""Conductances of a crossbar as the words of its macro's memory."""

from __future__ import annotations

from sim.lsm_crossbar.macro_model.conductance_file import Conductances

__all__ = ["macro_image"]


def macro_image(conductances: Conductances, *, words: bool = False):  # type: ignore[no-untyped-def]
    """The `hw.lsm_crossbar.crossbar.Image` of a conductance file, with or without the words of the memory."""
    from hw.lsm_crossbar.crossbar import Image

    return Image(
        words=conductances.row_words if words else (),
        gains=tuple(map(int, conductances.adc_gain)),
        offsets=tuple(map(int, conductances.adc_offset)),
    )
