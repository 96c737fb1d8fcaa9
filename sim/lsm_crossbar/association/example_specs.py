"""Small association chips for tests and verification."""

from __future__ import annotations

from dataclasses import replace

from sim.lsm_crossbar.association.spec import Activation, AssociationSpec
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["small_binary", "small_chip"]

_VISION = CrossbarSpec(
    name="VISION", inputs=20, neurons=10, steps=6, outputs=5, threshold=25, leak=(-3, -5, 6), refractory_steps=1,
    windows=2, readout_weight_bits=5, rows=32, columns=24, rows_per_read=4, conductance_bits=4,
    column_current_limit_ua=75.2, read_voltage_v=2.0, columns_per_adc=4, adc_bits=5, adc_shift=0, gain_fraction=4,
    offset_bits=7, settle_clocks=2, convert_clocks=2,
)  # fmt: skip
_AUDIO = replace(
    _VISION, name="AUDIO", inputs=7, neurons=12, steps=6, windows=3, rows=19, readout_weight_bits=4, threshold=15,
    leak=(-2,), refractory_steps=0,
)  # fmt: skip


def small_chip() -> AssociationSpec:
    """Liquids of different sizes, one on two macros, leaky activation, odd dimensions and lanes, several passes."""
    return AssociationSpec(
        name="SMALL_CHIP", vision=_VISION, audio=replace(_AUDIO, macros=2), activation=Activation.LEAKY,
        embedding_bits=5, entries=9, match_lanes=3,
    )  # fmt: skip


def small_binary() -> AssociationSpec:
    """Each liquid on several macros, and embeddings of signs."""
    return AssociationSpec(
        name="SMALL_BINARY", vision=replace(_VISION, macros=3), audio=replace(_AUDIO, macros=2),
        activation=Activation.LINEAR, embedding_bits=1, entries=6, match_lanes=1,
    )  # fmt: skip
