"""The whole placement: quadratic start, spreading, rows, detailed improvement. Arrays in, arrays out.

Everything runs in the caller's process on two threads; results are the same for the same seed, whatever the number of
cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.common.errors import ToolTimeout
from flows.physical.placer.circuit import Circuit
from flows.physical.placer.detailed import improve
from flows.physical.placer.legalise import legalise
from flows.physical.placer.quadratic import quadratic
from flows.physical.placer.spreading import Routing, spread

__all__ = ["Placed", "Routing", "place"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """A legal placement.

    Attributes
    ----------
    x, y : ndarray, shape (cells,)
        Lower left corners.
    mirrored : ndarray of bool, shape (cells,)
        Cells that stand on their head: pins are mirrored top to bottom (orientation FS), else N.
    seconds : dict of str to float
        Wall clock of each stage.
    """

    x: Floats
    y: Floats
    mirrored: Bools
    seconds: dict[str, float]


def place(
    *,
    width: npt.ArrayLike,
    height: npt.ArrayLike,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    fixed: npt.ArrayLike,
    net_start: npt.ArrayLike,
    pin_cell: npt.ArrayLike,
    pin_x: npt.ArrayLike,
    pin_y: npt.ArrayLike,
    region: tuple[float, float, float, float],
    row_height: float,
    site: float,
    density: float = 1.0,
    routing: Routing | None = None,
    effort: int = 1,
    seed: int = 0,
    globally: bool = True,
    detailed: bool = True,
    timeout_s: float = float("inf"),
) -> Placed:
    """Place cells in rows so that the sum of half-perimeters is short.

    Parameters
    ----------
    width, height, x, y : array_like, shape (cells,)
        Sizes and lower left corners. `x`, `y` of movable cells count only without `globally`. Lengths in any one unit.
    fixed : array_like of bool, shape (cells,)
        Cells that stay: obstacles if they have an area, else ports. They may stand outside the region.
    net_start : array_like of int, shape (nets + 1,)
        First pin of each net in `pin_cell`, and after the last the number of pins.
    pin_cell : array_like of int, shape (pins,)
    pin_x, pin_y : array_like, shape (pins,)
        From the lower left corner of a cell that stands upright.
    region : (left, bottom, right, top)
        Rows fill it from the bottom; every second one stands on its head.
    row_height, site : float
        Movable cells are at most a row high, and take whole sites.
    density : float
        Largest share of the room that cells may take anywhere, above 0 to 1: at 1 they are packed where wires are
        shortest. Raised to what the cells need at least.
    routing : Routing, optional
        Make room where wires want more than the tracks.
    effort : int
        1 to 9: slower spreading, more rounds of improvement.
    seed : int
    globally : bool
        Place from nothing; otherwise legalise the positions given.
    detailed : bool
        Improve the legal placement.
    timeout_s : float

    Returns
    -------
    Placed

    Raises
    ------
    ValueError
        A bad argument, named, or cells that do not fit.
    ToolTimeout
        Not ready after `timeout_s`.
    """
    if not 0 < density <= 1:
        raise ValueError(f"density: expected above 0 to 1, got {density}")
    if not 1 <= effort <= 9:
        raise ValueError(f"effort: expected 1 to 9, got {effort}")
    left, bottom, right, top = region
    circuit = Circuit(
        width=np.array(width, float), height=np.array(height, float), fixed=np.array(fixed, bool),
        net_start=np.array(net_start, np.int64), pin_cell=np.array(pin_cell, np.int64), pin_x=np.array(pin_x, float),
        pin_y=np.array(pin_y, float), x=np.array(x, float), y=np.array(y, float),
        region=(float(left), float(bottom), float(right), float(top)), row_height=float(row_height), site=float(site),
    )  # fmt: skip
    start = time.monotonic()
    seconds: dict[str, float] = {}

    def check() -> None:
        if time.monotonic() - start > timeout_s:
            raise ToolTimeout("placer", f"placement was ended after its limit of {timeout_s:g} s")

    def timed(name: str, job: Callable[[], tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
        before = time.monotonic()
        found = job()
        seconds[name] = time.monotonic() - before
        check()
        return found

    at = (circuit.x, circuit.y)
    if len(circuit.movable) == 0:
        return Placed(x=at[0], y=at[1], mirrored=np.zeros(len(at[0]), bool), seconds=seconds)
    if globally:
        with ThreadPoolExecutor(2, thread_name_prefix="placer") as pool:
            at = timed("quadratic", lambda: quadratic(circuit, *at, pool, seed=seed))
            at = timed(
                "spreading",
                lambda: spread(
                    circuit, *at, pool, density=density, seed=seed, routing=routing, growth=0.03 / effort, check=check
                ),
            )
    at = timed("legalisation", lambda: legalise(circuit, *at))
    if detailed:
        at = timed("detailed", lambda: improve(circuit, *at, rounds=1 + effort, seed=seed, check=check))
    return Placed(x=at[0], y=at[1], mirrored=circuit.mirrored(at[1]), seconds=seconds)
