"""Particle pools made with Pythia: ``liquidcal pools minbias --events 3000 --seed 1 --out pool.npz``.

Writes the same arrays as the shipped pools (`sim/hgcal_encoder/data/README.md`), from which
`PileUp(mean=..., pool=FILE)` and `TopPairs(pool=FILE)` draw. Both endcaps count, mirrored to +z: event i gives the
entries 2 i and 2 i + 1.

A particle is kept if it is stable, no neutrino, has more than 0.1 GeV and a pseudorapidity of 1.43 to 3.10 at its
origin. It is followed to the front face at z = 3210.5 mm, straight if neutral, on a helix in a field of 3.8 T along z
if charged, and has to hit it inside the radius of pseudorapidity 1.43. Material in front of the calorimeter, the
surface of the barrel and energy loss are left out.

Needs the library pythia8mc (GPL version 2 or later), which nothing else of the project imports and which is no
dependency of it. Source: C. Bierlich et al., "A comprehensive guide to the physics and usage of PYTHIA 8.3", SciPost
Phys. Codebases 8 (2022).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.files import replacing
from sim.hgcal_encoder.detector.particles import ELECTROMAGNETIC, FRONT_FACE_MM, HADRON, MUON

__all__ = ["PROCESSES", "at_front_face", "generate_pool", "save_pool"]

FloatArray = npt.NDArray[np.float64]

PROCESSES: dict[str, tuple[str, ...]] = {
    "minbias": ("SoftQCD:inelastic = on",),
    "ttbar": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
}
"""Settings of Pythia by name of the pool."""
ENERGY_GEV = 14_000.0
FIELD_T = 3.8
LEAST_ENERGY_GEV = 0.1
ETA = (1.43, 3.10)
MEGATESLA_MM = 0.299_792_458e-3
"""Transverse momentum (GeV) of a unit charge over field (T) and radius of curvature (mm)."""
_NEUTRINOS = (12, 14, 16)


def at_front_face(
    origin_mm: npt.ArrayLike, momentum_gev: npt.ArrayLike, charge: npt.ArrayLike, field_t: float = FIELD_T
) -> tuple[FloatArray, FloatArray]:
    """Where particles that fly towards +z cross the front face, in a uniform field along z.

    Parameters
    ----------
    origin_mm : array_like, shape (n, 3)
    momentum_gev : array_like, shape (n, 3)
        Component along z above 0.
    charge : array_like, shape (n,)
        In units of the positron's charge.
    field_t : float, optional

    Returns
    -------
    xy_mm : ndarray of float64, shape (n, 2)
        Position at z = `FRONT_FACE_MM`.
    slope : ndarray of float64, shape (n, 2)
        dx/dz and dy/dz there.

    Raises
    ------
    ValueError
        If a particle does not fly towards +z; the message names it.
    """
    origin, momentum = np.asarray(origin_mm, dtype=np.float64), np.asarray(momentum_gev, dtype=np.float64)
    if (back := np.flatnonzero(~(momentum[:, 2] > 0))).size:
        raise ValueError(f"momentum_gev[{back[0]}]: expected a positive z component, got {momentum[back[0], 2]}")
    path = FRONT_FACE_MM - origin[:, 2]
    # dp/dt = q v x B turns the transverse momentum by -q B per momentum and length along z
    angle = -np.asarray(charge, dtype=np.float64) * MEGATESLA_MM * field_t * path / momentum[:, 2]
    slope = momentum[:, :2] / momentum[:, 2:]
    # position: integral of the turned slope over the path; sin(a)/a and (1 - cos(a))/a, exact for a = 0 too
    along = np.sinc(angle / np.pi)
    across = np.sin(angle / 2) * np.sinc(angle / (2 * np.pi))
    x, y = slope.T
    xy = origin[:, :2] + path[:, None] * np.stack([along * x - across * y, across * x + along * y], axis=1)
    cosine, sine = np.cos(angle), np.sin(angle)
    return xy, np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=1)


def generate_pool(
    process: str, events: int, seed: int, progress: Callable[[int], None] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Run Pythia.

    Parameters
    ----------
    process : {"minbias", "ttbar"}
    events : int
        Proton-proton collisions at 14 TeV; each gives two entries.
    seed : int
        1 ... 900,000,000.
    progress : callable, optional
        Called with the number of events done.

    Returns
    -------
    dict
        Arrays ``kind``, ``E``, ``xy``, ``t``, ``off`` as in the shipped pools.

    Raises
    ------
    ModuleNotFoundError
        If pythia8mc is not installed.
    ValueError
        If an argument is out of range.
    RuntimeError
        If Pythia does not start or gives up.
    """
    if process not in PROCESSES:
        raise ValueError(f"process: expected one of {', '.join(PROCESSES)}, got {process!r}")
    if events < 1 or not 1 <= seed <= 900_000_000:
        raise ValueError(f"expected at least 1 event and a seed of 1 to 900000000, got {events} and {seed}")
    try:
        import pythia8mc  # type: ignore[import-not-found,unused-ignore]
    except ModuleNotFoundError:
        raise ModuleNotFoundError("particle pools are made by the library pythia8mc, which is not installed") from None
    pythia = pythia8mc.Pythia("", False)
    for line in (
        f"Beams:eCM = {ENERGY_GEV}", *PROCESSES[process], "Print:quiet = on", "Random:setSeed = on",
        f"Random:seed = {seed}",
    ):  # fmt: skip
        pythia.readString(line)
    if not pythia.init():
        raise RuntimeError(f"Pythia does not start with {PROCESSES[process]}")
    parts: list[list[npt.NDArray[Any]]] = []
    counts = []
    for event in range(events):
        if not any(pythia.next() for _ in range(10)):
            raise RuntimeError(f"Pythia gives up at event {event}")
        for side in _sides(pythia.event):
            parts.append(side)
            counts.append(len(side[0]))
        if progress is not None:
            progress(event + 1)
    kind, energy, xy, slope = (np.concatenate([part[i] for part in parts]) for i in range(4))
    return {
        "kind": kind.astype(np.uint8),
        "E": energy.astype(np.float16),
        "xy": np.rint(xy).astype(np.int16),
        "t": np.rint(slope * 32767).astype(np.int16),
        "off": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
    }


def _sides(event: Any) -> list[list[npt.NDArray[Any]]]:
    """Kind, energy, position and slope of the particles of both endcaps."""
    rows = [
        (p.id(), p.charge(), p.e(), p.px(), p.py(), p.pz(), p.xProd(), p.yProd(), p.zProd())
        for p in event
        if p.isFinal() and p.e() > LEAST_ENERGY_GEV and ETA[0] < abs(p.eta()) < ETA[1] and abs(p.id()) not in _NEUTRINOS
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 9)
    out = []
    for sign in (1.0, -1.0):
        part = table[table[:, 5] * sign > 0]
        part = part[part[:, 8] * sign < FRONT_FACE_MM]
        number = np.abs(part[:, 0])
        kind = np.select([(number == 11) | (number == 22), number == 13], [ELECTROMAGNETIC, MUON], HADRON)
        # reflection at z = 0 turns the sense of rotation in a field along z: mirror the charge's sign with it
        mirror = np.array([1.0, 1.0, sign])
        xy, slope = at_front_face(part[:, 6:9] * mirror, part[:, 3:6] * mirror, part[:, 1] * sign)
        inside = np.hypot(*xy.T) <= FRONT_FACE_MM / np.sinh(ETA[0])
        out.append([kind[inside], part[inside, 2], xy[inside], slope[inside]])
    return out


def save_pool(path: Path, pool: dict[str, npt.NDArray[Any]]) -> None:
    """Write a pool as compressed ``.npz``, complete or not at all."""
    arrays: dict[str, Any] = dict(pool)  # numpy's types take any keyword for `allow_pickle`
    with replacing(Path(path), "wb") as file:
        np.savez_compressed(file, **arrays)
