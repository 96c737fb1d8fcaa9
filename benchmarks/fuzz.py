"""Every reader of foreign files on damaged files: ``python -m benchmarks.fuzz [READER ...]``.

A good small file of each format is damaged (`mutated`): bytes set, cut, repeated or inserted, numbers replaced by ones
at the edge of what machines hold, lines doubled or dropped, brackets nested; of archives what they hold, so that
checksums fit again. The reader then has to do one of two things: refuse the file in one short line that names it, or
return what an independent reading of the same bytes says (`Reader.check`). Anything else is counted: a crash of the
process, an error that is not meant for users (a traceback at the command line), more than 20 s or more than 1 GiB, a
wrong value.

Each reader runs in a process of its own, which a limit of memory and a watch hold.

Sources: B. P. Miller, L. Fredriksen and B. So, "An empirical study of the reliability of UNIX utilities", Commun. ACM
33 (1990) 32; V. J. M. Manès et al., "The art, science, and engineering of fuzzing: a survey", IEEE Trans. Softw. Eng.
47 (2021) 2312 (mutation of seeds, differential oracles).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import random
import re
import resource
import select
import signal
import struct
import tempfile
import time
import tomllib
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.measured import RESULTS, kept, record
from flows.campaign.physics import Sensitivity
from flows.common.errors import FlowError
from flows.common.metrics import Metric, read_metrics, write_metrics
from flows.designs.catalogue import load_design
from flows.designs.encoder import EncoderDesign
from flows.library.lef import Lef, read_lef
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.netlist import Netlist, read_netlist
from flows.physical.place import Placement
from flows.physical.repair import Buffer, Repair, load_repairs, save_repairs
from flows.power.activity import Activity
from flows.power.spef import read_spef
from flows.power.vcd import read_vcd
from sim.astrocyte_liquid import spec as astrocyte
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.liquid import Arithmetic
from sim.astrocyte_liquid.liquid import Liquid as AstrocyteLiquid
from sim.astrocyte_liquid.network import draw as draw_network
from sim.astrocyte_liquid.readout import Readout as LiquidReadout
from sim.digits import Digits, read_digits
from sim.hgcal_encoder import concentrator_spec as concentrator
from sim.hgcal_encoder.algorithms.concentrator import ChipSettings, load_chip_settings
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorSettings, load_concentrator_settings
from sim.hgcal_encoder.configuration.chip_registers import image_masks
from sim.hgcal_encoder.configuration.image_file import load_image, save_image
from sim.hgcal_encoder.configuration.register_maps import read_registers
from sim.hgcal_encoder.detector.particles import TopPairs
from sim.hgcal_encoder.detector.particles import _pool as _particle_pool
from sim.hgcal_encoder.files import vectors
from sim.hgcal_encoder.files.keras_files import read_keras_encoder
from sim.hgcal_encoder.files.readers import ChargeTable, read_charge_table
from sim.hgcal_encoder.files.settings_files import load_settings, save_settings
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.link_spec import LinkSpec
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, WordOrder, load_spec
from sim.hgcal_encoder.weights import Weights
from sim.lsm_crossbar import spec as crossbar
from sim.lsm_crossbar.association import spec as association
from sim.lsm_crossbar.association.model import TrainedAssociation
from sim.lsm_crossbar.association.projection import Projection
from sim.lsm_crossbar.learning.continual import ContinualReadout
from sim.lsm_crossbar.learning.model import TrainedCrossbar, shipped_models
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.macro_model.measured_file import read_measured, write_measured
from sim.lsm_crossbar.nir_graph import read_liquid
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.audio import Clip, Cochlea, read_wav
from sim.lsm_crossbar.recordings.events import ENCODINGS, Events, read_labels, read_recording, write_nmnist
from sim.lsm_crossbar.recordings.speech import SpokenSpikes, read_ntidigits, read_shd, read_spoken, write_spoken
from sim.network import spec as network
from sim.network.weights import NetworkWeights
from sim.spec_file import load_preset

__all__ = ["KINDS", "READERS", "Reader", "mutated", "tried"]

COMMAND = "python -m benchmarks.fuzz"
RESULT = RESULTS / "fuzz.json"
SAMPLES = Path(__file__).with_name("fuzz_samples")
MEMORY_BYTES = 1 << 30
"""More than this above what the process took before is too much."""
SECONDS = 20.0
"""A reader that takes longer hangs: all samples are small."""
LONGEST, LONGEST_WORD = 1000, 250
"""Characters of a message beside the file's name, and of a word of it."""

# ---- damage ----------------------------------------------------------------------------------------------------------

Damage = tuple[str, int, int]
KINDS = ("set", "cut", "repeat", "insert", "number", "line", "twice", "long", "deep")
"""Kinds of damage: a byte set, bytes cut, repeated, inserted; a number replaced; a line dropped, doubled; a long run;
nested brackets."""
_NUMBERS = (
    b"-1", b"0", b"1e999", b"-1e-999", b"nan", b"inf", b"9" * 40, b"18446744073709551616", b"2147483648", b"0.5",
    b"true", b"''", b"0x1F", b"1_000", b"\xd9\xa1", b"",
)  # fmt: skip
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_BRACKETS = (b"[", b"{", b"(", b"- ", b"{a: ", b"a = {a = ", b"cell(x) {", b"$scope module a $end\n")


def mutated(content: bytes, damages: Sequence[Damage]) -> bytes:
    """A file with some damage.

    Parameters
    ----------
    content : bytes
    damages : sequence of (str, int, int)
        Kind (`KINDS`), place (any number at least 0), and a number of 0 to 255 that chooses what is put there.
    """
    text = bytearray(content)
    for what, place, choice in damages:
        at = place % max(len(text), 1)
        start = text.rfind(b"\n", 0, at) + 1
        end = (text.find(b"\n", at) + 1) or len(text)
        if what == "set":
            text[at : at + 1] = bytes([choice])
        elif what == "cut":
            del text[max(at, len(text) - 1 - choice) :]
        elif what == "repeat":
            text[at:at] = text[at : at + choice]
        elif what == "insert":
            text[at:at] = b" \t\n0 1b#$x%!~\xff"[choice % 14 :][:2]
        elif what == "number":
            if found := _NUMBER.search(text, at) or _NUMBER.search(text):
                text[found.start() : found.end()] = _NUMBERS[choice % len(_NUMBERS)]
        elif what == "line":
            del text[start:end]
        elif what == "twice":
            text[end:end] = text[start:end]
        elif what == "long":
            text[at:at] = text[at : at + 1] * (100 * choice)
        elif what == "deep":
            text[at:at] = _BRACKETS[choice % len(_BRACKETS)] * 2000
    return bytes(text)


def _inside(content: bytes, damages: Sequence[Damage]) -> bytes:
    """The same damage in what an archive holds, where it is one: its checksums fit again."""
    if content[:2] == b"\x1f\x8b":
        return gzip.compress(mutated(gzip.decompress(content), damages))
    source = io.BytesIO(content)
    if not zipfile.is_zipfile(source):
        return mutated(content, damages)
    target = io.BytesIO()
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as made:
        names = archive.namelist()
        chosen = names[damages[0][1] % len(names)]
        for name in names:
            made.writestr(name, mutated(archive.read(name), damages) if name == chosen else archive.read(name))
    return target.getvalue()


def _draw(rng: random.Random) -> list[Damage]:
    return [(rng.choice(KINDS), rng.randrange(1 << 20), rng.randrange(256)) for _ in range(rng.choice((1, 1, 1, 2, 3)))]


# ---- readers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader, good files for it, and what holds for whatever it returns.

    Attributes
    ----------
    title : str
        The format, for tables.
    samples : tuple of callables
        Each writes a good file into a folder and returns its path.
    read : callable
        Of a path; `errors` are its refusals.
    check : callable
        Of a path and what `read` returned; fails if that is not what the file says.
    errors : tuple of exceptions
    named : bool
        Whether refusals name the file (readers of a text alone cannot).
    tries : int
        Inputs of the long campaign.
    """

    title: str
    samples: tuple[Callable[[Path], Path], ...]
    read: Callable[[Path], Any]
    check: Callable[[Path, Any], None]
    errors: tuple[type[BaseException], ...] = (ValueError, FlowError)
    tries: int = 600


def _file(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes((SAMPLES / name).read_bytes())
        return path

    return write


def _made(name: str, write: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return make


@cache
def _weights() -> Weights:
    return Weights.random(ECON_T, np.random.default_rng(1))


@cache
def _charges() -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.asarray(rng.integers(0, 1 << 12, (5, 48)) * (rng.random((5, 48)) < 0.5))


# tables of charges and words


def _numbers(path: Path) -> list[dict[str, str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    return [dict(zip([name.strip() for name in rows[0]], row, strict=True)) for row in rows[1:]]


def _check_csv(path: Path, table: ChargeTable) -> None:
    rows = _numbers(path)
    prefix = "wafer_" if rows and "wafer_CALQ0" in rows[0] else ""
    line = "" if prefix else "_"
    assert len(rows) == len(table.charges)
    for row, charges in zip(rows, table.charges.tolist(), strict=True):
        assert [Decimal(row[f"{prefix}CALQ{line}{cell}"]) for cell in range(48)] == charges


def _check_range(_: Path, table: ChargeTable) -> None:
    assert table.charges.shape[1:] == (48,)
    assert table.charges.dtype == np.int64
    assert not table.charges.size or 0 <= table.charges.min() <= table.charges.max() < 1 << 22
    assert table.etas is None or (len(table.etas) == len(table.charges) and np.isfinite(table.etas).all())


def _check_parquet(path: Path, table: ChargeTable) -> None:
    import pyarrow.parquet

    _check_range(path, table)
    columns = pyarrow.parquet.read_table(path).to_pydict()
    rows = columns["CALQ"] if "CALQ" in columns else list(zip(*(columns[f"CALQ_{c}"] for c in range(48)), strict=True))
    assert [list(row) for row in rows] == table.charges.tolist()


def _csv_charges(path: Path) -> None:
    vectors._write(path, "CALQ_", _charges(), "d")


def _csv_gz(path: Path) -> None:
    header = ",".join(["eta", *(f"wafer_CALQ{cell}" for cell in range(48))])
    lines = [header, *(",".join(["1.75", *map(str, row)]) for row in _charges().tolist())]
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines) + "\n")


def _parquet(path: Path, lists: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"CALQ": _charges().tolist()} if lists else {f"CALQ_{cell}": _charges()[:, cell] for cell in range(48)}
    pq.write_table(pa.table(columns), path)


def _root(path: Path, new: bool) -> None:
    import uproot

    with uproot.recreate(path) as file:
        if new:
            file["tuple"] = {"CALQ": _charges()}
        else:
            file.mktree("tree", {f"CALQ_{cell}": np.dtype(np.int64) for cell in range(48)})
            file["tree"].extend({f"CALQ_{cell}": _charges()[:, cell] for cell in range(48)})


def _check_words(path: Path, words: np.ndarray) -> None:
    rows = _numbers(path)
    assert [[int(row[f"RX_DATA_{i}"], 16) for i in range(12)] for row in rows] == words.tolist()


# recordings


def _events() -> Events:
    rng = np.random.default_rng(3)
    return Events(
        x=rng.integers(0, 34, 40), y=rng.integers(0, 34, 40), on=rng.integers(0, 2, 40) == 1,
        t_us=np.sort(rng.integers(0, 300_000, 40)),
    )  # fmt: skip


def _aedat2(path: Path) -> None:
    events = _events()
    with path.open("wb") as file:
        file.write(b"#!AER-DAT2.0\r\n# AEChip: DVS128\r\n")
        for x, y, on, t_us in zip(
            events.x.tolist(), events.y.tolist(), events.on.tolist(), events.t_us.tolist(), strict=True
        ):
            file.write(struct.pack(">II", (33 - y) << 8 | x << 1 | on, t_us))


def _aedat3(path: Path) -> None:
    events = _events()
    with path.open("wb") as file:
        file.write(b"#!AER-DAT3.1\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n")
        for first in range(0, 40, 16):
            rows = slice(first, first + 16)
            part = list(
                zip(
                    events.x[rows].tolist(),
                    events.y[rows].tolist(),
                    events.on[rows].tolist(),
                    events.t_us[rows].tolist(),
                    strict=True,
                )
            )
            file.write(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(part), len(part), len(part)))
            for x, y, on, t_us in part:
                file.write(struct.pack("<II", x << 17 | y << 2 | on << 1 | 1, t_us))


def _numpy_events(path: Path) -> None:
    events = _events()
    if path.suffix == ".npz":
        np.savez(path, x=events.x, y=events.y, t=events.t_us, p=events.on)
    else:
        np.save(path, np.stack([events.x, events.y, events.t_us, events.on], axis=1).astype(np.int64))


def _rows(events: Events) -> list[tuple[int, int, int, int]]:
    columns = (events.x, events.y, events.on.astype(int), events.t_us)
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _check_events(path: Path, events: Events) -> None:
    rows, raw = _rows(events), path.read_bytes()
    assert all(0 <= x < 34 and 0 <= y < 34 and t >= 0 for x, y, _, t in rows)
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)
    if path.suffix == ".bs2":
        words = [int.from_bytes(raw[at : at + 5], "big") for at in range(0, len(raw), 5)]
        assert rows == [(w >> 32, w >> 24 & 255, w >> 23 & 1, w & 0x7FFFFF) for w in words]
    elif path.suffix == ".npz":
        with np.load(path) as stored:
            assert rows == [tuple(map(int, row)) for row in zip(*(stored[n].tolist() for n in "xypt"), strict=True)]
    elif path.suffix == ".npy":
        table = np.load(path)
        if table.dtype.names is None:
            assert rows == [tuple(map(int, (row[0], row[1], row[3], row[2]))) for row in table.tolist()]
    elif raw.startswith(b"#!AER-DAT2.0") and raw.count(b"DVS128\r\n") == 1 and raw.count(b"#") == 2:
        body = raw[raw.index(b"DVS128\r\n") + 8 :]
        pairs = [struct.unpack_from(">II", body, at) for at in range(0, len(body), 8)]
        assert not rows or rows[-1] in [(a >> 1 & 127, 33 - (a >> 8 & 127), a & 1, t) for a, t in pairs]


def _prophesee(path: Path) -> None:
    events = _events()
    rows = list(zip(events.x.tolist(), events.y.tolist(), events.on.tolist(), events.t_us.tolist(), strict=True))
    if path.suffix == ".dat":
        body = b"\x0c\x08" + b"".join(struct.pack("<II", t, on << 28 | y << 14 | x) for x, y, on, t in rows)
        path.write_bytes(b"% Data file containing CD events.\n% Version 2\n" + body)
    elif path.stem == "evt2":
        words = [w for x, y, on, t in rows for w in (8 << 28 | t >> 6, on << 28 | (t & 63) << 22 | x << 11 | y)]
        path.write_bytes(b"% evt 2.0\n% end\n" + struct.pack(f"<{len(words)}I", *words))
    else:
        words = [w for x, y, on, t in rows for w in (8 << 12 | t >> 12, 6 << 12 | t & 4095, y, 2 << 12 | on << 11 | x)]
        path.write_bytes(b"% format EVT3;height=34;width=34\n% end\n" + struct.pack(f"<{len(words)}H", *words))


def _check_prophesee(path: Path, events: Events) -> None:
    rows, raw = _rows(events), path.read_bytes()
    assert all(0 <= x < 34 and 0 <= y < 34 and t >= 0 for x, y, _, t in rows)
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)
    if path.suffix == ".dat" and raw.startswith(b"% Data file containing CD events.\n% Version 2\n\x0c\x08"):
        body = raw[raw.index(b"\x0c\x08") + 2 :]
        pairs = [struct.unpack_from("<II", body, at) for at in range(0, len(body), 8)]
        assert rows == [(a & 0x3FFF, a >> 14 & 0x3FFF, a >> 28 & 1, t) for t, a in pairs]


# speech, digits


def _wav(path: Path) -> None:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(2 if path.stem == "two" else 1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.random.default_rng(8).integers(-(1 << 15), 1 << 15, 80).astype("<i2").tobytes())


def _check_wav(path: Path, clip: Clip) -> None:
    import wave

    assert np.isfinite(clip.samples).all()
    try:
        with wave.open(str(path)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError):  # a format that the standard library does not know, such as floating point
        return
    if width == 2 and len(content) % (2 * channels) == 0:
        samples = np.frombuffer(content, "<i2").reshape(-1, channels)
        assert clip.rate_hz == rate
        assert np.allclose(clip.samples, samples.mean(axis=1))


def _speech(path: Path) -> None:
    import h5py

    rng = np.random.default_rng(9)
    clips = {key: rng.random(30) * 0.5 for key in ("man-im-a-7", "woman-ac-b-z")}
    with h5py.File(path, "w") as file:
        if path.stem == "shd":
            kind = h5py.vlen_dtype(np.float64), h5py.vlen_dtype(np.int64)
            for name, dtype in zip(("spikes/times", "spikes/units"), kind, strict=True):
                file.create_dataset(name, (2,), dtype)
            for clip, times in enumerate(clips.values()):
                file["spikes/times"][clip], file["spikes/units"][clip] = times, rng.integers(0, 700, 30)
            file["labels"], file["extra/speaker"] = np.array([3, 14]), np.array([0, 5])
        else:
            file["test_labels"] = np.array([key.encode() for key in clips])
            for key, times in clips.items():
                file[f"test_timestamps/{key}"], file[f"test_addresses/{key}"] = times, rng.integers(0, 64, 30)


def _read_speech(path: Path) -> SpokenSpikes:
    return read_shd(path, steps=20) if path.stem == "shd" else read_ntidigits(path, "test", steps=20)


def _check_spoken(path: Path, found: SpokenSpikes) -> None:
    assert found.spikes.dtype == np.bool_
    assert found.spikes.ndim == 3
    assert len(found.spikes) == len(found.labels) == len(found.speakers)
    assert found.labels.dtype == np.int64
    if path.suffix == ".npz":
        with np.load(path) as stored:
            assert np.array_equal(np.packbits(found.spikes, axis=2), stored["spikes"])
            assert np.array_equal(found.labels, stored["labels"])


def _spoken(path: Path) -> None:
    rng = np.random.default_rng(10)
    spikes = SpokenSpikes(
        spikes=rng.random((4, 6, 16)) < 0.3, labels=np.arange(4), speakers=np.array(["a", "a", "b", "b"])
    )
    write_spoken(path, spikes)


def _digits(path: Path) -> None:
    rng = np.random.default_rng(11)
    parts = [(rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8)) for n in (3, 2)]
    if path.suffix == ".npz":
        names = ("x_train", "y_train", "x_test", "y_test")
        np.savez(path, **dict(zip(names, [array for part in parts for array in part], strict=True)))
        return
    for name, (images, labels) in zip(("train", "t10k"), parts, strict=True):
        for what, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            path.with_name(f"{name}-{what}-ubyte").write_bytes(header + array.tobytes())


def _read_digits(path: Path) -> tuple[Digits, Digits]:
    return read_digits(path if path.suffix == ".npz" else path.parent)


def _check_digits(path: Path, found: tuple[Digits, Digits]) -> None:
    for digits in found:
        assert digits.images.shape == (len(digits.labels), 28, 28)
        assert digits.images.dtype == np.uint8
        assert set(digits.labels.tolist()) <= set(range(10))
    if path.suffix == ".npz":
        with np.load(path) as stored:
            assert np.array_equal(found[0].images, stored["x_train"])
            assert np.array_equal(found[1].labels, stored["y_test"])
    else:
        assert path.read_bytes()[-len(found[0].labels) * 784 :] == found[0].images.tobytes()


def _check_labels(path: Path, labels: Mapping[int, int]) -> None:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    words = [line.partition("#")[0].split() for line in lines]
    assert labels == {int(pair[0]): int(pair[1]) for pair in words if pair}


# settings, specs, weights, models


def _settings(path: Path, order: WordOrder, weights: bool) -> None:
    save_settings(path, Settings(), _weights() if weights else None, order)


def _section(content: Any, name: str) -> Mapping[Any, Any]:
    """Registers of a block, in either spelling."""
    inside = (content or {}).get(name) or {}
    return inside.get("Global", inside) or {}


def _check_settings(path: Path, found: tuple[Settings, Weights | None]) -> None:
    settings, weights = found
    content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    assert list(settings.select) == [_section(content, "Mux").get(cell, cell) for cell in range(48)]
    assert list(settings.factors) == [_section(content, "Cal").get(cell, 2048) for cell in range(48)]
    buffer = _section(content, "FormatterBuffer")
    if "ConfigAlgo" in content:
        assert settings.keep_mask == buffer.get("keep_auto_encoder_bits", (1 << 144) - 1)
        assert settings.etx_count == buffer.get("active_etxs", 3).bit_count()
    if weights is not None:
        image = b"".join(
            content["Encoder"][block][f"weights_byte{offset}"].to_bytes(6 if offset == 128 else 16, "little")
            for block in range(12)
            for offset in range(0, 144, 16)
            if f"weights_byte{offset}" in content["Encoder"][block]
        )
        assert weights.to_image() == image[: len(weights.to_image())]


def _check_spec(path: Path, spec: Any) -> None:
    table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    written = tomllib.loads(spec.to_toml())
    for key, value in table.items():
        if isinstance(value, dict):
            assert {name: written[key][name] for name in value} == value
        else:
            assert written[key] == value
            assert isinstance(written[key], float) or type(written[key]) is type(value)


def _check_own_spec(path: Path, spec: Any) -> None:
    """As `_check_spec`, of specs that write fields in a form of their own: numbers and names one level down."""
    table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    written = tomllib.loads(spec.to_toml())
    for key, value in table.items():
        if isinstance(value, int | float | str):
            assert written[key] == value, key
    assert type(spec).from_toml(spec.to_toml()) == spec


def _check_chip_settings(path: Path, found: ChipSettings) -> None:
    mux = _section(yaml.safe_load(path.read_text(encoding="utf-8-sig")), "Mux")
    assert list(found.settings.select) == [mux.get(cell, cell) for cell in range(48)]


def _check_concentrator_settings(path: Path, found: ConcentratorSettings) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    buffer = _section(content, "FormatterBuffer")
    assert found.alg_type == _section(content, "ConfigAlgo").get("alg_type", found.alg_type)
    assert found.drop_lsb == _section(content, "AlgoDroplsb").get("drop_lsb", found.drop_lsb)
    for name in ("t1", "t2"):
        assert getattr(found.buffer, name) == buffer.get(f"buff_{name}", getattr(found.buffer, name))


def _registers(path: Path) -> None:
    path.write_text(
        "ConfigAlgo:\n  Global:\n    alg_type: 2\nFormatterBuffer:\n  Global:\n    buff_t1: 7\n    buff_t2: 91\n"
        "AlgoDroplsb:\n  Global:\n    drop_lsb: 3\n"
    )


def _check_registers(path: Path, found: tuple[Any, Mapping[tuple[str, int], int]]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    numbers = []
    waiting = [content]
    while waiting:
        inside = waiting.pop()
        waiting += [value for value in inside.values() if isinstance(value, dict)]
        numbers += [value for value in inside.values() if isinstance(value, int)]
    assert sorted(found[1].values()) == sorted(numbers)


def _check_image_text(path: Path, weights: Weights) -> None:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    image = bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))
    assert weights.to_image() == image[: len(weights.to_image())]
    assert not any(image[len(weights.to_image()) :])


def _check_arrays(path: Path, weights: Weights) -> None:
    with np.load(path) as stored:
        for name in ("kernel", "kernel_bias", "dense", "dense_bias"):
            assert np.array_equal(getattr(weights, name), stored[name])


def _chip_image(path: Path) -> None:
    masks = image_masks(ECON_T)
    save_image(path, ECON_T, {address: (37 * address) & mask for address, mask in masks.items()})


def _check_chip_image(_: Path, image: Mapping[int, int]) -> None:
    # a checksum guards it: what is read is what was written
    assert image == {address: (37 * address) & mask for address, mask in image_masks(ECON_T).items()}


@cache
def _conductances() -> Any:
    return draw(crossbar.PRESETS["SMALL"] if "SMALL" in crossbar.PRESETS else _small_crossbar(), 1)


def _small_crossbar() -> crossbar.CrossbarSpec:
    from sim.lsm_crossbar.example_specs import campaign_spec

    return campaign_spec()


def _write_conductances(path: Path) -> None:
    path.write_bytes(_conductances().write(path.parent).read_bytes())


def _check_conductances(_: Path, found: Any) -> None:
    assert found.sha256 == _conductances().sha256


def _measured(path: Path) -> None:
    spec = _small_crossbar()
    write_measured(path, np.random.default_rng(16).uniform(0, spec.g_max_us, (spec.rows, spec.columns)))


def _check_measured(path: Path, found: Any) -> None:
    """Every code is the number of the file to half a step, or the end of the range."""
    spec = _small_crossbar()
    if path.suffix == ".npz":
        with np.load(path) as stored:
            measured = stored["conductances_us"].astype(float)
    else:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip(" \t")]
        measured = np.array([[float(word) for word in line.split(",")] for line in lines if line.lstrip()[:1] != "#"])
    wanted = np.minimum(measured, spec.code_max * spec.g_lsb_us)
    assert np.abs(found.codes * spec.g_lsb_us - wanted).max() <= spec.g_lsb_us / 2 * (1 + 1e-9)


def _check_model(path: Path, model: TrainedCrossbar) -> None:
    with np.load(path) as stored:
        assert np.array_equal(model.readout.weights, stored["weights"])
        assert np.array_equal(model.readout.bias, stored["bias"])
        assert (model.seed, model.step_us) == (stored["seed"], stored["step_us"])


def _check_field(path: Path, found: ContinualReadout) -> None:
    with np.load(path) as stored:
        assert np.array_equal(found.field, stored["field"])
        assert found.tasks == stored["tasks"]


def _signs() -> crossbar.CrossbarSpec:
    return replace(_small_crossbar(), readout_weight_bits=1)


def _field(path: Path) -> None:
    spec, rng = _signs(), np.random.default_rng(17)
    np.savez(
        path, field=rng.random((spec.outputs, spec.features)), mean=rng.random(spec.features), scale=2.5, tasks=3,
    )  # fmt: skip


def _nir(path: Path) -> None:
    import nir

    spec, rng = _small_crossbar(), np.random.default_rng(18)
    whole = {name: np.ones(spec.neurons) for name in ("tau", "r", "v_threshold")}
    rest = {name: np.zeros(spec.neurons) for name in ("v_leak", "v_reset")}
    nodes = {
        "in": nir.Input({"input": np.array([spec.inputs])}), "w": nir.Linear(rng.random((spec.neurons, spec.inputs))),
        "lif": nir.LIF(**whole, **rest), "out": nir.Output({"output": np.array([spec.neurons])}),
    }  # fmt: skip
    nir.write(path, nir.NIRGraph(nodes, [("in", "w"), ("w", "lif"), ("lif", "out")]))


def _check_nir(path: Path, found: Any) -> None:
    import h5py

    with h5py.File(path) as file:
        (weights,) = [item[()] for item in _datasets(file) if item.name.endswith("/weight")]
    codes = found.conductances.codes
    assert found.spec.inputs == weights.shape[1]
    assert codes.max() == found.spec.code_max
    assert np.isfinite(found.spec.threshold)


def _check_network(path: Path, found: NetworkWeights) -> None:
    with np.load(path) as stored:
        for name, codes in found.weights.items():
            assert np.array_equal(codes, stored[f"weights_{name}"])
            assert np.array_equal(found.biases[name], stored[f"biases_{name}"])


def _network_weights(path: Path) -> None:
    NetworkWeights.random(network.JET_TAGGER, np.random.default_rng(12)).save(path)


def _check_association(path: Path, model: TrainedAssociation) -> None:
    with np.load(path) as stored:
        assert list(model.seeds) == stored["seeds"].tolist()
        for modality, projection in zip(association.MODALITIES, model.projections, strict=True):
            assert np.array_equal(projection.readout.weights, stored[f"{modality}_weights"])
            assert np.array_equal(projection.readout.bias, stored[f"{modality}_bias"])


def _association(path: Path) -> None:
    spec, rng = association.DIGITS_8BIT, np.random.default_rng(13)
    projections = []
    for chip in spec.crossbars:
        readout = Readout(
            chip, rng.integers(-1, 2, (chip.outputs, chip.windows, chip.neurons)), rng.integers(-1, 2, chip.outputs)
        )
        projections.append(Projection(spec, readout, 1))
    TrainedAssociation(
        spec=spec, seeds=(1, 2), conductances_sha256=("0" * 64, "1" * 64), encoding=next(iter(ENCODINGS.values())),
        step_us=1000, cochlea=Cochlea(), projections=(projections[0], projections[1]),
    ).save(path)  # fmt: skip


def _liquid(path: Path) -> None:
    spec, rng = astrocyte.NALSM_216, np.random.default_rng(14)
    drawn = AstrocyteLiquid(draw_network(spec, 3), Arithmetic.CHIP)
    readout = LiquidReadout(spec, rng.integers(-3, 4, (spec.outputs, spec.neurons)))
    TrainedLiquid(spec=spec, seed=3, scale=0.5, plastic=True, weights=drawn.weights, readout=readout).save(path)


def _check_liquid(path: Path, model: TrainedLiquid) -> None:
    with np.load(path) as stored:
        assert (model.seed, model.scale, model.plastic) == (stored["seed"], stored["scale"], bool(stored["plastic"]))
        assert np.array_equal(model.weights, stored["weights"])
        assert np.array_equal(model.readout.weights, stored["readout"])


def _sensitivities(path: Path) -> None:
    rng = np.random.default_rng(15)
    names = ("emd", "emd_change", "emd_shift", "median_change", "changed", "displaced", "energy_change")
    Sensitivity(spec=ECON_T, elinks=4, source="drawn", **{name: rng.random(7) for name in names}).save(path)


def _check_sensitivities(path: Path, found: Sensitivity) -> None:
    with np.load(path) as stored:
        assert (found.elinks, found.source) == (stored["elinks"], stored["source"])
        for name in ("emd", "emd_change", "changed", "displaced"):
            assert np.array_equal(getattr(found, name), stored[name], equal_nan=True)


def _shipped_encoder(path: Path) -> None:
    from sim.hgcal_encoder.learning.decoder import shipped_models as models

    path.write_bytes(next(iter(models().values())).read_bytes())


def _check_decoder(path: Path, model: TrainedModel) -> None:
    with np.load(path) as stored:
        assert (model.elinks, model.kept_bits) == (stored["elinks"], stored["kept_bits"])
        assert np.array_equal(model.multiplexer, stored["multiplexer"])
        assert np.array_equal(model.weights.kernel, stored["kernel"])


def _keras(path: Path) -> None:
    import h5py

    values = _weights().to_float()
    with h5py.File(path, "w") as file:
        for layer, kernel, bias in (("conv2d_0_m", "kernel", "kernel_bias"), ("encoded_vector", "dense", "dense_bias")):
            file[f"{layer}/{layer}/kernel:0"] = values[kernel].astype(np.float32)
            file[f"{layer}/{layer}/bias:0"] = values[bias].astype(np.float32)


def _check_keras(path: Path, found: Any) -> None:
    import h5py

    with h5py.File(path) as file:
        kernels = [item[()] for item in _datasets(file) if item.shape == found.weights.kernel.shape]
    assert any(np.array_equal(found.weights.to_float()["kernel"], kernel) for kernel in kernels)


def _datasets(group: Any) -> list[Any]:
    found = []
    for name in group:
        try:
            item = group[name]
        except KeyError:  # damaged, and none that was read
            continue
        found += _datasets(item) if hasattr(item, "keys") else [item]
    return found


def _pool(path: Path) -> None:
    rng = np.random.default_rng(5)
    np.savez_compressed(
        path, kind=rng.integers(0, 3, 9).astype(np.uint8), E=rng.random(9).astype(np.float16) + 1,
        xy=rng.integers(-1500, 1500, (9, 2)).astype(np.int16), t=rng.integers(-9000, 9000, (9, 2)).astype(np.int16),
        off=np.array([0, 4, 9], np.int32),
    )  # fmt: skip


def _draw_pool(path: Path) -> Any:
    _particle_pool.cache_clear()
    return TopPairs(pool=path).draw(np.random.default_rng(1))


def _check_particles(_: Path, particles: Any) -> None:
    assert np.isfinite(particles.energy_gev).all()
    assert (particles.energy_gev >= 0).all()


# netlists and libraries


def _library(path: Path) -> PowerLibrary:
    library = read_power_library([path])
    for name in library:  # a cell is read when it is asked for
        library[name]
    return library


def _check_library(path: Path, library: PowerLibrary) -> None:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(errors="replace"), flags=re.DOTALL)
    for name in library:
        cell = library[name]
        assert np.isfinite(cell.area_um2)
        found = re.search(rf'cell\s*\(\s*"?{re.escape(name)}"?\s*\)\s*\{{[^{{}}]*?\barea\s*:\s*"?([^\s;"]+)', text)
        if found and text.count(f"({name})") == 1:
            assert cell.area_um2 == float(found[1])
        for arc in cell.power:
            for table in (arc.rise, arc.fall):
                assert table is None or np.isfinite(table.values).all()


def _length(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _check_lef(path: Path, lef: Lef) -> None:
    text = " ".join(line.partition("#")[0] for line in path.read_text(errors="replace").splitlines())
    words = text.split()
    for name, macro in lef.macros.items():
        sizes = {
            (_length(words[i + 1]), _length(words[i + 3]))
            for i, word in enumerate(words[:-4])
            if word == "SIZE" and words[i + 2] == "BY" and words[i + 4].startswith(";")
        }
        assert (macro.width_um, macro.height_um) in sizes, name
        assert macro.width_um > 0
        assert macro.height_um > 0
    for layer in lef.layers:
        assert all(
            np.isfinite(value) and value >= 0 for value in (layer.pitch_um, layer.width_um, layer.ff_per_um or 0.0)
        )


@cache
def _chain() -> tuple[Netlist, PowerLibrary]:
    liberty = [SAMPLES / "cells.lib"]
    return read_netlist(SAMPLES / "chain.v", liberty=liberty), read_power_library(liberty)


def _check_netlist(path: Path, netlist: Netlist) -> None:
    text = path.read_text(errors="replace")
    for cell in range(netlist.cells):
        assert netlist.cell_name(cell).rpartition(".")[2] in text
    for group in netlist.groups.values():
        for pin in ("A", "Y", "D", "CK", "RN", "Q"):
            if pin in group.pins:
                assert (group.pin(pin) < netlist.nets).all()


def _check_spef(path: Path, found: tuple[np.ndarray, float]) -> None:
    wires, share = found
    netlist, _ = _chain()
    assert np.isfinite(wires).all()
    assert (wires >= 0).all()
    assert share > 0
    text = path.read_text(errors="replace")
    unit = re.search(r"^\s*\*C_UNIT\s+(\S+)\s+(\S+)\s*(?://.*)?$", text, re.MULTILINE)
    total = re.search(r"^\s*\*D_NET\s+q\s+(\S+)\s*(?://.*)?$", text, re.MULTILINE)
    if unit and total and text.count("*C_UNIT") == 1 and unit[2].upper() == "PF" and "PIN_CAP NONE" in text:
        q = netlist.net_names.index("q")
        assert wires[q] == float(Decimal(total[1]) * Decimal(unit[1]) * 1000) or np.isclose(
            wires[q], float(total[1]) * float(unit[1]) * 1000
        )


def _check_vcd(_: Path, activity: Activity) -> None:
    assert activity.duration_ns > 0
    assert activity.period_ns > 0
    for values in (activity.toggles_per_ns, activity.duty):
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert (activity.duty <= 1 + 1e-9).all()


def _metrics(path: Path) -> None:
    rows = [record(f"a__b__case:{n}", 1.5 * n, "um^2", "by hand", command="none") for n in range(3)]
    write_metrics(path, rows)


def _check_metrics(path: Path, metrics: Sequence[Metric]) -> None:
    assert [metric.value for metric in metrics] == [row["value"] for row in json.loads(path.read_bytes())]


def _netlist_json(path: Path) -> None:
    path.write_text((SAMPLES / "chain.json").read_text())


def _placement(path: Path) -> None:
    rng = np.random.default_rng(19)
    places = {name: rng.random(4) for name in ("x_um", "y_um", "width_um", "height_um")}
    Placement(
        **places, core_um=(9.0, 7.0), utilisation=0.5, hpwl_um=rng.random(3), pins=np.array([2, 3, 2]),
        boxes_um=rng.random((3, 4)), seconds=1.5, peak_memory_bytes=1000,
    ).save(path)  # fmt: skip


def _check_placement(path: Path, found: Placement) -> None:
    with np.load(path) as stored:
        for name in ("x_um", "y_um", "width_um", "height_um", "core_um", "hpwl_um", "pins", "boxes_um"):
            assert np.array_equal(getattr(found, name), stored[name], equal_nan=True), name


def _repairs(path: Path) -> None:
    buffers = [Buffer(type="BUF", stage=n, source=n + 2, target=n + 9, x_um=1.5, y_um=2.5) for n in range(2)]
    save_repairs(path, [
        Repair(cells=4, nets=9, resized=((1, "INV"),), buffers=tuple(buffers), moved_pins=((2, "A", 9),),
               moved_ports=(("q", 0, 10),), left=1),
    ])  # fmt: skip


def _check_repairs(path: Path, found: Sequence[Repair]) -> None:
    rows = json.loads(path.read_text())
    assert [(repair.cells, repair.nets, repair.left) for repair in found] == [
        (row["cells"], row["nets"], row["left"]) for row in rows
    ]
    for repair, row in zip(found, rows, strict=True):
        assert [asdict(buffer) for buffer in repair.buffers] == row["buffers"]
        assert [list(moved) for moved in repair.moved_pins] == row["moved_pins"]


def _design(path: Path) -> None:
    design = EncoderDesign.of(ECON_T)
    path.write_text(design.to_toml())


# commands


def _words_csv(path: Path) -> None:
    rng = np.random.default_rng(7)
    vectors.write_words(path, rng.integers(0, 1 << 28, (6, 12)) | 1 << 28)


READERS = {
    "charges_csv": Reader(
        title="charges, CSV",
        samples=(_made("a.csv", _csv_charges), _made("a.csv.gz", _csv_gz)),
        read=read_charge_table,
        check=_check_csv,
    ),
    "charges_parquet": Reader(
        title="charges, Parquet",
        read=read_charge_table,
        check=_check_parquet,
        samples=(_made("a.parquet", partial(_parquet, lists=False)), _made("b.parquet", partial(_parquet, lists=True))),
    ),
    "charges_root": Reader(
        title="charges, ROOT",
        read=read_charge_table,
        check=_check_range,
        tries=150,
        samples=(_made("a.root", partial(_root, new=False)), _made("b.root", partial(_root, new=True))),
    ),
    "words_csv": Reader(
        title="words of links, CSV", samples=(_made("w.csv", _words_csv),), read=vectors.read_words, check=_check_words
    ),
    "settings_yaml": Reader(
        title="settings of ECON-T, YAML",
        read=load_settings,
        check=_check_settings,
        tries=150,
        samples=(
            _made("p.yaml", partial(_settings, order=WordOrder.PRODUCTION, weights=False)),
            _made("q.yaml", partial(_settings, order=WordOrder.PRODUCTION, weights=True)),
            _made("r.yaml", partial(_settings, order=WordOrder.P1, weights=False)),
        ),
    ),
    "spec_encoder": Reader(
        title="spec of an encoder, TOML",
        read=lambda path: load_spec(str(path)),
        check=_check_spec,
        samples=(_made("s.toml", lambda path: path.write_text(replace(ECON_T, name="S").to_toml())),),
    ),
    "spec_crossbar": Reader(
        title="spec of a crossbar, TOML",
        read=lambda path: crossbar.load_spec(str(path)),
        check=_check_spec,
        samples=(_made("s.toml", lambda path: path.write_text(_small_crossbar().to_toml())),),
    ),
    "spec_network": Reader(
        title="spec of a network, TOML",
        read=lambda path: network.load_spec(str(path)),
        check=_check_own_spec,
        tries=300,
        samples=(_made("s.toml", lambda path: path.write_text(replace(network.JET_TAGGER, name="S").to_toml())),),
    ),
    "spec_astrocyte": Reader(
        title="spec of an astrocyte liquid, TOML",
        read=lambda path: astrocyte.load_spec(str(path)),
        check=_check_own_spec,
        tries=300,
        samples=(_made("s.toml", lambda path: path.write_text(replace(astrocyte.NALSM_216, name="S").to_toml())),),
    ),
    "spec_association": Reader(
        title="spec of an association chip, TOML",
        read=lambda path: association.load_association(str(path)),
        check=_check_own_spec,
        tries=300,
        samples=(_made("s.toml", lambda path: path.write_text(replace(association.DIGITS_8BIT, name="S").to_toml())),),
    ),
    "settings_algorithms": Reader(
        title="settings of any algorithm, YAML",
        read=load_chip_settings,
        check=_check_chip_settings,
        tries=300,
        samples=(_made("p.yaml", _registers),),
    ),
    "registers": Reader(
        title="registers of the whole chip, YAML",
        read=read_registers,
        check=_check_registers,
        tries=300,
        samples=(_made("r.yaml", _registers),),
    ),
    "spec_concentrator": Reader(
        title="spec of a concentrator, TOML",
        read=lambda path: concentrator.load_spec(str(path)),
        check=_check_own_spec,
        tries=300,
        samples=(_made("s.toml", lambda path: path.write_text(concentrator.ECON_T_PRODUCTION.to_toml())),),
    ),
    "spec_links": Reader(
        title="spec of serial links, TOML",
        read=lambda path: load_preset(str(path), {}, LinkSpec.from_toml),
        check=_check_own_spec,
        tries=300,
        samples=(_made("s.toml", lambda path: path.write_text(LinkSpec().to_toml())),),
    ),
    "settings_concentrator": Reader(
        title="settings of the concentrator, YAML",
        read=lambda path: load_concentrator_settings(path, concentrator.ECON_T_PRODUCTION),
        check=_check_concentrator_settings,
        tries=300,
        samples=(_made("p.yaml", _registers),),
    ),
    "placement": Reader(
        title="placement of a result folder, NPZ",
        read=Placement.load,
        check=_check_placement,
        tries=300,
        samples=(_made("p.npz", _placement),),
    ),
    "repairs": Reader(
        title="repairs of a result folder, JSON",
        read=load_repairs,
        check=_check_repairs,
        tries=300,
        samples=(_made("r.json", _repairs),),
    ),
    "design": Reader(
        title="design of a result folder, TOML",
        read=lambda path: load_design(path.parent),
        tries=300,
        check=lambda path, design: _check_spec_name(path, design),
        samples=(_made("design.toml", _design),),
    ),
    "weights_text": Reader(
        title="weight image, text",
        read=lambda path: Weights.load(path, ECON_T),
        check=_check_image_text,
        samples=(_made("w.hex", lambda path: _weights().save(path)),),
    ),
    "weights_npz": Reader(
        title="weights, NPZ",
        read=lambda path: Weights.load(path, ECON_T),
        check=_check_arrays,
        samples=(_made("w.npz", lambda path: _weights().save_arrays(path)),),
    ),
    "chip_image": Reader(
        title="image of the chip, text",
        read=lambda path: load_image(path, ECON_T),
        check=_check_chip_image,
        samples=(_made("i.txt", _chip_image),),
    ),
    "model_encoder": Reader(
        title="trained encoder, NPZ",
        read=TrainedModel.load,
        check=_check_decoder,
        tries=300,
        samples=(_made("m.npz", _shipped_encoder),),
    ),
    "keras_hdf5": Reader(
        title="Keras model, HDF5",
        read=lambda path: read_keras_encoder(path, ECON_T),
        check=_check_keras,
        samples=(_made("k.h5", _keras),),
    ),
    "pool": Reader(
        title="pool of particles, NPZ", samples=(_made("p.npz", _pool),), read=_draw_pool, check=_check_particles
    ),
    "recording_bs2": Reader(
        title="recording, N-MNIST",
        read=read_recording,
        check=_check_events,
        samples=(_made("r.bs2", lambda path: write_nmnist(path, _events())),),
    ),
    "recording_aedat": Reader(
        title="recording, AEDAT 2.0 and 3.1",
        read=read_recording,
        check=_check_events,
        samples=(_made("r.aedat", _aedat2), _made("s.aedat", _aedat3)),
    ),
    "recording_aedat4": Reader(
        title="recording, AEDAT 4.0",
        read=read_recording,
        check=_check_events,
        samples=(_file("events.aedat4"),),
        tries=60,
    ),
    "recording_numpy": Reader(
        title="recording, NPZ and NPY",
        read=read_recording,
        check=_check_events,
        samples=(_made("r.npz", _numpy_events), _made("r.npy", _numpy_events)),
    ),
    "recording_prophesee": Reader(
        title="recording, DAT, EVT 2.0 and 3.0",
        read=read_recording,
        check=_check_prophesee,
        samples=(_made("e.dat", _prophesee), _made("evt2.raw", _prophesee), _made("evt3.raw", _prophesee)),
    ),
    "sound": Reader(
        title="sound, WAV", samples=(_made("one.wav", _wav), _made("two.wav", _wav)), read=read_wav, check=_check_wav
    ),
    "speech_hdf5": Reader(
        title="spoken digits as events, HDF5",
        samples=(_made("shd.h5", _speech), _made("ntidigits.h5", _speech)),
        read=_read_speech,
        check=_check_spoken,
    ),
    "speech_npz": Reader(
        title="spoken words, NPZ", samples=(_made("s.npz", _spoken),), read=read_spoken, check=_check_spoken, tries=300
    ),
    "digits": Reader(
        title="digits, IDX and NPZ",
        samples=(_made("d.npz", _digits), _made("train-images-idx3-ubyte", _digits)),
        read=_read_digits,
        check=_check_digits,
        tries=300,
    ),
    "labels": Reader(title="labels, text", samples=(_file("labels.txt"),), read=read_labels, check=_check_labels),
    "conductances": Reader(
        title="conductances of a crossbar, text",
        read=read_conductances,
        check=_check_conductances,
        samples=(_made("c.mem", _write_conductances),),
    ),
    "conductances_measured": Reader(
        title="measured conductances, CSV and NPZ",
        read=lambda path: read_measured(path, _small_crossbar()),
        check=_check_measured,
        tries=300,
        samples=(_made("c.csv", _measured), _made("c.npz", _measured)),
    ),
    "model_crossbar": Reader(
        title="trained crossbar, NPZ",
        read=TrainedCrossbar.load,
        check=_check_model,
        tries=300,
        samples=(_made("m.npz", lambda path: path.write_bytes(shipped_models()["n_mnist"].read_bytes())),),
    ),
    "readout_continual": Reader(
        title="readout that goes on learning, NPZ",
        read=lambda path: ContinualReadout.load(path, _signs()),
        check=_check_field,
        tries=300,
        samples=(_made("f.npz", _field),),
    ),
    "graph_nir": Reader(
        title="liquid of other simulators, NIR",
        read=lambda path: read_liquid(path, _small_crossbar(), step_s=0.5, name="N"),
        check=_check_nir,
        tries=300,
        samples=(_made("g.nir", _nir),),
    ),
    "weights_network": Reader(
        title="weights of a network, NPZ",
        read=NetworkWeights.load,
        check=_check_network,
        tries=150,
        samples=(_made("n.npz", _network_weights),),
    ),
    "model_association": Reader(
        title="trained association chip, NPZ",
        read=TrainedAssociation.load,
        check=_check_association,
        tries=150,
        samples=(_made("a.npz", _association),),
    ),
    "model_liquid": Reader(
        title="trained astrocyte liquid, NPZ",
        read=TrainedLiquid.load,
        check=_check_liquid,
        tries=150,
        samples=(_made("l.npz", _liquid),),
    ),
    "sensitivities": Reader(
        title="sensitivities of latents, NPZ",
        read=Sensitivity.load,
        check=_check_sensitivities,
        tries=300,
        samples=(_made("s.npz", _sensitivities),),
    ),
    "liberty": Reader(title="cells, Liberty", samples=(_file("cells.lib"),), read=_library, check=_check_library),
    "lef": Reader(
        title="layouts of cells, LEF",
        samples=(_file("cells.lef"),),
        read=lambda path: read_lef([path]),
        check=_check_lef,
    ),
    "verilog": Reader(
        title="netlist, Verilog",
        samples=(_file("chain.v"),),
        check=_check_netlist,
        tries=60,
        read=lambda path: read_netlist(path, liberty=[SAMPLES / "cells.lib"]),
    ),
    "netlist_json": Reader(
        title="netlist, JSON of yosys",
        samples=(_made("chain.json", _netlist_json),),
        check=_check_netlist,
        read=lambda path: read_netlist(path, liberty=[SAMPLES / "cells.lib"]),
    ),
    "vcd": Reader(
        title="activity, VCD",
        samples=(_file("chain.vcd"),),
        check=_check_vcd,
        read=lambda path: read_vcd(path, *_chain(), clock="ck"),
    ),
    "spef": Reader(
        title="wires, SPEF",
        samples=(_file("chain.spef"),),
        check=_check_spef,
        read=lambda path: read_spef(path, *_chain()),
    ),
    "metrics": Reader(
        title="metrics, JSON", samples=(_made("m.json", _metrics),), read=read_metrics, check=_check_metrics
    ),
}


def _check_spec_name(path: Path, design: Any) -> None:
    table = tomllib.loads(path.read_text())
    assert design.spec.name == table.get("name", design.spec.name)


# ---- trying ----------------------------------------------------------------------------------------------------------

OUTCOMES = ("read", "refused", "crash", "traceback", "hang", "memory", "wrong")


@dataclass(kw_only=True)
class Tried:
    """What became of the inputs of one reader or command.

    Attributes
    ----------
    counts : Counter of str
        By outcome.
    faults : list of (str, str, str)
        The input, outcome and what was seen, of all that is a fault.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str, str]] = field(default_factory=list)


def confine() -> None:
    """Let this process, a fork, take no more than `MEMORY_BYTES` beyond what it has, and leave no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def forked() -> int:
    """`os.fork`, without the warning about threads of libraries, which a child here does not use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def damaged(reader: Reader, number: int, seed: int, folder: Path) -> Path:
    """Input `number` of a campaign, written into `folder`."""
    rng = random.Random(f"{reader.title}/{seed}/{number}")
    path = reader.samples[rng.randrange(len(reader.samples))](folder)
    damages = _draw(rng)
    content = path.read_bytes()
    path.write_bytes(_inside(content, damages) if rng.random() < 0.7 else mutated(content, damages))
    return path


def outcome(reader: Reader, path: Path) -> tuple[str, str]:
    """What a reader makes of a file, and what was seen if that is a fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = reader.read(path)
    except MemoryError as error:
        return "memory", repr(error)
    except reader.errors as error:
        text = str(error)
        rest = text.replace(str(path), "")
        long = len(rest) > LONGEST or max(map(len, rest.split()), default=0) > LONGEST_WORD
        if "\n" in text or long or path.name not in text:
            return "traceback", f"a message that is long or names no file: {text[:200]!r}"
        return "refused", text
    except BaseException as error:  # whatever is no refusal is a fault
        return "traceback", f"{type(error).__name__}: {str(error)[:300]}"
    try:
        reader.check(path, found)
    except BaseException as error:
        return "wrong", f"{type(error).__name__}: {str(error)[:300]}"
    return "read", ""


def tried(reader: Reader, count: int, seed: int, first: int = 0) -> Tried:
    """Damage files and read them, in a process that may crash, hang or take too much memory without harm.

    Raises
    ------
    ValueError
        The reader does not read one of its good files.
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-fuzz-") as folder:
        for sample in reader.samples:
            # what is imported and compiled here needs no time later
            what, seen = outcome(reader, sample(Path(folder)))
            if what != "read":
                raise ValueError(f"{reader.title}: a good file is {what}: {seen}")
    result = Tried()
    start = first
    while start < first + count:
        ahead, behind = os.pipe()
        child = forked()
        if not child:
            os.close(ahead)
            _work(reader, range(start, first + count), seed, behind)
        os.close(behind)
        start = _watch(child, ahead, range(start, first + count), result)
        os.close(ahead)
    return result


def _work(reader: Reader, numbers: range, seed: int, pipe: int) -> None:
    """Child: a line for each input."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    confine()
    code = 0
    try:
        with tempfile.TemporaryDirectory(prefix="liquidcal-fuzz-") as folder:
            # a reader that refuses all files under these limits would look faultless
            if any(outcome(reader, sample(Path(folder)))[0] != "read" for sample in reader.samples):
                os._exit(72)
            for number in numbers:
                path = damaged(reader, number, seed, Path(folder))
                what, seen = outcome(reader, path)
                line = json.dumps([number, what, "" if what == "refused" else seen])
                os.write(pipe, line.encode() + b"\n")
    except BaseException:
        code = 71
    finally:
        os._exit(code)


def _watch(child: int, pipe: int, numbers: range, result: Tried) -> int:
    """Read a child's lines until it ends; the number of the next input."""
    text, number = b"", numbers.start
    ended = ""
    while True:
        ready, _, _ = select.select([pipe], [], [], SECONDS)
        if not ready:
            os.kill(child, signal.SIGKILL)
            ended = "hang"
            break
        part = os.read(pipe, 1 << 16)
        if not part:
            break
        text += part
        *lines, text = text.split(b"\n")
        for line in lines:
            number, what, seen = json.loads(line)
            result.counts[what] += 1
            if what not in ("read", "refused"):
                result.faults.append((str(number), what, seen))
            number += 1
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if ended or number < numbers.stop:  # a library may even end the process as if all were well
        result.counts[ended or "crash"] += 1
        result.faults.append((str(number), ended or "crash", f"exit code {code}"))
        number += 1
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("readers", nargs="*", choices=[*READERS, []], help="all if left out")
    parser.add_argument("--share", type=float, default=1.0, help="part of the inputs of the long campaign")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-result", action="store_true", help="print only")
    options = parser.parse_args()
    for name in options.readers or list(READERS):
        reader = READERS[name]
        began = time.monotonic()
        found = tried(reader, max(1, round(options.share * reader.tries)), options.seed)
        print(f"{name}: {dict(found.counts)} in {time.monotonic() - began:.0f} s", flush=True)
        for number, what, seen in found.faults[:5]:
            print(f"  {number} {what}: {seen}", flush=True)
        rows = []
        for what in ("inputs", *OUTCOMES):
            value = sum(found.counts.values()) if what == "inputs" else found.counts[what]
            method = f"{reader.title}: seed {options.seed}"
            rows.append(record(f"{what}__case:{name}", value, "", method, command=COMMAND))
        if not options.no_result:
            others = kept(RESULT, lambda metric, name=name: metric.name.endswith(f"__case:{name}"))
            write_metrics(RESULT, [*others, *rows])


if __name__ == "__main__":
    main()
