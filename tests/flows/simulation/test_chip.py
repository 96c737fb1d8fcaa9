"""The chip over its I2C pins, compiled natively, against the golden model.

A build takes most of a minute of processor time: the most complex chip (whole modules in triplicate, guarded loading)
and the simplest run always, the other combinations in CI (``CI=true``) and with ``LIQUIDCAL_LONG=1``. What differs
between them, the cells of the store, is tested on its own in tests/hw/common/test_protection.py and proved in
tests/flows/formal/test_protection.py.
"""

from dataclasses import replace

import numpy as np
import pytest

from flows.simulation.chip import ChipBench, ChipModel
from flows.verification.encoder_stimulus import random_settings, random_words
from hw.common.scheme import Scheme
from hw.hgcal_encoder.chip import CELLS
from sim.hgcal_encoder.configuration.chip_registers import Loading, image_bytes, image_checksum
from sim.hgcal_encoder.configuration.driver import ChipDriver, LoadError, settings_and_weights
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.weights import Weights
from tests.conftest import long
from tests.specs import SMALL

ALWAYS = [(Scheme.TMR_MODULE, Loading.GUARDED), (Scheme.NONE, Loading.DIRECT)]
CHIPS = [
    pytest.param(scheme, loading, marks=[] if (scheme, loading) in ALWAYS else long, id=f"{scheme}-{loading}")
    for scheme in CELLS
    for loading in Loading
]
BLOCK = 512
"""Crossings that repeat; a multiple of 16, so that their numbers repeat as well."""

_BENCHES: dict[tuple[Scheme, Loading], ChipBench] = {}


def bench(scheme: Scheme, loading: Loading) -> ChipBench:
    if (scheme, loading) not in _BENCHES:
        _BENCHES[scheme, loading] = ChipBench(SMALL, scheme, loading)
    return _BENCHES[scheme, loading]


class Repeated:
    """A block of crossings again and again; only the very first one carries the orbit header."""

    def __init__(self, rng: np.random.Generator, settings: Settings) -> None:
        words = random_words(rng, BLOCK, settings).astype(np.uint32)
        words[:, 0] = words[:, 0] & 0x0FFF_FFFF | 0xA << 28
        self.block = words
        self.position = 0

    def __call__(self, clocks: int) -> np.ndarray:
        words = self.block[(self.position + np.arange(clocks)) % BLOCK].copy()
        if self.position == 0:
            words[0, 0] = words[0, 0] & 0x0FFF_FFFF | 0x9 << 28
        self.position += clocks
        return words

    def frames(self, count: int, settings: Settings, weights: Weights) -> np.ndarray:
        """Frames of the first `count` crossings by the golden model."""
        position, self.position = self.position, 0
        twice = Encoder(SMALL, weights, settings).frames(self(2 * BLOCK))
        self.position = position
        rows = np.arange(count)
        return twice[np.where(rows < BLOCK, rows, BLOCK + rows % BLOCK)]


def images(rng: np.random.Generator) -> tuple[Settings, Weights]:
    return random_settings(SMALL, rng), Weights.random(SMALL, rng)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("scheme", "loading"), CHIPS)
def test_frames_of_a_loaded_chip(scheme: Scheme, loading: Loading) -> None:
    rng = np.random.default_rng(17)
    settings, weights = images(rng)
    with bench(scheme, loading).model() as chip:
        driver = ChipDriver(chip, SMALL, loading)
        driver.load(settings, weights)
        held = driver.read_image()
        assert held == image_bytes(SMALL, settings, weights)
        found_settings, found_weights = settings_and_weights(SMALL, held)
        assert found_weights == weights
        assert found_settings.keep_mask == settings.keep_mask
        assert np.array_equal(found_settings.in_order(settings.word_order).select, settings.select)
        assert set(driver.errors().values()) == {0}
        rows = random_words(rng, 200, settings)
        rows[0, 0] = rows[0, 0] & 0x0FFF_FFFF | 0x9 << 28
        chip.sent.clear()
        chip.frames.clear()
        chip.feed = lambda _: rows.astype(np.uint32)
        chip.idle(len(rows))
        words, frames = chip.streamed()
        assert np.array_equal(frames, Encoder(SMALL, weights, settings).frames(words))
        chip.feed = None
        driver.write("run", 0)
        chip.idle(20)
        assert not chip.frames[-1][10:].any()


@pytest.mark.parametrize("scheme", [pytest.param(s, marks=[] if s is Scheme.TMR_MODULE else long) for s in CELLS])
def test_every_frame_during_a_guarded_load_is_old_or_new(scheme: Scheme) -> None:
    """Crossings stream at every clock through the whole load, and one switch happens, between two of them."""
    rng = np.random.default_rng(23)
    old, new = images(rng), images(rng)
    with bench(scheme, Loading.GUARDED).model() as chip:
        driver = ChipDriver(chip, SMALL, Loading.GUARDED)
        driver.load(*old)
        is_old, is_new = streamed_during(chip, driver, rng, old, new)
    assert (is_old | is_new).all()
    switch = int(np.argmax(~is_old))
    assert 0 < switch < len(is_old)
    assert is_old[:switch].all()
    assert is_new[switch:].all()
    both = is_old & is_new
    assert both.mean() < 0.2, "old and new weights give different frames, or the test shows nothing"


def test_a_direct_load_does_mix() -> None:
    """The same test fails for direct loading: frames in between belong to neither image."""
    rng = np.random.default_rng(23)
    old, new = images(rng), images(rng)
    with bench(Scheme.NONE, Loading.DIRECT).model() as chip:
        driver = ChipDriver(chip, SMALL, Loading.DIRECT)
        driver.load(*old)
        is_old, is_new = streamed_during(chip, driver, rng, old, new)
    assert not (is_old | is_new).all()


def streamed_during(chip, driver, rng, old, new):
    """Load `new` while crossings stream: which frames are those of the old, and which those of the new image."""
    chip.sent.clear()
    chip.frames.clear()
    chip.feed = crossings = Repeated(rng, old[0])
    chip.idle(10)
    driver.load(*new)
    chip.idle(10)
    _, frames = chip.streamed()
    expected = [crossings.frames(len(frames), *image) for image in (old, new)]
    return [(frames == frame).all(axis=1) for frame in expected]


def loaded(chip: ChipModel, rng: np.random.Generator) -> tuple[ChipDriver, dict[int, int]]:
    driver = ChipDriver(chip, SMALL, Loading.GUARDED)
    settings, weights = images(rng)
    driver.load(settings, weights)
    return driver, image_bytes(SMALL, settings, weights)


def test_a_bad_image_is_refused() -> None:
    """Wrong checksum, missing bytes: a status code each, and the image in use stays."""
    rng = np.random.default_rng(31)
    with bench(Scheme.TMR_MODULE, Loading.GUARDED).model() as chip:
        driver, before = loaded(chip, rng)
        after = image_bytes(SMALL, *images(rng))
        driver.write("load_command", 1)
        driver.write_bytes(after)
        with pytest.raises(LoadError, match="checksum is wrong") as refused:
            driver.commit(image_checksum(after) ^ 0x400)
        assert refused.value.status == 0x82
        assert driver.read_image() == before
        assert driver.read_image(shadow=True) == after
        for missing in (min(after), 0x0538, max(after)):
            driver.write("load_command", 1)
            driver.write_bytes({address: byte for address, byte in after.items() if address != missing})
            with pytest.raises(LoadError, match="incomplete") as refused:
                driver.commit(image_checksum(after))
            assert refused.value.status == 0x81
            assert driver.read_image() == before
        # the missing byte arrives later, and the image is good
        driver.write_bytes({max(after): after[max(after)]})
        driver.commit(image_checksum(after))
        assert driver.read_image() == after


def test_single_bytes_change_without_a_new_image() -> None:
    rng = np.random.default_rng(37)
    with bench(Scheme.TMR_MODULE, Loading.GUARDED).model() as chip:
        driver, image = loaded(chip, rng)
        image[0x0538] ^= 0x55
        driver.write_bytes({0x0538: image[0x0538]})
        driver.commit(image_checksum(image))
        assert driver.read_image() == image


def test_writes_while_an_image_is_judged_are_dropped() -> None:
    """The check takes about the time of twelve bytes on the bus, a write of one byte that of four."""
    rng = np.random.default_rng(41)
    with bench(Scheme.TMR_MODULE, Loading.GUARDED).model() as chip:
        driver, image = loaded(chip, rng)
        driver.write("load_checksum", image_checksum(image))
        driver.write("load_command", 2)
        driver.write_bytes({0x0538: image[0x0538] ^ 0xFF})
        assert driver.read("load_status") == 2, "still checking, or the test shows nothing"
        assert driver.read("load_dropped") == 1
        while driver.read("load_status") == 2:
            pass
        assert driver.read("load_status") == 3
        assert driver.read_image() == image
        assert driver.read_image(shadow=True) == image


def test_registers_by_name() -> None:
    rng = np.random.default_rng(43)
    with bench(Scheme.TMR_MODULE, Loading.GUARDED).model() as chip:
        driver, _ = loaded(chip, rng)
        assert driver.read("run") == 1
        driver.write("clear_errors", 1)
        assert (driver.read("run"), driver.read("clear_errors")) == (1, 1)
        driver.write("load_checksum", 0x8765_4321)
        assert driver.read("load_checksum") == 0x8765_4321
        assert driver.read_bytes(0x0BEC, 1) == b"\x03"
        assert driver.read_bytes(0x0C84, 4) == bytes.fromhex("21436587")
        assert driver.read_bytes(0x2000, 3) == bytes(3), "nothing there"
        with pytest.raises(ValueError, match="cannot be written"):
            driver.write("load_status", 0)
        with pytest.raises(ValueError, match="cannot be read"):
            driver.read("load_command")
        with pytest.raises(ValueError, match=r"run: expected 0 to 0x1, got 0x2"):
            driver.write("run", 2)
        with pytest.raises(ValueError, match="no register speed"):
            driver.read("speed")


def test_another_device_address_is_left_alone() -> None:
    with bench(Scheme.NONE, Loading.DIRECT).model() as chip, pytest.raises(OSError, match="0x21 does not acknowledge"):
        ChipDriver(chip, SMALL, Loading.DIRECT, device_address=0x21).read("run")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reuse", [3, pytest.param(7, marks=long)])
def test_frames_of_a_chip_with_code_words(reuse: int) -> None:
    """Loaded over I2C, read back, frames of the golden model; loaded once more over what is there."""
    # half of the grid is empty: two of four positions see nothing but padding
    spec = replace(SMALL, name=f"SMALL_WORDS_{reuse}", reuse=reuse, cell_map=(*range(8), *[-1] * 8))
    rng = np.random.default_rng(17)
    with ChipBench(spec, Scheme.SECDED_WORDS, Loading.DIRECT).model() as chip:
        driver = ChipDriver(chip, spec, Loading.DIRECT)
        for _ in range(2):
            settings, weights = random_settings(spec, rng), Weights.random(spec, rng)
            driver.load(settings, weights)
            assert driver.read_image() == image_bytes(spec, settings, weights)
            assert set(driver.errors().values()) == {0}
            rows = random_words(rng, 200, settings)
            rows[0, 0] = rows[0, 0] & 0x0FFF_FFFF | 0x9 << 28
            chip.sent.clear()
            chip.frames.clear()
            chip.feed = lambda _, rows=rows: rows.astype(np.uint32)
            chip.idle(len(rows))
            chip.feed = None
            words, frames = chip.streamed()
            assert frames.any()
            assert np.array_equal(frames, Encoder(spec, weights, settings).frames(words))
        assert driver.read_bytes(0x2000, 3) == bytes(3), "nothing there"
