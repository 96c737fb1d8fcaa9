"""Sums of many bits, written so that synthesis builds one carry-save tree."""

from collections.abc import Sequence
from itertools import pairwise

from amaranth.hdl import Value

__all__ = ["balanced_sum", "column_carries"]


def balanced_sum(values: Sequence[Value]) -> Value:
    """Sum in a balanced tree.

    No intermediate sum is cut, so synthesis (yosys: ``alumacc``, ``maccmap``) merges all additions into one carry-save
    tree with a single carry-propagate adder at its end, while a simulator still sees word additions.

    Parameters
    ----------
    values : sequence of Value
        Operands; all unsigned, or all signed.

    Returns
    -------
    Value
        The exact sum.

    Raises
    ------
    ValueError
        If there is nothing to add.
    """
    if not values:
        raise ValueError("expected at least one value to add")
    level = list(values)
    while len(level) > 1:
        level = [level[i] + level[i + 1] if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]


def column_carries(columns: Sequence[Sequence[Value]]) -> list[Value]:
    """Carries that leave the top of some columns of bits; their sum is ``floor(sum / 2**len(columns))``.

    Each column is added down to one bit by full and half adders, of which the last one's sum is never formed.

    Parameters
    ----------
    columns : sequence of sequences of Value
        Single bits; column ``i`` weighs ``2**i``.

    Returns
    -------
    list of Value
        Single bits that all weigh ``2**len(columns)``.
    """
    stack: list[list[Value]] = [list(column) for column in columns] + [[]]
    for column, above in pairwise(stack):
        while len(column) > 1:
            a, b, *c = column[:3]
            del column[:3]
            above.append((a & b) | ((a | b) & c[0]) if c else a & b)
            column.append(a ^ b ^ c[0] if c else a ^ b)
    return stack[-1]
