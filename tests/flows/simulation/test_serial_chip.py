"""The whole chip between its links: registers by two maps, published frames from serial bits to serial bits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from flows.designs.concentrator_files import setting_values
from flows.simulation.native import NativeModel
from flows.simulation.serial_chip import LinkError, SerialBench, build_serial
from flows.verification.concentrator_stimulus import random_concentrator_settings
from flows.verification.serial import check_serial_traffic
from sim.hgcal_encoder.algorithms.concentrator_model import load_concentrator_settings
from sim.hgcal_encoder.concentrator_spec import ECON_T_P1, ECON_T_PRODUCTION
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_fields, concentrator_writes
from sim.hgcal_encoder.configuration.register_maps import Chip, read_registers, register_bytes
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from tests.conftest import long
from tests.specs import FEW_LINKS

SPEC = FEW_LINKS


@pytest.mark.parametrize("number", range(5))
def test_settings_land_at_the_addresses_of_production(number: int) -> None:
    """Map of the chip and map of the core, from two sources, agree on every bit of every setting."""
    spec, rng = ECON_T_PRODUCTION, np.random.default_rng(number)
    settings = random_concentrator_settings(spec, rng, number, 5)
    held = register_bytes(Chip.PRODUCTION, setting_values(settings, spec))
    masks: dict[int, int] = {}
    for field in concentrator_fields(spec):
        for byte, mask in enumerate((((1 << field.width) - 1) << field.lsb).to_bytes(field.size, "little")):
            masks[field.address + byte] = masks.get(field.address + byte, 0) | mask
    written = dict(concentrator_writes(spec, settings.registers(spec)))
    assert {address: held[address] & masks[address] for address in masks} == written


def test_published_settings_land_where_their_own_map_says(econt_vectors: Path) -> None:
    """What a register map makes of a published file, register by register, is what its settings are loaded as."""
    seen = set()
    for path in sorted(econt_vectors.rglob("init.yaml")):
        chip, published = read_registers(path)
        spec = ECON_T_P1 if chip is Chip.P1 else ECON_T_PRODUCTION
        loaded = setting_values(load_concentrator_settings(path, spec), spec)
        assert {place: loaded.get(place) for place in published} == published, path
        assert register_bytes(chip, loaded)
        assert len(published) > 100
        seen.add(chip)
    assert seen == set(Chip)


def test_what_first_silicon_has_no_registers_for_is_refused() -> None:
    settings = random_concentrator_settings(ECON_T_P1, np.random.default_rng(5), 0, 3)
    settings = replace(settings, active_etxs=0b111, idle_pattern=5, link_reset_pattern=5)
    assert setting_values(settings, ECON_T_P1)["formatterbuffer_eporttx_numen", 0] == 3
    with pytest.raises(ValueError, match="active_etxs: expected the first links, of which .* got 0x5"):
        setting_values(replace(settings, active_etxs=0b101), ECON_T_P1)
    with pytest.raises(ValueError, match="idle_pattern: expected 0x5 as link_reset_pattern, .* got 0x6"):
        setting_values(replace(settings, idle_pattern=6), ECON_T_P1)


@pytest.fixture(scope="module")
def bench() -> SerialBench:
    """Threshold sum, whose packets wait in the buffer."""
    return SerialBench(SPEC)


@long
@pytest.mark.timeout(1800)
def test_published_frames_from_serial_bits_to_serial_bits(bench: SerialBench, econt_vectors: Path) -> None:
    folder = econt_vectors / "TS_Thr47_5eTx_MRL"
    settings = load_concentrator_settings(folder / "init.yaml", SPEC)
    words = read_words(econt_vectors / "testInput_bx0000-1781.csv")
    expected = read_frames(folder / "testOutput_bx0000-1781.csv")
    delays = [33, 128, 60, 97, 40, 32, 127, 64, 65, 100, 81, 118]
    assert_array_equal(bench.frames(words, settings, delays=delays), expected)


@long
def test_packets_that_wait_before_a_link_reset_are_refused(bench: SerialBench) -> None:
    """All 48 cells above threshold: 16 bits in front, a map of 48, 48 codes of 7 make 25 words; 6 leave on 3 links."""
    settings = random_concentrator_settings(SPEC, np.random.default_rng(5), 0, 3)
    settings = replace(settings, threshold=np.zeros(48, np.int64), active_etxs=0b111)
    with pytest.raises(LinkError, match=r"expected at most 6 words, which leave in a crossing, got 25;"):
        bench.frames(np.zeros((4, 12), np.int64), settings)


@long
@pytest.mark.timeout(1800)
def test_commands_bit_errors_wrong_headers_and_slips(bench: SerialBench) -> None:
    check = check_serial_traffic(bench, 3, 1500)
    assert check.passed, check.detail
    assert check.compared >= 1500


@long
@pytest.mark.timeout(1800)
def test_registers_read_back_and_a_link_without_its_pattern_is_told(bench: SerialBench) -> None:
    settings = random_concentrator_settings(SPEC, np.random.default_rng(5), 0, 3)
    settings = replace(settings, active_etxs=0b111, idle_pattern=settings.link_reset_pattern)
    values = setting_values(settings, SPEC)
    with bench.chip() as chip:
        chip.load({key: value for key, value in values.items() if key[0].startswith("formatterbuffer")})
        for name in ("formatterbuffer_buff_t1", "formatterbuffer_tx_sync_word", "formatterbuffer_eporttx_numen"):
            assert chip.driver.read(name) == values[name, 0]
        assert chip.driver.read("misc_pusm_state") == 9
        chip.driver.write("erx_enable", 0, 4)
        with pytest.raises(LinkError, match="no pattern on links 4"):
            chip.align()


_WIRES = """module wires(clk, serial_clk, rst, erx, command, scl, sda, etx, sda_low, error);
  input clk;
  input serial_clk;
  input rst;
  input [179:0] erx;
  input command;
  input scl;
  input sda;
  output [12:0] etx;
  output sda_low;
  output error;
  reg [12:0] etx;
  reg error;
  assign sda_low = scl & ~sda;
  always @(posedge clk) error <= ~error & ~rst;
  always @(posedge serial_clk) begin
{bits}    etx[12] <= command;
  end
endmodule
"""


def test_wires_carry_bits_one_by_one_and_are_recorded(tmp_path: Path) -> None:
    """A design that shows each receiver's bit, of a tap of its own, at a transmitter one bit clock later."""
    bits = "".join(f"    etx[{link}] <= erx[{15 * link + link}];\n" for link in range(12))
    library, ports = build_serial(_WIRES.replace("{bits}", bits), "wires", trace=True)
    rng = np.random.default_rng(8)
    raw, commands = rng.integers(0, 1 << 32, (20, 12)), rng.integers(0, 1 << 32, 20)
    lines = rng.integers(0, 2, (20, 2))
    file = tmp_path / "waves.vcd"
    with NativeModel(library, ports, "clk") as model:
        model.run({"rst": [1, 1]})
        model.waves(file)
        seen = model.run({"raw": raw, "command_samples": commands, "scl": lines[:, 0], "sda": lines[:, 1]})
    sent = np.concatenate([raw, commands[:, None]], axis=1)
    before = np.concatenate([np.zeros((1, 13), np.int64), sent[:-1]])
    assert_array_equal(seen["received"][1:], (before << 31 & 0xFFFF_FFFF | sent >> 1)[1:])
    assert_array_equal(seen["sda_low"], lines[:, 0] & ~lines[:, 1] & 1)
    assert_array_equal(np.diff(seen["error"]) != 0, True)
    # every signal, at 64 times in each crossing of 25 ns
    text = file.read_text()
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert "$timescale 1ps" in text.replace("  ", " ")
    assert text.count("$var") >= 10
    assert 45_000 < times[0] < 55_000
    assert times[-1] < 22 * 25_000
    assert len(times) > 20 * 60
