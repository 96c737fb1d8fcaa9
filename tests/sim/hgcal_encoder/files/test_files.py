"""Readers and writers: settings, vectors, weight images, register map. Round trips, corners, clear refusals."""

import zipfile
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
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, TNS_2021, WordOrder
from sim.hgcal_encoder.weights import Weights, load_multiplexer
from tests.sim.hgcal_encoder.files.tables import production_table
from tests.specs import SMALL


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
        (lambda t: t["Cal"].update({3: 5000}), r"factors: expected 0 to 4095, got 5000 at index \(3,\)"),
        (lambda t: t["Mux"].update({3: "x"}), "Mux.3: expected an integer, got 'x'"),
        (lambda t: t["ConfigAlgo"]["Global"].update(alg_type=1), "selects algorithm 1; the autoencoder is 4"),
        (lambda t: t["ConfigAlgo"]["Global"].update(alg_high_density=2), "density: expected 0 .* or 1 .*, got 2"),
        (lambda t: t["FormatterBuffer"]["Global"].update(active_etxs=5), "mask of links from 0 up .*, got 0x5"),
        (lambda t: t.pop("ConfigAlgo"), "expected a section ConfigAlgo"),
        (lambda t: t["Encoder"].pop(11), "Encoder: block 11 is missing"),
        (lambda t: t["Encoder"][0].update(weights_byte128=1 << 48), "Encoder.0.weights_byte128: expected 48 bits"),
        (
            lambda t: t["Encoder"][3].update(weights_byte8=1),
            "Encoder.3: unknown 'weights_byte8'; expected weights_byte0",
        ),
        (lambda t: t["ConfigAlgo"]["Global"].update(alg_tpye=4), "ConfigAlgo: unknown 'alg_tpye'; expected .*alg_type"),
        (lambda t: t["Mux"].update({48: 0}), "Mux: unknown 48; expected 0 to 47"),
        (lambda t: t.update(Mxu={}), "unknown section 'Mxu'; expected .*Mux"),
        (lambda t: t.update(FmtBuf={}), "section FormatterBuffer occurs twice, as 'F.*' too"),
        (lambda t: t["ConfigAlgo"].update(alg_type=4), "ConfigAlgo: unknown 'alg_type' beside Global"),
        (lambda t: t["ConfigAlgo"]["Global"].update(alg_type=9), "algorithm: expected 0 to 7, got 9"),
        (lambda t: t["Cal"].update({3: 1 << 70}), "Cal.3: expected a number that fits its register"),
        (
            lambda t: t["FormatterBuffer"]["Global"].update(keep_auto_encoder_bits=1 << 150),
            "keep_mask: expected at most the 144 bits of ECON_T, got 0x4000",
        ),
        (lambda t: t["FormatterBuffer"]["Global"].update(active_etxs=1 << 14_000), "got an integer of 14001 bits"),
        (lambda t: t.update(Cal=[1, 2]), r"section Cal: expected a table, got \[1, 2\]"),
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


def test_what_a_file_leaves_out_stands_at_reset(tmp_path: Path) -> None:
    for table, order in (({"ConfigAlgo": {"alg_type": 4}}, "production"), ({"Algorithm": {"select": 4}}, "P1")):
        settings, weights = load_settings(write(tmp_path / "s.yaml", table))
        reset = reset_settings(ECON_T)
        assert weights is None
        assert settings.word_order == order
        assert settings.select.tolist() == reset.select.tolist() == list(range(48))
        assert settings.factors.tolist() == reset.factors.tolist() == [2048] * 48
        assert (settings.etx_count, settings.keep_mask, settings.high_density) == (2, (1 << 144) - 1, False)
    # the other blocks of the chip may be there, and one cell alone may be set
    table = {"ConfigAlgo": {"alg_type": 4}, "Aligner": {"Global": {"i2c": 1}}, "Mux": {7: 3}, "ERx": {0: 1}}
    settings, _ = load_settings(write(tmp_path / "s.yaml", table))
    assert settings.select.tolist() == [3 if cell == 7 else cell for cell in range(48)]


def layered_table() -> dict[str, object]:
    """The same settings as `p1_table`, as the public control software of first silicon writes them."""
    return {"ECON-T": {"RW": {
        "MFC_MUX_SELECT": {"registers": {"mux_select_*": {"value": list(range(48))}}},
        "MFC_CAL_VAL": {"registers": {"cal_*": {"value": [1024] * 48}}},
        "MFC_ALGORITHM_SEL_DENSITY": {
            "registers": {"algo": {"params": {"select": {"param_value": 4}, "density": {"param_value": 1}}}}
        },
        "FMTBUF_ALL": {
            "registers": {
                "mask_ae": {"value": (1 << 128) - 1}, "mask_ae2": {"value": 0x0F},
                "config": {"value": 37, "params": {"eporttx_numen": {"param_value": 5}}},
            }
        },
    }}}  # fmt: skip


def test_layered_settings_are_read(tmp_path: Path) -> None:
    settings, weights = load_settings(write(tmp_path / "l.yaml", layered_table()))
    flat, _ = load_settings(write(tmp_path / "f.yaml", p1_table()))
    assert weights is None
    assert settings.etx_count == 5
    assert settings.select.tolist() == flat.select.tolist()
    assert settings.factors.tolist() == flat.factors.tolist()
    for name in ("keep_mask", "high_density", "word_order"):
        assert getattr(settings, name) == getattr(flat, name)
    # values of whole registers, single cells, weights of single blocks
    image = Weights.random(ECON_T, np.random.default_rng(2))
    table = layered_table()
    blocks = table["ECON-T"]["RW"]  # type: ignore[index]
    blocks["MFC_ALGORITHM_SEL_DENSITY"]["registers"]["algo"] = {"value": 0b0100}
    blocks["MFC_MUX_SELECT"]["registers"]["mux_select_3"] = {"value": 9}
    for k, words in production_table(image)["Encoder"].items():  # type: ignore[attr-defined]
        blocks[f"AUTOENCODER_{k}INPUT"] = {"registers": {name: {"value": value} for name, value in words.items()}}
    settings, weights = load_settings(write(tmp_path / "l.yaml", table))
    assert weights == image
    assert settings.high_density is False
    assert settings.select[3] == 9
    for block, edit, message in (
        ("MFC_CAL_VAL", {"cal_*": {"value": [1] * 47}}, r"MFC_CAL_VAL.cal_\*: expected a list of 48 values"),
        ("MFC_CAL_VAL", {"kal_0": {"value": 1}}, "MFC_CAL_VAL: unknown register 'kal_0'"),
        ("FMTBUF_ALL", {"mask_a": {"value": 1}}, "FormatterBuffer: unknown 'mask_a'"),
        ("FMTBUF_ALL", {"config": {"params": {"x": {"param_value": 1}}}}, "config: unknown 'x'; expected stc_type"),
        ("FMTBUF_ALL", 5, "ECON-T.RW.FMTBUF_ALL: expected a table with registers"),
    ):
        table = layered_table()
        table["ECON-T"]["RW"][block] = {"registers": edit}  # type: ignore[index]
        with pytest.raises(ValueError, match=f"l.yaml: .*{message}"):
            load_settings(write(tmp_path / "l.yaml", table))


HOSTILE = {
    "deep": "[" * 5000 + "]" * 5000,
    "deep tables": "".join(f"{'  ' * level}a:\n" for level in range(200)),
    "bomb": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "Algorithm: {select: 4, density: *i}\n",
    "bomb as a section": "x: &x [1]\ny: &y [*x, *x]\nAlgorithm: *y",
    "twice": "Algorithm: {select: 4}\nCal: {0: 1}\nCal: {0: 2}",
    "twice inside": "Algorithm: {select: 4, select: 2}",
    "huge integer": f"Algorithm: {{select: {'9' * 5000}}}",
    "huge hex": f"Algorithm: {{select: 0x{'f' * 90000}}}",
    "long name": f"{'n' * 100_000}: 1",
    "long text": f"Algorithm: {{select: {'n' * 100_000}}}",
    "key of a list": "? [1, 2]\n: 3",
    "python": "Algorithm: !!python/object/apply:os.system ['true']",
    "date": "Algorithm: 2020-99-99",
    "no text": b"\xff\xfe\x00\x01",
    "control": "a: \x07",
    "tab": "Algorithm:\n\tselect: 4",
    "cut": "Algorithm: {select: 4",
    "empty": "",
    "alias of itself": "a: &a [*a]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_settings_are_one_short_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    content = HOSTILE[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r"^.*s\.yaml: ") as caught:
        load_settings(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 500 + len(str(path))


def test_what_is_wrong_in_hostile_settings_is_named(tmp_path: Path) -> None:
    for name, message in (
        ("deep", "line 1: nested deeper than 50 levels"),
        ("twice", "line 3: 'Cal' occurs twice in one table"),
        ("twice inside", "line 1: 'select' occurs twice in one table"),
        ("huge integer", "line 1: expected an integer that fits, got '9999"),
        ("huge hex", "algorithm: expected 0 to 7, got an integer of 360000 bits"),
    ):
        (tmp_path / "s.yaml").write_text(str(HOSTILE[name]))
        with pytest.raises(ValueError, match=message):
            load_settings(tmp_path / "s.yaml")


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    words = np.arange(24).reshape(2, 12)
    vectors.write_words(tmp_path / "w.csv", words)
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "w.csv").read_bytes())
    assert vectors.read_words(tmp_path / "bom.csv").tolist() == words.tolist()
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfAlgorithm: {select: 4, density: 1}")
    assert load_settings(tmp_path / "bom.yaml")[0].high_density


def test_archives_of_weights_that_are_none(tmp_path: Path) -> None:
    weights = Weights.random(ECON_T, np.random.default_rng(1))
    path = tmp_path / "w.npz"
    weights.save_arrays(path)
    content = path.read_bytes()
    assert Weights.load(path, ECON_T) == weights
    assert load_multiplexer(path) is None
    cases: dict[str, bytes] = {"cut": content[: len(content) // 2], "text": b"not an archive", "empty": b""}
    for data in cases.values():
        path.write_bytes(data)
        for read in (lambda: Weights.load(path, ECON_T), lambda: load_multiplexer(path)):
            with pytest.raises(ValueError, match=r"w\.npz: not a complete \.npz archive"):
                read()
    np.savez(path, multiplexer=np.array([object()]))
    with pytest.raises(ValueError, match=r"w\.npz: array multiplexer: expected numbers or text, got Python objects"):
        load_multiplexer(path)
    np.savez(path, multiplexer=np.arange(48) + 1)
    with pytest.raises(ValueError, match=r"w\.npz: multiplexer: expected 0 to 47, got 48"):
        load_multiplexer(path)
    # an array that promises more than there is, and one that unpacks to a gigabyte
    header = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("multiplexer.npy", header.ljust(127) + b"\n" + bytes(80))
    with pytest.raises(ValueError, match=r"array multiplexer: expected 8,000,000,000,000 bytes .* got 80"):
        load_multiplexer(path)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(600):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ValueError, match="its arrays take 629,145,600 bytes; at most"):
        load_multiplexer(path)


def test_damaged_archives_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    Weights.random(SMALL, np.random.default_rng(1)).save_arrays(path)
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = []
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 6)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            Weights.load(path, SMALL)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert all("\n" not in message and len(message) < 500 + len(str(path)) for message in refused)


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
