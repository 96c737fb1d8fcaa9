"""Energy of a query against sums by hand."""

from dataclasses import replace

import pytest

from flows.estimates.association_energy import EMBEDDINGS, PROJECTION, memory_terms, query_terms
from sim.lsm_crossbar.association.spec import DIGITS_8BIT, DIGITS_BINARY
from tests.flows.estimates.test_crossbar_energy import MACRO


def test_a_query_by_hand() -> None:
    """Audio: 600 words of 64 weights of 8 bits; 20 entries in lanes of 16 are two passes of 64 words of 128 bits."""
    terms = {term.name: term.estimate for term in query_terms(DIGITS_8BIT, 1, MACRO, 20)}
    assert terms["cells"].nominal == 2
    assert terms["ADCs"].high == 40
    assert terms[PROJECTION].nominal == pytest.approx(600 * 64 * 8 * 10 / 64)
    assert terms[EMBEDDINGS].nominal == pytest.approx(2 * 64 * 128 * 10 / 64)
    assert terms[EMBEDDINGS].low == terms[EMBEDDINGS].nominal / 2
    vision = {term.name: term.estimate for term in query_terms(DIGITS_8BIT, 0, MACRO, 20)}
    assert vision[PROJECTION].nominal == pytest.approx(1000 * 64 * 8 * 10 / 64)
    # a word of a binary chip is an entry
    signs = {term.name: term.estimate for term in query_terms(DIGITS_BINARY, 1, MACRO, 20)}
    assert signs[EMBEDDINGS].nominal == pytest.approx(20 * 64 * 10 / 64)
    with pytest.raises(ValueError, match="entries: expected 1 to 128, got 129"):
        query_terms(DIGITS_8BIT, 0, MACRO, 129)


def test_area_by_hand() -> None:
    """131,072 bits of 146 squares of 40 nm, half of the memory; half the weight bits are half that memory."""
    terms = {term.name: term.estimate for term in memory_terms(DIGITS_8BIT)}
    assert terms[EMBEDDINGS].nominal == pytest.approx(131_072 * 146 * 0.04**2 / 0.5 * 1e-6)
    narrow = replace(DIGITS_8BIT, audio=replace(DIGITS_8BIT.audio, readout_weight_bits=4))
    half = {term.name: term.estimate for term in memory_terms(narrow)}
    name = f"AUDIO: {PROJECTION}"
    assert half[name].nominal == pytest.approx(terms[name].nominal / 2)
    # two macros of 512 x 512 cells of 54 squares
    assert terms["VISION: cells"].nominal == terms["AUDIO: cells"].nominal == pytest.approx(2**18 * 54 * 0.04**2 * 1e-6)
