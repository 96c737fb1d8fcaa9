"""A protected concentrator: three copies of every register but the words in the buffer."""

from collections import Counter

import pytest

from flows.designs.catalogue import design
from flows.designs.storage_bits import Stratum
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec

SPEC = ConcentratorSpec(name="TRIPLE", algorithms=("repeater",), etx_links=1, buffer_words=64)


def test_copies_of_every_bit() -> None:
    """What the gate on the netlist asks for: settings as many as the map has, and only words in the buffer once."""
    asked = design(SPEC, scheme="tmr_registers").flip_flops()
    assert asked is not None
    copies = Counter(bit.protected for bit in asked.bits)
    single = [name for name, count in copies.items() if count == 1]
    assert set(copies.values()) == {1, 3}
    assert len(single) == 16 * SPEC.buffer_words
    assert all(".row_" in name for name in single)
    assert {bit.copy for bit in asked.bits} == {0, 1, 2}
    settings = Counter(bit.protected for bit in asked.bits if bit.stratum is Stratum.SETTING)
    assert len(settings) == sum(SPEC.settings.values())
    # codes of one crossing, charges and codes of 48 cells, and counter, reset and run behind each
    path = Counter(bit.protected for bit in asked.bits if bit.stratum is Stratum.DATA_PATH and bit.copy == 2)
    assert len(path) > 48 * (7 + 22 + 7) + 3 * 7


def test_only_schemes_that_a_concentrator_has() -> None:
    assert design(SPEC, scheme="none") == design(SPEC)
    assert design(SPEC, scheme="tmr_registers").name == "TRIPLE_tmr_registers"
    assert design(SPEC).flip_flops() is None
    for other, message in (
        ("secded", "expected tmr_registers, got secded"),
        ("twice", "expected none or tmr_registers"),
    ):
        with pytest.raises(ValueError, match=message):
            design(SPEC, scheme=other)


def test_the_whole_chip_has_a_clock_of_bits_and_plain_shift_registers() -> None:
    chosen = design(SPEC, scheme="tmr_registers", loading="direct")
    assert (chosen.name, chosen.options) == (
        "TRIPLE_tmr_registers_direct", " --scheme tmr_registers --loading direct"
    )  # fmt: skip
    assert chosen.internal_clocks == {"serial_clk": 32}
    assert design(SPEC).internal_clocks == {}
    asked = chosen.flip_flops()
    assert asked is not None
    copies = Counter(bit.protected for bit in asked.bits)
    single = [name for name, count in copies.items() if count == 1]
    assert set(copies.values()) == {1, 3}
    shifts = [name for name in single if ".row_" not in name]
    # 13 receivers of 32 bits, 15 taps, the last sample and a toggle; 13 transmitters of 32 bits and a toggle
    assert len(shifts) == 13 * (32 + 15 + 2) + 13 * 33
    assert all(name.startswith(("links.receiver_", "links.commands", "links.transmitter_")) for name in shifts)
    stored = [bit for bit in asked.bits if bit.stratum is Stratum.SETTING]
    assert {bit.path.split(".")[:2] == ["control", "registers"] for bit in stored} == {True}
    assert not any(bit.stratum is Stratum.WEIGHT for bit in asked.bits)
    with pytest.raises(ValueError, match="expected direct, got guarded"):
        design(SPEC, loading="guarded")
