"""A placed netlist as DEF (LEF/DEF 5.8 Language Reference, Cadence), for routers and viewers.

Names are those of `flows.physical.timing.flat_verilog`: cells ``c<number>``, nets ``n<number>``, ports
``p_<name>_<bit>``; ``write_exchange`` leaves netlist, placement and wires side by side, all of one spelling. Cells
stand in rows of which every second one is mirrored top to bottom (FS). Ports are shapes on the border, on the lowest
routing layer above that of the cells which runs across it. Constants have nets of their own, ``zero`` and ``one``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from flows.library.lef import Layer, Lef
from flows.library.power_library import PowerLibrary
from flows.netlist.netlist import Netlist
from flows.netlist.view import Wires
from flows.physical.place import Placement, port_places
from flows.physical.timing import flat_verilog, net_spelling, port_bits, write_spef
from sim.files import replacing

__all__ = ["routed_um", "wire_points", "write_def", "write_exchange"]


def write_exchange(
    folder: Path, netlist: Netlist, library: PowerLibrary, placement: Placement, lef: Lef, wires: Wires
) -> None:
    """Write ``flat.v``, ``flat.def`` and ``flat.spef`` into a folder."""
    (folder / "flat.v").write_text(flat_verilog(netlist))
    write_def(folder / "flat.def", netlist, placement, lef)
    write_spef(folder / "flat.spef", netlist, library, wire_ff=wires.ff, wire_ohm=wires.ohm)


def write_def(path: Path, netlist: Netlist, placement: Placement, lef: Lef) -> None:
    """Write rows, tracks, placed cells, ports on the border and nets.

    Parameters
    ----------
    path : Path
    netlist : Netlist
    placement : Placement
        Of this netlist.
    lef : Lef
        Of its library: site and routing layers.

    Raises
    ------
    ValueError
        The placement is of another netlist.
    """
    placement.check(netlist)
    with replacing(path, "w") as file:
        for line in _lines(netlist, placement, lef):
            file.write(line + "\n")


def routed_um(text: str) -> dict[str, float]:
    """Length in um of the wires of each net in a routed DEF, vias without length.

    Parameters
    ----------
    text : str
        Contents of the file, wires as ``+ ROUTED layer ( x y ) ( x * ) via NEW ...``; nets without any are left out.

    Raises
    ------
    ValueError
        No section of nets, or no unit.
    """
    unit = re.search(r"^\s*UNITS DISTANCE MICRONS (\d+)\s*;", text, re.MULTILINE)
    nets = re.search(r"^NETS \d+ ;(.*?)^END NETS", text, re.MULTILINE | re.DOTALL)
    if unit is None or nets is None:
        raise ValueError("expected a DEF file with UNITS and NETS")
    found: dict[str, float] = {}
    for net in re.split(r"^\s*- ", nets[1], flags=re.MULTILINE)[1:]:
        name, _, wires = net.partition("+ ROUTED")
        if not wires:
            continue
        length = 0
        for piece in re.split(r"\bNEW\b", wires.partition("+")[0]):
            points = wire_points(piece)
            length += sum(abs(x - u) + abs(y - v) for (u, v), (x, y) in pairwise(points))
        found[name.split()[0]] = length / int(unit[1])
    return found


def wire_points(wire: str) -> list[tuple[int, int]]:
    """Points of one wire of a routed DEF, in its units: ``layer ( x y ) ( x * ) via``."""
    points: list[tuple[int, int]] = []
    for x, y in re.findall(r"\( (\S+) (\S+)(?: \S+)? \)", wire):
        # a star repeats the coordinate before
        points.append((points[-1][0] if x == "*" else int(x), points[-1][1] if y == "*" else int(y)))
    return points


def _lines(netlist: Netlist, placement: Placement, lef: Lef) -> Iterator[str]:
    unit = lef.units_per_um
    width, height = (round(length * unit) for length in placement.core_um)
    yield "VERSION 5.8 ;"
    yield 'DIVIDERCHAR "/" ;'
    yield 'BUSBITCHARS "[]" ;'
    yield "DESIGN flat ;"
    yield f"UNITS DISTANCE MICRONS {unit} ;"
    yield f"DIEAREA ( 0 0 ) ( {width} {height} ) ;"
    site, row = (round(length * unit) for length in lef.site_um)
    for number in range(height // row):
        turned = "FS" if number % 2 else "N"
        yield f"ROW row_{number} {lef.site_name} 0 {number * row} {turned} DO {width // site} BY 1 STEP {site} 0 ;"
    for layer in lef.layers:
        pitch = round(layer.pitch_um * unit)
        for axis, length in (("X", width), ("Y", height)) if pitch > 0 else ():
            yield f"TRACKS {axis} {pitch // 2} DO {length // pitch} STEP {pitch} LAYER {layer.name} ;"
    yield from _components(netlist, placement, unit, row)
    yield from _pins(netlist, lef, width, height)
    yield from _nets(netlist)
    yield "END DESIGN"


def _components(netlist: Netlist, placement: Placement, unit: int, row: int) -> Iterator[str]:
    yield f"COMPONENTS {netlist.cells} ;"
    x, y = (np.rint(v * unit).astype(np.int64) for v in (placement.x_um, placement.y_um))
    for group in netlist.groups.values():
        for cell in group.cells.tolist():
            turned = "FS" if y[cell] // row % 2 else "N"
            yield f"- c{cell} {group.type} + PLACED ( {x[cell]} {y[cell]} ) {turned} ;"
    yield "END COMPONENTS"


def _pins(netlist: Netlist, lef: Lef, width: int, height: int) -> Iterator[str]:
    found = list(port_bits(netlist))
    wires = net_spelling(netlist)
    x, y = port_places(len(found), width, height)
    across = {horizontal: _layer(lef, horizontal) for horizontal in (True, False)}
    yield f"PINS {len(found)} ;"
    for (name, direction, net), px, py in zip(found, x.tolist(), y.tolist(), strict=True):
        shape = ""
        # a wire that leaves through the left or right side runs along x
        if (layer := across[px in (0, width)]) is not None:
            half = max(1, round(layer.width_um * lef.units_per_um / 2))
            shape = f" + LAYER {layer.name} ( -{half} -{half} ) ( {half} {half} )"
        yield (
            f"- {name} + NET {wires[net]} + DIRECTION {direction.upper()} + USE SIGNAL{shape} "
            f"+ PLACED ( {px} {py} ) N ;"
        )
    yield "END PINS"


def _layer(lef: Lef, horizontal: bool) -> Layer | None:
    """Lowest routing layer of a direction that cells do not fill."""
    return next((layer for layer in lef.layers[1:] if layer.horizontal is horizontal), None)


def _nets(netlist: Netlist) -> Iterator[str]:
    wires = net_spelling(netlist)
    pins: dict[int, list[str]] = {}
    for group in netlist.groups.values():
        for column, pin in enumerate(group.pins):
            for cell, net in zip(group.cells.tolist(), group.nets[:, column].tolist(), strict=True):
                if net >= 0:
                    pins.setdefault(net, []).append(f"( c{cell} {pin} )")
    for name, _, net in port_bits(netlist):
        pins.setdefault(net, []).append(f"( PIN {name} )")
    yield f"NETS {len(pins)} ;"
    use = {0: "GROUND", 1: "POWER"}
    for net in sorted(pins):
        yield f"- {wires[net]}"
        yield from (f"  {pin}" for pin in pins[net])
        yield f"  + USE {use.get(net, 'SIGNAL')} ;"
    yield "END NETS"
