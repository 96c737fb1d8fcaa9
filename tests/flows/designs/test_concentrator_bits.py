"""A protected concentrator: three copies of every register but the words in the buffer, in design and netlist."""

from collections import Counter
from pathlib import Path

import pytest

from flows.common.journal import Journal
from flows.designs.catalogue import design
from flows.designs.storage_bits import Stratum
from flows.steps.synthesis import SYNTHESIS
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec

SPEC = ConcentratorSpec(name="TRIPLE", algorithms=("repeater",), etx_links=1, buffer_words=64)


def test_copies_of_every_bit_are_flip_flops_of_the_netlist(tmp_path: Path) -> None:
    chosen = design(SPEC, library="nangate45", scheme="tmr_registers")
    asked = chosen.flip_flops()
    assert asked is not None
    copies = Counter(bit.protected for bit in asked.bits)
    single = [name for name, count in copies.items() if count == 1]
    assert set(copies.values()) == {1, 3}
    assert len(single) == 16 * SPEC.buffer_words
    assert all(".row_" in name for name in single)
    settings = Counter(bit.protected for bit in asked.bits if bit.stratum is Stratum.SETTING)
    assert len(settings) == sum(SPEC.settings.values())
    # words of one crossing, charges and codes of 48 cells; five bits of counter, reset and run behind each
    path = Counter(bit.protected for bit in asked.bits if bit.stratum is Stratum.DATA_PATH and bit.copy == 2)
    assert len(path) > 48 * (7 + 22 + 7) + 3 * 7
    journal = Journal()
    metrics = {m.name: m.value for m in SYNTHESIS(chosen.save(tmp_path / chosen.name), tmp_path / chosen.name, journal)}
    assert all(check.passed for check in journal.checks)
    assert len(journal.checks) == 2
    assert metrics["design__instance__count__class:flip_flop"] == len(asked.bits)


def test_only_schemes_that_a_concentrator_has() -> None:
    assert design(SPEC, scheme="none") == design(SPEC)
    assert design(SPEC, scheme="tmr_registers").name == "TRIPLE_tmr_registers"
    for other, message in (
        ("secded", "expected tmr_registers, got secded"),
        ("twice", "expected none or tmr_registers"),
    ):
        with pytest.raises(ValueError, match=message):
            design(SPEC, scheme=other)
