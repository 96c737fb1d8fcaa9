"""Selection by one-hot signals: AND-OR instead of chains of multiplexers."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value

__all__ = ["any_of", "encode", "lowest", "one_of"]


def any_of(values: Sequence[Value]) -> Value:
    """OR of values, bit by bit, in a balanced tree.

    Raises
    ------
    ValueError
        If there is no value.
    """
    if not values:
        raise ValueError("expected at least one value")
    level = list(values)
    while len(level) > 1:
        level = [level[i] | level[i + 1] if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]


def one_of(values: Sequence[Value], hits: Sequence[Value]) -> Value:
    """The value whose hit is set, as unsigned bits; 0 if none is. At most one hit may be set."""
    pairs = zip(values, hits, strict=True)
    return any_of([Value.cast(value).as_unsigned() & hit.replicate(len(value)) for value, hit in pairs])


def lowest(m: Module, bits: Value, name: str) -> Signal:
    """The lowest set bit alone, one-hot; 0 if none is set. `name` is that of the signal."""
    alone = Signal(len(bits), name=name)
    m.d.comb += alone.eq(bits & (~bits + 1))
    return alone


def encode(one_hot: Value) -> Value:
    """Number of the set bit of a one-hot value; 0 if none is set. At least one bit wide."""
    width = max((len(one_hot) - 1).bit_length(), 1)
    return Cat(
        Cat(one_hot[number] for number in range(len(one_hot)) if number >> bit & 1).any() for bit in range(width)
    )
