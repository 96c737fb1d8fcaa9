"""Register map of the production chip against the published map, and what is written through it."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

from sim.hgcal_encoder.configuration.production_registers import production_map, production_writes
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, WordOrder
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need
from tests.specs import SMALL

SECTIONS = {"mux": "Mux", "cal": "Cal", "threshold": "AlgoThreshold"}
SINGLE = ("ConfigAlgo", "AlgoDroplsb", "FormatterBuffer")


@pytest.fixture(scope="module")
def published(shared_data: Path) -> dict:  # type: ignore[type-arg]
    path = shared_data / "hgcal" / "ECONT_production_I2C_params_regmap.yaml"
    need(path.is_file(), f"register map at {path}")
    return yaml.safe_load(path.read_text())


def test_every_register_is_where_the_published_map_has_it(published: dict) -> None:  # type: ignore[type-arg]
    seen = 0
    for field in production_map():
        if field.name == "weights":
            block = published["Encoder"][field.index]
            parts = sorted(block.values(), key=lambda part: part["address"])
            assert parts[0]["address"] == field.address
            assert sum(part["size_byte"] for part in parts) * 8 == field.width
            assert all(a["address"] + a["size_byte"] == b["address"] for a, b in pairwise(parts))
        else:
            if field.name in SECTIONS:
                entry = published[SECTIONS[field.name]][field.index]
            else:
                entry = next(
                    published[name]["Global"][field.name] for name in SINGLE if field.name in published[name]["Global"]
                )
            assert entry["access"] == "rw"
            assert (entry["address"], entry["param_shift"]) == (field.address, field.lsb), field.name
            assert entry["param_mask"] == (1 << field.width) - 1
            assert entry["default_value"] == field.reset
        seen += 1
    assert seen == 17 + 3 * 48 + 12
    # every register of these sections that can be written is in the map
    names = {field.name for field in production_map()}
    for section in SINGLE:
        writable = {name for name, entry in published[section]["Global"].items() if entry.get("access") == "rw"}
        assert writable <= names | {"align_serializer"}


def test_writes_hold_everything_and_touch_nothing_else() -> None:
    rng = np.random.default_rng(4)
    weights = Weights.random(ECON_T, rng)
    settings = Settings(
        select=rng.permutation(48), factors=rng.integers(0, 4096, 48), high_density=True, etx_count=5,
        keep_mask=int.from_bytes(rng.bytes(18), "little"), word_order=WordOrder.P1,
    )  # fmt: skip
    writes = production_writes(settings, weights, others={"buff_t1": 400, "idle_pattern": 0x123, "drop_lsb": 3})
    memory = dict(writes)
    assert len(memory) == len(writes)

    def number(address: int, size: int) -> int:
        return int.from_bytes(bytes(memory[address + i] for i in range(size)), "little")

    ordered = settings.in_order(WordOrder.PRODUCTION)
    assert [memory[0x40F + i] for i in range(48)] == ordered.select.tolist()
    assert [number(0x43F + 2 * i, 2) for i in range(48)] == settings.factors.tolist()
    # autoencoder, high density, and the neighbour in this byte, valid_threshold, at its reset value 1
    assert memory[0x49F] == 4 | 1 << 3 | 1 << 6
    assert 0x4A0 not in memory
    assert number(0x545, 2) == 0b11111 << 3 | 1
    assert number(0x549, 18) == settings.keep_mask
    assert (number(0x540, 2), number(0x547, 2), memory[0x53E]) == (400, 0x123, 3)
    assert b"".join(bytes(memory[0x600 + 0x86 * k + i] for i in range(134)) for k in range(12)) == weights.to_image()
    # nothing that was left alone is written: thresholds, second and third threshold of the buffer, reset pattern
    assert not {0x4AE, 0x542, 0x544, 0x55B} & set(memory)
    # and no address of first silicon: links, clocks and fast commands of the production chip
    assert min(memory) == 0x40F
    assert set(dict(production_writes(settings))) < set(memory)


def test_what_does_not_fit_the_production_chip_is_refused() -> None:
    with pytest.raises(ValueError, match="SMALL: the production chip holds 144 latent bits and 12,864 bits of weights"):
        production_writes(Settings(spec=SMALL))
    for name in ("mux", "colour"):
        with pytest.raises(ValueError, match=f"no single register '{name}'"):
            production_writes(Settings(), others={name: 1})
    with pytest.raises(ValueError, match="buff_t1: expected 0 to 511, got 512"):
        production_writes(Settings(), others={"buff_t1": 512})
    with pytest.raises(ValueError, match="alg_type: expected 0 to 7, got 9"):
        production_writes(Settings(), algorithm=9)
