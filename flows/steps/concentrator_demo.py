"""One module, five algorithms: the same crossings through every algorithm of the concentrator, in model and RTL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flows.common.journal import Journal
from flows.designs.concentrator import ConcentratorDesign
from flows.simulation.concentrator import ConcentratorBench, concentrator_verilog
from flows.steps.encoder_demo import MODEL, PILE_UP, ModuleStream, compare, module_stream
from flows.stimulus.concentrator import LINKS, algorithm_settings
from sim.files import replacing
from sim.hgcal_encoder.algorithms.comparison import reconstruct_baselines
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber
from sim.hgcal_encoder.front_end import by_trigger_cell, pedestals
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.metric import earth_movers_distance, occupancy
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, HEADER_WIDTH

if TYPE_CHECKING:
    from pathlib import Path

    from flows.steps.demo import DemoOptions

__all__ = ["show"]

_A = AlgorithmNumber
_RECEIVERS = {
    _A.THRESHOLD_SUM: "threshold_sum", _A.SUPER_TRIGGER_CELL: "stc4_4e3m_peak", _A.BEST_CHOICE: "best_choice_rest",
    _A.REPEATER: "repeater",
}  # fmt: skip
"""Names of what a receiver makes of the words, in `sim.hgcal_encoder.algorithms.comparison`."""


def show(design: ConcentratorDesign, folder: Path, journal: Journal, options: DemoOptions) -> None:
    """Encode, compare with the RTL, decode; leaves ``algorithms.npz`` and ``algorithms.json`` in the folder."""
    spec = design.spec
    model = TrainedModel.load(MODEL)
    stream = module_stream(journal, options.crossings, options.seed)
    with journal.step(f"{spec.name}: Amaranth to Verilog to simulator"):
        bench = ConcentratorBench(concentrator_verilog(spec))
    truth = stream.unencoded.astype(np.float64)
    hit = truth.sum(axis=1) > 0
    found: dict[str, Any] = {}
    facts: dict[str, dict[str, float]] = {}
    for number in spec.numbers:
        with_network = number is _A.AUTOENCODER
        select = model.multiplexer if with_network else np.arange(CELLS)
        front = Settings(
            spec=spec.encoder, select=select, factors=stream.factors[select], high_density=False,
            etx_count=LINKS[number], keep_mask=model.keep_mask,
        )  # fmt: skip
        settings = algorithm_settings(spec, number, front, model.weights if with_network else None)
        with journal.step(f"{number.label}: golden model and RTL", len(stream.words)) as advance:
            expected = ConcentratorModel(spec, settings).frames(stream.words)
            frames = bench.frames(stream.words, settings.registers(spec), advance=advance)
        journal.check(compare(f"{number.label}: RTL equals golden model", expected, frames))
        decoded, bits, truncated = _received(number, stream, model, front, frames)
        distance = np.full(len(decoded), np.nan)
        distance[hit] = earth_movers_distance(truth[hit], decoded[hit])
        found |= {f"{number.label}_decoded": decoded, f"{number.label}_emd": distance}
        facts[number.label] = {
            "links": LINKS[number], "bits": bits, "truncated_percent": 100 * truncated,
            "latency_clocks": design.latency_of(number), "median_emd": float(np.nanmedian(distance)),
        }  # fmt: skip
    with replacing(folder / "algorithms.npz", "wb") as file:
        np.savez_compressed(file, charges=stream.charges, occupancy=occupancy(truth), **found)
    about = {"pile_up": PILE_UP, "layer": stream.layer, "eta": stream.eta, "algorithms": facts}
    with replacing(folder / "algorithms.json") as file:
        json.dump(about, file, indent=1)


def _received(
    number: AlgorithmNumber, stream: ModuleStream, model: TrainedModel, front: Settings,
    frames: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.float64], float, float]:  # fmt: skip
    """What a receiver makes of the words: charges (n, 48), bits of a crossing, share of crossings truncated."""
    empty = by_trigger_cell(pedestals(front), front)
    if number is _A.AUTOENCODER:
        return model.decode_frames(frames, empty), float(HEADER_WIDTH + model.keep_mask.bit_count()), 0.0
    ways = {way.name: way for way in reconstruct_baselines(stream.charges, LINKS[number], pedestals=empty)}
    way = ways[_RECEIVERS[number]]
    return way.charges, way.bits, way.truncated
