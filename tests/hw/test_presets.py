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
    "N_MNIST": "3ccbd6d3a1c50c82b3956bba2d992bcbc6d68291cee29dfaebda7b5cfdaab09e",
    "N_MNIST_4_MACROS": "a9e8910b36c4452af09a4863521ecde3e37e7ea7df90bd397ca8655709c7fa1f",
    "N_TIDIGITS": "0f6e17e23e63e5be9d277e538434095aa6e6909fcfcb9d08d71ae48dbae5f030",
    "SPOKEN_DIGITS": "c4c40df2ebb7b0dad993f2177c726cf025767892271f5f1bc57adb01c80c2d57",
    "FULL_MACRO": "1895a3fe3f915dd79766587790bc646db4c0866a344fe594fc5f69e5c82f6f02",
    "N_MNIST_HOMEOSTAT": "722a49901733fcf2d68f52207c5148ff2aaabe34a902912fa08da90b4d794546",
    "N_MNIST_OWN_THRESHOLDS": "4116b0ef0478cfb2563535fa3a761cab21b1809703b62b64800b0d284c880af3",
}


def test_every_preset_is_pinned() -> None:
    assert set(SHA256) == set(encoder.PRESETS) | set(crossbar.PRESETS)


@pytest.mark.parametrize("name", SHA256)
def test_text_is_the_pinned_one(name: str) -> None:
    part = Encoder(spec=encoder.PRESETS[name]) if name in encoder.PRESETS else Crossbar(spec=crossbar.PRESETS[name])
    assert sha256(to_rtlil(part, name).encode()).hexdigest() == SHA256[name]
