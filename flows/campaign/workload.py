"""What the chip does while faults are injected: real showers at every crossing, and a conversation over I2C."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.stimulus.i2c import Waveform, waveform
from flows.stimulus.showers import shower_stimulus
from sim.fixed_point import IntArray
from sim.hgcal_encoder.configuration.chip_registers import (
    DEVICE_ADDRESS,
    LOAD_COMMIT,
    Loading,
    chip_fields,
    image_bytes,
    image_checksum,
    image_fields,
    image_masks,
)
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_models
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import HEADER, ORBIT_HEADER

__all__ = ["Read", "Workload", "make_workload"]

_DROP_LSB = 0xA5
"""Written over the bus: a register without effect on frames."""
_STREAMS, _CROSSINGS = 16, 16
_IDLE = 24
"""Crossings before the first transfer and after the last one."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """Bytes that the controller reads.

    Attributes
    ----------
    looks : ndarray of int, shape (bytes, 8)
        Crossing in which each bit is sampled, most significant bit first.
    expected : bytes
        By the register map.
    """

    looks: npt.NDArray[np.int64]
    expected: bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """Crossings with what goes in and what has to come out.

    Attributes
    ----------
    spec : EncoderSpec
    loading : Loading
    settings, weights : Settings, Weights
        Held by the chip from the start.
    words : ndarray of uint32, shape (crossings, 12)
        Crossing 0 carries the orbit header.
    scl, sda : ndarray of int64, shape (crossings,)
        Levels of the controller.
    reads : tuple of Read
    acknowledged : ndarray of int
        Crossings in which the target has to pull SDA low.
    frames : ndarray of uint32, shape (crossings, 13)
        By the golden model.
    source : str
        Where words and weights come from.
    """

    spec: EncoderSpec
    loading: Loading
    settings: Settings
    weights: Weights
    words: npt.NDArray[np.uint32]
    scl: npt.NDArray[np.int64]
    sda: npt.NDArray[np.int64]
    reads: tuple[Read, ...]
    acknowledged: npt.NDArray[np.int64]
    frames: npt.NDArray[np.uint32]
    source: str

    @property
    def crossings(self) -> int:
        """Crossings from the first to the last."""
        return len(self.words)

    @property
    def image(self) -> dict[int, int]:
        """Bytes that the chip holds from the start, by address."""
        return image_bytes(self.spec, self.settings, self.weights)

    def digest(self) -> str:
        """SHA-256 of everything that goes in and has to come out."""
        found = hashlib.sha256()
        expected = [array for read in self.reads for array in (read.looks, np.frombuffer(read.expected, np.uint8))]
        for array in (self.words, self.scl, self.sda, self.frames, self.acknowledged, *expected):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()


def make_workload(spec: EncoderSpec, loading: Loading, *, seed: int = 1, elinks: int = 5) -> Workload:
    """Showers of top pairs at pile-up 200 and a conversation over I2C.

    The network is the shipped one of the preset, or random where none is shipped. The words of modules all over the
    endcap follow one another and repeat. Over the bus a register is written and read back and control is read; with
    guarded loading the image is committed again in between.

    Parameters
    ----------
    spec : EncoderSpec
    loading : Loading
    seed : int
        Of particles, modules, and random weights.
    elinks : int
        eTx links of the shipped network.
    """
    name = f"{spec.name.lower()}_{elinks}elinks"
    model = TrainedModel.load(name) if name in shipped_models() else None
    if model is not None and model.spec != spec:
        model = None
    select: IntArray | None = None if model is None else model.multiplexer
    stimulus = shower_stimulus(
        spec, streams=_STREAMS, crossings=_CROSSINGS, seed=seed, select=select, etx_count=elinks,
        keep_mask=None if model is None else model.keep_mask,
    )  # fmt: skip
    weights = Weights.random(spec, np.random.default_rng(seed)) if model is None else model.weights
    settings = stimulus.settings[0]
    transfers, reads, acknowledged = _conversation(spec, loading, settings, weights)
    crossings = len(transfers.scl)
    # 16 crossings of every module in turn; numbers of crossings repeat with them
    block = stimulus.words.reshape(-1, stimulus.words.shape[2])
    words = block[np.arange(crossings) % len(block)].copy()
    words[:, 0] = words[:, 0] & np.uint32(0x0FFF_FFFF) | np.uint32(HEADER << 28)
    words[0, 0] = words[0, 0] & np.uint32(0x0FFF_FFFF) | np.uint32(ORBIT_HEADER << 28)
    return Workload(
        spec=spec,
        loading=loading,
        settings=settings,
        weights=weights,
        words=words,
        scl=transfers.scl,
        sda=transfers.sda,
        reads=reads,
        acknowledged=acknowledged,
        frames=Encoder(spec, weights, settings).frames(words),
        source=f"{stimulus.source}; weights: {name if model is not None else f'random, seed {seed}'}",
    )


def _conversation(
    spec: EncoderSpec, loading: Loading, settings: Settings, weights: Weights
) -> tuple[Waveform, tuple[Read, ...], npt.NDArray[np.int64]]:
    """Levels of the lines, what is read, and where the target acknowledges."""
    fields = {field.name: field for field in chip_fields(spec, loading)}
    dropped = next(field for field in image_fields(spec) if field.name == "drop_lsb").address
    before = image_bytes(spec, settings, weights)
    image = {address: _DROP_LSB if address == dropped else byte for address, byte in before.items()}
    scl, sda = [np.ones(_IDLE, np.int64)], [np.ones(_IDLE, np.int64)]
    reads: list[Read] = []
    acknowledged: list[int] = []

    def add(wave: Waveform, sent: list[int], expected: bytes = b"") -> None:
        start = sum(map(len, scl))
        bits = wave.looks + start
        place = 0
        for count in sent:
            acknowledged.extend(int(look) for look in bits[place + 8 : place + 9 * count : 9])
            place += 9 * count
        if expected:
            rows = bits[place : place + 9 * len(expected)].reshape(-1, 9)
            reads.append(Read(looks=rows[:, :8], expected=expected))
        scl.append(wave.scl)
        sda.append(wave.sda)

    def write(address: int, data: bytes) -> None:
        add(waveform((bytes([DEVICE_ADDRESS << 1]) + address.to_bytes(2, "big") + data, 0)), [3 + len(data)])

    def read(address: int, expected: bytes) -> None:
        first = bytes([DEVICE_ADDRESS << 1]) + address.to_bytes(2, "big")
        wave = waveform((first, 0), (bytes([DEVICE_ADDRESS << 1 | 1]), len(expected)))
        add(wave, [3, 1], expected)

    def idle(count: int) -> None:
        scl.append(np.ones(count, np.int64))
        sda.append(np.ones(count, np.int64))

    write(dropped, bytes([_DROP_LSB]))
    if loading is Loading.GUARDED:
        write(fields["load_checksum"].address, image_checksum(image).to_bytes(4, "little"))
        write(fields["load_command"].address, bytes([LOAD_COMMIT]))
        addresses = list(image_masks(spec))
        idle(2 * (addresses[-1] - addresses[0] + 2) + 32)
        read(fields["load_status"].address, b"\x03")
    read(dropped, bytes([_DROP_LSB]))
    # the byte with clear_errors in bit 0 and run in bit 1
    read(fields["run"].address, b"\x02")
    idle(_IDLE)
    return (
        Waveform(np.concatenate(scl), np.concatenate(sda), np.zeros(0, np.int64)),
        tuple(reads),
        np.array(acknowledged),
    )
