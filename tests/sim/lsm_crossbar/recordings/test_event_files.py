"""DAT, EVT 2.0 and EVT 3.0 files, packed here by hand from the published layouts; polarities of NumPy containers."""

import struct
from pathlib import Path

import numpy as np
import pytest

from sim.lsm_crossbar.recordings.events import read_recording

EVENTS = [(3, 7, 1, 5), (0, 0, 0, 70), (319, 239, 1, 70), (319, 200, 0, 1_000_000), (12, 34, 1, 70_000_001)]
"""Column, row, polarity, time in us."""
SENSOR = (320, 240)


def check(path: Path, events: list[tuple[int, int, int, int]]) -> None:
    found = read_recording(path, sensor=SENSOR)
    assert (
        list(zip(found.x.tolist(), found.y.tolist(), found.on.astype(int).tolist(), found.t_us.tolist(), strict=True))
        == events
    )


def test_dat(tmp_path: Path) -> None:
    head = b"% Data file containing CD events.\n% Version 2\n% Width 320\n"
    body = b"".join(struct.pack("<II", t, x | y << 14 | p << 28) for x, y, p, t in EVENTS)
    path = tmp_path / "a.dat"
    path.write_bytes(head + bytes([12, 8]) + body)
    check(path, EVENTS)
    path.write_bytes(head + bytes([12, 8]) + body[:-3])
    with pytest.raises(ValueError, match="truncated: event 4 has 5 of its 8 bytes"):
        read_recording(path, sensor=SENSOR)
    path.write_bytes(head + bytes([40, 8]) + body)
    with pytest.raises(ValueError, match="expected events of type 0 or 12 with 8 bytes, got type 40 with 8"):
        read_recording(path, sensor=SENSOR)
    path.write_bytes(head)
    with pytest.raises(ValueError, match="got the end of the file"):
        read_recording(path, sensor=SENSOR)


def test_evt2(tmp_path: Path) -> None:
    words = [1 << 28 | 5 << 11 | 6]  # before any time: not an event
    for x, y, p, t in EVENTS:
        words += [8 << 28 | t >> 6, p << 28 | (t & 63) << 22 | x << 11 | y, 0xA << 28 | 77]
    path = tmp_path / "a.raw"
    head = b"% evt 2.0\n% format EVT2;height=240;width=320\n% end\n"
    path.write_bytes(head + struct.pack(f"<{len(words)}I", *words))
    check(path, EVENTS)
    # old headers have no format line
    path.write_bytes(b"% evt 2.0\n" + struct.pack(f"<{len(words)}I", *words))
    check(path, EVENTS)
    path.write_bytes(head + b"abc")
    with pytest.raises(ValueError, match="truncated: word 0 has 3 of its 4 bytes"):
        read_recording(path, sensor=SENSOR)
    path.write_bytes(b"% format EVT21\n% end\n")
    with pytest.raises(ValueError, match="expected the format EVT2 or EVT3 in the header, got '21'"):
        read_recording(path, sensor=SENSOR)
    path.write_bytes(b"% format EVT2")
    with pytest.raises(ValueError, match="the header has no end"):
        read_recording(path, sensor=SENSOR)


def test_evt3_single_events_vectors_and_a_clock_that_wraps(tmp_path: Path) -> None:
    words = [0x2 << 12 | 9]  # before any time
    events = [e for e in EVENTS if e[3] < 1 << 24]
    for x, y, p, t in events:
        words += [0x8 << 12 | t >> 12, 0x6 << 12 | t & 0xFFF, y, 0x2 << 12 | p << 11 | x, 0xE << 12 | 3]
    t = (1 << 24) - 100
    words += [0x8 << 12 | t >> 12, 0x6 << 12 | t & 0xFFF, 0 << 12 | 20, 0x3 << 12 | 1 << 11 | 100]
    words += [0x4 << 12 | 0b1000_0000_0001, 0x5 << 12 | 0b0000_0010]
    vectors = [(100, 20, 1, t), (111, 20, 1, t), (113, 20, 1, t)]
    # the clock begins again
    words += [0x8 << 12 | 0, 0x6 << 12 | 5, 0x2 << 12 | 8]
    path = tmp_path / "a.raw"
    path.write_bytes(b"% format EVT3\n% end\n" + struct.pack(f"<{len(words)}H", *words))
    check(path, [*events, *vectors, (8, 20, 0, (1 << 24) + 5)])


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float32])
def test_polarity_minus_one_is_off(tmp_path: Path, kind: type) -> None:
    p = np.array([1, -1, -1, 1], kind)
    rest = {"x": np.arange(4), "y": np.arange(4), "t": np.arange(4)}
    np.savez(tmp_path / "a.npz", p=p, **rest)
    assert read_recording(tmp_path / "a.npz").on.tolist() == [True, False, False, True]
    np.savez(tmp_path / "a.npz", p=np.array([1, -1, 0, 1], kind), **rest)
    with pytest.raises(ValueError, match="event 2: polarity must be -1 or 1, as other events have it, got 0"):
        read_recording(tmp_path / "a.npz")


def test_structured_array_as_tonic_writes_it(tmp_path: Path) -> None:
    """tonic's own dtype: x and y int16, t int64, p bool, in the order x, y, t, p."""
    table = np.array([(1, 2, 10, True), (3, 4, 20, False)], [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
    np.save(tmp_path / "a.npy", table)
    found = read_recording(tmp_path / "a.npy")
    assert found.on.tolist() == [True, False]
    assert found.t_us.tolist() == [10, 20]
