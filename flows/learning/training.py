"""Training of a shipped or own network: images, start, training, evaluation, model and model card in one folder.

What `liquidcal train` does. The defaults here made the models in ``sim/hgcal_encoder/data/weights``. Everything is
trained and evaluated on what a chip sees of charges that were sent to it in eRx words, unless ideal charges are asked
for.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from flows.common.content_cache import cache_directory, code_hash, content_key, module_file, tool_versions
from flows.common.journal import Journal
from flows.common.metrics import package_version
from flows.designs.catalogue import encoder_spec
from flows.learning.encoder import evaluation_sample, seen_by_chip
from sim.files import replacing
from sim.foreign_files import read_npz
from sim.hgcal_encoder.files.readers import read_charges
from sim.hgcal_encoder.front_end import sent_codes
from sim.hgcal_encoder.learning.decoder import TrainedModel, model_name, shipped_models, shipped_name
from sim.hgcal_encoder.learning.metric import BINS, FINE_BINS, BinSummary, earth_movers_distance, occupancy, summarise
from sim.hgcal_encoder.learning.training import History, TrainingPlan, train, training_device
from sim.hgcal_encoder.learning.training_images import PLAIN, Images, simulate_images
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = [
    "SCRATCH_STEPS",
    "TUNE_STEPS",
    "Trained",
    "Training",
    "load_start",
    "model_card",
    "run_training",
]

Int64 = NDArray[np.int64]

#: Steps from random weights, of a decoder alone (which starts from random weights, too), and from a given network.
SCRATCH_STEPS, DECODER_STEPS, TUNE_STEPS = 16000, 16000, 800
#: Steps of a decoder that starts from that of a similar network.
STARTED_STEPS = 800
#: Occupancy bins of a model card.
CARD_BINS = (*BINS, *(b for b in FINE_BINS if b not in BINS))


def load_start(source: str, spec: EncoderSpec) -> TrainedModel | Weights:
    """Weights to start from.

    Parameters
    ----------
    source : str
        Name of a shipped model, or a file: a model or weights as ``.npz``, or the hexadecimal weight image.
    spec : EncoderSpec

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file or model, or if it does not fit the spec.
    """
    path = Path(source)
    if source in shipped_models() or not path.is_file():
        start: TrainedModel | Weights = TrainedModel.load(source)
    elif path.suffix == ".npz" and _holds_decoder(path):
        start = TrainedModel.load(path)
    else:
        start = Weights.load(path, spec)
    if not start.spec.same_network(spec):
        raise ValueError(f"{source}: weights of {start.spec.name}, but the encoder is {spec.name}")
    return start


def _holds_decoder(path: Path) -> bool:
    return "decoder" in read_npz(path)


def _with_decoder(start: TrainedModel | Weights, source: str) -> TrainedModel:
    """Weights of one model with the decoder of another one of the same spec."""
    weights = start.weights if isinstance(start, TrainedModel) else start
    model = TrainedModel.load(source)
    if model.spec != weights.spec:
        raise ValueError(f"{source}: decoder of {model.spec.name}, but the encoder is {weights.spec.name}")
    return replace(model, weights=weights)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is to be trained, on what.

    Attributes
    ----------
    preset : str
        As `flows.designs.catalogue.design` takes it.
    elinks : int
    seed : int
        Of the simulated showers, initial values, split and batches.
    steps : int or None
        None: `SCRATCH_STEPS` from random weights, `DECODER_STEPS` with a frozen encoder, `STARTED_STEPS` with a decoder
        to start from, else `TUNE_STEPS`.
    minutes : float or None
        Shorten the schedule to about this time.
    fine_tune : str or None
        What to start from, see `load_start`; ``none`` for random weights.  None: the shipped network of the preset for
        5 eLinks if fewer are asked for, else random weights.
    freeze_encoder : bool
    start_decoder : str or None
        Model whose decoder a decoder alone starts from: a file or the name of a shipped one, usually of the network for
        more links that this one was fine-tuned from.  None: the decoder of `fine_tune`, if it has one of the same
        shape, else random values.
    charges : sequence of str
        Files of charges (`sim.hgcal_encoder.files.readers`) to train on instead of simulated showers.
    ideal_charges : bool
        Take the charges of files as the chip's, without encoding.
    scale : float or None
        Size of the simulated set, 1 for about 2.7 million images; None: 0.5 for random weights, 0.2 for given ones.
    busy : float
        On the number of images with pile-up, see `sim.hgcal_encoder.learning.training_images.simulate_images`.
    loss, decoder, units
        As in `sim.hgcal_encoder.learning.training.TrainingPlan`.
    batch : int or None
        Images of a step. None: 512, with a frozen encoder 256.
    learning_rate : float or None
        None: 2e-3 from random weights and with a frozen encoder, 5e-4 with a decoder to start from, 2e-4 from a given
        network.
    phases : tuple of float or None
        See `sim.hgcal_encoder.learning.training.TrainingPlan`.  None: (0.1, 0.85) from random weights and with a frozen
        encoder, (0, 0.85) with a decoder to start from, (0, 0) from a given network, all with the exact distance.
    repeats : int
        Trainings with seeds ``seed``, ``seed + 1``, ...: the first is kept, the spread of all is stated in the card.
    """

    preset: str = "ECON_T"
    elinks: int = 5
    seed: int = 1
    steps: int | None = None
    minutes: float | None = None
    fine_tune: str | None = None
    freeze_encoder: bool = False
    start_decoder: str | None = None
    charges: Sequence[str] = ()
    ideal_charges: bool = False
    scale: float | None = None
    busy: float = 1.0
    loss: str = "emd"
    decoder: str = "mlp"
    units: tuple[int, ...] = (384, 384, 384)
    batch: int | None = None
    learning_rate: float | None = None
    phases: tuple[float, float] | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        _ = self.spec  # a preset that is none is refused here
        if self.repeats < 1:
            raise ValueError(f"repeats: expected at least 1, got {self.repeats}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes: expected a positive time, got {self.minutes}")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"scale: expected a positive size, got {self.scale}")
        if not self.busy > 0:
            raise ValueError(f"busy: expected a positive number, got {self.busy}")
        if self.freeze_encoder and self.source is None:
            raise ValueError("freeze_encoder: random weights are no encoder to keep; name weights with --fine-tune")
        if self.start_decoder is not None and not self.freeze_encoder:
            raise ValueError("start_decoder: expected --freeze-encoder, which trains a decoder alone")

    @cached_property
    def spec(self) -> EncoderSpec:
        """The encoder."""
        return encoder_spec(self.preset)

    @property
    def source(self) -> str | None:
        """What training starts from, None for random weights."""
        if self.fine_tune is not None:
            return None if self.fine_tune == "none" else self.fine_tune
        return shipped_name(self.spec, 5) if self.elinks < 5 else None

    @property
    def images_scale(self) -> float:
        """Size of the simulated set."""
        return (0.5 if self.source is None else 0.2) if self.scale is None else self.scale

    def checkpoints(self, out: Path) -> list[Path]:
        """File in a folder of results that each of the repeats leaves until it is through."""
        name = model_name(self.spec, self.elinks)
        return [out / f"{name}.seed{self.seed + i}.checkpoint.npz" for i in range(self.repeats)]

    def plan(self, seed: int) -> TrainingPlan:
        """How the network is trained with this seed."""
        # a decoder that starts from nothing needs as long a schedule as a network that does
        tuned = self.source is not None and not self.freeze_encoder
        started = tuned or self.start_decoder is not None
        steps = TUNE_STEPS if tuned else DECODER_STEPS if self.freeze_encoder else SCRATCH_STEPS
        rate, phases = (2e-4, (0.0, 0.0)) if tuned else (2e-3, (0.1, 0.85))
        if self.start_decoder is not None:
            steps, rate, phases = STARTED_STEPS, 5e-4, (0.0, 0.85)
        return TrainingPlan(
            spec=self.spec,
            elinks=self.elinks,
            steps=steps if self.steps is None else self.steps,
            seed=seed,
            loss=self.loss,
            decoder=self.decoder,
            units=self.units,
            batch=(256 if self.freeze_encoder else 512) if self.batch is None else self.batch,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            # a network that works is past the substitutes of the exact distance
            phases=phases if self.phases is None else self.phases,
            validations=16 if started else 40,
            # a rate that is high enough to learn undoes some of the start first
            patience=12 if started else 8,
            freeze_encoder=self.freeze_encoder,
            max_seconds=self.minutes * 60 if self.minutes else None,
        )

    @property
    def command(self) -> str:
        """The command line that does this; files by name only, their folders differ from machine to machine."""
        words = [f"liquidcal train --preset {Path(self.preset).name} --elinks {self.elinks} --seed {self.seed}"]
        default = Training()
        for name in (
            "steps",
            "minutes",
            "fine_tune",
            "scale",
            "busy",
            "loss",
            "decoder",
            "batch",
            "learning_rate",
            "repeats",
        ):
            value = getattr(self, name)
            if value != getattr(default, name):
                words.append(f"--{name.replace('_', '-')} {Path(value).name if name == 'fine_tune' else value}")
        if self.phases is not None:
            words.append("--phases {:g} {:g}".format(*self.phases))
        if self.units != default.units:
            words += [f"--units {unit}" for unit in self.units]
        if self.freeze_encoder:
            words.append("--freeze-encoder")
        if self.start_decoder is not None:
            words.append(f"--start-decoder {Path(self.start_decoder).name}")
        if self.ideal_charges:
            words.append("--ideal-charges")
        return " ".join(words + [f"--charges {Path(path).name}" for path in self.charges])


def _version(distribution: str) -> str:
    try:
        return package_version(distribution)
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Result of `run_training`.

    Attributes
    ----------
    model : TrainedModel
    history : History
    origin : dict
        Training images by source.
    tables : dict
        Summaries of the EMD, by name of the data, in `CARD_BINS`.
    spread : dict
        Largest minus smallest median of the repeats, by name of the data and bin; empty without repeats.
    device : str
        What it was trained on.
    path : Path
        The model.
    card : str
        Its card.
    """

    model: TrainedModel
    history: History
    origin: dict[str, int]
    tables: dict[str, tuple[BinSummary, ...]]
    spread: dict[str, tuple[float, ...]]
    device: str
    path: Path
    card: str = ""

    def summary(self) -> dict[str, Any]:
        """For JSON: the files, the course of the training, and the card's table."""
        return {
            "model": str(self.path),
            "card": str(self.path.with_suffix(".md")),
            "preset": self.model.spec.name,
            "elinks": self.model.elinks,
            "device": self.device,
            "history": asdict(self.history),
            "images": self.origin,
            "emd": {
                name: [asdict(b) | {"spread": self.spread[name][i] if self.spread else None} for i, b in kept]
                for name, table in self.tables.items()
                if (kept := [(i, b) for i, b in enumerate(table) if b.count])
            },
        }


def _simulated_images(training: Training, seed: int, journal: Journal) -> tuple[Images, dict[str, int]]:
    """Simulated images, kept in the cache: other networks, and a training that is resumed, take the same."""
    key = content_key(
        seed=seed, scale=training.images_scale, busy=training.busy, tools=tool_versions("numba", "numpy"),
        code=code_hash(module_file(simulate_images.__module__)),
    )  # fmt: skip
    kept = cache_directory() / "training-images" / f"{key}.npz"
    # absent, or damaged, which counts as absent; a file of ours, which may be larger than foreign ones
    with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error), np.load(kept) as arrays:
        found = Images(**{name: arrays[name] for name in ("charges", "seen", "pedestals")})
        origin = json.loads(str(arrays["origin"]))
        journal.console.print(f"  kept  showers, seed {seed}")
        return found, origin
    with journal.step(f"simulate showers, seed {seed}"):
        simulated = simulate_images(seed=seed, scale=training.images_scale, busy=training.busy)
    found = simulated.images
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(kept, "wb") as file:
        np.savez_compressed(
            file, charges=found.charges, seen=found.seen, pedestals=found.pedestals,
            origin=np.array(json.dumps(simulated.origin)),
        )  # fmt: skip
    return found, simulated.origin


def _own_images(training: Training) -> tuple[Images, dict[str, int]]:
    parts, origin = [], {}
    settings = None if training.ideal_charges else PLAIN
    for path in training.charges:
        rows = read_charges(path)
        arrives = rows if settings is None else sent_codes(rows, settings)
        kept = rows[arrives.any(axis=1)]
        if not len(kept):
            raise ValueError(f"{path}: no row with a charge that the chip sees")
        parts.append(kept)
        origin[Path(path).name] = len(kept)
    return Images.of_charges(np.concatenate(parts), settings), origin


def _check_results(model: Path, checkpoints: Sequence[Path], *, resume: bool, overwrite: bool) -> None:
    """Refuse to lose what an earlier training left."""
    kept = [path for path in checkpoints if path.is_file()]
    if resume and not kept:
        raise FileNotFoundError(f"nothing to resume: no checkpoint {checkpoints[0]}")
    if overwrite:
        return
    if kept and not resume:
        raise FileExistsError(f"{kept[0]} is of an interrupted training: go on with --resume, or --overwrite it")
    if model.is_file():
        raise FileExistsError(f"{model} is there already: name another folder, or --overwrite it")


def run_training(
    training: Training,
    *,
    journal: Journal,
    out: Path,
    evaluate: Mapping[str, str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: Path | None = None,
) -> Trained:
    """Train, evaluate, and write ``NAME.npz`` and its card ``NAME.md`` into a folder.

    Parameters
    ----------
    training : Training
    journal : Journal
        Shows the progress.
    out : Path
        Folder, made if it is not there.  ``NAME.seedN.checkpoint.npz`` lies in it until the training is through.
    evaluate : mapping of str to str, optional
        Files of charges for the card's table by name, beside the simulated sample of `evaluation_sample`.
    resume : bool, optional
        Continue from the checkpoint of an interrupted training of the same kind.
    overwrite : bool, optional
        Replace a model or a checkpoint that the folder holds.
    tensorboard : Path, optional
        Folder for TensorBoard's event files.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError, FileNotFoundError
        If an option or a file is wrong; nothing is made then.
    FileExistsError
        If the folder holds a model, or a checkpoint that is not resumed, and neither may be replaced.
    ModuleNotFoundError
        If TensorFlow is not installed.
    """
    plans = [training.plan(training.seed + i) for i in range(training.repeats)]
    name, checkpoints = model_name(training.spec, training.elinks), training.checkpoints(out)
    _check_results(out / f"{name}.npz", checkpoints, resume=resume, overwrite=overwrite)
    start = load_start(training.source, training.spec) if training.source is not None else None
    if start is not None and training.start_decoder is not None:
        start = _with_decoder(start, training.start_decoder)
    files = {name: read_charges(path) for name, path in (evaluate or {}).items()}
    own = _own_images(training) if training.charges else None
    samples = {"simulated": evaluation_sample().charges} | files
    device = training_device()
    out.mkdir(parents=True, exist_ok=True)
    journal.console.print(
        f"{name} on {device}, {'from random weights' if start is None else f'from {training.source}'}"
    )
    views = {
        data: seen_by_chip(charges, None if training.ideal_charges else PLAIN) for data, charges in samples.items()
    }
    results: list[tuple[TrainedModel, History, dict[str, int]]] = []
    tables: list[dict[str, tuple[BinSummary, ...]]] = []
    for plan, checkpoint in zip(plans, checkpoints, strict=True):
        images, origin = own or _simulated_images(training, plan.seed, journal)
        with journal.step(f"train {plan.spec.name}, {plan.elinks} eLinks, seed {plan.seed}", plan.steps) as advance:
            model, history = train(
                images,
                plan,
                start=start,
                checkpoint=checkpoint,
                resume=resume and checkpoint.is_file(),
                tensorboard=tensorboard / f"{name}.seed{plan.seed}" if tensorboard is not None else None,
                progress=lambda line: journal.console.print(f"    {line}"),
                advance=advance,
            )
        del images
        results.append((model, history, origin))
        tables.append(
            {
                data: summarise(
                    earth_movers_distance(charges, model.reconstruct(*views[data])),
                    occupancy(charges),
                    CARD_BINS,
                    weights=charges.sum(axis=1),
                )
                for data, charges in samples.items()
            }
        )
    spread = (
        {
            data: tuple(float(np.ptp([table[data][i].median for table in tables])) for i in range(len(CARD_BINS)))
            for data in samples
        }
        if training.repeats > 1
        else {}
    )
    model, history, origin = results[0]
    trained = Trained(
        model=model,
        history=history,
        origin=origin,
        tables=tables[0],
        spread=spread,
        device=device,
        path=out / f"{name}.npz",
    )
    trained = replace(trained, card=model_card(training, trained))
    model.save(trained.path)
    with replacing(trained.path.with_suffix(".md")) as file:
        file.write(trained.card)
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return trained


def model_card(training: Training, trained: Trained) -> str:
    """The text that belongs to a model, as Markdown; its table has one row per data and occupancy bin."""
    model, history, spec = trained.model, trained.history, trained.model.spec
    if model.decoder.kind == "mlp":
        units = [model.decoder.arrays[f"bias{i}"].size for i in range(model.decoder.layers)]
        decoder = f"mlp, units {units} over latents and module sum"
    else:
        decoder = "as published"
    tools = ("numpy", "POT", "tensorflow-cpu", "tensorflow")
    versions = [f"{tool} {version}" for tool in tools if (version := _version(tool))]
    start = "random weights" if training.source is None else f"`{Path(training.source).name}`"
    if training.start_decoder is not None:
        start += f" and the decoder of `{Path(training.start_decoder).name}`"
    beside = "a decoder that was trained alone for" if training.freeze_encoder else "the decoder trained beside"
    chip = (
        "charges as they are, without the encoding of words"
        if training.ideal_charges
        else "charges sent to the chip in 4E3M words, at low density and with calibration 1, and compared with what"
        " they were before"
    )
    simulated = " (simulated by `sim.hgcal_encoder.detector.generator`, Geant4 with synthetic low-energy tables)"
    if training.charges:
        simulated = ""
    ended = "early, by its validation score" if history.stopped else "at the end of its schedule"
    lines = [
        f"# {spec.name}, {model.elinks} eLinks",
        "",
        (
            f"Encoder weights for `{spec.name}` ({spec.parameters} parameters, {spec.weight_bits} bits)"
            f" with {beside} them ({decoder})."
        ),
        f"The highest {model.kept_bits} of {spec.latent.width} bits of each latent are sent.",
        "",
        f"- SHA-256 of the weight image: `{hashlib.sha256(model.weights.to_image()).hexdigest()}`",
        f"- Command: `{training.command}`",
        (
            f"- Started from {start}; seed {training.seed}; {history.step[-1]:.0f} steps, {history.seconds[-1]:.0f} s"
            f" ({trained.device}); stopped {ended}; weights of step {history.best}"
        ),
        f"- Date: {datetime.now(UTC):%Y-%m-%d}; tools: {', '.join(versions)}",
        f"- Training images{simulated}: " + ", ".join(f"{name} {count}" for name, count in trained.origin.items()),
        "- Verified after training: the latents of the training's forward pass equal those of the golden model.",
        "",
        (
            f"Earth Mover's Distance in low-density cells by occupancy (trigger cells above zero): {chip}; encoder in"
            " exact chip arithmetic. `weighted` is the mean weighted by module energy. None of these rows were trained"
            " on; `simulated` is the sample of `liquidcal evaluate hgcal_encoder` without a file."
        ),
    ]
    if trained.spread:
        lines.append(
            f"Spread: largest minus smallest median of {training.repeats} trainings with seeds from"
            f" {training.seed} on, each with showers of its own."
        )
    lines += [
        "",
        "| data | occupancy | images | median | error of median | mean | weighted |"
        + (" spread |" if trained.spread else ""),
        "|---|---|---|---|---|---|---|" + ("---|" if trained.spread else ""),
    ]
    for name, summary in trained.tables.items():
        for i, b in enumerate(summary):
            if b.count:
                row = (
                    f"| {name} | {b.lowest}-{b.highest} | {b.count} | {b.median:.3f} |"
                    f" {b.median_error:.3f} | {b.mean:.3f} | {b.weighted_mean:.3f} |"
                )
                lines.append(row + (f" {trained.spread[name][i]:.3f} |" if trained.spread else ""))
    return "\n".join(lines) + "\n"
