"""Register file: every field of the register map is written at its address, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from hw.common.register_file import RegisterFile
from hw.common.storage_cell import StorageCell
from sim.hgcal_encoder.configuration.registers import register_map, register_writes, reset_settings
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, TNS_2021
from sim.hgcal_encoder.weights import Weights
from sim.register_map import Field
from tests.hw.driving import pack, run
from tests.specs import SMALL


def written(component, writes):
    """Outputs after a list of (address, data, enable)."""
    address, data, enable = np.array([*writes, (0, 0, 0)]).T
    got = run(component, {"write_address": address, "write_data": data, "write_enable": enable}, clocked=True)
    return {name: values[-1] for name, values in got.items()}


@pytest.fixture
def fields():
    return register_map(SMALL)


def test_reset_values_are_those_of_the_map(fields):
    reset = reset_settings(SMALL)
    assert written(RegisterFile(fields=fields), []) == {
        "select": pack([reset.select], 6)[0],
        "factors": pack([reset.factors], 12)[0],
        "high_density": 0,
        "etx_count": 2,
        "keep_mask": reset.keep_mask,
        "weights": 0,
    }


def test_settings_and_weights_arrive(fields):
    rng = np.random.default_rng(5)
    weights = Weights.random(SMALL, rng)
    settings = Settings(
        spec=SMALL,
        select=rng.permutation(48),
        factors=rng.integers(0, 4096, 48),
        high_density=True,
        etx_count=11,
        keep_mask=int(rng.integers(0, 1 << SMALL.keep_bits)),
        word_order=SMALL.word_order,
    )
    writes = [(address, data, 1) for address, data in register_writes(SMALL, settings, weights)]
    assert written(RegisterFile(fields=fields), writes) == {
        "select": pack([settings.select], 6)[0],
        "factors": pack([settings.factors], 12)[0],
        "high_density": 1,
        "etx_count": 11,
        "keep_mask": settings.keep_mask,
        "weights": int.from_bytes(weights.to_image(), "little"),
    }


def test_every_byte_is_reached_by_its_address_alone(fields):
    """One write per byte of the address space in use, each seen at once, and nothing else changes."""
    low, high = fields[0].address - 2, fields[-1].address + fields[-1].size + 2
    addresses = np.arange(low, high)
    data = (addresses * 37 + 11) % 256
    got = run(
        RegisterFile(fields=fields),
        {"write_address": addresses, "write_data": data, "write_enable": np.ones(len(addresses), int)},
        clocked=True,
    )
    groups = {field.name: [f for f in fields if f.name == field.name] for field in fields}
    expected = {(field.name, field.index): field.reset for field in fields}
    for row, address in enumerate(addresses):
        for name, members in groups.items():
            value, shift = 0, 0
            for field in sorted(members, key=lambda f: f.index):
                value |= expected[name, field.index] << shift
                shift += field.width
            assert got[name][row] == value, f"{name} before the write to {address:#x}"
        for field in fields:
            if field.address <= address < field.address + field.size:
                for bit in range(8):
                    place = 8 * (int(address) - field.address) + bit - field.lsb
                    if 0 <= place < field.width:
                        value = expected[field.name, field.index] & ~(1 << place)
                        expected[field.name, field.index] = value | (int(data[row]) >> bit & 1) << place


def test_nothing_is_written_without_enable_or_beside_the_map(fields):
    used = {f.address + byte for f in fields for byte in range(f.size)}
    beside = [a for base in used for a in (base ^ 0x8000, base ^ 0x1000, base ^ 0x4000) if a not in used][::7]
    writes = [(address, 0xFF, 0) for address in sorted(used)][::3] + [(address, 0xFF, 1) for address in beside]
    assert written(RegisterFile(fields=fields), writes) == written(RegisterFile(fields=fields), [])


@pytest.mark.parametrize(("spec", "bits"), [(ECON_T, 13_877), (TNS_2021, 14_741)])
def test_flip_flops_of_the_presets(spec, bits):
    # weights, keep mask, 48 selects of 6 bits, 48 factors of 12 bits, density, links
    assert bits == spec.parameters * 6 + 144 + 48 * 6 + 48 * 12 + 1 + 4
    component = RegisterFile(fields=register_map(spec))
    assert component.bits == bits


def test_another_storage_cell_takes_the_place_of_the_plain_one(fields):
    made = []

    class Counted(StorageCell):
        def __init__(self, **parameters):
            made.append(parameters)
            super().__init__(**parameters)

    component = RegisterFile(fields=fields, cell=Counted)
    made.clear()
    assert written(component, [(fields[0].address, 0xFF, 1)])["etx_count"] == 15
    assert sum(parameters["width"] for parameters in made) == sum(field.width for field in fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reset": 4}, r"a\[0\]: reset value 0x4 exceeds 2 bits"),
        ({"address": 0x10000}, "address 0x10000 exceeds 16 bits"),
        ({"address": 3, "lsb": 7}, "bit 7 of 0x3 belongs to two fields"),
    ],
)
def test_illegal_maps_are_refused(change, message):
    first = Field(name="a", address=9, width=2)
    with pytest.raises(ValueError, match=message):
        RegisterFile(fields=[Field(name="b", address=3, width=8), replace(first, **change)])


def test_an_empty_map_is_refused():
    with pytest.raises(ValueError, match="at least one field"):
        RegisterFile(fields=[])


@pytest.mark.parametrize(("width", "reset", "message"), [(0, 0, "1 to 8"), (9, 0, "1 to 8"), (3, 8, "does not fit")])
def test_illegal_cells_are_refused(width, reset, message):
    with pytest.raises(ValueError, match=message):
        StorageCell(width=width, reset=reset)
