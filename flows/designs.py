"""Either chip by name: presets and TOML files of both."""

from __future__ import annotations

import tomllib
from typing import Any

from sim.hgcal_encoder.spec import PRESETS as ENCODER_PRESETS
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.spec import PRESETS as CROSSBAR_PRESETS
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.spec_file import load_preset

__all__ = ["PRESETS", "Spec", "component", "load_design"]

Spec = EncoderSpec | CrossbarSpec

PRESETS: dict[str, Spec] = {**ENCODER_PRESETS, **CROSSBAR_PRESETS}
"""Presets of both chips by name."""


def load_design(name: str) -> Spec:
    """A preset of either chip by name, or a spec from a TOML file.

    A file with a convolution kernel is an encoder's, one with a firing threshold a crossbar's.

    Raises
    ------
    ValueError
        If there is neither such a preset nor such a file, or the file is not a spec.
    """
    return load_preset(name, PRESETS, _from_toml)


def _from_toml(text: str) -> Spec:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not a TOML file: {error}") from None
    if "kernel" in table:
        return EncoderSpec.from_toml(text)
    if "threshold" in table:
        return CrossbarSpec.from_toml(text)
    raise ValueError("expected the field kernel (an encoder) or threshold (a crossbar), got neither")


def component(spec: Spec, *, black_boxes: bool = False) -> Any:
    """A fresh hardware component of a design, to be elaborated once.

    Parameters
    ----------
    spec : EncoderSpec or CrossbarSpec
    black_boxes : bool
        A crossbar's macro and weight memory as ports only, for an ASIC; otherwise the macro is a memory with the
        conductances of seed 0, for an FPGA. Without meaning for an encoder.
    """
    match spec:
        case EncoderSpec():
            from hw.hgcal_encoder.encoder import Encoder

            return Encoder(spec=spec)
        case CrossbarSpec():
            from flows.crossbar_simulation import macro_image
            from hw.lsm_crossbar.crossbar import Crossbar
            from sim.lsm_crossbar.device import draw

            return Crossbar(spec=spec, image=None if black_boxes else macro_image(draw(spec, 0), words=True))
