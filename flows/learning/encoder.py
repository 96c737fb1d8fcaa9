"""Quality of a trained encoder in exact chip arithmetic, as tables and as JSON.

What ``liquidcal evaluate hgcal_encoder`` does. Figures start from what the chip sees: eRx words, or charges that were
sent in 4E3M, decoded and calibrated as on the chip. They are compared with the charges before encoding.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flows.common.cluster import map_in_order
from flows.designs.catalogue import encoder_spec
from sim.fixed_point import IntArray
from sim.hgcal_encoder.algorithms.comparison import Reconstruction, reconstruct_baselines
from sim.hgcal_encoder.algorithms.concentrator import load_chip_settings
from sim.hgcal_encoder.files.readers import ChargeTable
from sim.hgcal_encoder.float_code import CELL
from sim.hgcal_encoder.front_end import by_trigger_cell, front_end, levels, pedestals, seen_charges
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_models, shipped_name
from sim.hgcal_encoder.learning.metric import BINS, FINE_BINS, BinSummary, Comparison, compare
from sim.hgcal_encoder.learning.streamed_metric import StreamedComparison
from sim.hgcal_encoder.learning.training_images import PLAIN, simulate_images
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, HEADER_WIDTH

if TYPE_CHECKING:
    from sim.hgcal_encoder.learning.search import Search

__all__ = [
    "SeenTable",
    "chip_settings",
    "evaluate_model",
    "evaluation_sample",
    "find_model",
    "seen_by_chip",
    "seen_table",
    "sent_words",
    "table_of_words",
]

#: Seed and size of the simulated sample; no training of a shipped model uses the seed.
SAMPLE_SEED, SAMPLE_SCALE = 20260, 0.004
NETWORK, SEARCH = "network", "search"
"""Names of the encoder among the methods of a data set, by its decoder network alone and by search."""


def evaluation_sample(seed: int = SAMPLE_SEED) -> ChargeTable:
    """About thirteen thousand simulated images, of the kinds that networks are trained on, before encoding.

    The same numbers everywhere: events, showers, noise and choice follow from the seed.
    """
    simulated = simulate_images(seed=seed, scale=SAMPLE_SCALE, plain=1.0)
    return ChargeTable(charges=simulated.images.charges.astype(np.int64), etas=simulated.etas)


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenTable(ChargeTable):
    """Charges of modules, and what a chip has of them.

    Attributes
    ----------
    seen : ndarray of int64, shape (n, 48)
        Calibrated charges (CALQ) on the chip, in trigger cell order.
    pedestals : ndarray of int64, shape (48,)
        What `seen` has where nothing was sent.
    high_density : bool
    levels : ndarray of int64, shape (48, 128), or None
        What `seen` has for each 4E3M code; None if the charges never were words.
    """

    seen: IntArray
    pedestals: IntArray
    high_density: bool
    levels: IntArray | None = None


def seen_by_chip(charges: IntArray, settings: Settings | None) -> tuple[IntArray, IntArray]:
    """Charges (n, 48) on the chip after they were sent with these settings, and the pedestals (48,) in them.

    Without settings the charges are the chip's as they are, with exact zeros, which no word gives.
    """
    if settings is None:
        return charges, np.zeros(charges.shape[1], np.int64)
    return seen_charges(charges, settings), by_trigger_cell(pedestals(settings), settings)


def seen_table(table: ChargeTable, settings: Settings | None = PLAIN) -> SeenTable:
    """A table of charges with what a chip has of them; see `seen_by_chip`."""
    seen, empty = seen_by_chip(table.charges, settings)
    return SeenTable(
        charges=table.charges,
        etas=table.etas,
        seen=seen,
        pedestals=empty,
        high_density=settings is not None and settings.high_density,
        levels=None if settings is None else by_trigger_cell(levels(settings), settings).T,
    )


def table_of_words(words: IntArray, settings: Settings, table: ChargeTable | None = None) -> SeenTable:
    """What a chip has of eRx words.

    Parameters
    ----------
    words : ndarray of int64, shape (n, 12)
    settings : Settings
        Multiplexer, density and calibration.
    table : ChargeTable, optional
        Charges before encoding, row by row; without it the charges of the words count as true, code 0 as no charge.

    Raises
    ------
    ValueError
        If the numbers of rows differ, a word is out of range or the multiplexer loses a trigger cell.
    """
    received = front_end(words, settings)
    seen = by_trigger_cell(received.charges, settings)
    if table is None:
        codes = by_trigger_cell(received.codes, settings)
        table = ChargeTable(charges=np.where(codes > 0, seen, 0), etas=None)
    if len(table.charges) != len(seen):
        raise ValueError(f"expected a row of charges for each of {len(seen)} rows of words, got {len(table.charges)}")
    return SeenTable(
        charges=table.charges,
        etas=table.etas,
        seen=seen,
        pedestals=by_trigger_cell(pedestals(settings), settings),
        high_density=settings.high_density,
        levels=by_trigger_cell(levels(settings), settings).T,
    )


def find_model(*, preset: str, elinks: int, weights: str | None = None) -> TrainedModel:
    """The shipped model of a preset and number of eLinks, or one of a file.

    Parameters
    ----------
    preset : str
        As `flows.designs.catalogue.design` takes it.
    elinks : int
    weights : str, optional
        Model file (``.npz``) or name of a shipped model.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no model is shipped for these.
    ValueError
        If the file is no model with a decoder, or belongs to another preset or number of eLinks.
    """
    spec = encoder_spec(preset)
    if weights is None:
        name = shipped_name(spec, elinks)
        if name is None:
            raise FileNotFoundError(
                f"no model is shipped for {spec.name} on {elinks} eLinks; there are {', '.join(shipped_models())};"
                " another one is named with --weights"
            )
        return TrainedModel.load(name)
    if Path(weights).is_file() and Path(weights).suffix != ".npz":
        raise ValueError(
            f"{weights}: expected a model (.npz) with its decoder; an image alone gets one from"
            f" liquidcal train --fine-tune {weights} --freeze-encoder"
        )
    model = TrainedModel.load(weights)
    if (model.spec.name, model.elinks) != (spec.name, elinks):
        raise ValueError(
            f"{weights}: expected a model of {spec.name} for {elinks} eLinks, got one of {model.spec.name}"
            f" for {model.elinks}"
        )
    if not model.spec.same_network(spec):
        raise ValueError(f"{weights}: a model of another {spec.name} than that of {preset}: their specs differ")
    return model


def chip_settings(path: Path, model: TrainedModel) -> Settings:
    """Settings of a file, for a chip that runs this model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not one of settings, or its multiplexer gives the network other trigger cells than the model's.
    """
    settings = load_chip_settings(path, model.spec).settings
    if (wrong := np.flatnonzero(settings.select != model.multiplexer)).size:
        place = int(wrong[0])
        raise ValueError(
            f"{path}: Mux: expected trigger cell {model.multiplexer[place]} on input {place} of the network, as the"
            f" model was trained, got {settings.select[place]}"
        )
    return settings


def sent_words(sample: SeenTable) -> NDArray[np.float64]:
    """The words themselves, decoded with code 0 as no charge: the bound of what any algorithm can keep."""
    return np.where(sample.seen > sample.pedestals, sample.seen, 0).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class _Method:
    """Network or baseline on a piece of a data set.

    Attributes
    ----------
    comparison : Comparison
    bits, truncated : float
        Of a baseline, as `sim.hgcal_encoder.algorithms.comparison.Reconstruction`.
    """

    comparison: Comparison
    bits: float = 0.0
    truncated: float = 0.0


def _evaluate_piece(
    how: tuple[TrainedModel, Settings | None, bool, Search | None], piece: ChargeTable
) -> tuple[int, dict[str, _Method]]:
    """Rows without charge, and methods by name, the network's first.

    `how`: the model, settings that charges are sent with, whether with baselines, and how to search.
    """
    model, settings, baselines, search = how
    sample = piece if isinstance(piece, SeenTable) else seen_table(piece, settings)
    charges, etas = sample.charges, sample.etas
    decoded = model.reconstruct(sample.seen, sample.pedestals)
    methods = {NETWORK: _Method(comparison=compare(charges, decoded, etas=etas))}
    if search is not None and len(charges):
        if sample.levels is None:
            raise ValueError("decoding by search needs words, or charges sent as words: not ideal charges")
        found_charges = model.reconstruct_by_search(sample.seen, sample.levels, search)
        methods[SEARCH] = _Method(comparison=compare(charges, found_charges, etas=etas))
    if baselines and len(charges):
        for found in (
            *reconstruct_baselines(
                sample.seen, model.elinks, high_density=sample.high_density, pedestals=sample.pedestals
            ),
            Reconstruction(name="words", charges=sent_words(sample), bits=CELLS * CELL.width),
        ):
            comparison = compare(charges, found.charges, etas=etas)
            methods[found.name] = _Method(comparison=comparison, bits=found.bits, truncated=found.truncated)
    return int((~charges.any(axis=1)).sum()), methods


class _Total:
    """A method over all pieces."""

    def __init__(self) -> None:
        self.comparison = StreamedComparison()
        self._bits = self._truncated = 0.0
        self._rows = 0

    def add(self, piece: _Method) -> None:
        rows = len(piece.comparison.occupancies)
        self.comparison.add(piece.comparison)
        self._rows += rows
        self._bits += rows * piece.bits
        self._truncated += rows * piece.truncated

    def baseline(self) -> dict[str, float]:
        return {"bits": self._bits / self._rows, "truncated": self._truncated / self._rows}


def evaluate_model(
    model: TrainedModel,
    samples: Mapping[str, ChargeTable | Iterable[ChargeTable]],
    *,
    settings: Settings | None = PLAIN,
    baselines: bool = False,
    search: Search | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Every measure of quality, binned.

    Parameters
    ----------
    model : TrainedModel
    samples : mapping of str to ChargeTable or iterable of ChargeTable
        Images by name, whole or in pieces, as `sim.hgcal_encoder.files.readers.charge_tables` reads them: then
        memory does not grow with their number. A `SeenTable` says what the chip has of them; other charges are sent
        with `settings`.
    settings : Settings or None, optional
        Density and calibration that charges are sent with; None: the chip has them as they are.
    baselines : bool, optional
        Evaluate best choice, threshold sum, super trigger cells and repeater on as many links, and the words
        themselves, too.
    search : Search, optional
        Decode by search, too; see `sim.hgcal_encoder.learning.search`.
    scheduler, workers : optional
        Where several pieces are worked on, see `flows.common.cluster.map_in_order`.
    advance : callable, optional
        Called with the number of images done since the last call.

    Returns
    -------
    dict
        Ready for JSON, with these keys, which stay:

        ``preset``, ``elinks``; ``kept_bits`` of every latent; ``frame_bits`` sent per bunch crossing, header and sum
        included; ``weight_image_sha256``; ``units``, of the measures by name; ``data``, a list with, per sample,

        * ``name``, ``images`` (rows), ``empty`` (rows without charge, left out), ``quantiles`` (``exact``, or
          ``within 0.1 %`` beyond `sim.hgcal_encoder.learning.streamed_metric.EXACT_ROWS` images);
        * ``bins`` (occupancy 1-3, 4-7, 8-48), ``fine_bins`` and, where pseudorapidity is known, ``eta_bins``: lists of
          objects with ``occupancy`` [lowest, highest], ``eta`` [lower, upper] or null, ``images``, and per measure
          ``median``, ``median_error`` (one standard deviation), ``mean``, ``weighted_mean`` (by module energy) and
          ``width`` (half the central 68.27 %);
        * with `search` also ``search``: its ``moves`` and the same lists of bins;
        * with `baselines` also ``baselines``, a list of objects with ``name``
          (`sim.hgcal_encoder.algorithms.comparison`; ``words``: `sent_words`), ``bits`` (mean bits per crossing that
          carry something),
          ``truncated`` (share of crossings of which only the sum arrived; rows
          of a piece are taken as crossings of one chip) and the same lists of bins.

        Measures: ``emd``; ``telescoping`` (4 L48 + 2 L36 + L3 of charges over the power of two below their sum);
        ``response`` (decoded over true module sum; its ``width`` is the resolution); ``shift_mm`` (length of the
        displacement of the mean position).  ``images`` counts those with a defined EMD; a measure without any is null.
    """
    if search is not None:
        # once, not in every process
        _ = model.search_odds
    data = []
    for name, sample in samples.items():
        pieces = [sample] if isinstance(sample, ChargeTable) else sample
        images = empty = 0
        totals: dict[str, _Total] = {}
        for without, methods in map_in_order(
            _evaluate_piece, (model, settings, baselines, search), pieces, scheduler=scheduler, workers=workers
        ):
            for method, piece in methods.items():
                totals.setdefault(method, _Total()).add(piece)
            rows = len(methods[NETWORK].comparison.occupancies)
            images, empty = images + rows, empty + without
            advance(rows)
        network = totals.pop(NETWORK).comparison
        entry: dict[str, Any] = {
            "name": name,
            "images": images,
            "empty": empty,
            "quantiles": "exact" if network.exact else "within 0.1 %",
            **_tables(network),
        }
        if search is not None and SEARCH in totals:
            entry["search"] = {"moves": search.moves, **_tables(totals.pop(SEARCH).comparison)}
        if baselines:
            entry["baselines"] = [
                {"name": method, **total.baseline(), **_tables(total.comparison)} for method, total in totals.items()
            ]
        data.append(entry)
    return {
        "preset": model.spec.name,
        "elinks": model.elinks,
        "kept_bits": model.kept_bits,
        "frame_bits": HEADER_WIDTH + model.kept_bits * model.spec.latents,
        "weight_image_sha256": hashlib.sha256(model.weights.to_image()).hexdigest(),
        "units": {"emd": "low-density cells", "telescoping": "", "response": "", "shift_mm": "mm"},
        "data": data,
    }


def _tables(comparison: StreamedComparison) -> dict[str, list[dict[str, Any]]]:
    tables = {
        "bins": _entries(comparison, BINS, by_eta=False),
        "fine_bins": _entries(comparison, FINE_BINS, by_eta=False),
    }
    return tables | ({"eta_bins": _entries(comparison, BINS, by_eta=True)} if comparison.with_etas else {})


def _entries(
    comparison: StreamedComparison, bins: tuple[tuple[int, int], ...], *, by_eta: bool
) -> list[dict[str, Any]]:
    summaries = comparison.summarise(bins, by_eta=by_eta)
    entries: list[dict[str, Any]] = []
    for parts in zip(*summaries.values(), strict=True):
        first = parts[0]
        entry: dict[str, Any] = {
            "occupancy": [first.lowest, first.highest],
            "eta": None if first.eta_lowest is None else [first.eta_lowest, first.eta_highest],
            "images": first.count,
        }
        entries.append(entry | {quantity: _figures(part) for quantity, part in zip(summaries, parts, strict=True)})
    return entries


def _figures(summary: BinSummary) -> dict[str, float | None]:
    names = ("median", "median_error", "mean", "weighted_mean", "width")
    return {name: value if math.isfinite(value := getattr(summary, name)) else None for name in names}
