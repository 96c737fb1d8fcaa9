"""The main job on what ships with the project: a real shower becomes eLink words, in the model and in the RTL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.encoder import EncoderDesign
from flows.simulation.encoder import EncoderBench, encoder_verilog
from sim.engine import Engine
from sim.files import replacing
from sim.fixed_point import IntArray
from sim.hgcal_encoder.detector.generator import Generator
from sim.hgcal_encoder.detector.particles import BunchCrossings, PileUp, TopPairs
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.front_end import by_trigger_cell, pedestals
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.metric import earth_movers_distance, occupancy
from sim.hgcal_encoder.settings import Settings

if TYPE_CHECKING:
    from flows.steps.demo import DemoOptions

MODEL = "econ_t_5elinks"
"""Shipped weights and decoder that the demo runs."""
PILE_UP = 200
CROSSINGS = 400
"""Bunch crossings that the demo's module sees."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ModuleStream:
    """One module over consecutive bunch crossings.

    Attributes
    ----------
    words : ndarray of uint32, shape (n, 12)
        eRx words.
    charges : ndarray of int64, shape (n, 48)
        Calibrated charges in trigger-cell order, as the chip has them of the words.
    unencoded : ndarray of float32, shape (n, 48)
        The same before they were encoded.
    factors : ndarray of int64, shape (48,)
        Calibration factors in trigger-cell order.
    layer : int
        Silicon layer, from 1.
    eta : float
        Pseudorapidity of the module centre.
    """

    words: npt.NDArray[np.uint32]
    charges: IntArray
    unencoded: npt.NDArray[np.float32]
    factors: IntArray
    layer: int
    eta: float


def module_stream(journal: Journal, crossings: int, seed: int) -> ModuleStream:
    """What one low-density module near the shower maximum sees in ttbar events at pile-up 200."""
    generator = Generator(source=BunchCrossings(sources=(TopPairs(), PileUp(mean=PILE_UP))), seed=seed)
    detector = generator.detector
    # near the shower maximum of photons, at an angle where a module is busy but not full
    score = np.abs(detector.site_eta - 2.2) + 10 * np.abs(detector.site_layer - 11)
    site = int(np.argmin(np.where(detector.site_high_density, np.inf, score)))
    parts = []
    with journal.step(f"showers: {crossings} bunch crossings of ttbar at pile-up {PILE_UP}", crossings) as advance:
        for images in generator.stream(crossings):
            parts.append(images[images.site == site])
            advance(1)
    images = type(parts[0]).join(parts)
    return ModuleStream(
        words=images.words(),
        charges=images.charges,
        unencoded=images.unencoded,
        factors=detector.calibration[site],
        layer=int(images.layer[0]),
        eta=float(images.eta[0]),
    )


def compare(name: str, expected: npt.NDArray[np.uint32], actual: npt.NDArray[np.uint32]) -> Check:
    """Check that two sets of frames are equal; the detail names the first difference."""
    different = np.argwhere(expected != actual)
    detail = ""
    if len(different):
        row, word = (int(i) for i in different[0])
        detail = f"row {row}, eTx {word}: expected {expected[row, word]:08x}, got {actual[row, word]:08x}"
    return Check(
        name=name,
        passed=not len(different) and expected.size > 0,
        compared=int(expected.size),
        unit="eTx words",
        detail=detail or f"{len(expected):,} bunch crossings",
    )


def run_demo(journal: Journal, out_dir: Path, *, crossings: int = CROSSINGS, seed: int = 1) -> None:
    """Generate, encode, decode, simulate the RTL; write ``events.npz`` and ``journal.json`` into `out_dir`.

    Parameters
    ----------
    journal : Journal
        Receives steps and checks.
    out_dir : Path
        Existing folder of results of this design.
    crossings : int
        Bunch crossings.
    seed : int
        Seed of the particles.
    """
    model = TrainedModel.load(MODEL)
    spec = model.spec
    stream = module_stream(journal, crossings, seed)
    settings = Settings(
        spec=spec,
        select=model.multiplexer,
        factors=stream.factors[model.multiplexer],
        high_density=False,
        etx_count=model.elinks,
        keep_mask=model.keep_mask,
    )
    with journal.step("golden model: words to frames, two engines"):
        trace = Encoder(spec, model.weights, settings).trace(stream.words)
        compiled = Encoder(spec, model.weights, settings, Engine.NUMBA).frames(stream.words)
    journal.check(compare("compiled model equals NumPy model", trace.frames, compiled))
    charges_equal = np.array_equal(trace.charges, stream.charges[:, model.multiplexer])
    journal.check(
        Check(
            name="charges in the chip equal those of the shower generator",
            passed=charges_equal,
            compared=int(trace.charges.size),
            unit="trigger cells",
        )
    )
    with journal.step("RTL: Amaranth to Verilog, Verilator build"):
        bench = EncoderBench(encoder_verilog(spec))
    with journal.step("RTL: the same words through the registers and the data path", crossings) as advance:
        frames = bench.frames(stream.words, settings, model.weights, advance=advance)
    journal.check(compare("RTL equals golden model", trace.frames, frames))
    with journal.step("decoder: eTx words back to trigger cells"):
        # from the words that the RTL sent, as off-detector electronics would
        decoded = model.decode_frames(frames, by_trigger_cell(pedestals(settings), settings))
        truth = stream.unencoded.astype(np.float64)
        hit = truth.sum(axis=1) > 0
        distance = np.full(len(decoded), np.nan)
        distance[hit] = earth_movers_distance(truth[hit], decoded[hit])
    with replacing(out_dir / "events.npz", "wb") as file:
        np.savez_compressed(
            file,
            words=stream.words,
            frames=frames,
            charges=stream.charges,
            decoded=decoded,
            sums=trace.sums,
            sum_codes=trace.sum_codes,
            latents=trace.latents,
            occupancy=occupancy(truth),
            emd=distance,
            layer=stream.layer,
            eta=stream.eta,
            etx_count=model.elinks,
            kept_bits=model.kept_bits,
            pile_up=PILE_UP,
        )


def show(design: EncoderDesign, folder: Path, journal: Journal, options: DemoOptions) -> None:
    """The demo of an encoder; it shows the shipped model, so the spec is that one's."""
    if design.spec != TrainedModel.load(MODEL).spec:
        raise ValueError(f"the demo shows the shipped model {MODEL}, whose spec is not that of {design.name}")
    run_demo(journal, folder, crossings=options.crossings, seed=options.seed)
