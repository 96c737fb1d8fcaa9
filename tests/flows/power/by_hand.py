"""Power of single cells, summed up state by state in plain Python: slow, and nothing in common with the arrays of
`flows.power.cell_power` but the numbers of the library."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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


def output_energies_fj(
    cell: PowerCell, pin: str, pairs: Sequence[tuple[Bits, Bits]], slew: Mapping[str, float], load: float
) -> tuple[float, float, float]:
    """Energy of a toggle of an output: mean by what caused it in these pairs of states, of the least and of the dearest
    arc that is a cause."""
    storage = cell.storage
    clocked = names(storage.clock) if storage else set()
    free = names(storage.clear) | names(storage.preset) if storage else set()
    function = cell.pins[pin].function
    arcs = [arc for arc in cell.power if arc.pin == pin]
    mean = least = most = 0.0
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
                caused = not arc.related
                for name in arc.related:
                    caused |= name in clocked
                    if name not in clocked and old[name] != new[name]:
                        caused |= name in free or (name in names(function) and any(
                            truth(function, {**state, name: 0}) != truth(function, {**state, name: 1})
                            for state in (old, new)))  # fmt: skip
                if caused:
                    weights[k] += truth(arc.when, old) + truth(arc.when, new)
        if not any(weights):
            weights = [int(not clocked or not arc.related or bool(set(arc.related) & clocked)) for arc in mine]
            weights = weights if any(weights) else [1] * len(mine)
        mean += sum(w * e for w, e in zip(weights, energies, strict=True)) / sum(weights)
        causes = [e for w, e in zip(weights, energies, strict=True) if w]
        least, most = least + min(causes), most + max(causes)
    return mean, least, most


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


@dataclass(frozen=True)
class Sum:
    """Power of a cell: leakage in nW, the rest in uW; `least` and `most` with the cheapest and the dearest arcs."""

    leakage_nw: float
    internal_uw: float
    clock_uw: float
    least_uw: float
    most_uw: float


def cell_sum(
    cell: PowerCell, pairs: Sequence[tuple[Bits, Bits]], rates: Mapping[str, float], slews: Mapping[str, float],
    loads: Mapping[str, float], late: Collection[str],
) -> Sum:  # fmt: skip
    """Power of a cell whose pins have these pairs of states, toggles per ns, transition times and loads.

    The clock of a storage is high in half of all states. Data finds it high, and low at the pins `late`.
    """
    clocked = names(cell.storage.clock) if cell.storage else set()
    both = [
        (dict(old) | dict.fromkeys(clocked, value), dict(new) | dict.fromkeys(clocked, value))
        for old, new in pairs
        for value in (0, 1)
    ]
    internal = clock = least = most = 0.0
    for pin in cell.outputs:
        energies = [rates[pin] * energy for energy in output_energies_fj(cell, pin, both, slews, loads[pin])]
        internal, least, most = (old + more for old, more in zip((internal, least, most), energies, strict=True))
    for pin in cell.inputs:
        if pin in clocked:
            clock += rates[pin] * input_energy_fj(cell, pin, both, slews[pin], is_clock=True)
            continue
        seen = [pair for pair in both if all(pair[0][name] == int(pin not in late) for name in clocked)]
        energy = rates[pin] * input_energy_fj(cell, pin, seen, slews[pin], is_clock=False)
        internal, least, most = internal + energy, least + energy, most + energy
    return Sum(leakage_nw(cell, [state for pair in both for state in pair]), internal, clock, least, most)
