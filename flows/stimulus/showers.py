"""Showers as stimulus of an encoder's netlist: eRx words of simulated modules, side by side in 64-bit lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.detector.generator import Generator
from sim.hgcal_encoder.detector.particles import BunchCrossings, PileUp, TopPairs
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, ERX_WORDS, EncoderSpec

__all__ = ["EncoderStimulus", "shower_stimulus"]


@dataclass(frozen=True, kw_only=True, eq=False)
class EncoderStimulus:
    """Words and settings of several streams.

    Attributes
    ----------
    words : ndarray of uint32, shape (streams, crossings, 12)
        The first crossing carries the orbit header.
    settings : tuple of Settings
        One per stream.
    occupancy : float
        Mean number of trigger cells above zero charge.
    source : str
    """

    words: npt.NDArray[np.uint32]
    settings: tuple[Settings, ...]
    occupancy: float
    source: str


def shower_stimulus(
    spec: EncoderSpec,
    *,
    streams: int,
    crossings: int,
    seed: int = 1,
    pile_up: float = 200,
    select: IntArray | None = None,
    etx_count: int = 5,
    keep_mask: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> EncoderStimulus:
    """Top-quark pairs with pile-up in modules drawn at random from the endcap.

    Parameters
    ----------
    spec : EncoderSpec
    streams : int
        Modules; more than the detector has are drawn again.
    crossings : int
        Consecutive bunch crossings.
    seed : int
    pile_up : float
        Mean number of minimum-bias events per crossing.
    select : ndarray of int, shape (48,), optional
        Input of each trigger cell of the network; identity where left out.
    etx_count, keep_mask : int
        Links and kept latent bits; all bits where left out.
    advance : callable, optional
        Called with 1 after each crossing.
    """
    generator = Generator(source=BunchCrossings(sources=(TopPairs(), PileUp(mean=pile_up))), seed=seed)
    detector = generator.detector
    rng = np.random.default_rng(seed)
    sites = rng.choice(detector.n_sites, streams, replace=streams > detector.n_sites)
    multiplexer = np.arange(CELLS) if select is None else select
    words = np.zeros((streams, crossings, ERX_WORDS), np.uint32)
    busy = 0.0
    for crossing, images in enumerate(generator.stream(crossings)):
        chosen = images[sites]
        words[:, crossing] = chosen.words(spec.word_order, first_bx=crossing)
        # every row of `words` counts as a crossing of its own: all streams are at the same one
        header = np.uint32((0x9 if crossing == 0 else 0xA) << 28)
        words[:, crossing] = (words[:, crossing] & np.uint32(0x0FFF_FFFF)) | header
        busy += float((chosen.charges > 0).sum(1).mean())
        if advance is not None:
            advance(1)
    settings = tuple(
        Settings(
            spec=spec,
            select=multiplexer,
            factors=detector.calibration[site][multiplexer],
            high_density=bool(detector.site_high_density[site]),
            etx_count=etx_count,
            keep_mask=(1 << spec.keep_bits) - 1 if keep_mask is None else keep_mask,
        )
        for site in sites
    )
    return EncoderStimulus(
        words=words, settings=settings, occupancy=busy / crossings,
        source=f"top pairs at pile-up {pile_up:g}, {streams} modules drawn over the endcap, seed {seed}",
    )  # fmt: skip
