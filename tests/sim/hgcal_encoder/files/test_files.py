"""Readers and writers: settings, vectors, weight images, register map. Round trips, corners, clear refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sim.files import replacing
from sim.hgcal_encoder.configuration.registers import register_map, register_writes, reset_settings
from sim.hgcal_encoder.example_specs import random_spec
from sim.hgcal_encoder.files import vectors
from sim.hgcal_encoder.settings import Settings, load_settings
from sim.hgcal_encoder.spec import ECON_T, TNS_2021, WordOrder
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL


def production_table(weights: Weights | None = None) -> dict[str, object]:
    table: dict[str, object] = {
        "ConfigAlgo": {"Global": {"alg_high_density": 0, "alg_type": 4}},
        "Cal": dict.fromkeys(range(48), 2048),
        "Mux": {i: 47 - i for i in range(48)},
        "FormatterBuffer": {"Global": {"active_etxs": 0x7, "keep_auto_encoder_bits": 0xFF}},
    }
    if weights is not None:
        image = weights.to_image()
        table["Encoder"] = {
            block: {
                f"weights_byte{offset}": int.from_bytes(
                    image[134 * block + offset : 134 * block + min(offset + 16, 134)], "little"
                )
                for offset in range(0, 136, 16)
            }
            for block in range(12)
        }
    return table


def p1_table() -> dict[str, object]:
    return {
        "Algorithm": {"density": 1, "select": 4},
        "Cal": dict.fromkeys(range(48), 1024),
        "Mux": {i: i for i in range(48)},
        "FormatterBuffer": {"mask_ae": (1 << 128) - 1, "mask_ae2": 0x0F},
    }


def write(path: Path, table: object) -> Path:
    path.write_text(yaml.safe_dump(table))
    return path


def test_settings_in_both_spellings(tmp_path: Path) -> None:
    weights = Weights.random(ECON_T, np.random.default_rng(0))
    settings, loaded = load_settings(write(tmp_path / "p.yaml", production_table(weights)))
    assert loaded == weights
    assert (settings.high_density, settings.etx_count, settings.keep_mask) == (False, 3, 0xFF)
    assert settings.word_order is WordOrder.PRODUCTION
    assert settings.select.tolist() == list(range(47, -1, -1))
    settings, loaded = load_settings(write(tmp_path / "p1.yaml", p1_table()))
    assert loaded is None
    assert settings.word_order is WordOrder.P1
    assert (settings.etx_count, settings.keep_mask.bit_count(), settings.factors[0]) == (2, 132, 1024)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("Mux"), "section Mux is missing"),
        (lambda t: t["Cal"].pop(17), "Cal: 17 is missing"),
        (lambda t: t["Cal"].update({3: 5000}), r"factors: expected 0 to 4095, got 5000 at index \(3,\)"),
        (lambda t: t["Mux"].update({3: "x"}), "Mux.3: expected an integer, got 'x'"),
        (lambda t: t["ConfigAlgo"]["Global"].update(alg_type=1), "selects algorithm 1; the autoencoder is 4"),
        (lambda t: t["ConfigAlgo"]["Global"].update(alg_high_density=2), "density: expected 0 .* or 1 .*, got 2"),
        (lambda t: t["FormatterBuffer"]["Global"].update(active_etxs=5), "mask of links from 0 up .*, got 0x5"),
        (lambda t: t["FormatterBuffer"]["Global"].pop("active_etxs"), "FormatterBuffer: active_etxs is missing"),
        (lambda t: t.pop("ConfigAlgo"), "expected a section ConfigAlgo"),
        (lambda t: t["Encoder"].pop(11), "Encoder: block 11 is missing"),
        (lambda t: t["Encoder"][0].update(weights_byte128=1 << 48), "Encoder.0.weights_byte128: expected 48 bits"),
    ],
)
def test_settings_refusals_name_the_place(tmp_path: Path, edit, message: str) -> None:  # type: ignore[no-untyped-def]
    table = production_table(Weights.random(ECON_T, np.random.default_rng(0)))
    edit(table)
    with pytest.raises(ValueError, match=f"s.yaml: .*{message}"):
        load_settings(write(tmp_path / "s.yaml", table))


def test_settings_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no settings file"):
        load_settings(tmp_path / "absent.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="expected a table"):
        load_settings(tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ValueError, match="not a YAML file"):
        load_settings(tmp_path / "bad.yaml")


@given(st.lists(st.lists(st.integers(0, 0xFFFF_FFFF), min_size=13, max_size=13), min_size=1, max_size=4))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_vector_files_round_trip(tmp_path: Path, rows: list[list[int]]) -> None:
    vectors.write_frames(tmp_path / "frames.csv", rows)
    assert vectors.read_frames(tmp_path / "frames.csv").tolist() == rows
    words = [row[:12] for row in rows]
    vectors.write_words(tmp_path / "words.csv", words)
    assert vectors.read_words(tmp_path / "words.csv").tolist() == words


def test_vector_files_are_written_as_published(econt_vectors: Path, tmp_path: Path) -> None:
    for name, read, write_back in (
        ("testInput_bx0000-1781.csv", vectors.read_words, vectors.write_words),
        ("AE/testOutput_bx0000-1781.csv", vectors.read_frames, vectors.write_frames),
    ):
        write_back(tmp_path / "copy.csv", read(econt_vectors / name))
        assert (tmp_path / "copy.csv").read_text().split() == (econt_vectors / name).read_text().split()


def test_reads_shared_charges(shared_data: Path) -> None:
    charges = vectors.read_charges(shared_data / "hgcal" / "electron_pt20_eta15-30_0PU.csv")
    assert charges.shape == (17382, 48)
    assert charges.min() >= 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header: expected CALQ_0 to CALQ_47"),
        ("CALQ_0,CALQ_1\n1,2\n", "missing CALQ_2"),
        (",".join(f"CALQ_{i}" for i in range(48)) + "\n1,2\n", "row 2: expected 48 fields, got 2"),
        (
            ",".join(f"CALQ_{i}" for i in range(48)) + "\n" + ",".join(["1"] * 47 + ["1.5"]),
            "row 2, column CALQ_47: expected an integer, got '1.5'",
        ),
        (
            ",".join(f"CALQ_{i}" for i in range(48)) + "\n" + ",".join(["-1"] * 48),
            "row 2, column CALQ_0: expected 0 to 0x3fffff, got -1",
        ),
    ],
)
def test_vector_refusals_name_row_and_column(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(ValueError, match=f"c.csv: .*{message}"):
        vectors.read_charges(tmp_path / "c.csv")


@pytest.mark.parametrize("seed", range(8))
def test_weight_images_round_trip(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = (ECON_T, TNS_2021, SMALL)[seed] if seed < 3 else random_spec(rng)
    weights = Weights.random(spec, rng)
    image = weights.to_image()
    assert len(image) == -(-spec.weight_bits // 8)
    # weight n in bits width*n upwards, two's complement
    number, width = int.from_bytes(image, "little"), spec.weight.width
    for n, code in enumerate(weights.to_codes().tolist()):
        assert (number >> (width * n)) & ((1 << width) - 1) == code % (1 << width)
    weights.save(tmp_path / "w.hex")
    assert Weights.load(tmp_path / "w.hex", spec) == weights
    np.savez(
        tmp_path / "w.npz",
        kernel=weights.kernel,
        kernel_bias=weights.kernel_bias,
        dense=weights.dense,
        dense_bias=weights.dense_bias,
    )
    assert Weights.load(tmp_path / "w.npz", spec) == weights


def test_weight_order_of_the_image() -> None:
    """72 kernel weights (row, column, filter), 8 biases, 2048 dense as [latent][activation], 16 biases."""
    codes = np.zeros(ECON_T.parameters, int)
    codes[[(1 * 3 + 2) * 8 + 5, 72 + 3, 80 + 7 * 128 + 100, 80 + 2048 + 15]] = [1, 2, 3, 4]
    weights = Weights.from_codes(codes, ECON_T)
    assert weights.kernel[1, 2, 0, 5] == 1
    assert weights.kernel_bias[3] == 2
    assert weights.dense[100, 7] == 3
    assert weights.dense_bias[15] == 4


def test_weight_refusals(tmp_path: Path) -> None:
    (tmp_path / "w.hex").write_text("00 11\nzz\n")
    with pytest.raises(ValueError, match=r"w.hex: line 2: expected hexadecimal bytes, got 'zz'"):
        Weights.load(tmp_path / "w.hex", ECON_T)
    (tmp_path / "w.hex").write_text("00 11\n")
    with pytest.raises(ValueError, match="needs 12864 bits, got 16"):
        Weights.load(tmp_path / "w.hex", ECON_T)
    (tmp_path / "w.hex").write_text((bytes(1608) + b"\x01").hex())
    with pytest.raises(ValueError, match="bit 12864 is set"):
        Weights.load(tmp_path / "w.hex", ECON_T)
    with pytest.raises(FileNotFoundError, match="no weight image"):
        Weights.load(tmp_path / "absent.hex", ECON_T)
    np.savez(tmp_path / "w.npz", kernel=np.zeros((3, 3, 1, 8), int))
    with pytest.raises(ValueError, match="missing kernel_bias, dense, dense_bias"):
        Weights.load(tmp_path / "w.npz", ECON_T)
    (tmp_path / "w.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"w.npz: "):
        Weights.load(tmp_path / "w.npz", ECON_T)


def test_register_map_stands_at_the_published_addresses(shared_data: Path) -> None:
    """Against the ECON-T-P1 register map itself."""
    published = yaml.safe_load((shared_data / "hgcal" / "ECONT_P1_I2C_params_regmap.yaml").read_text())["ECON-T"]["RW"]
    fields = {(f.name, f.index): f for f in register_map(ECON_T)}
    encoder = published["AUTOENCODER_*INPUT"]
    used = sum(register["size_byte"] for register in encoder["registers"].values())
    for block in range(12):
        field = fields["weights", block]
        assert field.address == encoder["addr_base"] + block * encoder["block_shift"]
        assert field.width == 8 * used
    select, factors = published["MFC_MUX_SELECT"], published["MFC_CAL_VAL"]
    for cell in range(48):
        register = select["registers"]["mux_select_*"]
        assert fields["select", cell].address == select["addr_base"] + cell * register["addr_shift"]
        assert fields["select", cell].reset == register["value"][cell]
        assert (1 << fields["select", cell].width) - 1 == register["param_mask"]
        register = factors["registers"]["cal_*"]
        assert fields["factors", cell].address == factors["addr_base"] + cell * register["addr_shift"]
        assert fields["factors", cell].reset == register["value"][cell]
        assert (1 << fields["factors", cell].width) - 1 == register["param_mask"]
    buffer = published["FMTBUF_ALL"]
    links = buffer["registers"]["config"]
    assert fields["etx_count", 0].address == buffer["addr_base"] + links["addr_offset"]
    assert fields["etx_count", 0].lsb == links["params"]["eporttx_numen"]["param_shift"]
    assert fields["etx_count", 0].reset == links["value"] >> 4
    mask = buffer["registers"]["mask_ae"]
    assert fields["keep_mask", 0].address == buffer["addr_base"] + mask["addr_offset"]
    assert fields["keep_mask", 0].width == 8 * (mask["size_byte"] + buffer["registers"]["mask_ae2"]["size_byte"])
    density = published["MFC_ALGORITHM_SEL_DENSITY"]
    assert fields["high_density", 0].address == density["addr_base"]
    assert fields["high_density", 0].lsb == density["registers"]["algo"]["params"]["density"]["param_shift"]


@pytest.mark.parametrize("seed", range(6))
def test_register_writes_hold_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = (ECON_T, TNS_2021)[seed] if seed < 2 else random_spec(rng)
    weights = Weights.random(spec, rng)
    settings = Settings(
        spec=spec,
        select=rng.integers(0, 48, 48),
        factors=rng.integers(0, 4096, 48),
        high_density=bool(seed % 2),
        etx_count=int(rng.integers(1, 14)),
        keep_mask=int.from_bytes(rng.bytes(100), "big") % (1 << spec.keep_bits),
        word_order=WordOrder.P1,
    )
    memory = dict(register_writes(spec, settings, weights))
    fields = register_map(spec)
    image = ""
    values = {}
    for field in fields:
        number = int.from_bytes(bytes(memory[field.address + i] for i in range(field.size)), "little")
        values[field.name, field.index] = number >> field.lsb & ((1 << field.width) - 1)
        if field.name == "weights":
            image = f"{values['weights', field.index]:0{field.width}b}" + image
    assert int(image, 2) == int.from_bytes(weights.to_image(), "little")
    ordered = settings.in_order(spec.word_order)
    assert [values["select", i] for i in range(48)] == ordered.select.tolist()
    assert [values["factors", i] for i in range(48)] == ordered.factors.tolist()
    assert values["keep_mask", 0] == settings.keep_mask
    assert values["etx_count", 0] == settings.etx_count
    assert values["high_density", 0] == settings.high_density
    # no two fields claim the same bit
    bits = [8 * f.address + f.lsb + i for f in fields for i in range(f.width)]
    assert len(set(bits)) == len(bits)


def test_reset_settings_are_those_of_the_chip() -> None:
    settings = reset_settings(ECON_T)
    assert (settings.etx_count, settings.high_density, settings.keep_mask) == (2, False, (1 << 144) - 1)
    assert settings.select.tolist() == list(range(48))
    assert set(settings.factors.tolist()) == {2048}


def test_register_map_refuses_what_does_not_fit() -> None:
    huge = replace(ECON_T, name="HUGE", filters=64, latents=128)
    with pytest.raises(ValueError, match="do not fit the 16-bit address space"):
        register_map(huge)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]
