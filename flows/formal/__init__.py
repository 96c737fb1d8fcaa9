"""Proofs: stages equal their formulas, protection holds, code words correct, frozen weights are right."""
