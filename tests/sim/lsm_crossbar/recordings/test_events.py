"""Readers of event-camera recordings, encodings, and the event camera against real recordings."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sim.lsm_crossbar.recordings.event_camera import SACCADES_US, TRAJECTORY, EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import (
    ENCODINGS,
    Encoding,
    Events,
    encode,
    encode_all,
    find_recordings,
    read_labels,
    read_recording,
    write_nmnist,
)
from tests.conftest import need, need_module


@pytest.fixture(scope="module")
def recordings(shared_data: Path) -> Path:
    folder = shared_data / "lsm" / "nmnist_train1000"
    need(folder.is_dir(), f"N-MNIST recordings at {folder}")
    return folder


def events(*rows: tuple[int, int, int, int]) -> Events:
    x, y, on, t_us = np.array(rows, np.int64).reshape(-1, 4).T
    return Events(x=x, y=y, on=on == 1, t_us=t_us)


def table(found: Events) -> list[tuple[int, int, int, int]]:
    return [tuple(map(int, row)) for row in zip(found.x, found.y, found.on, found.t_us, strict=True)]


# ------------------------------------------------------------------------------------------------- five bytes
def test_nmnist_bytes_by_hand(tmp_path: Path) -> None:
    """Bits 39-32 column, 31-24 row, 23 polarity, 22-0 time, written out by hand; both suffixes."""
    raw = bytes.fromhex("0305000001 210080ffff 0a14ffffff")
    for suffix in ("bin", "bs2"):
        (tmp_path / f"1.{suffix}").write_bytes(raw)
        found = read_recording(tmp_path / f"1.{suffix}")
        assert table(found) == [(3, 5, 0, 1), (33, 0, 1, 0xFFFF), (10, 20, 1, 0x7FFFFF)]
    write_nmnist(tmp_path / "2.bin", found)
    assert (tmp_path / "2.bin").read_bytes() == raw
    (tmp_path / "3.bin").write_bytes(b"")
    assert len(read_recording(tmp_path / "3.bin")) == 0


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("0305000001 21", "event 1 has 1 of its 5 bytes, y missing"),
        ("0305000001 2100", "event 1 has 2 of its 5 bytes, polarity and t_us missing"),
        ("0305000001 21000000", "event 1 has 4 of its 5 bytes, t_us missing"),
        ("0305000001 2205000002", "event 1: x = 34 is outside the sensor of 34 columns and 34 rows"),
        ("03ff000001", "event 0: y = 255 is outside the sensor"),
        ("0305000009 0305000009 0305000008", "event 2: t_us = 8 comes after 9"),
    ],
)
def test_nmnist_errors(tmp_path: Path, raw: str, message: str) -> None:
    path = tmp_path / "7.bs2"
    path.write_bytes(bytes.fromhex(raw))
    with pytest.raises(ValueError, match=message) as error:
        read_recording(path)
    assert str(path) in str(error.value)


def test_unwritable_events(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="event 1: t_us = 8388608 needs more"):
        write_nmnist(tmp_path / "1.bin", events((0, 0, 0, 0), (0, 0, 0, 1 << 23)))
    assert not list(tmp_path.iterdir())


def test_suffix_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ending in .bin, .bs2, .* got '.csv'"):
        read_recording(tmp_path / "1.csv")
    with pytest.raises(FileNotFoundError):
        read_recording(tmp_path / "1.bin")


# ------------------------------------------------------------------------------------------------------ AEDAT
def test_aedat2_by_hand(tmp_path: Path) -> None:
    """Big-endian address and time; DVS128 and DAVIS layouts; rows from the bottom; external events skipped."""
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    dvs = [(5 << 8 | 7 << 1 | 1, 10), (0x8000, 11), (2 << 8 | 33 << 1, 12)]
    davis = [(5 << 22 | 7 << 12 | 1 << 11, 10), (0x80000000, 11), (1 << 10, 11), (2 << 22 | 33 << 12, 12)]
    for chip, rows in ((b"", dvs), (b"# AEChip: ch.unizh.DVS128\r\n", dvs), (b"# AEChip: a.DAVIS240C\r\n", davis)):
        path = tmp_path / "r.aedat"
        path.write_bytes(head + chip + b"".join(struct.pack(">II", *row) for row in rows))
        assert table(read_recording(path)) == [(7, 28, 1, 10), (33, 31, 0, 12)]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="event 3 has 5 of its 8 bytes, t_us is incomplete"):
        read_recording(path)
    path.write_bytes(head + b"# AEChip: a.Cochlea\r\n")
    with pytest.raises(ValueError, match="AEChip Cochlea: address layouts of DVS128 and DAVIS are known"):
        read_recording(path)
    path.write_bytes(head + struct.pack(">II", 40 << 1, 0))
    with pytest.raises(ValueError, match="event 0: x = 40 is outside"):
        read_recording(path)


@pytest.mark.parametrize("row", [140, 141, 142, 143])
def test_aedat2_whose_first_event_looks_like_a_header_line(tmp_path: Path, row: int) -> None:
    """The address of rows 140 to 143 begins with the byte of '#'; header lines are text, and their end may be said."""
    davis = [(row << 22 | 7 << 12 | 1 << 11, 10), (2 << 22 | 33 << 12, 12), (row << 22 | 9 << 12, 0x0A0A)]
    assert struct.pack(">I", davis[0][0])[:1] == b"#"
    path, sensor = tmp_path / "r.aedat", (240, 180)
    for end in (b"", b"#End Of ASCII Header\r\n"):
        head = b"#!AER-DAT2.0\r\n# AEChip: a.DAVIS240C\r\n#\ttab, \xb5s and all\r\n" + end
        path.write_bytes(head + b"".join(struct.pack(">II", *event) for event in davis))
        expected = [(7, 179 - row, 1, 10), (33, 177, 0, 12), (9, 179 - row, 0, 0x0A0A)]
        assert table(read_recording(path, sensor=sensor)) == expected


def test_aedat2_without_a_chip(tmp_path: Path) -> None:
    """An address beyond 16 bits is none of DVS128: DAVIS, with a warning, and no event is lost as an external one."""
    rng = np.random.default_rng(5)
    x, y, on = rng.integers(0, 346, 999), rng.integers(0, 260, 999), rng.integers(0, 2, 999)
    words = np.stack([(259 - y) << 22 | x << 12 | on << 11, np.arange(999)], axis=1)
    assert (words[:, 0] & 0x8000).any()
    path = tmp_path / "r.aedat"
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file created by v2e\r\n"
    path.write_bytes(head + words.astype(">u4").tobytes())
    with pytest.warns(UserWarning, match=r"r\.aedat: no line '# AEChip:', and the address 0x.* read as DAVIS"):
        found = read_recording(path, sensor=(346, 260))
    assert table(found) == list(zip(x.tolist(), y.tolist(), on.tolist(), range(999), strict=True))


AEDAT3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 0: DVS128\r\n#Start-Time: 2015-01-01\r\n#!END-HEADER\r\n"


def packet(rows: list[tuple[int, int]], kind: int = 1, overflow: int = 0) -> bytes:
    head = struct.pack("<hhiiiiii", kind, 0, 8, 4, overflow, len(rows), len(rows), len(rows))
    return head + b"".join(struct.pack("<II", *row) for row in rows)


def test_aedat3_by_hand(tmp_path: Path) -> None:
    """Two polarity packets around a special one; an invalid event; time beyond 2^31 us by the overflow counter."""
    path = tmp_path / "r.aedat"
    first = packet([(7 << 17 | 5 << 2 | 3, 10), (7 << 17 | 5 << 2, 11), (33 << 17 | 1, 12)])
    path.write_bytes(AEDAT3 + first + packet([(1, 12)], kind=0) + packet([(1 << 17 | 3, 4)], overflow=1))
    found = read_recording(path)
    assert table(found) == [(7, 5, 1, 10), (33, 0, 0, 12), (1, 0, 1, (1 << 31) + 4)]
    assert found.from_start().t_us.tolist() == [0, 2, (1 << 31) - 6]
    path.write_bytes(AEDAT3 + first + first[:30])
    with pytest.raises(ValueError, match=r"truncated: event 3 has 2 of its 8 bytes \(event 0 of 3 in packet 1\)"):
        read_recording(path)
    path.write_bytes(AEDAT3 + first + first[:20])
    with pytest.raises(ValueError, match="packet 1 has 20 of its header's 28 bytes, after 3 events"):
        read_recording(path)
    path.write_bytes(AEDAT3[:-16] + first)
    with pytest.raises(ValueError, match="without its last line #!END-HEADER"):
        read_recording(path)
    path.write_bytes(AEDAT3 + packet([(1, 9), (1, 8)]))
    with pytest.raises(ValueError, match="event 1: t_us = 8 comes after 9"):
        read_recording(path)


def test_aedat_versions(tmp_path: Path) -> None:
    path = tmp_path / "r.aedat"
    for raw, message in ((b"#!AER-DAT3.0\r\n", "versions 2.0, 3.1 and 4.0"), (b"\x00\x01", "expected the header line")):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=message):
            read_recording(path)


def aedat4(rows: list[tuple[int, int, int, int]], packet_events: int) -> bytes:
    """An uncompressed AEDAT 4.0 file by the FlatBuffers library, after the published schema."""
    import flatbuffers

    info = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">'
        '<node name="0" path="/mainloop/Recorder/outInfo/0/"><attr key="compression" type="string">NONE</attr>'
        '<attr key="typeIdentifier" type="string">EVTS</attr>'
        '<node name="info" path="/mainloop/Recorder/outInfo/0/info/"><attr key="sizeX" type="int">34</attr>'
        '<attr key="sizeY" type="int">34</attr></node></node></node></dv>'
    )
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString(info)
    builder.StartObject(3)  # compression, dataTablePosition, infoNode
    builder.PrependInt32Slot(0, 0, -1)
    builder.PrependInt64Slot(1, -1, 0)
    builder.PrependUOffsetTRelativeSlot(2, text, 0)
    builder.FinishSizePrefixed(builder.EndObject(), file_identifier=b"IOHE")
    raw = b"#!AER-DAT4.0\r\n" + bytes(builder.Output())
    for first in range(0, len(rows), packet_events):
        part = rows[first : first + packet_events]
        builder = flatbuffers.Builder(1024)
        builder.StartVector(16, len(part), 8)
        for x, y, on, t_us in reversed(part):  # struct Event: int64 time, int16 x, int16 y, bool on
            builder.Prep(8, 16)
            builder.Pad(3)
            builder.PrependBool(bool(on))
            builder.PrependInt16(y)
            builder.PrependInt16(x)
            builder.PrependInt64(t_us)
        elements = builder.EndVector()
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, elements, 0)
        builder.FinishSizePrefixed(builder.EndObject(), file_identifier=b"EVTS")
        raw += struct.pack("<ii", 0, len(builder.Output())) + bytes(builder.Output())
    return raw


def test_aedat4(tmp_path: Path) -> None:
    """Decoded by the library `aedat`; cut files and events outside the sensor are errors."""
    for library in ("aedat", "flatbuffers"):
        need_module(library)
    rows = [(3, 5, 1, 10), (33, 0, 0, 12), (7, 8, 1, 20)]
    path = tmp_path / "r.aedat4"
    path.write_bytes(aedat4(rows, 2))
    assert table(read_recording(path)) == rows
    path.write_bytes(aedat4(rows, 2)[:-9])
    with pytest.raises(ValueError, match="not a complete AEDAT 4.0 file"):
        read_recording(path)
    path.write_bytes(aedat4([*rows, (34, 0, 0, 30)], 2))
    with pytest.raises(ValueError, match="event 3: x = 34 is outside"):
        read_recording(path)


def test_aedat4_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aedat", None)
    (tmp_path / "r.aedat4").write_bytes(b"#!AER-DAT4.0\r\n")
    with pytest.raises(ModuleNotFoundError, match="read by the library aedat, which is not installed"):
        read_recording(tmp_path / "r.aedat4")


# ------------------------------------------------------------------------------------------------------ NumPy
def test_numpy_containers(tmp_path: Path) -> None:
    rows = [(3, 5, 1, 10), (33, 0, 0, 12)]
    x, y, p, t = np.array(rows).T
    np.savez(tmp_path / "a.npz", x=x, y=y, p=p, t=t)
    np.save(tmp_path / "b.npy", np.stack([x, y, t, p], axis=1))
    named = np.zeros(2, [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
    named["x"], named["y"], named["p"], named["t"] = x, y, p == 1, t
    np.save(tmp_path / "c.npy", named)
    for name in ("a.npz", "b.npy", "c.npy"):
        assert table(read_recording(tmp_path / name)) == rows
    np.savez(tmp_path / "a.npz", x=x, y=y, p=p)
    with pytest.raises(ValueError, match="t missing"):
        read_recording(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=x, y=y, t=t, p=np.array([1, 2]))
    with pytest.raises(ValueError, match="event 1: polarity must be 0 or 1, got 2"):
        read_recording(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=x + 0.5, y=y, t=t, p=p)
    with pytest.raises(ValueError, match="x: expected a whole number"):
        read_recording(tmp_path / "a.npz")
    for name, value in (("t", np.array([1.0, np.inf])), ("x", np.array([1.0, np.nan])), ("t", np.array([1, 1 << 60]))):
        np.savez(tmp_path / "a.npz", **({"x": x, "y": y, "t": t, "p": p} | {name: value}))
        with pytest.raises(ValueError, match=rf"a\.npz: event 1: {name}: expected a whole number, got "):
            read_recording(tmp_path / "a.npz")
    np.save(tmp_path / "c.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"c\.npy: not an \.npy array: expected numbers or text, got Python objects"):
        read_recording(tmp_path / "c.npy")
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"b\.npy: not an \.npy array: expected 64 bytes of shape \(2, 4\), got 63"):
        read_recording(tmp_path / "b.npy")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match="not an .npy array|not a complete .npz archive"):
        read_recording(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"4 columns x, y, t, p, got shape \(4, 3\)"):
        read_recording(tmp_path / "b.npy")


# ---------------------------------------------------------------------------------------- labels and folders
def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("#sample #class\n1\t5\n\n2 0  # zero\n10 4\n")
    assert read_labels(path) == {1: 5, 2: 0, 10: 4}
    path.write_bytes(b"\xef\xbb\xbf1 7\r\n2 3\r\n")
    assert read_labels(path) == {1: 7, 2: 3}
    for text, message in (
        (f"1 {'9' * 5000}\n", r"line 1: expected 'index label', two whole numbers, got '1 9{100,200}\.\.\."),
        ("1 5\n2\n", "line 2: expected 'index label'"),
        ("1 -5\n", "line 1: expected"),
        ("1 5\n1 6\n", "line 2: index 1 occurs twice"),
        ("# nothing\n", "found none"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_labels(path)


def test_find_recordings(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a folder"):
        find_recordings(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="found none"):
        find_recordings(tmp_path)
    for name in ("10.bin", "2.bs2", "labels.txt", "x.bin"):
        (tmp_path / name).touch()
    assert {k: path.name for k, path in find_recordings(tmp_path).items()} == {2: "2.bs2", 10: "10.bin"}
    (tmp_path / "02.bin").touch()
    with pytest.raises(ValueError, match="02.bin and 2.bs2 have the same index 2"):
        find_recordings(tmp_path)


# -------------------------------------------------------------------------------------------------- encodings
@pytest.mark.parametrize("name", ENCODINGS)
def test_encoding_by_definition(name: str) -> None:
    """Every pixel and polarity, against fields counted pixel by pixel."""
    encoding = ENCODINGS[name]
    expected: dict[tuple[int, int, int], int] = {}
    polarities = {"on": (1,), "off": (0,), "both": (1, 0), "split": (1, 0)}[encoding.polarity]
    for block, polarity in enumerate(polarities):
        for row in range(encoding.rows):
            for column in range(encoding.columns):
                line = row * encoding.columns + column
                if encoding.polarity == "split":
                    line += block * encoding.columns * encoding.rows
                for dy in range(encoding.pool):
                    for dx in range(encoding.pool):
                        x, y = encoding.left + column * encoding.pool + dx, encoding.top + row * encoding.pool + dy
                        expected[x, y, polarity] = line
    everywhere = events(*((x, y, p, 0) for x in range(34) for y in range(34) for p in (0, 1)))
    for (x, y, p, _), line in zip(table(everywhere), encoding.lines(everywhere), strict=True):
        assert line == expected.get((x, y, p), -1)
    assert encoding.inputs <= 256


def test_encode_steps() -> None:
    """Events of a field merge within a step; the last step ends where it says."""
    encoding = Encoding(name="all", left=0, top=0, columns=2, rows=1, polarity="both")
    found = encode(
        events((0, 0, 1, 0), (0, 0, 0, 99), (1, 0, 1, 100), (0, 0, 1, 299), (0, 0, 1, 300)),
        encoding,
        steps=3,
        step_us=100,
    )
    assert found.tolist() == [[True, False], [False, True], [True, False]]
    with pytest.raises(ValueError, match="steps and step_us must be at least 1"):
        encode(events(), encoding, steps=0, step_us=100)
    assert encode(events((1, 0, 1, 0)), encoding, steps=1, step_us=9, inputs=4).tolist() == [
        [False, True, False, False]
    ]
    with pytest.raises(ValueError, match="drives 2 word lines, the chip has 1"):
        encode(events(), encoding, steps=1, step_us=9, inputs=1)
    with pytest.raises(ValueError, match="polarity must be"):
        Encoding(name="x", left=0, top=0, columns=1, rows=1, polarity="grey")  # type: ignore[arg-type]
    assert encode_all([], encoding, steps=3, step_us=100).shape == (0, 3, 2)


def test_events_must_fit_together() -> None:
    with pytest.raises(ValueError, match="y: expected one entry for each of the 2 events"):
        Events(x=np.zeros(2), y=np.zeros(1), on=np.zeros(2, bool), t_us=np.zeros(2))
    with pytest.raises(ValueError, match="event 0: t_us = -1 is negative"):
        events((0, 0, 0, -1))


# ------------------------------------------------------------------------------------- the camera by itself
def test_camera_repeats() -> None:
    image = mnist_digits().images[0]
    first, second = EventCamera(seed=3).record(image, 7), EventCamera(seed=3).record(image, 7)
    assert table(first) == table(second)
    assert table(EventCamera(seed=3).record_all([image] * 2, first=6)[1]) == table(first)
    assert table(EventCamera(seed=4).record(image, 7)) != table(first)
    assert table(EventCamera(seed=3).record(image, 8)) != table(first)


def test_camera_counts_brightness() -> None:
    """Without noise, thresholds times (ON - OFF) is a pixel's change of brightness to within a threshold.

    The image comes to rest at the end of the trajectory, so the change follows from the two positions alone.
    """
    image = mnist_digits().images[1234]
    camera = EventCamera(
        seed=1, threshold=0.02, threshold_spread=None, sensitivity_spread=None, noise_hz=None, hot_pixels=()
    )
    found = camera.record(image, 0)
    balance = np.zeros((34, 34))
    np.add.at(balance, (found.y, found.x), np.where(found.on, camera.threshold, -camera.threshold))
    ink = gaussian_filter(np.pad((image / 255.0) ** camera.gamma, 10), camera.blur_px)
    bright = -np.log1p(camera.contrast * ink)

    def seen(dx: float, dy: float) -> np.ndarray:
        """Brightness of each pixel with the image's corner at (dx, dy), by shifts of whole pixels."""
        column, row = int(np.floor(-dx)), int(np.floor(-dy))
        a, b = -dx - column, -dy - row
        part = bright[10 + row : 45 + row, 10 + column : 45 + column]
        part = np.pad(part, ((0, 35 - part.shape[0]), (0, 35 - part.shape[1])))
        return (part[:-1, :-1] * (1 - a) + part[:-1, 1:] * a) * (1 - b) + (
            part[1:, :-1] * (1 - a) + part[1:, 1:] * a
        ) * b

    change = seen(*TRAJECTORY[-1][1:]) - seen(*TRAJECTORY[0][1:])
    assert np.abs(change).max() > 3 * camera.threshold
    assert np.abs(balance - change).max() < 1.5 * camera.threshold


def test_camera_noise() -> None:
    """On an empty image only background and hot pixels fire: numbers within five standard deviations."""
    camera = EventCamera(seed=5, noise_hz=2.0, noise_on=0.25, hot_pixels=((4, 6, 500.0),))
    found = camera.record_all([np.zeros((28, 28), np.uint8)] * 30)
    hot = sum(int(((e.x == 4) & (e.y == 6)).sum()) for e in found)
    others = sum(map(len, found)) - hot
    assert abs(hot - 30 * 160) < 5 * np.sqrt(30 * 160)
    assert abs(others - 30 * 1155 * 0.64) < 5 * np.sqrt(30 * 1155 * 0.64)
    assert abs(np.mean(np.concatenate([e.on for e in found])) - 0.25) < 5 * np.sqrt(0.1875 / (hot + others))


def test_camera_bad_fields() -> None:
    for field, message in (
        ({"threshold": 0.0}, "threshold: expected a positive number"),
        ({"noise_hz": -1.0}, "noise_hz: expected a number of at least 0"),
        ({"noise_on": 1.5}, "noise_on: expected a fraction"),
        ({"hot_pixels": ((34, 0, 1.0),)}, r"hot pixel \(34, 0\)"),
    ):
        with pytest.raises(ValueError, match=message):
            EventCamera(seed=1, **field)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected shape \(28, 28\)"):
        EventCamera(seed=1).record(np.zeros((34, 34), np.uint8), 0)
    with pytest.raises(ValueError, match="part: expected"):
        mnist_digits("last")


# ------------------------------------------------------------------------ the camera against real recordings
# The camera was fitted to recordings 1 to 240; these tests use the 250 after them.
HELD_OUT = range(241, 491)


def digit_rows(recordings: Path) -> np.ndarray:
    """Where the digits of the held-out recordings stand in `mnist_digits`: recording k shows MNIST's k-th digit."""
    labels = read_labels(recordings / "labels.txt")
    order = np.array([labels[k] for k in sorted(labels)])
    occurrence = np.array([int((order[:i] == label).sum()) for i, label in enumerate(order)])
    return (np.searchsorted(mnist_digits().labels, np.arange(10))[order] + occurrence)[np.array(HELD_OUT) - 1]


@pytest.fixture(scope="module")
def pairs(recordings: Path) -> tuple[list[Events], list[Events], np.ndarray]:
    """Real recordings, synthesised ones of the same digits, and the labels."""
    digits, rows = mnist_digits(), digit_rows(recordings)
    real = [read_recording(recordings / f"{k}.bs2") for k in HELD_OUT]
    return real, EventCamera(seed=11).record_all(digits.images[rows]), digits.labels[rows]


def test_first_thousand(recordings: Path) -> None:
    """The digits that must stay out of training are those of the recordings, class by class."""
    labels = list(read_labels(recordings / "labels.txt").values())
    early, rest = mnist_digits("first_thousand"), mnist_digits("rest")
    assert np.bincount(early.labels).tolist() == np.bincount(labels).tolist()
    assert len(early) == 1000
    assert len(rest) == 9000
    seen = {image.tobytes() for image in early.images}
    assert not any(image.tobytes() in seen for image in rest.images)


def test_event_counts(pairs: tuple[list[Events], list[Events], np.ndarray]) -> None:
    real, made, labels = pairs
    n_real, n_made = (np.array([len(e) for e in side]) for side in (real, made))
    assert n_made.mean() == pytest.approx(n_real.mean(), rel=0.04)
    assert n_made.mean() == pytest.approx(4133, rel=0.05)
    assert n_made.std() == pytest.approx(n_real.std(), rel=0.15)
    assert np.corrcoef(n_real, n_made)[0, 1] > 0.94
    for label in range(10):
        assert n_made[labels == label].mean() == pytest.approx(n_real[labels == label].mean(), rel=0.12), label


def test_polarity_and_place(pairs: tuple[list[Events], list[Events], np.ndarray]) -> None:
    real, made, _ = pairs
    assert np.mean(np.concatenate([e.on for e in made])) == pytest.approx(0.5, abs=0.015)
    pixels = [np.mean([len(np.unique(e.y.astype(int) * 34 + e.x)) for e in side]) for side in (real, made)]
    assert pixels[1] == pytest.approx(pixels[0], rel=0.1)
    crop = [np.mean(np.concatenate([ENCODINGS["pooled_2x2"].lines(e) >= 0 for e in side])) for side in (real, made)]
    assert crop[1] == pytest.approx(crop[0], abs=0.02)
    maps = [np.zeros((34, 34)) for _ in range(2)]
    for side, counts in zip((real, made), maps, strict=True):
        for e in side:
            np.add.at(counts, (e.y, e.x), 1)
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.92


def test_saccades_and_rate(pairs: tuple[list[Events], list[Events], np.ndarray]) -> None:
    """Events per saccade, and the share of the rate profile (10 ms) that both have in common."""
    times = [np.concatenate([e.t_us for e in side]) for side in pairs[:2]]
    real, made = (np.histogram(t, [*SACCADES_US, 320_001])[0] / len(HELD_OUT) for t in times)
    assert made == pytest.approx(real, rel=0.06)
    assert made == pytest.approx(np.array([1503, 1360, 1270]), rel=0.08)
    real, made = (np.histogram(t, np.arange(0, 320_001, 10_000))[0] for t in times)
    assert np.minimum(real / real.sum(), made / made.sum()).sum() > 0.96


def offsets(side: list[Events], images: np.ndarray, times_ms: list[int]) -> np.ndarray:
    """Where the image's corner is: largest correlation of signed events with the image's gradient, 10 ms windows."""
    ink = np.zeros((len(side), 34, 34))
    ink[:, :28, :28] = images / 255.0
    ink = gaussian_filter(ink, (0, 0.8, 0.8))
    gradients = [np.conj(np.fft.rfft2(np.gradient(ink, axis=axis))) for axis in (2, 1)]
    result = []
    for centre in times_ms:
        maps = np.zeros((len(side), 34, 34))
        for i, e in enumerate(side):
            now = np.abs(e.t_us - centre * 1000) < 5000
            np.add.at(maps[i], (e.y[now], e.x[now]), 2.0 * e.on[now] - 1)
        spectrum = np.fft.rfft2(maps)
        power = np.hypot(*(np.fft.irfft2((spectrum * g).sum(axis=0), s=(34, 34)) for g in gradients))
        power = np.roll(power, (3, 3), (0, 1))[:16, :16]
        power = np.clip(power - 0.5 * power.max(), 0, None)
        row, column = np.unravel_index(power.argmax(), power.shape)
        low_row, low_column = max(row - 3, 0), max(column - 3, 0)
        near = power[low_row : row + 4, low_column : column + 4]
        down, across = np.mgrid[: near.shape[0], : near.shape[1]]
        total = near.sum()
        result.append([(near * across).sum() / total + low_column - 3, (near * down).sum() / total + low_row - 3])
    return np.array(result)


def test_image_offsets(pairs: tuple[list[Events], list[Events], np.ndarray], recordings: Path) -> None:
    """The image's path over the sensor, estimated alike from real and synthesised events, and as first measured."""
    digits, rows = mnist_digits(), digit_rows(recordings)
    times = [15, 45, 65, 95, 145, 165, 205, 245, 265, 285]
    real, made = (offsets(side[:120], digits.images[rows[:120]], times) for side in pairs[:2])
    assert np.abs(made - real).max() < 0.8
    assert np.sqrt(np.mean((made - real) ** 2)) < 0.35
    measured = [(0.3, 1.5), (0.3, 4.1), (1.3, 6.2), (2.0, 6.5), (3.9, 4.9), (4.7, 2.7), (5.8, 1.1), (4.7, 1.1)]
    measured += [(2.1, 1.6), (1.0, 1.2)]
    assert np.abs(real - measured).max() < 0.7
    assert np.abs(made - measured).max() < 1.0
