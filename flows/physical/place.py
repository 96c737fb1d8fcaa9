"""Placement: LEF in; half-perimeter wire length, congestion, wire capacitance and a picture out.

`flows.physical.placer` places standard cells in rows, globally and in detail. Nothing is routed: wire
lengths are half-perimeters, times the factor of C.-L. Cheng (RISA: accurate and efficient placement routability
modeling, ICCAD 1994) for nets of more than three pins. Nets of more than `MAX_PINS` pins (clock, reset) are left to
their trees.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.errors import FlowError
from flows.common.stored import read_stored_arrays
from flows.library.lef import Lef, LefError
from flows.netlist.delays import MAX_PINS
from flows.netlist.netlist import Netlist
from flows.physical.placer import placer

__all__ = ["Congestion", "Placement", "PlacementError", "congestion", "draw", "legalise", "place", "port_places",
           "wire_factor"]  # fmt: skip

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]
PACKED = 0.95
"""Share of the room that cells take where they are packed: what is left keeps pins within reach of a router."""
BIN_ROWS = 15
"""Side of the bins in which wires and tracks are compared, in rows."""
_RISA = {
    4: 1.0828, 5: 1.1536, 6: 1.2206, 7: 1.2823, 8: 1.3385, 9: 1.3991, 10: 1.4493, 15: 1.6899, 20: 1.8924, 25: 2.0743,
    30: 2.2334, 35: 2.3895, 40: 2.5356, 45: 2.6625, 50: 2.7933,
}  # fmt: skip
"""Wire length over half-perimeter by pins (Cheng 1994, table 1)."""


class PlacementError(FlowError):
    """The netlist cannot be placed; the message says why."""


def wire_factor(pins: npt.NDArray[np.int64]) -> Floats:
    """Length of a routed net over its half-perimeter."""
    known = np.array([3, *_RISA])
    factor = np.interp(pins, known, [1.0, *_RISA.values()])
    # beyond the table: the shortest tree of n points grows as sqrt(n) in a given box (Beardwood et al. 1959)
    return np.asarray(factor * np.sqrt(np.maximum(pins, 50) / 50))


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """Where cells are, and the wires that follow.

    Attributes
    ----------
    x_um, y_um : ndarray, shape (cells,)
        Lower left corner; NaN for cells without a footprint.
    width_um, height_um : ndarray, shape (cells,)
    core_um : (width, height)
    utilisation : float
        Cell area over core area.
    hpwl_um : ndarray, shape (nets,)
        Half-perimeter of each net; 0 for single pins and nets of more than `MAX_PINS` pins.
    pins : ndarray of int64, shape (nets,)
        Pins and ports of each net.
    boxes_um : ndarray, shape (nets, 4)
        Left, right, bottom, top.
    seconds : float
    peak_memory_bytes : int
    """

    x_um: Floats
    y_um: Floats
    width_um: Floats
    height_um: Floats
    core_um: tuple[float, float]
    utilisation: float
    hpwl_um: Floats
    pins: npt.NDArray[np.int64]
    boxes_um: Floats
    seconds: float
    peak_memory_bytes: int

    @property
    def area_um2(self) -> float:
        """Core area."""
        return self.core_um[0] * self.core_um[1]

    @cached_property
    def wire_um(self) -> Floats:
        """Estimated length of each net's wire."""
        return self.hpwl_um * wire_factor(self.pins)

    @cached_property
    def overlaps(self) -> int:
        """Cells that stand on a neighbour or outside the core; 0 in a legal placement."""
        tolerance = 1e-6
        placed = self.width_um > 0
        x, y, width, height = (v[placed] for v in (self.x_um, self.y_um, self.width_um, self.height_um))
        outside = (x < -tolerance) | (y < -tolerance)
        outside |= (x + width > self.core_um[0] + tolerance) | (y + height > self.core_um[1] + tolerance)
        order = np.lexsort((x, np.rint(y * 1000)))
        same_row = np.diff(np.rint(y[order] * 1000)) == 0
        onto = same_row & ((x + width)[order][:-1] > x[order][1:] + tolerance)
        return int(outside.sum() + onto.sum())

    def wire_ff(self, ff_per_um: float) -> Floats:
        """Capacitance of each net's wire."""
        return self.wire_um * ff_per_um

    def wire_ohm(self, ohm_per_um: float) -> Floats:
        """Resistance from each net's driver to its farthest pin: no way that makes no detour is longer than the
        half-perimeter."""
        return self.hpwl_um * ohm_per_um

    def check(self, netlist: Netlist) -> None:
        """ValueError if this is the placement of another netlist."""
        if len(self.x_um) != netlist.cells:
            raise ValueError(f"expected a placement of {netlist.cells:,} cells, got one of {len(self.x_um):,}")

    def save(self, path: Path) -> None:
        """Write everything as ``.npz``."""
        from sim.files import replacing

        with replacing(path, "wb") as file:
            np.savez_compressed(file, **{k: v for k, v in vars(self).items() if k not in ("wire_um", "overlaps")})

    @classmethod
    def load(cls, path: Path) -> Placement:
        """Read what `save` wrote; ValueError names a file that is something else."""
        values: dict[str, Any] = read_stored_arrays(path, (field.name for field in fields(cls)))
        cells, nets = values["x_um"].shape, values["pins"].shape
        shapes = dict.fromkeys(("x_um", "y_um", "width_um", "height_um"), cells) | {"core_um": (2,), "hpwl_um": nets}
        shapes |= {"pins": nets, "boxes_um": (*nets, 4)}
        for name, array in values.items():
            if array.shape != shapes.get(name, ()):
                raise ValueError(f"{path}: {name}: expected shape {shapes.get(name, ())}, got {array.shape}")
        values["core_um"] = tuple(map(float, values["core_um"]))
        for name in ("utilisation", "seconds"):
            values[name] = float(values[name])
        values["peak_memory_bytes"] = int(values["peak_memory_bytes"])
        return cls(**values)


def port_places(count: int, width: int, height: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Points evenly around a rectangle, from the lower left corner up the left side."""
    at = (np.arange(count) + 0.5) / max(count, 1) * 2 * (width + height)
    x, y = np.zeros(count), np.zeros(count)
    left, top, right = at < height, (at >= height) & (at < height + width), at >= height + width
    y[left] = at[left]
    x[top], y[top] = at[top] - height, height
    down = right & (at < 2 * height + width)
    x[down], y[down] = width, height - (at[down] - height - width)
    bottom = at >= 2 * height + width
    x[bottom] = width - (at[bottom] - 2 * height - width)
    return np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)


def place(
    netlist: Netlist,
    lef: Lef,
    *,
    utilisation: float = 0.7,
    aspect: float = 1.0,
    effort: int = 2,
    detailed: bool = True,
    spread: bool = False,
    timeout_s: float = 1800.0,
) -> Placement:
    """Place a netlist in rows of a rectangular core; ports stand around it, in the order of their names.

    Parameters
    ----------
    netlist : Netlist
    lef : Lef
        Cells without a macro are refused.
    utilisation : float
        Cell area over core area, above 0 and below 1.
    aspect : float
        Height over width of the core.
    effort : int
        1 to 9: rounds of improvement in rows, and slower spreading; more takes longer and seldom shortens wires much.
    detailed : bool
        Run the detailed placement after legalisation.
    spread : bool
        Even out the density over the core; otherwise cells are packed where wires are shortest, up to `PACKED` of the
        room, and what is left of the core stays empty. Both make room where wires want more tracks than there are.
    timeout_s : float
        Wall-clock limit.

    Raises
    ------
    PlacementError
        A cell has no macro, the netlist has no cells, cells found no room, or the limit of time was reached.
    ValueError
        A parameter out of range.
    """
    if not 0 < utilisation < 1:
        raise ValueError(f"utilisation: expected above 0 and below 1, got {utilisation}")
    if not 0.1 <= aspect <= 10:
        raise ValueError(f"aspect: expected 0.1 to 10, got {aspect}")
    if not 1 <= effort <= 9:
        raise ValueError(f"effort: expected 1 to 9, got {effort}")
    width, height = _sizes(netlist, lef)
    site, row = lef.site_um
    area = float((width * height).sum()) / utilisation
    rows = max(1, round(sqrt(area * aspect) / row))
    sites = ceil(area / (rows * row) / site)
    problem, pins, sizes = _problem(netlist, lef, width, height, rows=rows, sites=sites)
    density = min(1.0, 1.05 * utilisation) if spread else PACKED
    routing = _routing(problem, lef)
    result, seconds, memory = _run(
        problem, sizes, effort=effort, detailed=detailed, density=density, routing=routing, timeout_s=timeout_s
    )
    return _finish(netlist, problem, result, pins, sizes, seconds, memory)


def legalise(
    netlist: Netlist,
    lef: Lef,
    *,
    x_um: npt.ArrayLike,
    y_um: npt.ArrayLike,
    core_um: tuple[float, float],
    effort: int = 2,
    timeout_s: float = 1800.0,
) -> Placement:
    """Put cells onto rows and sites near where they are, then improve in detail; the core stays as it is.

    Parameters
    ----------
    netlist, lef, effort, timeout_s
        As in `place`.
    x_um, y_um : array_like, shape (cells,)
        Lower left corners; cells may overlap there.
    core_um : (width, height)
        Of the placement that they are from.

    Raises
    ------
    PlacementError
        As in `place`; also if the cells do not fit the core.
    """
    width, height = _sizes(netlist, lef)
    site, row = lef.site_um
    rows, sites = round(core_um[1] / row), round(core_um[0] / site)
    if (share := float((width * height).sum()) / (rows * row * sites * site)) > 0.98:
        raise PlacementError(f"cells take {100 * share:.1f} % of the core: place at a lower utilisation")
    problem, pins, sizes = _problem(netlist, lef, width, height, rows=rows, sites=sites)
    unit = sizes[2]
    for name, start in (("x", x_um), ("y", y_um)):
        problem[name][: netlist.cells] = np.rint(np.asarray(start, float) / unit)
    result, seconds, memory = _run(problem, sizes, effort=effort, timeout_s=timeout_s, globally=False)
    return _finish(netlist, problem, result, pins, sizes, seconds, memory)


def _sizes(netlist: Netlist, lef: Lef) -> tuple[Floats, Floats]:
    """Width and height of each cell."""
    if netlist.cells == 0:
        raise PlacementError(f"{netlist.top} has no cells to place")
    width, height = np.zeros(netlist.cells), np.zeros(netlist.cells)
    row = lef.site_um[1]
    for group in netlist.groups.values():
        if group.type not in lef.macros:
            raise PlacementError(f"cell {group.type} has no macro in the LEF files")
        macro = lef.macros[group.type]
        if macro.height_um > row * 1.001:
            raise PlacementError(f"cell {group.type} is higher than a row of {row:g} um")
        width[group.cells], height[group.cells] = macro.width_um, macro.height_um
    return width, height


def _problem(
    netlist: Netlist, lef: Lef, width: Floats, height: Floats, *, rows: int, sites: int
) -> tuple[dict[str, npt.NDArray[Any]], Sequence[npt.NDArray[np.int64]], tuple[Floats, Floats, float, float]]:
    """What the placer gets; owner, net and offsets of each pin; sizes, unit and site."""
    site, row = lef.site_um
    unit = 1 / lef.units_per_um
    total_width, row_units = sites * round(site / unit), round(row / unit)
    total_height = rows * row_units
    owner, net_of, dx, dy = _pins(netlist, lef, unit)
    ports = sorted(netlist.ports)
    port_nets = np.concatenate([netlist.ports[name].nets for name in ports]) if ports else np.zeros(0, np.int32)
    port_x, port_y = port_places(len(port_nets), total_width, total_height)
    owner = np.concatenate([owner, netlist.cells + np.arange(len(port_nets), dtype=np.int64)])
    net_of = np.concatenate([net_of, port_nets.astype(np.int64)])
    dx, dy = (np.concatenate([d, np.zeros(len(port_nets), np.int64)]) for d in (dx, dy))
    keep = net_of >= 2
    owner, net_of, dx, dy = owner[keep], net_of[keep], dx[keep], dy[keep]
    order = np.argsort(net_of, kind="stable")
    owner, net_of, dx, dy = owner[order], net_of[order], dx[order], dy[order]
    pins = np.bincount(net_of, minlength=netlist.nets)
    used = (pins >= 2) & (pins <= MAX_PINS)
    chosen = used[net_of]
    problem = {
        "width": np.concatenate([np.rint(width / unit), np.zeros(len(port_nets))]).astype(np.int64),
        "height": np.concatenate([np.rint(height / unit), np.zeros(len(port_nets))]).astype(np.int64),
        "fixed": np.arange(netlist.cells + len(port_nets)) >= netlist.cells,
        "x": np.concatenate([np.zeros(netlist.cells, np.int64), port_x]),
        "y": np.concatenate([np.zeros(netlist.cells, np.int64), port_y]),
        "area": np.array([0, total_width, 0, total_height, row_units]),
        "start": np.concatenate([[0], np.cumsum(pins[used])]),
        "cells": owner[chosen], "dx": dx[chosen], "dy": dy[chosen],
    }  # fmt: skip
    return problem, (owner, net_of, dx, dy), (width, height, unit, site)


def _finish(
    netlist: Netlist, problem: Mapping[str, Any], result: Mapping[str, Any], pins_of: Sequence[npt.NDArray[np.int64]],
    sizes: tuple[Floats, Floats, float, float], seconds: float, memory: int,
) -> Placement:  # fmt: skip
    """Wires and areas of positions that the placer gave."""
    owner, net_of, dx, dy = pins_of
    width, height, unit, site = sizes
    step = round(site / unit)
    _, total_width, _, total_height, _ = problem["area"].tolist()
    pins = np.bincount(net_of, minlength=netlist.nets)
    used = (pins >= 2) & (pins <= MAX_PINS)
    x, y = result["x"].astype(float), result["y"].astype(float)
    # onto the site grid: widths are whole sites, so moving left to the next site overlaps nothing
    x[: netlist.cells] = np.floor(x[: netlist.cells] / step + 1e-9) * step
    flipped = ~result["north"].astype(bool)
    # a row that stands on its head mirrors its pins
    pin_y = np.where(flipped[owner], problem["height"][owner] - dy, dy) + y[owner]
    pin_x = dx + x[owner]
    boxes = np.zeros((netlist.nets, 4))
    boxes[:, [0, 2]], boxes[:, [1, 3]] = np.inf, -np.inf
    np.minimum.at(boxes[:, 0], net_of, pin_x)
    np.maximum.at(boxes[:, 1], net_of, pin_x)
    np.minimum.at(boxes[:, 2], net_of, pin_y)
    np.maximum.at(boxes[:, 3], net_of, pin_y)
    boxes[~used] = 0
    boxes *= unit
    return Placement(
        x_um=x[: netlist.cells] * unit, y_um=y[: netlist.cells] * unit, width_um=width, height_um=height,
        core_um=(total_width * unit, total_height * unit),
        utilisation=float((width * height).sum()) / (total_width * unit * total_height * unit),
        hpwl_um=boxes[:, 1] - boxes[:, 0] + boxes[:, 3] - boxes[:, 2], pins=pins, boxes_um=boxes, seconds=seconds,
        peak_memory_bytes=memory,
    )  # fmt: skip


def _pins(netlist: Netlist, lef: Lef, unit: float) -> tuple[npt.NDArray[np.int64], ...]:
    """Cell, net and offset of every connected pin."""
    owners, nets, xs, ys = [], [], [], []
    for group in netlist.groups.values():
        macro = lef.macros[group.type]
        for column, pin in enumerate(group.pins):
            connected = group.nets[:, column] >= 0
            if not connected.any():
                continue
            if pin not in macro.pins:
                raise LefError(f"macro {group.type} has no pin {pin}")
            px, py = macro.pins[pin]
            count = int(connected.sum())
            owners.append(group.cells[connected].astype(np.int64))
            nets.append(group.nets[connected, column].astype(np.int64))
            xs.append(np.full(count, round(px / unit), np.int64))
            ys.append(np.full(count, round(py / unit), np.int64))
    return np.concatenate(owners), np.concatenate(nets), np.concatenate(xs), np.concatenate(ys)


def _routing(problem: Mapping[str, Any], lef: Lef) -> placer.Routing | None:
    """Tracks and wires as `congestion` counts them, in the units of the problem; None without routing layers."""
    unit, row = 1 / lef.units_per_um, int(problem["area"][4])
    across, along = (
        sum(unit / k.pitch_um for k in lef.layers[1:] if k.horizontal is horizontal and k.pitch_um > 0)
        for horizontal in (True, False)
    )
    if across == 0 or along == 0:
        return None
    factor = wire_factor(np.diff(problem["start"]))
    return placer.Routing(tracks=(across, along), bin=BIN_ROWS * row, factor=factor)


def _run(
    problem: Mapping[str, Any], sizes: tuple[Floats, Floats, float, float], *, effort: int, detailed: bool = True,
    density: float = 1.0, routing: placer.Routing | None = None, timeout_s: float, globally: bool = True,
) -> tuple[dict[str, Any], float, int]:  # fmt: skip
    """Positions, which cells stand upright, seconds, and the largest memory of this process so far."""
    left, right, bottom, top, row = problem["area"].tolist()
    start = time.monotonic()
    try:
        found = placer.place(
            **{name: problem[name] for name in ("width", "height", "x", "y", "fixed")},
            net_start=problem["start"], pin_cell=problem["cells"], pin_x=problem["dx"], pin_y=problem["dy"],
            region=(left, bottom, right, top), row_height=row, site=round(sizes[3] / sizes[2]), density=density,
            routing=routing, effort=effort, detailed=detailed, globally=globally, timeout_s=timeout_s,
        )  # fmt: skip
    except ValueError as error:
        raise PlacementError(str(error)) from None
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"x": found.x, "y": found.y, "north": ~found.mirrored}, time.monotonic() - start, memory


# --- congestion and picture -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Congestion:
    """Estimated use of routing tracks in a grid of bins, per direction (horizontal, vertical).

    Attributes
    ----------
    use : ndarray, shape (2, rows, columns)
        Wire length wanted over track length there.
    bin_um : float
    """

    use: Floats
    bin_um: float

    @property
    def worst(self) -> float:
        """Largest use of any bin."""
        return float(self.use.max())

    @property
    def mean(self) -> tuple[float, float]:
        """Mean use, horizontal and vertical: a core that is not as high as it is wide has more of one."""
        horizontal, vertical = self.use.mean(axis=(1, 2)).tolist()
        return horizontal, vertical

    @property
    def overfull(self) -> float:
        """Share of bins whose use is above 1."""
        return float((self.use > 1).mean())


def congestion(
    placement: Placement, lef: Lef, *, bin_um: float | None = None, layers: Sequence[int] = ()
) -> Congestion:
    """Spread each net's wire evenly over its bounding box, and compare with the tracks of the routing layers.

    Parameters
    ----------
    placement : Placement
    lef : Lef
    bin_um : float, optional
        Side of a bin; 15 rows where left out.
    layers : sequence of int, optional
        Routing layers to count, from 0; all but the lowest, which cells fill, where left out.
    """
    side = BIN_ROWS * lef.site_um[1] if bin_um is None else bin_um
    columns, rows = (max(1, ceil(length / side)) for length in placement.core_um)
    use = np.zeros((2, rows, columns))
    factor = wire_factor(placement.pins)
    nets = np.flatnonzero(placement.hpwl_um > 0)
    box = placement.boxes_um[nets]
    width, height = box[:, 1] - box[:, 0], box[:, 3] - box[:, 2]
    for direction, length in enumerate((width, height)):
        demand = length * factor[nets]
        use[direction] = _spread(box / side, demand, rows, columns)
    chosen = [lef.layers[k] for k in layers] if layers else list(lef.layers[1:])
    for direction, horizontal in enumerate((True, False)):
        tracks = sum(side / layer.pitch_um for layer in chosen if layer.horizontal is horizontal and layer.pitch_um > 0)
        if tracks:
            use[direction] /= tracks * side
    return Congestion(use=use, bin_um=side)


def _spread(box: Floats, amount: Floats, rows: int, columns: int) -> Floats:
    """Amount of each box, evenly over the bins it touches: by differences at its corners."""
    left = np.clip(box[:, 0].astype(int), 0, columns - 1)
    right = np.clip(box[:, 1].astype(int), 0, columns - 1) + 1
    low = np.clip(box[:, 2].astype(int), 0, rows - 1)
    high = np.clip(box[:, 3].astype(int), 0, rows - 1) + 1
    each = amount / ((right - left) * (high - low))
    corners = np.zeros((rows + 1, columns + 1))
    for y, x, sign in ((low, left, 1), (low, right, -1), (high, left, -1), (high, right, 1)):
        np.add.at(corners, (y, x), sign * each)
    return np.asarray(corners.cumsum(0).cumsum(1)[:rows, :columns])


def draw(placement: Placement, netlist: Netlist, path: Path, *, pixels: int = 900) -> None:
    """Picture of the placement, cells in the colour of their stage, as PNG or SVG by the file's name.

    The eleven largest stages have colours of their own, the others are grey.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    area = np.bincount(netlist.cell_stage, placement.width_um * placement.height_um, len(netlist.stages))
    order = np.argsort(-area)
    shown = [int(stage) for stage in order[:11] if area[stage] > 0]
    palette = colormaps["tab20"]
    colours = np.full((len(netlist.stages), 3), 0.75)
    for rank, stage in enumerate(shown):
        colours[stage] = palette(rank / 12)[:3]
    scale = pixels / max(placement.core_um)
    columns, rows = (max(1, ceil(length * scale)) for length in placement.core_um)
    image = np.ones((rows, columns, 3))
    left, low = (np.floor(v * scale).astype(int) for v in (placement.x_um, placement.y_um))
    right = np.ceil((placement.x_um + placement.width_um) * scale).astype(int)
    high = np.ceil((placement.y_um + placement.height_um) * scale).astype(int)
    for cell in range(netlist.cells):
        image[low[cell] : high[cell], left[cell] : right[cell]] = colours[netlist.cell_stage[cell]]
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(image, origin="lower", extent=(0, placement.core_um[0], 0, placement.core_um[1]), interpolation="none")
    axes.set_xlabel("µm")
    axes.set_ylabel("µm")
    axes.set_title(f"{netlist.top}: {netlist.cells:,} cells, core of {placement.area_um2 / 1e6:.3g} mm²")
    named = [(colours[s].tolist(), netlist.stages[s].replace("_", " "), area[s]) for s in shown]
    if (rest := area.sum() - area[shown].sum()) > 0:
        named.append(([0.75] * 3, f"{len(area[area > 0]) - len(shown)} other stages", rest))
    handles = [Patch(color=colour, label=f"{name}, {size / 1e6:.2g} mm²") for colour, name, size in named]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    # names are as long as they are: the picture is as wide as it takes
    figure.savefig(path, dpi=110, bbox_inches="tight")
