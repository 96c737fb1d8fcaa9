"""Register map of the chip: against the published map, against itself in C, against files that lie."""

import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows.designs.register_documents import c_header, register_table
from flows.tools.verilator import verilator_environment
from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.configuration.chip_registers import (
    Access,
    Loading,
    chip_fields,
    error_counters,
    image_bytes,
    image_checksum,
    image_masks,
)
from sim.hgcal_encoder.configuration.driver import settings_and_weights
from sim.hgcal_encoder.configuration.image_file import load_image, save_image
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, PRESETS, TNS_2021
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need
from tests.specs import SMALL


def addresses(loading: Loading = Loading.GUARDED) -> dict[tuple[str, int], int]:
    return {(field.name, field.index): field.address for field in chip_fields(ECON_T, loading)}


def test_addresses_of_the_published_map(shared_data: Path) -> None:
    path = shared_data / "hgcal" / "ECONT_P1_I2C_params_regmap.yaml"
    need(path.is_file(), f"register map at {path}")
    table = yaml.safe_load(path.read_text())["ECON-T"]
    rw, ro = table["RW"], table["RO"]
    here = addresses()

    def at(block: dict, name: str) -> int:
        return block["addr_base"] + block["registers"][name].get("addr_offset", 0)

    assert here["etx_count", 0] == at(rw["FMTBUF_ALL"], "config")
    assert here["keep_mask", 0] == at(rw["FMTBUF_ALL"], "mask_ae")
    # the mask goes on without a gap
    assert at(rw["FMTBUF_ALL"], "mask_ae2") == at(rw["FMTBUF_ALL"], "mask_ae") + 16
    assert here["select", 5] == rw["MFC_MUX_SELECT"]["addr_base"] + 5
    assert here["factors", 5] == rw["MFC_CAL_VAL"]["addr_base"] + 10
    assert here["algorithm", 0] == here["high_density", 0] == rw["MFC_ALGORITHM_SEL_DENSITY"]["addr_base"]
    assert here["drop_lsb", 0] == rw["ALGO_DROPLSB"]["addr_base"]
    blocks = rw["AUTOENCODER_*INPUT"]
    assert [here["weights", k] for k in range(12)] == [
        blocks["addr_base"] + k * blocks["block_shift"] for k in range(12)
    ]
    assert here["run", 0] == here["clear_errors", 0] == rw["MISC_ALL"]["addr_base"]
    bits = {name: p["param_shift"] for name, p in rw["MISC_ALL"]["registers"]["misc_rw_0"]["params"].items()}
    found = {field.name: field for field in chip_fields(ECON_T, Loading.DIRECT)}
    assert (found["run"].lsb, found["clear_errors"].lsb) == (bits["run"], bits["rw_ecc_err_clr"])
    algorithm = rw["MFC_ALGORITHM_SEL_DENSITY"]["registers"]["algo"]["params"]
    assert (found["algorithm"].lsb, found["high_density"].lsb) == (
        algorithm["select"]["param_shift"],
        algorithm["density"]["param_shift"],
    )
    for kind, block in (("corrected", "MISC_ERR_CNT_SINGLE"), ("uncorrectable", "MISC_ERR_CNT_DOUBLE")):
        stem = "rw_ecc_err_in_re_cnt_" + block.rpartition("_")[2].lower()
        for name, chip in (
            ("formatter_buffer", "formatter_buffer"),
            ("mux_calibration", "mux_fix_calib"),
            ("algorithm", "algorithm"),
        ):
            assert here[f"{kind}_{name}", 0] == at(ro[block], f"{stem}_{chip}")
    assert here["corrected_control", 0] == at(ro["MISC_ERR_CNT_SINGLE"], "rw_ecc_err_in_re_cnt_single_misc")


@pytest.mark.parametrize("spec", [*PRESETS.values(), SMALL], ids=lambda spec: spec.name)
@pytest.mark.parametrize("loading", Loading)
def test_no_two_fields_share_a_bit(spec, loading: Loading) -> None:
    taken = set()
    for field in chip_fields(spec, loading):
        for bit in range(field.lsb, field.lsb + field.width):
            place = (field.address + bit // 8, bit % 8)
            assert place not in taken, field
            taken.add(place)
    assert {name for name, _ in error_counters()} <= {field.name for field in chip_fields(spec, loading)}


def test_control_registers_move_behind_a_large_image() -> None:
    fields = {field.name: field.address for field in chip_fields(TNS_2021, Loading.GUARDED)}
    assert fields["run"] == 0x0BEC, "143 bytes a block fit"
    large = replace(ECON_T, name="LARGE", weight=FixedPoint(width=8, fraction=7, signed=True), conv_product_fraction=9)
    moved = {field.name: field.address for field in chip_fields(large, Loading.GUARDED)}
    assert moved["run"] & 0xFF == 0xEC
    assert moved["run"] > max(image_masks(large))
    assert moved["load_status"] - moved["run"] == fields["load_status"] - fields["run"]


def test_direct_loading_has_no_load_registers() -> None:
    names = {field.name for field in chip_fields(ECON_T, Loading.DIRECT)}
    assert not [name for name in names if "load" in name or "shadow" in name]


def random_image() -> tuple[Settings, Weights, dict[int, int]]:
    rng = np.random.default_rng(5)
    settings = Settings(
        spec=SMALL, select=rng.permutation(48), factors=rng.integers(0, 4096, 48), high_density=False, etx_count=9,
        keep_mask=int(rng.integers(1, 1 << SMALL.keep_bits)), word_order=SMALL.word_order,
    )  # fmt: skip
    weights = Weights.random(SMALL, rng)
    return settings, weights, image_bytes(SMALL, settings, weights, algorithm=4, drop_lsb=3)


def test_an_image_comes_back(tmp_path: Path) -> None:
    settings, weights, image = random_image()
    found_settings, found_weights = settings_and_weights(SMALL, image)
    assert found_weights == weights
    for name in ("high_density", "etx_count", "keep_mask", "word_order"):
        assert getattr(found_settings, name) == getattr(settings, name)
    assert np.array_equal(found_settings.select, settings.select)
    assert np.array_equal(found_settings.factors, settings.factors)
    assert image[0x0454] == 4
    assert image[0x04E5] == 3
    save_image(tmp_path / "image.txt", SMALL, image)
    assert load_image(tmp_path / "image.txt", SMALL) == image
    assert image_checksum(image) == zlib.crc32(bytes(byte for _, byte in sorted(image.items())))


def test_published_settings_become_an_image(econt_vectors: Path) -> None:
    settings, weights = load_settings(econt_vectors / "AE" / "init.yaml")
    image = image_bytes(ECON_T, settings, weights)
    assert settings_and_weights(ECON_T, image)[1] == weights
    raw = yaml.safe_load((econt_vectors / "AE" / "init.yaml").read_text())
    for block in (0, 7, 11):
        word = raw["Encoder"][block]["weights_byte16"]
        start = 0x0538 + 143 * block + 16
        assert bytes(image[start + i] for i in range(16)) == word.to_bytes(16, "little")


def damaged(text: str, how: str) -> str:
    lines = text.splitlines(keepends=True)
    match how:
        case "cut":
            return "".join(lines[:-1])
        case "half a line":
            return text[:-20]
        case "bit":
            return text.replace("0x0538 ", "0x0538 00 ", 1).replace("0x0538 00 ", "0x0538 ", 1)[:-3] + "3f\n"
        case "checksum":
            return text.replace(lines[1], "crc32 00000000\n")
        case "no checksum":
            return text.replace(lines[1], "")
        case "other network":
            return text.replace("SMALL", "ECON_T")
        case "twice":
            return text + lines[-1]
        case "address":
            return text + "0x9000 00\n"
        case "mask":
            return text.replace("0x03c4 ", "0x03c4 c0 ", 1).replace(" c0 ", " ", 1).replace("0x0454 04", "0x0454 f4")
        case "empty":
            return ""
    raise ValueError(how)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "bytes are missing, the first at"),
        ("half a line", "bytes are missing|expected an address"),
        ("bit", "checksum: expected"),
        ("checksum", "checksum: expected 00000000"),
        ("no checksum", "line 2: expected 'crc32'"),
        ("other network", "image of ECON_T, but the chip is SMALL"),
        ("twice", "occurs twice"),
        ("address", "0x9000 is no address of SMALL"),
        ("mask", "0x0454: bits beyond 0x0f are set in 0xf4"),
        ("empty", "line 1: expected"),
    ],
)
def test_a_bad_image_file_is_refused(tmp_path: Path, how: str, message: str) -> None:
    path = tmp_path / "image.txt"
    save_image(path, SMALL, random_image()[2])
    path.write_text(damaged(path.read_text(), how))
    with pytest.raises(ValueError, match=message):
        load_image(path, SMALL)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no image at"):
        load_image(tmp_path / "none.txt", SMALL)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        load_image(tmp_path / "binary", SMALL)
    with pytest.raises(ValueError, match="bytes are missing"):
        save_image(tmp_path / "image.txt", SMALL, {0x03B0: 0x20})
    assert not (tmp_path / "image.txt").exists()


def test_settings_out_of_range_make_no_image() -> None:
    settings, weights, _ = random_image()
    with pytest.raises(ValueError, match="algorithm: expected 0 to 7, got 8"):
        image_bytes(SMALL, settings, weights, algorithm=8)
    with pytest.raises(ValueError, match="drop_lsb: expected 0 to 255, got -1"):
        image_bytes(SMALL, settings, weights, drop_lsb=-1)
    with pytest.raises(ValueError, match="keep_mask: expected at most the 27 bits of SMALL"):
        image_bytes(SMALL, Settings(), weights)
    with pytest.raises(ValueError, match="weights of SMALL, but the chip is ECON_T"):
        image_bytes(ECON_T, Settings(), weights)


def test_c_header_compiles_and_says_the_same(tmp_path: Path) -> None:
    header = c_header("ECON_T", chip_fields(ECON_T, Loading.GUARDED), Loading.GUARDED)
    (tmp_path / "registers.h").write_text(header)
    (tmp_path / "main.c").write_text("""
#include <stdio.h>
#include "registers.h"
int main(void) {
    printf("%#x %#x %u %#x %#x\\n", ECON_T_DEVICE_ADDRESS, ECON_T_WEIGHTS_ADDRESS(11), ECON_T_WEIGHTS_COUNT,
           ECON_T_RUN_MASK, ECON_T_LOAD_STATUS_ADDRESS);
    printf("%#x %u %#x\\n", ECON_T_FACTORS_ADDRESS(47), ECON_T_IMAGE_BYTES, ECON_T_IMAGE_LAST);
    return 0;
}
""")
    environment = verilator_environment()
    subprocess.run(
        ["g++", "-x", "c", "-std=c99", "-Wall", "-Werror", "main.c", "-o", "main"],
        cwd=tmp_path,
        check=True,
        env=environment,
    )
    result = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    masks = image_masks(ECON_T)
    assert result == [
        "0x20",
        f"{0x0538 + 11 * 143:#x}",
        "12",
        "0x2",
        "0xc88",
        f"{0x03F4 + 94:#x}",
        str(len(masks)),
        f"{max(masks):#x}",
    ]


def test_table_has_every_field_once() -> None:
    table = register_table(chip_fields(ECON_T, Loading.GUARDED))
    names = {field.name for field in chip_fields(ECON_T, Loading.GUARDED)}
    for name in names:
        assert table.count(f"| `{name}` |") == 1
    assert "| 0x0538 + 143 i, i = 0 to 11 | 1071:0 | `weights` | rw |" in table
    assert all(field.about for field in chip_fields(ECON_T, Loading.GUARDED))
    assert Access.COMMAND in {field.access for field in chip_fields(ECON_T, Loading.GUARDED)}
