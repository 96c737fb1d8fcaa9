"""A trained chip: spec, macro (its seed, or what was measured), encoding of the input and the readout, as one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine import Engine
from sim.files import write_arrays
from sim.fixed_point import IntArray
from sim.foreign_files import parse_json, read_npz
from sim.lsm_crossbar.homeostat import Homeostat, NeuronHomeostat
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.audio import Cochlea
from sim.lsm_crossbar.recordings.events import Encoding, encode_all, find_encoding
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "TrainedCrossbar", "agreed", "conductance_arrays", "origin", "shipped_models", "stored_conductances",
    "stored_integer", "stored_integers", "stored_text",
]  # fmt: skip

Stored = Mapping[str, NDArray[Any]]

DEPENDS_ON = ("../data/weights",)

_FIELDS = ("spec", "conductances_sha256", "encoding", "step_us", "weights", "bias")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedCrossbar:
    """A chip with its readout.

    A macro that was drawn is not stored: it is drawn again from the seed, and its hash must agree. One that was
    measured has no seed, and its codes are in the file.

    Attributes
    ----------
    spec : CrossbarSpec
    seed : int or None
        Seed of the macro; None: it was measured.
    conductances_sha256 : str
        Hash of the conductance image that the readout was trained on.
    encoding : Encoding or Cochlea
        Of event recordings which events drive which word line, as `find_encoding` knows it; of sound the front end.
    step_us : int
        Length of a time step of events; 0 for sound, whose front end knows its own.
    readout : Readout
    measured : Conductances or None
        The macro where it has no seed.
    ratios : ndarray of int64, shape (neurons,), or None
        Of a homeostat with a threshold for each neuron, see `sim.lsm_crossbar.homeostat.NeuronHomeostat`.

    Raises
    ------
    ValueError
        An encoding with more word lines than the chip has, or one whose name says another; both a seed and a
        measured macro, or neither.
    """

    spec: CrossbarSpec
    seed: int | None
    conductances_sha256: str
    encoding: Encoding | Cochlea
    step_us: int
    readout: Readout
    measured: Conductances | None = None
    ratios: IntArray | None = None

    def __post_init__(self) -> None:
        if self.ratios is not None:
            NeuronHomeostat(self.spec, self.ratios)
        if isinstance(self.encoding, Encoding) and find_encoding(self.encoding.name) != self.encoding:
            raise ValueError(f"encoding: {self.encoding.name!r} is the name of another one")
        if self.encoding.inputs > self.spec.inputs:
            raise ValueError(
                f"encoding {self.encoding.name} drives {self.encoding.inputs} word lines, "
                f"{self.spec.name} has {self.spec.inputs}"
            )
        if (self.seed is None) == (self.measured is None):
            raise ValueError("expected either a seed of the macro or its measured conductances")

    @property
    def macro_name(self) -> str:
        """Where the macro is from, in words."""
        return origin(self.seed)

    @cached_property
    def conductances(self) -> Conductances:
        """The macro, drawn from the seed or as measured.

        Raises
        ------
        ValueError
            If its hash is not the one that the readout was trained on.
        """
        return agreed(self.spec, self.seed, self.measured, self.conductances_sha256, "readout")

    def homeostat(self) -> Homeostat | NeuronHomeostat:
        """The chip's homeostat as after a reset.

        Raises
        ------
        ValueError
            If it has none, or one for each neuron whose ratios are not in the model.
        """
        if not self.spec.own_thresholds:
            return Homeostat(self.spec)
        if self.ratios is None:
            raise ValueError(f"the model of {self.spec.name} has no ratios of a homeostat: train it again")
        return NeuronHomeostat(self.spec, self.ratios)

    @classmethod
    def trained(
        cls, spec: CrossbarSpec, macro: Conductances, *, encoding: Encoding | Cochlea, step_us: int, readout: Readout,
        ratios: IntArray | None = None,
    ) -> TrainedCrossbar:  # fmt: skip
        """A readout and the macro that it was trained on: a drawn one is kept as its seed, a measured one whole."""
        return cls(
            spec=spec, seed=macro.seed, conductances_sha256=macro.sha256, encoding=encoding, step_us=step_us,
            readout=readout, measured=macro if macro.seed is None else None, ratios=ratios,
        )  # fmt: skip

    def on(self, conductances: Conductances) -> TrainedCrossbar:
        """The same readout on another macro: a chip that was trained on one device and runs on the next."""
        return replace(self, seed=None, measured=conductances.check(self.spec), conductances_sha256=conductances.sha256)

    @property
    def hears(self) -> bool:
        """Whether its input is sound."""
        return isinstance(self.encoding, Cochlea)

    def spikes(self, recordings: Iterable[Any]) -> NDArray[np.bool_]:
        """Input spikes of recordings, `Events` or `Clip`s; shape (n, steps, inputs)."""
        spec = self.spec
        if isinstance(self.encoding, Cochlea):
            return self.encoding.all_spikes(recordings, spec.steps, spec.inputs)
        return encode_all(recordings, self.encoding, steps=spec.steps, step_us=self.step_us, inputs=spec.inputs)

    def classify(self, recordings: Iterable[Any], engine: Engine | str = Engine.NUMBA) -> IntArray:
        """Class of each recording, in exact chip arithmetic; shape (n,)."""
        liquid = Liquid(self.spec, self.conductances, engine)
        return self.readout.classify(liquid.counts(self.spikes(recordings)))

    def save(self, path: Path) -> None:
        """Write a ``.npz``, complete or not at all; the same model gives the same bytes."""
        arrays = {
            "spec": np.array(self.spec.to_toml()),
            **({} if self.seed is None else {"seed": np.array(self.seed)}),
            **conductance_arrays(self.measured),
            "conductances_sha256": np.array(self.conductances_sha256),
            "encoding": np.array(self.encoding.to_json() if isinstance(self.encoding, Cochlea) else self.encoding.name),
            "step_us": np.array(self.step_us),
            "weights": self.readout.weights.astype(np.int16),
            "bias": self.readout.bias.astype(np.int64),
            **({} if self.ratios is None else {"ratios": self.ratios.astype(np.int64)}),
        }
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path | str) -> TrainedCrossbar:
        """Read a model.

        Parameters
        ----------
        path : Path or str
            A ``.npz`` of `save`, or the name of a shipped one such as ``n_mnist``.

        Raises
        ------
        FileNotFoundError
            No such file and no such shipped model.
        ValueError
            The file is not a model; the message says why.
        """
        file = shipped_models().get(str(path), Path(path))
        if not file.is_file():
            raise FileNotFoundError(f"{path}: no such model file; shipped models: {', '.join(shipped_models())}")
        stored = read_npz(file)
        if missing := [name for name in _FIELDS if name not in stored]:
            raise ValueError(f"{file}: not a model of the crossbar: {', '.join(missing)} missing")
        try:
            spec = CrossbarSpec.from_toml(stored_text(stored, "spec"))
            text = stored_text(stored, "encoding")
            encoding = Cochlea.from_json(text) if text.startswith("{") else find_encoding(text)
            return cls(
                spec=spec,
                seed=stored_integer(stored, "seed", 0) if "seed" in stored else None,
                measured=stored_conductances(stored, spec),
                conductances_sha256=stored_text(stored, "conductances_sha256"),
                encoding=encoding,
                step_us=stored_integer(stored, "step_us", 0 if isinstance(encoding, Cochlea) else 1),
                readout=Readout(spec, stored_integers(stored, "weights"), stored_integers(stored, "bias")),
                ratios=stored_integers(stored, "ratios") if "ratios" in stored else None,
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file}: {error}") from None

    @cached_property
    def sha256(self) -> str:
        """Hash of the readout's integers: weights as int16, then biases as int64, little-endian."""
        digest = hashlib.sha256(self.readout.weights.astype("<i2").tobytes())
        digest.update(self.readout.bias.astype("<i8").tobytes())
        return digest.hexdigest()


def origin(seed: int | None) -> str:
    """Where a macro is from, in words."""
    return "measured macro" if seed is None else f"macro of seed {seed}"


def agreed(
    spec: CrossbarSpec, seed: int | None, measured: Conductances | None, expected: str, trained: str
) -> Conductances:
    """The macro of a model: measured, or drawn from its seed. Raises ValueError if its hash is not the expected one."""
    image = measured if seed is None else draw(spec, seed)
    if image is None:
        raise ValueError("expected either a seed of the macro or its measured conductances")
    if image.sha256 != expected:
        raise ValueError(
            f"the {origin(seed)} of {spec.name} has the hash {image.sha256[:16]}..., the {trained} was trained "
            f"on {expected[:16]}..."
        )
    return image


_MEASURED = ("codes", "adc_gain", "adc_offset", "device")


def conductance_arrays(image: Conductances | None, prefix: str = "") -> dict[str, NDArray[Any]]:
    """A measured macro as arrays of a model file; none where there is none."""
    if image is None:
        return {}
    arrays = (image.codes, image.adc_gain, image.adc_offset, np.array(json.dumps(image.device, sort_keys=True)))
    return {f"{prefix}{name}": np.asarray(array) for name, array in zip(_MEASURED, arrays, strict=True)}


def stored_conductances(stored: Stored, spec: CrossbarSpec, prefix: str = "") -> Conductances | None:
    """The measured macro of a model file; None where it has none. Raises ValueError if it is none of the spec."""
    names = [f"{prefix}{name}" for name in _MEASURED]
    if names[0] not in stored:
        return None
    if missing := [name for name in names if name not in stored]:
        raise ValueError(f"{', '.join(missing)} missing beside {names[0]}")
    codes, gain, offset = (stored_integers(stored, name) for name in names[:3])
    device = parse_json(stored_text(stored, names[3]), names[3])
    if not isinstance(device, dict):
        raise ValueError(f"{names[3]}: expected a JSON object")
    return Conductances.of(spec, codes, seed=None, adc_gain=gain, adc_offset=offset, device=device)


def stored_text(stored: Stored, name: str) -> str:
    """One text of a model file. Raises ValueError if it is anything else."""
    if stored[name].dtype.kind != "U" or stored[name].ndim:
        raise ValueError(f"{name}: expected one text, got {_kind(stored[name])}")
    return str(stored[name])


def stored_integer(stored: Stored, name: str, low: int) -> int:
    """One integer, at least `low`, of a model file. Raises ValueError if it is anything else."""
    if stored[name].dtype.kind not in "iu" or stored[name].ndim:
        raise ValueError(f"{name}: expected one integer, got {_kind(stored[name])}")
    value = int(stored[name])
    if value < low:
        raise ValueError(f"{name}: expected at least {low}, got {value}")
    return value


def stored_integers(stored: Stored, name: str) -> NDArray[Any]:
    """An array of integers of a model file. Raises ValueError if it is anything else."""
    if stored[name].dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers, got {_kind(stored[name])}")
    return stored[name]


def _kind(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"


def shipped_models() -> dict[str, Path]:
    """Models that ship with the package, by name."""
    folder = Path(str(resources.files("sim.lsm_crossbar"))) / "data" / "weights"
    return {path.stem: path for path in sorted(folder.glob("*.npz"))}
