"""Functional coverage: what the stimulus of a bench has reached, and a bench that fails where it has not.

A cover point has bins; `Coverage.sample` hits those that an observation shows, several where a crossing has 48 codes.
`Coverage.close` names the bins that nothing hit. The database is that of cocotb-coverage (M. Cieplucha and W. Pleskacz,
"New architecture of the object-oriented functional coverage mechanism for digital verification", IEEE VLSI-SoC 2016).
Which bins there are say `encoder_coverage`, `crossbar_coverage` and `concentrator_coverage`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from cocotb_coverage.coverage import CoverPoint, coverage_db

__all__ = ["ENDS", "OCCUPANCIES", "Coverage", "Point", "ends", "occupancy", "share", "shares"]

Point = tuple[Callable[..., Iterable[Any]], Iterable[Any]]
"""What of an observation is seen, as bins, and all bins."""


class Coverage:
    """A cover group.

    Parameters
    ----------
    name : str
        Of the group; one database holds all groups of a simulation.
    points : mapping of str to Point
    """

    def __init__(self, name: str, points: Mapping[str, Point]) -> None:
        self.name = name
        self._points = {point: f"{name}.{point}" for point in points}
        hit: Callable[[tuple[Any, ...]], None] = lambda _: None  # noqa: E731
        for point, (seen, bins) in points.items():
            hit = CoverPoint(
                self._points[point], xf=lambda row, seen=seen: set(seen(*row)), rel=lambda hit, one: one in hit,
                bins=list(bins), inj=False,
            )(hit)  # fmt: skip
        self._hit = hit

    def sample(self, *observation: Any) -> None:
        """Hit the bins that an observation shows."""
        self._hit(observation)  # the library asks the members of what it is given, which arrays refuse

    @property
    def empty(self) -> list[str]:
        """Bins that nothing has hit, ``point: bin``."""
        return [
            f"{name}: {one}"
            for name in self._points.values()
            for one, hits in coverage_db[name].detailed_coverage.items()
            if not hits
        ]

    @property
    def bins(self) -> int:
        """Bins of all points."""
        return sum(int(coverage_db[name].size) for name in self._points.values())

    def close(self) -> None:
        """Every bin was hit.

        Raises
        ------
        AssertionError
            It names those that were not.
        """
        assert not self.empty, f"{self.name}: {len(self.empty)} of {self.bins} bins are empty: {', '.join(self.empty)}"


OCCUPANCIES = ("empty", "one", "sparse", "busy", "full")


def occupancy(count: int) -> str:
    """Class of a module by its trigger cells above zero."""
    return (
        "empty" if not count else "one" if count == 1 else "sparse" if count <= 12 else "busy" if count < 48 else "full"
    )


ENDS = ("lowest", "highest", "between")


def ends(values: np.ndarray, low: int, high: int) -> Iterable[str]:
    """Which ends of a range are there, and whether anything lies between."""
    found = np.unique(values)
    return (
        name
        for name, there in (
            ("lowest", low in found), ("highest", high in found), ("between", ((found > low) & (found < high)).any()),
        )
        if there
    )  # fmt: skip


def share(count: int, most: int) -> str:
    """Class of a number of things that are on, out of `most`."""
    return "none" if not count else "all" if count == most else "some"


def shares(most: int) -> tuple[str, ...]:
    """Classes of `share` that there are."""
    return ("none", "some", "all") if most > 1 else ("none", "all")
