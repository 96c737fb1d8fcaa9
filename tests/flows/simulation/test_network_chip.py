"""A network behind I2C: images, guarded swap, error counters; the flow around it."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.designs.catalogue import design, load_design
from flows.designs.network import NetworkDesign
from flows.formal.state import cut_state
from flows.simulation.network_chip import NetworkChipBench, NetworkChipModel
from flows.steps.power import POWER, PowerOptions
from flows.steps.synthesis import SYNTHESIS
from flows.verification.network import check_loading
from hw.common.scheme import Scheme
from hw.network.network_chip import NetworkChip
from sim.chip_driver import LoadError
from sim.chip_registers import LOAD_BEGIN, Loading, image_checksum
from sim.fixed_point import FixedPoint, IntArray
from sim.network.example_specs import campaign_spec
from sim.network.model import Network
from sim.network.nodes import Dense
from sim.network.registers import ERROR_COUNTERS, chip_fields
from sim.network.spec import PRESETS, NetworkSpec
from sim.network.weights import NetworkWeights
from tests.flows.conftest import quiet

SPEC = campaign_spec()


@pytest.fixture(scope="module")
def bench() -> NetworkChipBench:
    return NetworkChipBench(SPEC, Scheme.SECDED, Loading.GUARDED)


@pytest.fixture
def images() -> tuple[NetworkWeights, NetworkWeights]:
    rng = np.random.default_rng(7)
    return NetworkWeights.random(SPEC, rng), NetworkWeights.random(SPEC, rng)


def test_every_sample_sees_one_image_as_a_whole(bench: NetworkChipBench) -> None:
    check = check_loading(bench, None, 3)
    assert check.passed, check.detail
    assert check.compared > 10_000


def test_one_wrong_sample_during_a_load_is_found(bench: NetworkChipBench, monkeypatch: pytest.MonkeyPatch) -> None:
    streamed = NetworkChipModel.streamed

    def wrong(self: NetworkChipModel) -> tuple[IntArray, IntArray]:
        numbers, seen = streamed(self)
        seen[3 * len(seen) // 4, 0] ^= 1  # while the second image arrives
        return numbers, seen

    monkeypatch.setattr(NetworkChipModel, "streamed", wrong)
    check = check_loading(bench, None, 3)
    assert not check.passed
    assert "the result of neither image" in check.detail


def test_what_is_incomplete_or_damaged_is_refused_and_changes_nothing(
    bench: NetworkChipBench, images: tuple[NetworkWeights, NetworkWeights]
) -> None:
    first, second = images
    samples = np.random.default_rng(1).integers(
        SPEC.input.min_code, SPEC.input.max_code + 1, (31, SPEC.tensors["input"].size)
    )
    with bench.model(samples) as model:
        driver = model.driver()
        driver.load(first)
        start = model.clocks
        writes = dict(second.writes())
        driver.write("load_command", LOAD_BEGIN)
        driver.write_bytes(dict(list(writes.items())[:-1]))
        with pytest.raises(LoadError, match="0x81: refused: the image is incomplete"):
            driver.commit(image_checksum(writes))
        driver.write_bytes(dict(list(writes.items())[-1:]))
        with pytest.raises(LoadError, match="0x82: refused: the checksum is wrong"):
            driver.commit(image_checksum(writes) ^ 1)
        assert driver.read_image() == dict(first.writes())
        assert {name: driver.read(name) for name in ERROR_COUNTERS} == dict.fromkeys(ERROR_COUNTERS, 0)
        model.idle(31)
        numbers, seen = model.streamed()
    assert (seen[start:] == Network(first).codes(samples)[numbers[start:]]).all()


def test_the_map_is_that_of_the_image(images: tuple[NetworkWeights, NetworkWeights]) -> None:
    """Control registers from the next multiple of 256: four rows of four bytes, three of them used."""
    fields = chip_fields(SPEC, Loading.GUARDED, 3)
    assert {field.address + byte for field in fields if field.image for byte in range(field.size)} == {
        address for address, _ in images[0].writes()
    }
    assert {field.name: field.address for field in fields if not field.image} == {
        "clear_errors": 0x100, "corrected_weights": 0x110, "corrected_control": 0x111, "uncorrectable_weights": 0x112,
        "load_command": 0x180, "read_shadow": 0x181, "load_checksum": 0x184, "load_status": 0x188,
        "load_dropped": 0x189,
    }  # fmt: skip


def tiny(scheme: Scheme, loading: Loading) -> NetworkDesign:
    """One output of five inputs."""
    form = FixedPoint(width=2, fraction=0, signed=True)
    node = Dense(inputs=("input",), units=1, weight=form, bias=form, accumulator=form, result=form)
    spec = NetworkSpec(name="TINY", input_shape=(5,), input=form, nodes={"fc": node}, outputs=("fc",))
    return NetworkDesign(spec=spec, scheme=scheme, loading=loading, library="nangate45")


def test_every_flip_flop_is_counted() -> None:
    """What a netlist must hold is what the hardware has."""
    chosen = tiny(Scheme.TMR_REGISTERS, Loading.DIRECT)
    asked = chosen.flip_flops()
    assert asked is not None
    assert len(asked.bits) == len(cut_state(chosen.component(), "CHIP").bits)


def test_its_netlist_holds_them_and_computes_what_it_was_loaded_with(tmp_path: Path) -> None:
    """Code words of weights and a shadow bank on the gates; power compares every result with the golden model."""
    chosen = tiny(Scheme.SECDED, Loading.GUARDED)
    journal = quiet()
    SYNTHESIS(chosen, tmp_path, journal)
    assert journal.passed
    assert [check.name.split(":")[0] for check in journal.checks if check.unit == "flip-flops"] == ["secded, guarded"]
    POWER(chosen, tmp_path, journal, PowerOptions(crossings=12, streams=64))
    assert journal.passed
    assert json.loads((tmp_path / "power" / "power.json").read_text())["codes_compared"] == (12 - 2) * 64


def test_a_design_of_it(tmp_path: Path) -> None:
    chosen = design("SMART_PIXEL", scheme="secded", loading="guarded")
    assert isinstance(chosen, NetworkDesign)
    assert chosen.name == "SMART_PIXEL_secded_guarded"
    part = chosen.component()
    part._MustUse__silence = True
    assert isinstance(part, NetworkChip)
    chosen.save(tmp_path)
    assert load_design(tmp_path) == chosen
    with pytest.raises(ValueError, match="expected none or tmr_registers for a network with a write port, got secded"):
        NetworkDesign(spec=PRESETS["SMART_PIXEL"], scheme=Scheme.SECDED)
    with pytest.raises(ValueError, match="reuse: expected 1 for a network behind I2C, got 2"):
        NetworkDesign(spec=PRESETS["SMART_PIXEL"], loading=Loading.DIRECT, factor=2)
