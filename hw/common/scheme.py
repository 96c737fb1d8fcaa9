"""Schemes of protection against upsets."""

from enum import StrEnum

__all__ = ["Scheme"]


class Scheme(StrEnum):
    """What is replicated or coded; docs/method/radiation.md says what each protects, and from what."""

    NONE = "none"
    """Plain flip-flops."""
    TMR_REGISTERS = "tmr_registers"
    """Every register in three copies with one voter; the logic between registers once."""
    TMR_MODULE = "tmr_module"
    """Store and control as three whole modules that correct each other; registers of the data path in three copies."""
    SECDED = "secded"
    """Store as code words that correct one error and detect two; all other registers in three copies."""
    SECDED_WORDS = "secded_words"
    """Store as long code words, corrected after the selection of a slot; all other registers in three copies. For
    designs that reuse multipliers."""
