"""What the crossbar's accuracy benchmarks share: recordings, spike counts of a draw, and a cache of both.

Digits of the first 1,000 recordings never train a readout that is tested on real recordings, and no digit is in two
of the parts below, whatever camera recorded it. Recordings and counts are kept in ``build/lsm`` by the hash of all that
they depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.files import replacing
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings import event_camera
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import (
    Encoding,
    Events,
    encode_all,
    find_recordings,
    read_labels,
    read_recording,
)
from sim.lsm_crossbar.spec import CrossbarSpec

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = REPOSITORY / "build" / "lsm"
IMAGES = REPOSITORY / "docs" / "images"
RESULTS = REPOSITORY / "benchmarks" / "results"

STEP_US = 6200
"""Length of a step: 50 of them hold a recording."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Recordings with labels; `name` tells parts apart in the cache."""

    name: str
    events: Sequence[Events]
    labels: NDArray[np.int64]


def real(count: int = 1000) -> Part:
    """The shared real recordings 1 to `count` of N-MNIST's training set."""
    data = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data")) / "lsm" / "nmnist_train1000"
    paths, labels = find_recordings(data), read_labels(data / "labels.txt")
    numbers = sorted(paths)[:count]
    return Part(
        name=f"real{count}",
        events=[read_recording(paths[k]) for k in numbers],
        labels=np.array([labels[k] for k in numbers], np.int64),
    )


def synthesised(name: str, rows: slice, *, seed: int) -> Part:
    """N-MNIST-like recordings of digits that no shared recording shows: `rows` of a fixed shuffle of the 9,000."""
    digits = mnist_digits("rest")
    chosen = np.random.default_rng(20260).permutation(len(digits))[rows]
    camera = EventCamera(seed=seed)
    events: list[Events] = []
    for first in range(0, len(chosen), 1000):
        events += _recorded(camera, digits.images[chosen[first : first + 1000]], first)
    key = _hash(repr(camera), repr(event_camera.TRAJECTORY), chosen.tobytes().hex())
    return Part(name=f"{name}-{key}", events=events, labels=digits.labels[chosen].astype(np.int64))


def _recorded(camera: EventCamera, images: NDArray[np.uint8], first: int) -> list[Events]:
    """Recordings numbered from `first`, out of the cache or made now."""
    key = _hash(repr(camera), repr(event_camera.TRAJECTORY), str(first), hashlib.sha256(images.tobytes()).hexdigest())
    path = CACHE / f"events-{key}.npz"
    if not path.is_file():
        made = camera.record_all(images, first)
        _save(
            path,
            x=np.concatenate([e.x for e in made]).astype(np.uint8),
            y=np.concatenate([e.y for e in made]).astype(np.uint8),
            on=np.concatenate([e.on for e in made]),
            t_us=np.concatenate([e.t_us for e in made]).astype(np.int32),
            ends=np.cumsum([len(e) for e in made]),
        )
    with np.load(path) as data:
        columns = {field: data[field] for field in ("x", "y", "on", "t_us")}
        ends = data["ends"]
    return [
        Events(**{field: column[begin:end] for field, column in columns.items()})
        for begin, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def counts(
    part: Part, encoding: Encoding, spec: CrossbarSpec, seed: int, *, image: CrossbarSpec | None = None
) -> Counts:
    """Spike counts of a part, shape (n, windows, neurons): the macro of `seed`, of `image` where it is another spec."""
    conductances = draw(image or spec, seed)
    key = _hash(part.name, repr(encoding), spec.to_toml(), conductances.sha256, str(STEP_US))
    path = CACHE / f"counts-{key}.npz"
    if not path.is_file():
        liquid = Liquid(spec, conductances)
        blocks = [liquid.counts(block, 1000 * i) for i, block in enumerate(_spikes(part, encoding, spec))]
        _save(path, counts=np.concatenate(blocks).astype(np.uint8))
    with np.load(path) as data:
        found: Counts = data["counts"].astype(np.int64)
    return found


def kept_array(name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """An array that `name` names with all that it depends on: of an earlier run, or made now."""
    path = CACHE / f"array-{_hash(name)}.npy"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = make()
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, made)
        temporary.replace(path)
    found: NDArray[Any] = np.load(path)
    return found


_ENCODED: dict[tuple[str, str, int, int], list[NDArray[np.uint8]]] = {}


def _spikes(part: Part, encoding: Encoding, spec: CrossbarSpec) -> Iterator[NDArray[np.bool_]]:
    """Input spikes in blocks of 1,000 recordings; encoded once, kept as bits."""
    key = (part.name, encoding.name, spec.steps, spec.inputs)
    if key not in _ENCODED:
        _ENCODED[key] = [
            np.packbits(
                encode_all(
                    part.events[first : first + 1000], encoding, steps=spec.steps, step_us=STEP_US, inputs=spec.inputs
                ),
                axis=2,
            )
            for first in range(0, len(part.events), 1000)
        ]
    for block in _ENCODED[key]:
        yield np.unpackbits(block, axis=2, count=spec.inputs).view(np.bool_)


def kept(words: str, compute: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Figures that `words` name with all that they depend on: kept from an earlier run, or computed now."""
    path = CACHE / f"scores-{_hash(words)}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            json.dump(compute(), file)
    found: dict[str, float] = json.loads(path.read_text())
    return found


def shifted(part: Part, columns: int, rows: int) -> Part:
    """The same recordings, moved over the sensor; events that leave it are lost."""
    moved = []
    for events in part.events:
        x, y = events.x.astype(np.int64) + columns, events.y.astype(np.int64) + rows
        stay = (x >= 0) & (x < events.sensor[0]) & (y >= 0) & (y < events.sensor[1])
        moved.append(Events(x=x[stay], y=y[stay], on=events.on[stay], t_us=events.t_us[stay], sensor=events.sensor))
    return Part(name=f"{part.name}-by{columns}{rows}", events=moved, labels=part.labels)


def folds(n: int, parts: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cross-validation: rows to train on and rows to test on, the same shuffle every time."""
    order = np.random.default_rng(1).permutation(n)
    for part in range(parts):
        test = order[part::parts]
        yield np.setdiff1d(order, test), test


def _hash(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def _save(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    np.savez(temporary, **arrays)
    Path(f"{temporary}.npz" if not temporary.name.endswith(".npz") else temporary).replace(path)
