"""Hold of the smallest chip at an assumed fast corner: ``python -m benchmarks.hold [--out report] [--early 0.67]``.

Takes the placed chip that the commands of `benchmarks.target` left, asks OpenSTA which registers data reach too soon if
all delays take that share of the typical ones, and plans the buffers of a first round (``place --hold`` places them,
and asks again). Writes ``benchmarks/results/hold.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.measured import RESULTS, Rows
from benchmarks.target import CHIPS
from flows.common.metrics import write_metrics
from flows.physical.hold import HoldCorner, hold_repair, hold_slacks
from flows.physical.mapped import Mapped
from flows.physical.measure import clock_plan
from flows.tools.opensta import sta_version


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--early", type=float, default=0.67)
    options = parser.parse_args()
    case, design = CHIPS[0]
    mapped = Mapped(folder=options.out / design.name)
    placed = mapped.placement
    if placed is None:
        raise SystemExit(f"{mapped.folder} holds no placement: {design.command('place')}")
    clocks = clock_plan(
        mapped, period_ns=design.period_ns, internal=design.internal_clocks, one_source=design.one_source,
        clock_high=design.clock_high,
    )  # fmt: skip
    corner = HoldCorner(liberty=tuple(mapped.cells.liberty), early=options.early)
    slacks = hold_slacks(
        mapped.netlist, mapped.library, clocks, corner, mapped.wires(), driving_cell=mapped.cells.driving_cell,
        port_load_ff=mapped.cells.load_ff,
    )  # fmt: skip
    change = hold_repair(mapped.netlist, mapped.cells, mapped.library, placed, slacks, corner)
    rows = Rows("python -m benchmarks.hold", tool="OpenSTA", version=sta_version())
    how = f"all delays times {options.early:g}, {clocks.hold_uncertainty_ns:g} ns of skew"
    area = sum(mapped.cells.area_um2(buffer.type) for buffer in change.buffers)
    rows.add(f"too_soon__case:{case}", len(slacks), "", f"pins of registers that data reach too soon; {how}")
    rows.add(f"hold_slack__case:{case}", min(slacks.values(), default=0.0), "ns", f"the worst of them; {how}")
    rows.add(f"buffers__case:{case}", len(change.buffers), "", f"buffers of the first round; {how}")
    rows.add(f"area__case:{case}", 100 * area / mapped.cell_area_um2, "%", "their area, of all cells")
    write_metrics(RESULTS / "hold.json", rows)


if __name__ == "__main__":
    main()
