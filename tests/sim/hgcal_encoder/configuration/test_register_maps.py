"""Register maps of the concentrator against the published ones; settings files of both spellings; the driver."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sim.hgcal_encoder.configuration.chip_registers import Access
from sim.hgcal_encoder.configuration.register_maps import (
    Chip,
    ConcentratorDriver,
    read_registers,
    register_bytes,
    register_fields,
)
from tests.conftest import need


def published_bits(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[int, int], tuple[str, int, int]]:
    """By address and bit: access, number of the bit in its field, reset value; from the map of production."""
    found: dict[tuple[int, int], tuple[str, int, int]] = {}
    if isinstance(node, dict) and "param_mask" in node:
        for bit in range(int(node["param_mask"]).bit_length()):
            place = node["param_shift"] + bit
            value = int(node["default_value"]) >> bit & 1
            found[node["address"] + place // 8, place % 8] = (node["access"], bit, value)
        return found
    for key, value in node.items():
        found |= published_bits(value, (*path, str(key)))
    return found


def test_the_map_of_production_is_the_published_one(shared_data: Path) -> None:
    """Every bit of all 1,209 fields: where it lies, who may write it, its reset value."""
    path = shared_data / "hgcal" / "ECONT_production_I2C_params_regmap.yaml"
    need(path.is_file(), f"register map at {path}")
    published = published_bits(yaml.safe_load(path.read_text()))
    fields = register_fields(Chip.PRODUCTION)
    ours = {
        (field.address + (field.lsb + bit) // 8, (field.lsb + bit) % 8): (field.access, bit, field.reset >> bit & 1)
        for field in fields
        for bit in range(field.width)
    }
    assert ours == published
    counts = [sum(field.access is access for field in fields) for access in Access]
    assert counts == [730, 432, 47]
    assert sum(field.width for field in fields if field.access is Access.READ_WRITE) == 17_723


def test_the_map_of_first_silicon_is_the_published_one(shared_data: Path) -> None:
    """As a settings file of the layered spelling it gives every field that can be written its reset value."""
    path = shared_data / "hgcal" / "ECONT_P1_I2C_params_regmap.yaml"
    need(path.is_file(), f"register map at {path}")
    chip, values = read_registers(path)
    assert chip is Chip.P1
    fields = [field for field in register_fields(Chip.P1) if field.access is not Access.READ_ONLY]
    assert values == {(field.name, field.index): field.reset for field in fields}
    # addresses from the published structure, register by register
    blocks = yaml.safe_load(path.read_text())["ECON-T"]
    for field in register_fields(Chip.P1):
        block, register, *_ = field.spelling.replace("#", "*").split("/")
        kind = {"rw": "RW", "ro": "RO", "wo": "WO"}[field.access]
        body = blocks[kind][block]
        if register.startswith("user_word"):
            register = f"user_word_{field.item}"
        entry = body["registers"][register] or {}
        step = body.get("block_shift", 0) * field.number if "*" in block else 0
        item = field.number if block in ("ERX_ALL", "ETX_ALL") else field.item
        start = body["addr_base"] + entry.get("addr_offset", 0) + step + entry.get("addr_shift", 0) * item
        assert start <= field.address < start + entry.get("size_byte", 1), field.label
        assert field.address + field.size <= start + entry.get("size_byte", 1), field.label


def test_no_two_fields_share_a_bit() -> None:
    for chip in Chip:
        bits = [
            (field.address + (field.lsb + bit) // 8, (field.lsb + bit) % 8)
            for field in register_fields(chip)
            for bit in range(field.width)
        ]
        assert len(bits) == len(set(bits))
        labels = [field.label for field in register_fields(chip)]
        assert len(labels) == len(set(labels))


def test_published_settings_of_both_spellings_load(econt_vectors: Path) -> None:
    files = sorted(econt_vectors.glob("**/init.yaml"))
    chips = set()
    for path in files:
        chip, values = read_registers(path)
        chips.add(chip)
        assert len(values) > 100, path
        content = yaml.safe_load(path.read_text())
        for cell in range(48):
            assert values["mux", cell] == content["Mux"][cell]
        select = values["configalgo_alg_type" if chip is Chip.PRODUCTION else "algorithm_select", 0]
        assert 0 <= select <= 4
        assert register_bytes(chip, values)
    assert len(files) >= 15
    assert chips == set(Chip)


PRODUCTION = """
ConfigAlgo: {Global: {alg_type: 4, alg_high_density: 1}}
ChAligner: {3: {patt_en: 1, user_word: {0: 0x12345678, 3: 7}}}
Aligner: {Global: {match_pattern_val: 0xaccccccc9ccccccc}}
ERx: {2: {invert_data: 1}, Mux01: {enable: 0}}
Misc: {Global: {rw_err_clr: {0: 1}, ro: {0: 3}}}
AlgoDroplsb: {Global: {drop_lsb: 2}}
"""
LAYERED = """
ECON-T:
  RW:
    CH_ALIGNER_5INPUT_ALL: {registers: {config: {params: {patt_en: {param_value: 1}}}, user_word_2: {value: 9}}}
    ERX_ALL: {registers: {config_ch_3: {value: 0x07}}}
    ALIGNER_ALL: {registers: {orbsyn_hdr: {value: 0x59}}}
    MFC_MUX_SELECT: {registers: {mux_select_7: {value: 47}}}
"""


def test_every_block_of_a_settings_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "production.yaml").write_text(PRODUCTION)
    assert read_registers(tmp_path / "production.yaml") == (Chip.PRODUCTION, {
        ("configalgo_alg_type", 0): 4, ("configalgo_alg_high_density", 0): 1, ("chaligner_patt_en", 3): 1,
        ("chaligner_user_word", 12): 0x12345678, ("chaligner_user_word", 15): 7,
        ("aligner_match_pattern_val", 0): 0xACCCCCCC9CCCCCCC, ("erx_invert_data", 2): 1, ("erxmux_enable", 1): 0,
        ("misc_rw_err_clr_0", 0): 1, ("algodroplsb_drop_lsb", 0): 2,
    })  # fmt: skip
    (tmp_path / "layered.yaml").write_text(LAYERED)
    chip, values = read_registers(tmp_path / "layered.yaml")
    assert chip is Chip.P1
    assert values == {
        ("chaligner_patt_en", 5): 1, ("chaligner_user_word", 22): 9, ("erx_enable", 3): 1, ("erx_invert_data", 3): 1,
        ("erx_enable_termination", 3): 1, ("erx_equalizer", 3): 0, ("erx_set_common_mode", 3): 0,
        ("aligner_orbsyn_hdr_val", 0): 9, ("aligner_orbsyn_hdr_mask", 0): 5, ("mux", 7): 47,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected a table of settings sections"),
        ("ConfigAlgo: {Global: {alg_kind: 1}}", "no register ConfigAlgo.alg_kind on the production chip"),
        ("ConfigAlgo: {Global: {alg_type: 8}}", "ConfigAlgo.alg_type: expected 0 to 0x7, got 0x8"),
        ("ConfigAlgo: {Global: {alg_type: x}}", "ConfigAlgo.alg_type: expected 0 to 0x7, got 'x'"),
        ("ConfigAlgo: {Global: {alg_type: 1}, alg_kind: 2}", "no register ConfigAlgo.alg_kind on the production chip"),
        ("Algorithm: {}\nConfigAlgo: {}", "has sections ConfigAlgo .production. and Algorithm"),
        ("ChAligner: 3", "ChAligner: expected a table, got 3"),
        ("ECON-T: {RW: {ALIGNER_ALL: 3}}", "ECON-T.RW.ALIGNER_ALL: expected a table with registers"),
        ("ECON-T: {RW: {ALIGNER_ALL: {registers: {nothing: 3}}}}", "no register ECON-T.RW.ALIGNER_ALL.nothing"),
    ],
)
def test_bad_files_get_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_registers(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


class Memory:
    """An I2C device that is memory: what it was told."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}
        self.transfers = 0

    def write(self, device: int, data: bytes) -> None:
        """As `I2cBus.write`."""
        assert device == 0x23
        self.transfers += 1
        for place, byte in enumerate(data[2:]):
            self.bytes[int.from_bytes(data[:2], "big") + place] = byte

    def write_read(self, device: int, data: bytes, count: int) -> bytes:
        """As `I2cBus.write_read`."""
        address = int.from_bytes(data, "big")
        return bytes(self.bytes.get(address + place, 0) for place in range(count))


def test_the_driver_writes_fields_and_leaves_their_neighbours() -> None:
    memory = Memory()
    driver = ConcentratorDriver(memory, Chip.PRODUCTION, device_address=0x23, burst=16)
    driver.load({("mux", cell): 47 - cell for cell in range(48)})
    assert memory.transfers == 3
    assert [memory.bytes[0x40F + cell] for cell in range(48)] == list(range(47, -1, -1))
    driver.write("aligner_orbsyn_cnt_load_val", 0xABC)
    driver.write("aligner_orbsyn_cnt_max_val", 0x123)
    # two fields of 12 bits in three bytes: load in bits 23:12, max in bits 11:0
    assert bytes(memory.bytes[0x393 + k] for k in range(3)) == bytes([0x23, 0xC1, 0xAB])
    assert driver.read("aligner_orbsyn_cnt_load_val") == 0xABC
    driver.write("misc_status_clear", 1)
    assert memory.bytes[0xCE0] == 1
    for call, message in (
        (lambda: driver.write("chaligner_select", 1), "ChAligner.0.select cannot be written"),
        (lambda: driver.write("mux", 64), "Mux.0: expected 0 to 0x3f, got 0x40"),
        (lambda: driver.write("nothing", 1), "no register nothing"),
        (lambda: driver.read("misc_status_clear"), "is a command and cannot be read"),
        (lambda: driver.read("mux", 48), r"no register mux\[48\]"),
        (lambda: ConcentratorDriver(memory, Chip.P1, burst=0), "burst: expected at least 1 byte"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
