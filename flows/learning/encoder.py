"""Quality of a trained encoder in exact chip arithmetic, as tables and as JSON.

What ``liquidcal evaluate hgcal_encoder`` does.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.common.cluster import map_in_order
from flows.designs.catalogue import encoder_spec
from sim.hgcal_encoder.algorithms.comparison import reconstruct_baselines
from sim.hgcal_encoder.files.readers import ChargeTable
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_models
from sim.hgcal_encoder.learning.metric import BINS, FINE_BINS, BinSummary, Comparison, compare
from sim.hgcal_encoder.learning.streamed_metric import StreamedComparison
from sim.hgcal_encoder.learning.training_images import simulate_images
from sim.hgcal_encoder.spec import HEADER_WIDTH, PRESETS, EncoderSpec

__all__ = ["evaluate_model", "evaluation_sample", "find_model", "is_shipped", "model_name"]

#: Seed and size of the simulated sample; no training of a shipped model uses the seed.
SAMPLE_SEED, SAMPLE_SCALE = 20260, 0.004
NETWORK = "network"
"""Name of the encoder among the methods of a data set."""


def evaluation_sample(seed: int = SAMPLE_SEED) -> ChargeTable:
    """About thirteen thousand simulated images, of the kinds that networks are trained on, without pedestal.

    The same numbers everywhere: events, showers, noise and choice follow from the seed.
    """
    images = simulate_images(seed=seed, scale=SAMPLE_SCALE, pedestal=0.0)
    return ChargeTable(charges=images.charges, etas=images.etas)


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
        name = model_name(spec, elinks)
        if not is_shipped(spec, elinks):
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


def model_name(spec: EncoderSpec, elinks: int) -> str:
    """Name of a model's files: ``econ_t_3elinks``."""
    return f"{spec.name.lower()}_{elinks}elinks"


def is_shipped(spec: EncoderSpec, elinks: int) -> bool:
    """Whether weights of exactly this network come with liquidcal."""
    known = PRESETS.get(spec.name)
    return known is not None and spec.same_network(known) and model_name(spec, elinks) in shipped_models()


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


def _evaluate_piece(how: tuple[TrainedModel, bool], piece: ChargeTable) -> tuple[int, dict[str, _Method]]:
    """Rows without charge, and methods by name, the network's first; `how`: the model, and whether with baselines."""
    model, baselines = how
    charges, etas = piece.charges, piece.etas
    methods = {NETWORK: _Method(comparison=compare(charges, model.reconstruct(charges), etas=etas))}
    if baselines and len(charges):
        for found in reconstruct_baselines(charges, model.elinks):
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
    baselines: bool = False,
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
        memory does not grow with their number.
    baselines : bool, optional
        Evaluate threshold sum, super trigger cells and best choice on as many links, too.
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
          ``median``, ``median_error`` (one standard deviation), ``mean`` and ``width`` (half the central 68.27 %);
        * with `baselines` also ``baselines``, a list of objects with ``name``
          (`sim.hgcal_encoder.algorithms.comparison`), ``bits`` (mean bits per crossing that carry something),
          ``truncated`` (share of crossings of which only the sum arrived; rows
          of a piece are taken as crossings of one chip) and the same lists of bins.

        Measures: ``emd``; ``telescoping`` (4 L48 + 2 L36 + L3 of charges over the power of two below their sum);
        ``response`` (decoded over true module sum; its ``width`` is the resolution); ``shift_mm`` (length of the
        displacement of the mean position).  ``images`` counts those with a defined EMD; a measure without any is null.
    """
    data = []
    for name, sample in samples.items():
        pieces = [sample] if isinstance(sample, ChargeTable) else sample
        images = empty = 0
        totals: dict[str, _Total] = {}
        for without, methods in map_in_order(
            _evaluate_piece, (model, baselines), pieces, scheduler=scheduler, workers=workers
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
    names = ("median", "median_error", "mean", "width")
    return {name: value if math.isfinite(value := getattr(summary, name)) else None for name in names}
