"""Power of single cells, summed up state by state in plain Python: slow, and nothing in common with the arrays of
`flows.power.cell_power` but the numbers of the library."""

from collections.abc import Mapping, Sequence
from typing import Any

from flows.library.power_library import LeakageState, PowerArc, PowerCell, Table

Bits = Mapping[str, int]


def truth(expression: Any, values: Bits) -> int:
    """Value of a condition in one state; a missing condition holds."""
    if expression is None:
        return 1
    if isinstance(expression, str):
        return int(expression) if expression in "01" else values[expression]
    operator, *parts = expression
    first = truth(parts[0], values)
    if operator == "!":
        return 1 - first
    second = truth(parts[1], values)
    return {"&": first and second, "|": first or second, "^": int(first != second)}[operator]


def names(expression: Any) -> set[str]:
    """Pins in an expression."""
    if expression is None or (isinstance(expression, str) and expression in "01"):
        return set()
    return {expression} if isinstance(expression, str) else set().union(*(names(part) for part in expression[1:]))


def look_up(table: Table, slew: float, load: float) -> float:
    """Value on the plane through the nearest grid points; the slope at a border goes on."""

    def place(axis: Sequence[float], x: float) -> tuple[int, float]:
        if len(axis) == 1:
            return 0, 0.0
        k = 0
        while k < len(axis) - 2 and x >= axis[k + 1]:
            k += 1
        return k, (x - axis[k]) / (axis[k + 1] - axis[k])

    (i, u), (j, v) = place(table.slew_ns.tolist(), slew), place(table.load_ff.tolist(), load)
    rows = table.values.tolist()

    def along(row: Sequence[float]) -> float:
        return row[j] if v == 0 else row[j] + v * (row[j + 1] - row[j])

    low = along(rows[i])
    return low if u == 0 else low + u * (along(rows[i + 1]) - low)


def arc_energy(arc: PowerArc, slew: float, load: float) -> float:
    """Mean of rise and fall in fJ."""
    return sum(look_up(table, slew, load) for table in (arc.rise, arc.fall) if table is not None) / 2


def leakage_nw(cell: PowerCell, states: Sequence[Bits]) -> float:
    """Mean over states: what a group names, else its group without a condition, else the cell's own."""

    def one(group: Sequence[LeakageState], state: Bits) -> float:
        found = [row.leakage_nw for row in group if row.when is not None and truth(row.when, state)]
        if found:
            return sum(found)
        rest = [row.leakage_nw for row in group if row.when is None]
        own = cell.default_leakage_nw or 0.0
        return rest[-1] if rest else own if len(cell.leakage) == 1 else 0.0

    if not cell.leakage:
        return cell.default_leakage_nw or 0.0
    return sum(one(group, state) for group in cell.leakage for state in states) / len(states)


def output_energy_fj(
    cell: PowerCell, pin: str, pairs: Sequence[tuple[Bits, Bits]], slew: Mapping[str, float], load: float
) -> float:
    """Mean energy of a toggle of an output, by what caused it in these pairs of states."""
    storage = cell.storage
    clocked = names(storage.clock) if storage else set()
    free = names(storage.clear) | names(storage.preset) if storage else set()
    function = cell.pins[pin].function
    arcs = [arc for arc in cell.power if arc.pin == pin]
    total = 0.0
    for supply in {arc.supply for arc in arcs}:
        mine = [arc for arc in arcs if arc.supply == supply]
        energies = [
            arc_energy(arc, sum(slew[r] for r in arc.related) / len(arc.related) if arc.related else 0.0, load)
            for arc in mine
        ]
        weights = [0] * len(mine)
        for old, new in pairs:
            if old[pin] == new[pin]:
                continue
            for k, arc in enumerate(mine):
                causes = not arc.related
                for name in arc.related:
                    causes |= name in clocked
                    if name not in clocked and old[name] != new[name]:
                        causes |= name in free or (name in names(function) and any(
                            truth(function, {**state, name: 0}) != truth(function, {**state, name: 1})
                            for state in (old, new)))  # fmt: skip
                if causes:
                    weights[k] += truth(arc.when, old) + truth(arc.when, new)
        if not any(weights):
            weights = [int(not clocked or not arc.related or bool(set(arc.related) & clocked)) for arc in mine]
            weights = weights if any(weights) else [1] * len(mine)
        total += sum(w * e for w, e in zip(weights, energies, strict=True)) / sum(weights)
    return total


def input_energy_fj(
    cell: PowerCell, pin: str, pairs: Sequence[tuple[Bits, Bits]], slew: float, *, is_clock: bool
) -> float:
    """Mean energy of a toggle of an input pin over the states that it toggles in; where it never does, over all."""
    arcs = [arc for arc in cell.power if arc.pin == pin]
    moving = [pair for pair in pairs if is_clock or pair[0][pin] != pair[1][pin]]
    states = [state for pair in moving or pairs for state in pair]
    total = 0.0
    for supply in {arc.supply for arc in arcs}:
        for state in states:
            mine = [arc for arc in arcs if arc.supply == supply]
            named = [arc for arc in mine if arc.when is not None and truth(arc.when, state)]
            rest = [arc for arc in mine if arc.when is None][-1:]
            total += sum(arc_energy(arc, slew, 0.0) for arc in named or rest) / len(states)
    return total
