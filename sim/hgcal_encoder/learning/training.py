"""Training of an encoder inside the chip's number format, with its decoder.

The forward pass of the encoder is the chip's integer arithmetic, exactly: 6-bit weight codes, every product rounded on
its own, saturating unsigned activations and latents, the unsent low bits of each latent cleared.  The backward pass is
that of the same network in floating point (straight-through estimator), so a network never meets at run time
anything that it was not trained with.  `verify_latents` proves it against the golden model.

Losses:

* ``telescoping``: the published one, 4 L48 + 2 L36 + L3 on charges divided by the power of two below their sum;
* ``emd``: three phases.  Cross-entropy brings mass near its place; a sum of absolute differences on several scales,
  `MULTISCALE`, follows the Earth Mover's Distance at the cost of a few matrix products (after Shirdhonkar and Jacobs);
  the exact distance finishes, its gradient being the dual potential of the transport problem
  (`metric.earth_movers_potentials`).

TensorFlow is imported by the functions that need it, never by this module's import.

Sources: S. Shirdhonkar, D. W. Jacobs, "Approximate earth mover's distance in linear time", CVPR 2008; Y. Bengio,
N. Leonard, A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", arXiv 1308.3432
(straight-through); C. N. Coelho et al., "Automatic heterogeneous quantization of deep neural networks for low-latency
inference on the edge", Nat. Mach. Intell. 3 (2021) 675 (QKeras); G. Di Guglielmo et al., arXiv 2105.01683; D. P.
Kingma, J. Ba, "Adam", arXiv 1412.6980.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sim.engine import Engine
from sim.files import replacing
from sim.foreign_files import parse_json, read_npz
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.learning.decoder import DECODER_KINDS, TrainedModel, truncate_latents
from sim.hgcal_encoder.learning.losses import LOSSES, Losses
from sim.hgcal_encoder.learning.metric import (
    BINS,
    BinSummary,
    earth_movers_distance,
    occupancy,
    summarise,
)
from sim.hgcal_encoder.learning.network import Network, import_tensorflow
from sim.hgcal_encoder.learning.training_images import BATCH_MIX, Float32, Images, Int64, TrainingSet
from sim.hgcal_encoder.normalise import normalise
from sim.hgcal_encoder.settings import bits_per_latent
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = [
    "History",
    "TrainingPlan",
    "fingerprint",
    "sent_latents",
    "train",
    "training_device",
    "validation_score",
    "verify_latents",
]

APART = 10
"""Least steps from one validation to the next: a few steps are too few to tell that training gains nothing more."""


# ---------------------------------------------------------------------------------------------------- training
@dataclass(frozen=True, kw_only=True)
class History:
    """Course of a training, at every validation.

    Attributes
    ----------
    step : tuple of float
        Steps done.
    seconds : tuple of float
        Time since the start, interruptions not counted.
    loss : tuple of float
        Mean loss since the last validation.
    validation : tuple of float
        `validation_score` of the images set aside.
    best : int
        Step whose weights were kept.
    stopped : bool
        Whether training ended early because the validation score no longer fell.
    """

    step: tuple[float, ...]
    seconds: tuple[float, ...]
    loss: tuple[float, ...]
    validation: tuple[float, ...]
    best: int
    stopped: bool


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a network is trained: all that decides the result, beside the images and the model it starts from.

    Attributes
    ----------
    spec : EncoderSpec
    elinks : int
        Output links; decides the bits kept of each latent (`settings.bits_per_latent`).
    steps : int
        Optimiser steps at most (Adam, cosine decay to zero).
    seed : int
        Of initial values, split and batches.
    loss : {"emd", "telescoping"}
    decoder : {"mlp", "published"}
    units : tuple of int
        Hidden layers of the ``mlp`` decoder.
    batch : int
        Images of a step.
    learning_rate : float
    phases : tuple of float
        Shares of the training at which loss ``emd`` goes from cross-entropy to multiscale and to the exact distance.
    freeze_encoder : bool
        Train the decoder only: the chip's weights stay what they are.
    max_seconds : float or None
        The decay is shortened so that training ends in about this time; the result then depends on the machine.
    validations : int
        Number of validations, evenly spread; fewer where they would be less than `APART` steps apart.
    patience : int or None
        Training stops after this many validations in a row that do not lower the score by 0.1 %; None: never.

    Raises
    ------
    ValueError
        If a value is out of range; the message names it.
    """

    spec: EncoderSpec
    elinks: int
    steps: int
    seed: int
    loss: str = "emd"
    decoder: str = "mlp"
    units: tuple[int, ...] = (384, 384, 384)
    batch: int = 512
    learning_rate: float = 2e-3
    phases: tuple[float, float] = (0.1, 0.85)
    freeze_encoder: bool = False
    max_seconds: float | None = None
    validations: int = 40
    patience: int | None = 8

    def __post_init__(self) -> None:
        if self.kept_bits < 1:
            raise ValueError(f"elinks: {self.elinks} links cannot carry a bit of each of {self.spec.latents} latents")
        if self.loss not in LOSSES:
            raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {self.loss!r}")
        if self.decoder not in DECODER_KINDS:
            raise ValueError(f"decoder: expected one of {', '.join(DECODER_KINDS)}, got {self.decoder!r}")
        if self.decoder == "published" and self.spec.grid != (8, 8, 1):
            raise ValueError(f"the published decoder makes 8 x 8 images, {self.spec.name} has grid {self.spec.grid}")
        if self.seed < 0:
            raise ValueError(f"seed: expected at least 0, got {self.seed}")
        for name, lowest in (("steps", 1), ("batch", len(BATCH_MIX)), ("validations", 1)):
            if getattr(self, name) < lowest:
                raise ValueError(f"{name}: expected at least {lowest}, got {getattr(self, name)}")
        if any(unit < 1 for unit in self.units):
            raise ValueError(f"units: expected positive layer sizes, got {self.units}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience: expected at least 1, got {self.patience}")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate: expected a positive value, got {self.learning_rate}")
        if self.max_seconds is not None and not self.max_seconds > 0.0:
            raise ValueError(f"max_seconds: expected a positive time, got {self.max_seconds}")
        if not 0.0 <= self.phases[0] <= self.phases[1] <= 1.0:
            raise ValueError(f"phases: expected 0 <= first <= second <= 1, got {self.phases}")

    @property
    def kept_bits(self) -> int:
        """Bits of each latent that are sent."""
        return bits_per_latent(self.spec, self.elinks)

    @property
    def scores(self) -> int:
        """Number of validations that there are steps for."""
        return max(1, min(self.validations, self.steps // APART))

    def kind(self, done: float) -> str:
        """Loss at the share `done` of the training."""
        if self.loss != "emd" or done >= self.phases[1]:
            return self.loss
        return "cross-entropy" if done < self.phases[0] else "multiscale"

    def rate(self, step: int, done: float) -> float:
        """Learning rate: a hundred steps of warm-up, then half a cosine."""
        return self.learning_rate * min(1.0, step / 100) * 0.5 * (1.0 + math.cos(math.pi * done))


def validation_score(shares: Float32, decoded: Float32) -> tuple[float, tuple[BinSummary, ...]]:
    """Mean over the occupancy bins `metric.BINS` of the mean EMD in each; also the bins themselves."""
    bins = summarise(earth_movers_distance(shares, decoded), occupancy(shares), BINS)
    return float(np.mean([b.mean for b in bins if b.count])), bins


def fingerprint(plan: TrainingPlan, images: Images, start: TrainedModel | Weights | None) -> dict[str, str]:
    """What a checkpoint must have in common with the training that resumes it, as text by name."""
    out = {field.name: str(getattr(plan, field.name)) for field in fields(plan) if field.name != "max_seconds"}
    out["spec"] = plan.spec.to_toml()
    digest = hashlib.sha256()
    for part in (images.charges, images.seen, images.pedestals):
        digest.update(np.ascontiguousarray(part))
    out["images"] = digest.hexdigest()
    weights = start.weights if isinstance(start, TrainedModel) else start
    out["start"] = hashlib.sha256(weights.to_image()).hexdigest() if weights is not None else "random"
    return out


def train(
    images: Images,
    plan: TrainingPlan,
    *,
    start: TrainedModel | Weights | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    tensorboard: Path | None = None,
    progress: Callable[[str], None] | None = None,
    advance: Callable[[int], None] | None = None,
) -> tuple[TrainedModel, History]:
    """Train encoder and decoder together; the weights with the best validation score are returned.

    Parameters
    ----------
    images : Images
        As from `simulate_images`.
    plan : TrainingPlan
    start : TrainedModel or Weights, optional
        What to continue from (fine-tuning).  Where the decoder is missing or of another shape, the encoder stays
        frozen for the first tenth of the training, while the new decoder learns to read it.
    checkpoint : Path, optional
        File that holds the state of the training; written at every validation and every 250 steps.
    resume : bool, optional
        Continue from `checkpoint`.  On the same machine an interrupted and resumed training ends as an uninterrupted
        one does, unless the plan sets ``max_seconds``.
    tensorboard : Path, optional
        Folder for TensorBoard's event files: loss, learning rate, validation score, EMD by occupancy.
    progress : callable, optional
        Told a line of text at every validation.
    advance : callable, optional
        Told the number of steps done since its last call.

    Returns
    -------
    TrainedModel, History

    Raises
    ------
    ValueError
        If an argument is out of range, the start has another spec, or the checkpoint is of another training.
    FileNotFoundError
        If there is no checkpoint to resume from.
    ModuleNotFoundError
        If TensorFlow is not installed (install the extra ``train``).
    """
    if start is not None and start.spec != plan.spec:
        raise ValueError(f"start: expected weights of {plan.spec.name}, got weights of {start.spec.name}")
    if resume and checkpoint is None:
        raise ValueError("resume: expected the checkpoint to resume from")
    import_tensorflow()
    run = _Run(images, plan, start)
    if resume and checkpoint is not None:
        run.restore(checkpoint)
        if advance is not None:
            advance(run.number)
    begin = time.monotonic() - run.elapsed
    with _event_writer(tensorboard) as write:
        for inputs, sums, shares in run.data.batches(plan.batch, plan.steps, run.number + 1) if not run.ended else ():
            run.step(inputs, sums, shares, write)
            run.elapsed = time.monotonic() - begin
            run.done = max(run.number / plan.steps, run.elapsed / plan.max_seconds if plan.max_seconds else 0.0)
            due = run.done * plan.scores >= len(run.records) + 1 or run.done >= 1.0
            if due:
                line = run.validate(write)
                if progress is not None:
                    progress(line)
            if checkpoint is not None and (due or run.number % 250 == 0):
                run.save(checkpoint)
            if advance is not None:
                advance(1)
            if run.ended:
                break
    return run.result(images.seen[:2000])


def training_device() -> str:
    """What TensorFlow computes on: the GPU if it sees one."""
    found = import_tensorflow().config.list_physical_devices("GPU")
    return f"GPU ({len(found)})" if found else "CPU"


@contextmanager
def _event_writer(folder: Path | None) -> Iterator[Callable[[str, float, int], None]]:
    """A function that writes a named value at a step for TensorBoard, or does nothing."""
    if folder is None:
        yield lambda *_: None
        return
    summary = import_tensorflow().summary
    writer = summary.create_file_writer(str(folder))

    def write(name: str, value: float, step: int) -> None:
        with writer.as_default():
            summary.scalar(name, value, step=step)

    try:
        yield write
    finally:
        writer.close()


class _Run:
    """State of a training: variables, moments of Adam, position in the schedule, best weights so far."""

    #: Decay of Adam's moments, and what keeps its quotient finite.
    BETAS = (0.9, 0.99)
    EPSILON = 1e-7

    def __init__(self, images: Images, plan: TrainingPlan, start: TrainedModel | Weights | None) -> None:
        self.tf, self.plan = import_tensorflow(), plan
        tf = self.tf
        self.network = Network(
            plan.spec, kept_bits=plan.kept_bits, decoder=plan.decoder, units=plan.units, seed=plan.seed
        )
        self.thaw = 0.0
        if start is not None and not self.network.load(start):
            self.thaw = 0.1
        self.fingerprint = fingerprint(plan, images, start)
        # latents of an encoder that stays are computed once
        encode = partial(sent_latents, self.network.model(plan.elinks)) if plan.freeze_encoder else None
        self._latents = self.network.latents if encode is None else tf.identity
        self.data = TrainingSet(images, plan.spec, seed=plan.seed, encode=encode)
        self.held = self.data.validation(3000)
        self.variables = self.network.encoder_variables | {
            f"decoder_{name}": value for name, value in self.network.decoder_variables.items()
        }
        self.moments = {
            f"{order}_{name}": tf.Variable(tf.zeros_like(value))
            for order in ("first", "second")
            for name, value in self.variables.items()
        }
        self.best = {name: value.numpy() for name, value in self.variables.items()}
        self.best_score, self.best_step, self.stale = math.inf, 0, 0
        self.number, self.elapsed, self.done = 0, 0.0, 0.0
        self.stopped = False
        self.records: list[tuple[float, float, float, float]] = []
        self.recent: list[float] = []
        self._losses = Losses(self.network)
        self._compiled: dict[tuple[str, bool], Any] = {}
        self._decode = tf.function(
            lambda inputs, sums: self.network.shares(self.network.outputs(self._latents(inputs), sums)),
            autograph=False,
        )

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.stopped or self.done >= 1.0

    def step(self, inputs: Float32, sums: Float32, shares: Float32, write: Callable[[str, float, int], None]) -> None:
        """One step of the optimiser."""
        self.number += 1
        rate = self.plan.rate(self.number, self.done)
        frozen = self.plan.freeze_encoder or self.done < self.thaw
        update = self._update(self.plan.kind(self.done), frozen)
        loss = float(update(inputs, sums, shares, np.float32(rate), np.float32(self.number)))
        if not math.isfinite(loss):
            raise RuntimeError(f"the loss is no longer finite at step {self.number}: lower the learning rate")
        self.recent.append(loss)
        if self.number % 50 == 0:
            write("loss", loss, self.number)
            write("learning rate", rate, self.number)

    def _update(self, kind: str, frozen: bool) -> Any:
        """The compiled step for a loss, with the encoder frozen or not."""
        if (kind, frozen) in self._compiled:
            return self._compiled[kind, frozen]
        tf, network = self.tf, self.network
        names = [name for name in self.variables if not frozen or name not in network.encoder_variables]
        limit = 5.0 if kind == "cross-entropy" else 1.0

        @tf.function(autograph=False)
        def update(inputs: Any, sums: Any, shares: Any, rate: Any, number: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = self._losses(kind, network.outputs(self._latents(inputs), sums), shares, sums)
            gradients = tape.gradient(loss, [self.variables[name] for name in names])
            gradients, _ = tf.clip_by_global_norm(gradients, limit)
            first, second = self.BETAS
            for name, gradient in zip(names, gradients, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=self.variables[name].handle,
                    m=self.moments[f"first_{name}"].handle,
                    v=self.moments[f"second_{name}"].handle,
                    beta1_power=first**number,
                    beta2_power=second**number,
                    lr=rate,
                    beta1=first,
                    beta2=second,
                    epsilon=self.EPSILON,
                    grad=gradient,
                )
            network.clip()
            return loss

        self._compiled[kind, frozen] = update
        return update

    def validate(self, write: Callable[[str, float, int], None]) -> str:
        """Score the images set aside, remember the best weights, decide whether to go on."""
        inputs, sums, shares = self.held
        score, bins = validation_score(shares, self._decode(inputs, sums).numpy())
        loss = float(np.mean(self.recent))
        self.recent = []
        self.records.append((self.number, self.elapsed, loss, score))
        self.stale = 0 if score < 0.999 * self.best_score else self.stale + 1
        if score < self.best_score:
            self.best_score, self.best_step = score, self.number
            self.best = {name: value.numpy() for name, value in self.variables.items()}
        self.stopped = self.plan.patience is not None and self.stale >= self.plan.patience
        write("validation score", score, self.number)
        for b in bins:
            write(f"median EMD, occupancy {b.lowest}-{b.highest}", b.median, self.number)
        medians = " ".join(f"{b.median:.3f}" for b in bins)
        kind = self.plan.kind(self.done)
        return f"step {self.number} {self.elapsed:.0f} s {kind} {loss:.4f} score {score:.4f} median EMD {medians}"

    def save(self, path: Path) -> None:
        """Write the state so that `restore` continues bit for bit."""
        arrays = {f"variable_{name}": value.numpy() for name, value in self.variables.items()}
        arrays |= {name: value.numpy() for name, value in self.moments.items()}
        arrays |= {f"best_{name}": value for name, value in self.best.items()}
        arrays["records"] = np.array(self.records, dtype=np.float64).reshape(-1, 4)
        arrays["recent"] = np.array(self.recent, dtype=np.float64)
        state = {name: getattr(self, name) for name in self._SCALARS}
        arrays["state"] = np.array(json.dumps({"fingerprint": self.fingerprint, **state}))
        with replacing(path, "wb") as file:
            np.savez(file, **arrays)

    _SCALARS = ("best_score", "best_step", "stale", "number", "elapsed", "done", "stopped")

    def restore(self, path: Path) -> None:
        """Take over the state of `save`.

        Raises
        ------
        FileNotFoundError, ValueError
        """
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint to resume from at {path}")
        try:
            arrays = read_npz(path)
            state = parse_json(str(arrays["state"]), "state")
            fingerprint = state["fingerprint"]
        except KeyError as error:
            raise ValueError(f"{path}: not a checkpoint of a training: {error.args[0]} is missing") from None
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: not a checkpoint of a training ({error})") from None
        then, now = fingerprint, self.fingerprint
        if changed := [name for name in now if then.get(name) != now[name]]:
            details = ", ".join(f"{name} was {_short(then.get(name))} and is {_short(now[name])}" for name in changed)
            raise ValueError(f"{path}: checkpoint of another training: {details}")
        for name, value in self.variables.items():
            value.assign(arrays[f"variable_{name}"])
        for name, value in self.moments.items():
            value.assign(arrays[name])
        self.best = {name: arrays[f"best_{name}"] for name in self.best}
        self.records = [(float(a), float(b), float(c), float(d)) for a, b, c, d in arrays["records"]]
        self.recent = arrays["recent"].tolist()
        for name in self._SCALARS:
            setattr(self, name, state[name])

    def result(self, seen: Int64) -> tuple[TrainedModel, History]:
        """The best weights as a model, verified against the golden model on these charges."""
        for name, value in self.variables.items():
            value.assign(self.best[name])
        model = self.network.model(self.plan.elinks)
        verify_latents(model, self.network.latents, seen)
        step, seconds, loss, validation = (tuple(column) for column in zip(*self.records, strict=True))
        history = History(
            step=step,
            seconds=seconds,
            loss=loss,
            validation=validation,
            best=self.best_step,
            stopped=self.stopped,
        )
        return model, history


def _short(text: str | None) -> str:
    return "absent" if text is None else text if len(text) <= 24 else f"{text[:12]}..."


def sent_latents(model: TrainedModel, seen: Int64, engine: Engine = Engine.NUMBA) -> Int64:
    """Latents of the golden model for charges that the chip sees, (n, 48), as they arrive at the decoder."""
    latents = Encoder(model.spec, model.weights, engine=engine).latents(
        np.ascontiguousarray(seen[:, model.multiplexer])
    )
    return truncate_latents(latents, model.kept_bits, model.spec.latent.width)


def verify_latents(model: TrainedModel, latents: Callable[[Any], Any], charges: Int64) -> None:
    """Prove that the training's forward pass is the chip's arithmetic.

    Parameters
    ----------
    model : TrainedModel
    latents : callable
        Training-time latent codes of pixel codes.
    charges : ndarray of int64, shape (n, 48)
        Calibrated charges as the chip sees them.

    Raises
    ------
    RuntimeError
        If a latent differs from the golden model's.
    """
    expected = sent_latents(model, charges, Engine.NUMPY)
    _, pixels = normalise(charges[:, model.multiplexer], model.spec.pixel)
    found = np.rint(np.asarray(latents(pixels.astype(np.float32)))).astype(np.int64)
    wrong = np.argwhere(found != expected)
    if wrong.size:
        row, latent = wrong[0]
        raise RuntimeError(
            f"training and golden model differ in {len(wrong)} latents, first at image {row}, latent {latent}: "
            f"{found[row, latent]} and {expected[row, latent]}"
        )
