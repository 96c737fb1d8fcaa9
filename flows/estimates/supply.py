"""Energy, delay and leakage at another supply, by the polynomials of Stillmaker and Baas.

A. Stillmaker and B. Baas, Integration 58 (2017) 74, doi 10.1016/j.vlsi.2017.02.002: for each node the delay of a
fan-out-of-four inverter is a V^3 + b V^2 + c V + d and the energy of a switching event a V^2 + b V + c. Leakage has no
polynomial there: its power is taken to fall with the supply alone, as if its current stayed, which is too much (a lower
drain voltage leaks less).

The lowest supply of a design is the one at which its longest path, slowed by corner and margin, still fits the clock.
Libraries with corners at lower supplies say it better: `liquidcal time --library sg13g2:slow` and its like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flows.estimates.translation import NODES

__all__ = ["MARGIN", "SLOW", "Supplied", "at_supply", "delay_ratio", "lowest_supply"]

MARGIN = 0.2
"""Of the clock, kept at the lowest supply."""
SLOW = 1.5
"""Assumed delay of the slow corner over the typical one at the same supply: process and heat. A kit's own corners,
where it is at hand, take its place."""
_STEP_V = 0.01

_DELAY: Mapping[str, tuple[float, float, float, float]] = {
    "130nm": (-76.65, 334.9, -493.4, 275.8),
    "65nm LP": (-53.3, 230.4, -333.9, 178.6),
    "45nm HP": (-501.6, 1567.0, -1619.0, 566.1),
    "45nm LP": (-285.7, 1239.0, -1795.0, 898.8),
    "32nm LP": (-325.9, 1374.0, -1922.0, 913.2),
}
"""a, b, c, d of the delay by node (Stillmaker and Baas 2017)."""
_RANGE_V: Mapping[str, tuple[float, float]] = {
    "130nm": (0.8, 1.3), "65nm LP": (0.6, 1.3), "45nm HP": (0.5, 1.1), "45nm LP": (0.6, 1.1), "32nm LP": (0.6, 1.1),
}  # fmt: skip
"""Supplies between which the polynomial is used: below them the paper's fits have no points."""


@dataclass(frozen=True, kw_only=True)
class Supplied:
    """A node at a supply, over the same node at its nominal one.

    Attributes
    ----------
    node : str
    supply_v, nominal_v : float
    energy, delay, leakage : float
        Ratios: of the dynamic energy, of all delays, of the leakage power.
    """

    node: str
    supply_v: float
    nominal_v: float
    energy: float
    delay: float
    leakage: float


def _delay(node: str, supply_v: float) -> float:
    a, b, c, d = _DELAY[node]
    return ((a * supply_v + b) * supply_v + c) * supply_v + d


def at_supply(node: str, supply_v: float, nominal_v: float | None = None) -> Supplied:
    """Ratios at a supply.

    Parameters
    ----------
    node : str
        Of `flows.estimates.translation.NODES`.
    supply_v : float
    nominal_v : float, optional
        Supply that the ratios are against; the node's own where left out.

    Raises
    ------
    ValueError
        A node without a polynomial, or a supply outside of its range.
    """
    if node not in _DELAY:
        raise ValueError(f"node {node!r}: expected one of {', '.join(_DELAY)}")
    nominal = NODES[node].voltage_v if nominal_v is None else nominal_v
    low, high = _RANGE_V[node]
    for value in (supply_v, nominal):
        if not low <= value <= high:
            raise ValueError(f"supply of {node}: expected {low:g} to {high:g} V, got {value:g}")
    # the fit of 45nm HP has its least delay below the nominal supply: nothing becomes faster with less
    delay = max(_delay(node, supply_v) / _delay(node, nominal), 1.0 if supply_v < nominal else 0.0)
    return Supplied(
        node=node, supply_v=supply_v, nominal_v=nominal, delay=delay,
        energy=NODES[node].energy_factor(supply_v) / NODES[node].energy_factor(nominal), leakage=supply_v / nominal,
    )  # fmt: skip


def lowest_supply(
    node: str, *, least_period_ns: float, period_ns: float = 25.0, slow: float = SLOW, margin: float = MARGIN
) -> Supplied | None:
    """The lowest supply, in steps of 10 mV, at which a design keeps its clock; None if it does not at the nominal one.

    Parameters
    ----------
    node : str
    least_period_ns : float
        Period at which the longest path just fits at the nominal supply, typical corner (``timing__fmax``).
    period_ns : float
        Clock to keep.
    slow : float
        Delay of the slow corner over the typical one.
    margin : float
        Share by which delays may be longer still.
    """
    if not least_period_ns > 0:
        raise ValueError(f"least_period_ns: expected above 0, got {least_period_ns:g}")
    nominal = NODES[node].voltage_v
    best = None
    steps = round((nominal - _RANGE_V[node][0]) / _STEP_V)
    for step in range(steps + 1):
        found = at_supply(node, round(nominal - step * _STEP_V, 6))
        if least_period_ns * slow * found.delay * (1 + margin) > period_ns:
            break
        best = found
    return best


def delay_ratio(source: str, source_v: float, target: str, target_v: float | None = None) -> float:
    """Delay of a node at a supply over that of another node at its own; the method's units are the same for all."""
    at_supply(source, source_v)
    other_v = NODES[target].voltage_v if target_v is None else target_v
    at_supply(target, other_v)
    return _delay(target, other_v) / _delay(source, source_v)
