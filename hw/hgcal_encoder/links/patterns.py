"""Pseudo-random sequences of the links, a word in a clock."""

from amaranth.hdl import Cat, Value

__all__ = ["advanced", "next_bits"]


def advanced(state: Value, order: int, steps: int) -> Value:
    """The last `order` bits of the sequence and `steps` new ones, newest lowest: ``order + steps`` bits.

    Parameters
    ----------
    state : Value
        The last `order` bits at least.
    order : int
        15 or 7: x^order + x^(order - 1) + 1.
    steps : int
        New bits.
    """
    # oldest first; each new bit is the sum of the two oldest of the last `order`
    bits = [state[order - 1 - place] for place in range(order)]
    for _ in range(steps):
        bits.append(bits[-order] ^ bits[-order + 1])
    return Cat(reversed(bits))


def next_bits(state: Value, order: int, steps: int) -> Value:
    """The next `steps` bits, the first one in the highest place."""
    return advanced(state, order, steps)[:steps]
