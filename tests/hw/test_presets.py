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
    "N_MNIST": "38a68aeeed1af18fe1b99c897c26d8fd4e2fa4c95f863751acf0ebaf766adeea",
    "N_MNIST_4_MACROS": "060b3e9ce666ddb38085928cac381ad204a63d342d5c93a570a8de8c99ccb489",
    "N_TIDIGITS": "2abffe0a313c376b4f531a04484986925d9fb5e46d2917a8f0ad880bb84f9edb",
    "SPOKEN_DIGITS": "d10b4e1fedccb8e809df3676dee8deeefca9f95d5d38fb72470bd0641930cdea",
    "FULL_MACRO": "5f99d8e36adbd316218c62934d77c2414b9a8da24b07d31caffb94913623ea9a",
    "N_MNIST_HOMEOSTAT": "f91da866c2a8d80fe34dd1c5e1e1072cb09a2c4a5f0e07f8de5f778aae0c4b94",
    "N_MNIST_OWN_THRESHOLDS": "3ca6b3b9dd08a0657083fb42bcaf306a0add26870605a40e23fe0e9e14189d48",
}


def test_every_preset_is_pinned() -> None:
    assert set(SHA256) == set(encoder.PRESETS) | set(crossbar.PRESETS)


@pytest.mark.parametrize("name", SHA256)
def test_text_is_the_pinned_one(name: str) -> None:
    part = Encoder(spec=encoder.PRESETS[name]) if name in encoder.PRESETS else Crossbar(spec=crossbar.PRESETS[name])
    assert sha256(to_rtlil(part, name).encode()).hexdigest() == SHA256[name]
