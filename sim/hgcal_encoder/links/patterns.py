"""Pseudo-random sequences of the links: PRBS15 of the receivers, PRBS7 of the transmitters.

x^15 + x^14 + 1, 32 steps for each word, as the control software of first silicon has it (cmantill/econt_sw @e403a79,
debug_tools/prbs15.py); x^7 + x^6 + 1 (choice: the usual one). The newest bit is the lowest.
"""

from __future__ import annotations

__all__ = ["PRBS7_ORDER", "PRBS15_ORDER", "advance", "prbs"]

PRBS15_ORDER, PRBS7_ORDER = 15, 7


def advance(state: int, order: int, steps: int) -> int:
    """Sequence bits after `state`: the newest `order` bits and the new ones, ``order + steps`` bits.

    Parameters
    ----------
    state : int
        At least the last `order` bits, newest lowest; higher bits count for nothing.
    order : int
        15 or 7: the next bit is the sum of the two oldest of the last `order` bits.
    steps : int
        New bits.
    """
    bits = state & ((1 << order) - 1)
    for _ in range(steps):
        bits = bits << 1 | ((bits >> order - 1 ^ bits >> order - 2) & 1)
    return bits


def prbs(state: int, order: int, steps: int) -> int:
    """The next `steps` bits of the sequence, the first one in the highest place."""
    return advance(state, order, steps) & ((1 << steps) - 1)
