"""The chip: what its image is made of, and what is refused. Frames: tests/flows/simulation/test_chip.py."""

from dataclasses import replace

import pytest

from hw.common.scheme import Scheme
from hw.hgcal_encoder.chip import Chip
from sim.hgcal_encoder.configuration.chip_registers import Loading, image_masks
from tests.specs import SMALL


def test_image_masks_are_the_bits_of_the_fields() -> None:
    masks = image_masks(SMALL)
    assert masks[0x0454] == 0x0F
    assert masks[0x03C4] == 0x3F
    assert masks[0x03F5] == 0x0F
    assert masks[0x0538] == 0xFF


def test_illegal_chips_are_refused() -> None:
    with pytest.raises(ValueError, match="registers_after: expected stages"):
        Chip(spec=SMALL, registers_after=("adder",))
    with pytest.raises(ValueError, match="'parity' is not a valid Scheme"):
        Chip(spec=SMALL, scheme="parity")
    with pytest.raises(ValueError, match="secded_words: expected direct loading, got guarded"):
        Chip(spec=replace(SMALL, reuse=2), scheme=Scheme.SECDED_WORDS, loading=Loading.GUARDED)
    with pytest.raises(ValueError, match="takes a reuse factor of at least 2, got 1"):
        Chip(spec=SMALL, scheme=Scheme.SECDED_WORDS, loading=Loading.DIRECT)
