"""Energy of the whole chips at the lowest supply that keeps their clock: ``python -m benchmarks.supply``.

Reads energy and least period of ``target.json`` and writes ``supply.json`` beside it. Everything is in 65 nm LP terms
by the less favourable method: the longest path is that of NanGate 45, as slow as 65 nm LP may be over it; it is slowed
further by an assumed slow corner and keeps a margin (`flows.estimates.supply`).
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measured import RESULTS, Rows
from benchmarks.target import CHIPS
from flows.common.metrics import Metric, find, read_metrics, write_metrics
from flows.estimates.supply import MARGIN, SLOW, at_supply, delay_ratio, lowest_supply
from flows.estimates.translation import node_of

NODE = "65nm LP"
NATIVE_V = 1.1
"""Supply of the library at which the slack was found."""
SLOW_CORNERS = (1.0, SLOW)


def supplies(target: Sequence[Metric]) -> list[Metric]:
    """Rows of each chip that has energy and least period: at the nominal supply, and at the lowest, with and without
    the slow corner."""
    rows = Rows("python -m benchmarks.supply")
    names = {metric.name for metric in target}
    for case, design in CHIPS:
        if not {f"energy__case:{case}", f"least_period__case:{case}"} <= names:
            print(f"no energy and least period of {case} in target.json: python -m benchmarks.target")
            continue
        energy = find(target, f"energy__case:{case}")
        native_ns = float(find(target, f"least_period__case:{case}").value)
        slower = max(delay_ratio(node.name, NATIVE_V, NODE) for node in node_of(energy.library))
        rows.add(f"supply__case:{case}_nominal", at_supply(NODE, 1.2).supply_v, "V", "nominal supply of 65 nm LP")
        rows.add(f"energy__case:{case}_nominal", float(energy.value), "nJ", f"target.json: {energy.method}")
        for slow in SLOW_CORNERS:
            which = "slow" if slow > 1 else "typical"
            found = lowest_supply(NODE, least_period_ns=native_ns * slower, period_ns=design.period_ns, slow=slow)
            if found is None:
                print(f"{case}: no supply keeps the clock at the {which} corner")
                continue
            how = (
                f"lowest supply at which {native_ns:.2f} ns of NanGate 45 x {slower:.2f} (Stillmaker-Baas delay to "
                f"65 nm) x {slow:g} (corner) x {found.delay:.2f} (supply) x {1 + MARGIN:g} (margin) stay below "
                f"{design.period_ns:g} ns"
            )
            rows.add(f"supply__case:{case}_{which}", found.supply_v, "V", how)
            rows.add(
                f"energy__case:{case}_{which}", float(energy.value) * found.energy, "nJ",
                f"dynamic energy at {found.supply_v:g} V: that at 1.2 V x {found.energy:.3f} (Stillmaker-Baas energy)",
            )  # fmt: skip
            kept = "leakage power over that at the nominal supply, if its current stays"
            rows.add(f"leakage__case:{case}_{which}", found.leakage, "", kept)
    return rows


def main() -> None:
    """Command line."""
    write_metrics(RESULTS / "supply.json", supplies(read_metrics(RESULTS / "target.json")))


if __name__ == "__main__":
    main()
