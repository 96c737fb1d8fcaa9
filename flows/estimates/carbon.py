"""Embodied carbon of a die, as context: grams of CO2 equivalent from published factors per wafer area.

U. Gupta, M. Elgamal, G. Hills, G.-Y. Wei, H.-H. S. Lee, D. Brooks, C.-J. Wu, "ACT: designing sustainable computer
systems with an architectural carbon modeling tool", ISCA 2022: carbon per area = (carbon intensity of the fab x energy
per area + gases + materials) / yield. The factors are those of the tool's public repository facebookresearch/ACT (MIT):
``logic/epa.json``, ``logic/gpa_95.json``, ``logic/gpa_99.json``, ``logic/materials.json``, ``carbon_intensity/*.json``
and the yield of ``logic_model.py``. They begin at 28 nm: older nodes take fewer steps, for them these are upper
estimates. Package, test, board and use are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CarbonRange", "die_carbon"]

ENERGY_KWH_PER_CM2 = 0.9
"""Electricity of the fab per wafer area at 28 nm."""
GASES_G_PER_CM2 = (100.0, 137.5, 175.0)
"""Process gases at 28 nm: 99 % abated, mean of both, 95 % abated."""
MATERIALS_G_PER_CM2 = 500.0
"""Raw materials."""
INTENSITY_G_PER_KWH = (41.0, 583.0, 820.0)
"""Electricity: solar, Taiwan's grid, coal (``source.json``, ``location.json``)."""
YIELD = 0.875
"""Share of good dies."""


@dataclass(frozen=True, kw_only=True)
class CarbonRange:
    """Grams of CO2 equivalent of one die.

    Attributes
    ----------
    low_g, nominal_g, high_g : float
        Solar electricity and gases 99 % abated; the tool's default, a fab in Taiwan; coal and 95 %.
    """

    low_g: float
    nominal_g: float
    high_g: float


def die_carbon(area_mm2: float) -> CarbonRange:
    """Embodied carbon of a bare die.

    Raises
    ------
    ValueError
        The area is not positive.
    """
    if not area_mm2 > 0:
        raise ValueError(f"area_mm2: expected above 0, got {area_mm2}")
    low, nominal, high = (
        (intensity * ENERGY_KWH_PER_CM2 + gases + MATERIALS_G_PER_CM2) / YIELD * area_mm2 / 100
        for intensity, gases in zip(INTENSITY_G_PER_KWH, GASES_G_PER_CM2, strict=True)
    )
    return CarbonRange(low_g=low, nominal_g=nominal, high_g=high)
