"""Area and energy in another node: two published methods, always as a range that names them.

* **Gate density**: gate equivalents times the area of a two-input NAND of the target node. Area only.
* **Stillmaker-Baas**: A. Stillmaker and B. Baas, Scaling equations for the accurate prediction of CMOS device
  performance from 180 nm to 7 nm, Integration 58 (2017) 74, doi 10.1016/j.vlsi.2017.02.002: area by factors between
  nodes, dynamic energy by polynomials a V^2 + b V + c per node.
* **Constant-field scaling**: R. H. Dennard et al., Design of ion-implanted MOSFET's with very small physical
  dimensions, IEEE JSSC 9 (1974) 256: capacitance goes with the length, so energy with length times V^2. Energy only.

None of them is for leakage: it is left out of translated energies.

Translated figures are estimates for comparison with a chip of that node; they are never mixed with native ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["NAND2_AREA_UM2", "NODES", "Estimate", "Node", "Range", "area_range", "energy_range", "node_of"]

NAND2_AREA_UM2: Mapping[str, tuple[float, str]] = {
    "65nm LP": (1.44, "TSMC 65 LP standard-cell library, 1.44 um2, as public makefiles of designs in it state"),
    "40nm LP": (0.71, "40 nm LP standard-cell library, 0.71 um2, unconfirmed"),
}
"""Area of the smallest two-input NAND and where the figure is from."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of the scaling equations.

    Attributes
    ----------
    name : str
    energy : tuple of float
        a, b, c of the energy factor a V^2 + b V + c.
    voltage_v : float
        Supply at which a translated energy is stated.
    """

    name: str
    energy: tuple[float, float, float]
    voltage_v: float

    def energy_factor(self, voltage_v: float) -> float:
        """Energy of a switching event at a supply, in the units that all nodes of the method share.

        Raises
        ------
        ValueError
            The polynomial is not positive there: the supply is out of its range.
        """
        a, b, c = self.energy
        factor = a * voltage_v**2 + b * voltage_v + c
        if factor <= 0:
            raise ValueError(f"{self.name}: the energy polynomial has no meaning at {voltage_v:g} V")
        return factor


NODES: Mapping[str, Node] = {
    node.name: node
    for node in (
        Node(name="180nm", energy=(0.0, 24.64, -17.98), voltage_v=1.8),
        Node(name="130nm", energy=(7.171, -6.709, 2.904), voltage_v=1.2),
        Node(name="65nm LP", energy=(3.755, -4.398, 1.975), voltage_v=1.2),
        Node(name="45nm HP", energy=(1.018, -0.3107, 0.1539), voltage_v=1.1),
        Node(name="45nm LP", energy=(1.103, -0.362, 0.2767), voltage_v=1.1),
        Node(name="32nm LP", energy=(0.9559, -0.7823, 0.471), voltage_v=1.0),
    )
}
"""Nodes whose polynomial coefficients are known here."""

_AREA_TO_65 = {"180nm": 0.08, "130nm": 0.23, "45nm HP": 1.5, "45nm LP": 1.5, "65nm LP": 1.0}
"""Area factors onto 65 nm (Stillmaker and Baas 2017)."""

LIBRARY_NODES: Mapping[str, tuple[str, ...]] = {
    "nangate45": ("45nm HP", "45nm LP"),
    "osu018": ("180nm",),
    "sky130": ("130nm",),
    "sg13g2": ("130nm",),
    "gf180mcu": ("180nm",),
}
"""Nodes that a library may stand for; several where it is predictive and its flavour is a matter of reading."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One translated figure.

    Attributes
    ----------
    name : str
        Of the method, the same whatever the figures: ``gate_density``, ``constant_field``, ``stillmaker_baas_...``.
    value : float
    method : str
        In words, with the numbers that enter.
    """

    name: str
    value: float
    method: str


@dataclass(frozen=True, kw_only=True)
class Range:
    """A figure in another node: every estimate, and what spans them.

    Attributes
    ----------
    node, unit : str
    estimates : tuple of Estimate
    """

    node: str
    unit: str
    estimates: tuple[Estimate, ...]

    @property
    def low(self) -> float:
        """Smallest estimate."""
        return min(estimate.value for estimate in self.estimates)

    @property
    def high(self) -> float:
        """Largest estimate: by the less favourable method."""
        return max(estimate.value for estimate in self.estimates)

    def by(self, name: str) -> Estimate:
        """The estimate of a method, by its name; KeyError if there is none."""
        return {estimate.name: estimate for estimate in self.estimates}[name]

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g} {self.unit} in {self.node}"


def node_of(library: str) -> tuple[Node, ...]:
    """Nodes that a library of that name may stand for.

    Raises
    ------
    ValueError
        The library is of no node that the method covers.
    """
    for name, nodes in LIBRARY_NODES.items():
        if library == name or library.startswith(f"{name}_"):
            return tuple(NODES[node] for node in nodes)
    raise ValueError(f"library {library!r} is of no node with scaling data; known: {', '.join(LIBRARY_NODES)}")


def area_range(
    *, library: str, area_um2: float, gate_equivalents: float, utilisation: float, node: str = "65nm LP"
) -> Range:
    """Area of a placed design in another node, in mm2.

    Parameters
    ----------
    library : str
        Name of the library of the placement.
    area_um2 : float
        Core area as placed.
    gate_equivalents : float
        Cell area over the library's smallest two-input NAND.
    utilisation : float
        Cell area over core area.
    node : str
        ``65nm LP`` or ``40nm LP``.

    Raises
    ------
    ValueError
        A node without data, or arguments that are not positive.
    """
    for name, value in (("area_um2", area_um2), ("gate_equivalents", gate_equivalents), ("utilisation", utilisation)):
        if not value > 0:
            raise ValueError(f"{name}: expected above 0, got {value}")
    if node not in NAND2_AREA_UM2:
        raise ValueError(f"node {node!r}: expected one of {', '.join(NAND2_AREA_UM2)}")
    nand, source = NAND2_AREA_UM2[node]
    estimates = [
        Estimate(
            name="gate_density",
            value=gate_equivalents * nand / utilisation / 1e6,
            method=f"gate density: {gate_equivalents:,.0f} GE x {nand} um2 ({source}) / utilisation {utilisation:.2f}",
        )
    ]
    if node == "65nm LP":
        source_node = node_of(library)[0].name
        factor = _AREA_TO_65[source_node]
        estimates.append(
            Estimate(
                name="stillmaker_baas",
                value=area_um2 * factor / 1e6,
                method=f"Stillmaker-Baas area: {source_node} to 65 nm x {factor}",
            )
        )
    return Range(node=node, unit="mm2", estimates=tuple(estimates))


def energy_range(
    *, library: str, voltage_v: float, dynamic_pj: float, node: str = "65nm LP", target_voltage_v: float | None = None
) -> Range:
    """Dynamic energy in another node, in pJ; leakage must be left out of `dynamic_pj`.

    Parameters
    ----------
    library : str
        Name of the library.
    voltage_v : float
        Supply at which the energy was found.
    dynamic_pj : float
    node : str
        ``65nm LP``, ``40nm LP`` (between 45 nm LP and 32 nm LP, which are the method's nodes) or ``28nm`` (by
        Stillmaker and Baas as 32 nm LP, the nearest of their nodes whose polynomial is known here).
    target_voltage_v : float, optional
        Supply in the other node; left out, the node's own, of ``28nm`` 0.9 V.

    Raises
    ------
    ValueError
        A node without data.
    """
    if not dynamic_pj >= 0:
        raise ValueError(f"dynamic_pj: expected at least 0, got {dynamic_pj}")
    targets = {"65nm LP": ("65nm LP",), "40nm LP": ("45nm LP", "32nm LP"), "28nm": ("32nm LP",)}
    if node not in targets:
        raise ValueError(f"node {node!r}: expected one of {', '.join(targets)}")
    if node == "28nm" and target_voltage_v is None:
        target_voltage_v = 0.9
    estimates = []
    for source in node_of(library):
        for name in targets[node]:
            target = NODES[name]
            supply = target.voltage_v if target_voltage_v is None else target_voltage_v
            ratio = target.energy_factor(supply) / source.energy_factor(voltage_v)
            estimates.append(
                Estimate(
                    name=f"stillmaker_baas_{source.name}_to_{name}".replace(" ", "_"),
                    value=dynamic_pj * ratio,
                    method=f"Stillmaker-Baas energy: {source.name} at {voltage_v:g} V to {name} at {supply:g} V "
                    f"x {ratio:.3g}",
                )
            )
    source, supply = node_of(library)[0], NODES[targets[node][0]].voltage_v
    supply = supply if target_voltage_v is None else target_voltage_v
    length, old = int(node.partition("nm")[0]), int(source.name.partition("nm")[0])
    ratio = length / old * (supply / voltage_v) ** 2
    method = f"constant-field scaling: {length}/{old} x ({supply:g} V / {voltage_v:g} V)^2 = {ratio:.3g}"
    estimates.append(Estimate(name="constant_field", value=dynamic_pj * ratio, method=method))
    return Range(node=node, unit="pJ", estimates=tuple(estimates))
