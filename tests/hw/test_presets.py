"""The hardware of every preset, byte by byte: what chips share may change its place and its options, not these texts.

What is pinned is the RTLIL text that Amaranth 0.5 writes: the Verilog is yosys' translation of it, and differs between
versions of yosys. A change of a chip changes its hash here, and nothing else may.
"""

from hashlib import sha256

import pytest

from hw.common.export import to_rtlil
from hw.hgcal_encoder.encoder import Encoder
from hw.lsm_crossbar.crossbar import Crossbar
from sim.hgcal_encoder import spec as encoder
from sim.lsm_crossbar import spec as crossbar

SHA256 = {
    "ECON_T": "1e71b87bd2126857350135ec831c9b345a9d5a02f51c6518fbfa9947f0cf0101",
    "TNS_2021": "200b0577d97d024fb4625bff7c555224957b66b1633c714df13cb3fa860daf78",
    "ECON_T_EXACT": "e9781da14ece167a1826e99e0936b1c2674c3607edc0454e3d99a29bc19f0b88",
    "N_MNIST": "737eac9315b8e73deb81eab7660ba882b029ac6f4785287bb129036b227334bb",
    "N_MNIST_4_MACROS": "0379b6777a591cf220a9dcb1674f1a2f9d2a2295456c006b28f05b386dfecf64",
    "N_TIDIGITS": "f448b19b5ef5bed3b54a720b646cf9279607990603440d7c2dadede3947d6dd4",
    "SPOKEN_DIGITS": "bd552dbdd186008234bb0ef181ff7c0fe4f08685633710e6a2c232566257367e",
    "FULL_MACRO": "21950761fb50c910ac1a2bc319bef0809a0e0cfafbf81aacfca6effbd769f060",
    "N_MNIST_HOMEOSTAT": "a01583b53ae03d7de24536bfe2a96edc8c7278df1779f28eeeb4cc0a2cdb5cba",
    "N_MNIST_OWN_THRESHOLDS": "89593ee34dfd450d69251afac39b2a3671a44702ddb479bddc6ee4e002e79236",
}


def test_every_preset_is_pinned() -> None:
    assert set(SHA256) == set(encoder.PRESETS) | set(crossbar.PRESETS)


@pytest.mark.parametrize("name", SHA256)
def test_text_is_the_pinned_one(name: str) -> None:
    part = Encoder(spec=encoder.PRESETS[name]) if name in encoder.PRESETS else Crossbar(spec=crossbar.PRESETS[name])
    assert sha256(to_rtlil(part, name).encode()).hexdigest() == SHA256[name]
