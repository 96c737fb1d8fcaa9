"""Units of foreign files in those of the flows: time in ns, capacitance in fF, others by their exponent.

VCD (IEEE 1364), SPEF (IEEE 1481) and Liberty write the same prefixes in front of the same units, in upper or lower
case. A reader that spells them anew reads PF as fF one day.
"""

from __future__ import annotations

import math
import re

__all__ = ["capacitance_ff", "scaled", "time_ns"]

_EXPONENTS = {"": 0, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}


def time_ns(number: str, unit: str) -> float:
    """A time such as ``10`` and ``ps`` in ns.

    Raises
    ------
    ValueError
        No positive number, or no unit of time from ``s`` to ``fs``.
    """
    return scaled(number, unit, "s", -9)


def capacitance_ff(number: str, unit: str) -> float:
    """A capacitance such as ``1.5`` and ``PF`` in fF.

    Raises
    ------
    ValueError
        No positive number, or no unit of capacitance from ``F`` to ``fF``.
    """
    return scaled(number, unit, "F", -15)


def scaled(number: str, unit: str, base: str, target: int) -> float:
    """A quantity in powers of ten of its SI unit.

    Parameters
    ----------
    number, unit : str
        Such as ``100`` and ``mV``.
    base : str
        The SI unit, such as ``V``.
    target : int
        Exponent of the unit of the result: -9 for nW.

    Raises
    ------
    ValueError
        No positive number, or no unit of this quantity from ``base`` down to its femto.
    """
    prefix = unit.lower().removesuffix(base.lower())
    if not unit.lower().endswith(base.lower()) or prefix not in _EXPONENTS:
        raise ValueError(f"expected a unit out of {', '.join(p + base for p in _EXPONENTS)}, got {unit[:40]!r}")
    value = float(number) if re.fullmatch(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", number, re.ASCII) else math.nan
    exponent = _EXPONENTS[prefix] - target
    # powers of ten that are whole are exact, their inverses as near as can be
    scaled = value * 10.0**exponent if exponent >= 0 else value / 10.0**-exponent
    if not 0 < scaled < math.inf:
        raise ValueError(f"expected a number above 0 with the unit {unit[:40]}, got {number[:40]!r}")
    return scaled
