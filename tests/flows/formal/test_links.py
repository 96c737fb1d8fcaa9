"""Proofs about the links, and an aligner that one of them refutes."""

from typing import Any

from amaranth.hdl import Module

from flows.formal.links import prove_aligner, prove_links
from flows.formal.solver import Status
from hw.hgcal_encoder.links.word_aligner import WordAlignerLogic
from sim.hgcal_encoder.link_spec import LINKS_PRODUCTION


def test_all_statements_about_links_are_proved() -> None:
    proofs = prove_links(LINKS_PRODUCTION)
    assert {proof.name: proof.status for proof in proofs} == dict.fromkeys(
        ("aligner_takes", "aligner_searches", "aligner_shows", "orbit_snapshot", "decoder_locks", "link_reset"),
        Status.PROVED,
    )


class LastMatch(WordAlignerLogic):
    """An aligner that keeps the last match instead of the first one."""

    def elaborate(self, platform: Any) -> Module:
        m = super().elaborate(platform)
        equal = ((self.state.snapshot[:64] ^ self.match_pattern_val) & ~self.match_mask_val) == 0
        with m.If((self.state.left > 1) & ~self.take & equal):
            m.d.comb += self.next_state.found.eq(224 - self.state.left)
        return m


def test_an_aligner_that_keeps_another_match_is_refuted() -> None:
    proofs = {proof.name: proof.status for proof in prove_aligner(LINKS_PRODUCTION, aligner=LastMatch)}
    assert proofs["aligner_searches"] is Status.REFUTED
    assert proofs["aligner_shows"] is Status.PROVED
