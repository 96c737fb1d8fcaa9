"""Boolean functions of cells, as Liberty writes them: parsing, evaluation, truth tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["truth_table"]


# --- Boolean functions of Liberty -----------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_\[\]]*|[01]|[!'&*|+^()])")


def _tokens(function: str) -> list[str]:
    text, position, found = function.strip(), 0, []
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read the Liberty function {function!r} at column {position}")
        found.append(match.group(1))
        position = match.end()
    return found


Expression = str | tuple[Any, ...]
"""A parsed Boolean function: a pin name, ``"0"``, ``"1"``, ``("!", a)`` or ``(operator, a, b)`` with ``& | ^``."""


def parse_function(function: str) -> Expression:
    """Parse a Boolean function or ``when`` condition of Liberty.

    Operators as the Liberty reference manual gives them: ``!a``, ``a'``, ``a * b``, ``a & b``, ``a b``, ``a ^ b``,
    ``a + b``, ``a | b``, ``0``, ``1``; negation binds strongest, then XOR, then AND, then OR.

    Raises
    ------
    ValueError
        The text is no such function.
    """
    tokens, position = _tokens(function), 0

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1]

    def atom() -> Expression:
        if not peek():
            raise ValueError(f"the Liberty function {function!r} ends too early")
        token = take()
        value: Expression
        if token == "!":
            return ("!", atom())
        if token == "(":
            value = either()
            if peek() != ")":
                raise ValueError(f"unbalanced parenthesis in the Liberty function {function!r}")
            take()
        elif token in "01" or token[0].isalpha() or token[0] == "_":
            value = token
        else:
            raise ValueError(f"unexpected {token!r} in the Liberty function {function!r}")
        while peek() == "'":
            take()
            value = ("!", value)
        return value

    def exclusive() -> Expression:
        value = atom()
        while peek() == "^":
            take()
            value = ("^", value, atom())
        return value

    def both() -> Expression:
        value = exclusive()
        while peek() and peek() not in "|+)":
            if peek() in "&*":
                take()
            value = ("&", value, exclusive())
        return value

    def either() -> Expression:
        value = both()
        while peek() and peek() in "|+":
            take()
            value = ("|", value, both())
        return value

    result = either()
    if position != len(tokens):
        raise ValueError(f"unexpected {peek()!r} in the Liberty function {function!r}")
    return result


def pins_of(expression: Expression) -> tuple[str, ...]:
    """Names in a parsed function, in order of first appearance."""
    if isinstance(expression, str):
        return () if expression in "01" else (expression,)
    found: dict[str, None] = {}
    for part in expression[1:]:
        found.update(dict.fromkeys(pins_of(part)))
    return tuple(found)


def evaluate(expression: Expression, values: Mapping[str, Any], ones: Any) -> Any:
    """Value of a parsed function, bit by bit.

    Parameters
    ----------
    expression : Expression
        What `parse_function` gave.
    values : mapping of str
        Integers or integer arrays by pin name.
    ones : int or array
        The value whose bits are all 1: what ``1`` means, and what negation is taken against.

    Raises
    ------
    KeyError
        A name has no value.
    """
    if isinstance(expression, str):
        if expression == "1":
            return ones
        return ones ^ ones if expression == "0" else values[expression]
    operator, *parts = expression
    first = evaluate(parts[0], values, ones)
    if operator == "!":
        return ones ^ first
    second = evaluate(parts[1], values, ones)
    if operator == "&":
        return first & second
    return first | second if operator == "|" else first ^ second


def truth_table(function: str, inputs: Sequence[str]) -> int:
    """Truth table of a Liberty Boolean function (operators: `parse_function`).

    Parameters
    ----------
    function : str
        The function's text.
    inputs : sequence of str
        Pin names; bit i of the row number is the value of ``inputs[i]``. At most 8.

    Returns
    -------
    int
        Bit r is the function's value in row r.
    """
    if len(inputs) > 8:
        raise ValueError(f"a truth table of at most 8 inputs, got {len(inputs)}")
    rows = 1 << len(inputs)
    columns = {name: sum(1 << row for row in range(rows) if row >> index & 1) for index, name in enumerate(inputs)}
    expression = parse_function(function)
    for name in pins_of(expression):
        if name not in columns:
            raise ValueError(f"unexpected {name!r} in the Liberty function {function!r}; inputs: {', '.join(inputs)}")
    return int(evaluate(expression, columns, (1 << rows) - 1))
