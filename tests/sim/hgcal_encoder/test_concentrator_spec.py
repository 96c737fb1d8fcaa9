"""Specification of a concentrator: TOML, presets, settings, and what it refuses."""

from dataclasses import replace

import pytest

from sim.fixed_point import Overflow
from sim.hgcal_encoder.concentrator_spec import (
    ECON_T_P1,
    ECON_T_PRODUCTION,
    PRESETS,
    AlgorithmNumber,
    ConcentratorSpec,
    load_spec,
)
from sim.hgcal_encoder.configuration.concentrator_registers import (
    concentrator_fields,
    concentrator_writes,
    reset_registers,
)
from sim.hgcal_encoder.configuration.production_registers import production_map, production_writes
from sim.hgcal_encoder.link_spec import LINKS_P1, LinkSpec
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, WordOrder
from tests.specs import OTHER_RULES

TWO = ConcentratorSpec(name="TWO", algorithms=("autoencoder", "best_choice"), etx_links=5, buffer_words=128)


OTHER_LINKS = replace(TWO, name="OTHER_LINKS", word_order="P1", links=replace(LINKS_P1, etx_first_bit=0))


@pytest.mark.parametrize("spec", [*PRESETS.values(), TWO, OTHER_LINKS, OTHER_RULES], ids=lambda spec: spec.name)
def test_toml_reads_back(spec: ConcentratorSpec, tmp_path) -> None:
    assert ConcentratorSpec.from_toml(spec.to_toml()) == spec
    path = tmp_path / "spec.toml"
    path.write_text(spec.to_toml())
    assert load_spec(str(path)) == spec


def test_a_chip_with_two_algorithms_is_one_toml_away() -> None:
    spec = ConcentratorSpec.from_toml('name = "SMALL"\nalgorithms = ["autoencoder", "best_choice"]\n')
    assert spec.numbers == (AlgorithmNumber.BEST_CHOICE, AlgorithmNumber.AUTOENCODER)
    assert "threshold" not in spec.settings
    assert "stc_type" not in spec.settings
    assert {"weights", "drop_lsb", "use_sum"} <= set(spec.settings)


def test_choices_about_links_are_fields() -> None:
    head = 'name = "SMALL"\nalgorithms = ["repeater"]\nword_order = "P1"\n'
    assert ConcentratorSpec.from_toml(head).link_spec == LINKS_P1
    spec = ConcentratorSpec.from_toml(f"{head}[links]\netx_first_bit = 0\nspare_codes = [71]\n")
    # what the table leaves out is as on that version: 16 bits of the seed, where production has 14
    assert spec.link_spec == LinkSpec(etx_first_bit=0, spare_codes=(0x47,), seed_bits=16, serializer_bits=5)
    with pytest.raises(ValueError, match="links: unknown 'first_bit'; expected command_loss, "):
        ConcentratorSpec.from_toml(f"{head}[links]\nfirst_bit = 0\n")
    with pytest.raises(ValueError, match="links.seed_bits: expected 16 as in the registers of P1, got 14"):
        ConcentratorSpec.from_toml(f"{head}[links]\nseed_bits = 14\n")
    with pytest.raises(ValueError, match="links: expected a table, got 3"):
        ConcentratorSpec.from_toml(f"{head}links = 3\n")


def test_rules_are_fields() -> None:
    text = 'name = "OTHER_RULES"\nalgorithms = ["repeater", "super_trigger_cell"]\netx_links = 4\nbuffer_words = 96\n'
    assert ConcentratorSpec.from_toml(text) == replace(TWO, name="OTHER_RULES", etx_links=4, buffer_words=96,
                                                       algorithms=OTHER_RULES.algorithms)  # fmt: skip
    rules = 'mask_gaps = "kept"\ntruncated_fixed = "marked"\nspare_alg_types = "zeros"\nequal_largest = "lowest"\n'
    assert ConcentratorSpec.from_toml(f'{text}{rules}latent_overflow = "WRAP"\n') == OTHER_RULES
    wrapping = replace(ECON_T, latent=replace(ECON_T.latent, overflow=Overflow.WRAP))
    assert OTHER_RULES.encoder == wrapping
    assert TWO.encoder == ECON_T


def test_links_of_a_mask() -> None:
    assert TWO.active_links(0b11_0110) == (1, 2, 4)
    assert [TWO.word_pairs(mask) for mask in (0, 0b1, 0b1_0010, 0b11_0110)] == [0, 1, 2, 3]
    kept = replace(TWO, mask_gaps="kept")
    assert [kept.word_pairs(mask) for mask in (0, 0b1, 0b1_0010, 0b11_0110)] == [0, 1, 5, 5]


def test_presets() -> None:
    assert ECON_T_P1.word_order is WordOrder.P1
    assert ECON_T_P1.encoder.word_order is WordOrder.P1
    assert replace(ECON_T_P1, name=ECON_T_PRODUCTION.name, word_order="production") == ECON_T_PRODUCTION
    # registers of algorithm, formatter and buffer, by the map of the production chip
    others = {"bad_erx_mode", "valid_threshold", "invalid_threshold", "observation_window", "etx_pattern"}
    assert concentrator_fields(ECON_T_PRODUCTION) == tuple(f for f in production_map() if f.name not in others)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithms": ()}, "algorithms: expected a list of different names, at least one"),
        ({"algorithms": ("best_choice", "best_choice")}, "algorithms: expected a list of different names"),
        ({"algorithms": ("best",)}, "algorithms: expected names of threshold_sum, .*, got 'best'"),
        ({"algorithms": 3}, "algorithms: expected a list"),
        ({"network": "ALEXNET"}, "network: expected one of ECON_T, .*, got 'ALEXNET'"),
        ({"word_order": "middle"}, "word_order: expected P1 or production, got 'middle'"),
        ({"etx_links": 14}, "etx_links: expected 1 to 13, got 14"),
        ({"etx_links": True}, "etx_links: expected an integer"),
        ({"buffer_words": 300}, "buffer_words: expected a multiple of 32, at least 24 for each of 13 links, got 300"),
        ({"buffer_words": 288}, "at least 24 for each of 13 links, got 288"),
        ({"buffer_words": 32}, "buffer_words: expected 64 to 512, got 32"),
        ({"mask_gaps": "open"}, "mask_gaps: expected closed or kept, got 'open'"),
        ({"truncated_fixed": 0}, "truncated_fixed: expected zero or marked, got 0"),
        ({"spare_alg_types": "5"}, "spare_alg_types: expected repeater or zeros, got '5'"),
        ({"equal_largest": ["lowest"]}, "equal_largest: expected highest or lowest, got "),
        ({"latent_overflow": "SAT_SYM"}, "latent_overflow: expected WRAP or SAT, got 'SAT_SYM'"),
        ({"name": "2"}, "name must be an identifier"),
    ],
)
def test_bad_fields_are_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ECON_T_PRODUCTION, **change)


def test_bad_toml_is_named() -> None:
    with pytest.raises(ValueError, match="not a TOML file"):
        ConcentratorSpec.from_toml("name = ")
    with pytest.raises(ValueError, match="unknown fields depth; expected algorithms, buffer_words"):
        ConcentratorSpec.from_toml('name = "A"\ndepth = 3\n')
    with pytest.raises(ValueError, match="not a concentrator spec: .*name"):
        ConcentratorSpec.from_toml("etx_links = 3\n")


def test_writes_are_those_of_the_production_chip() -> None:
    """The same bytes as the writes that load the autoencoder's settings into a production chip."""
    settings = Settings(etx_count=4, high_density=False, keep_mask=0x123456789ABCDEF << 40)
    expected = dict(production_writes(settings))
    values = {
        "alg_type": 4, "alg_high_density": 0, "active_etxs": 0b1111, "keep_auto_encoder_bits": settings.keep_mask,
    }  # fmt: skip
    got = dict(concentrator_writes(ECON_T_PRODUCTION, values))
    # fields outside the core share a byte: bad-eRx filter beside alg_type, pattern beside the link-reset word
    shared = {0x049F: 0x0F}
    for address, data in expected.items():
        if address in got and address != 0x04A0:
            assert got[address] == data & shared.get(address, 0xFF), hex(address)
    assert {0x0545, 0x0546, 0x049F, 0x0549} <= set(expected) & set(got)


def test_bad_writes_are_named() -> None:
    with pytest.raises(ValueError, match="TWO has no setting threshold"):
        concentrator_writes(TWO, {"threshold": 0})
    with pytest.raises(ValueError, match="buff_t1: expected 9 bits, got 0x200"):
        concentrator_writes(TWO, {"buff_t1": 512})


def test_reset_values() -> None:
    values = reset_registers(ECON_T_PRODUCTION)
    assert (values["buff_t1"], values["buff_t2"], values["buff_t3"]) == (48, 511, 0)
    assert (values["use_sum"], values["stc_type"], values["active_etxs"]) == (1, 1, 0b11)
    assert (values["idle_pattern"], values["link_reset_pattern"]) == (0x5AA, 0x122)
    assert values["mux"] == sum(i << 6 * i for i in range(48))
    assert values["cal"] == sum(2048 << 12 * i for i in range(48))
    assert values["weights"] == 0
