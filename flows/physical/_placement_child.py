"""The process in which coloquinte runs.

``python -m flows.physical._placement_child PROBLEM RESULT EFFORT DETAILED DENSITY GLOBAL``

Started by `flows.physical.place` only: C++ exceptions and memory stay out of the caller. Positions are integers of the
problem.
"""

import sys

import numpy as np

from flows.common.leash import end_with_caller


def main() -> None:
    """Place one problem; prints what coloquinte reports."""
    end_with_caller("flows.physical._placement_child")
    import coloquinte  # type: ignore[import-untyped]

    with np.load(sys.argv[1]) as problem:
        data = {name: problem[name] for name in problem.files}
    circuit = coloquinte.Circuit(len(data["width"]))
    circuit.cell_width = data["width"].tolist()
    circuit.cell_height = data["height"].tolist()
    circuit.cell_is_fixed = data["fixed"].astype(bool).tolist()
    circuit.cell_is_obstruction = [False] * len(data["width"])
    circuit.cell_x, circuit.cell_y = data["x"].tolist(), data["y"].tolist()
    left, right, bottom, top, row = data["area"].tolist()
    circuit.setup_rows(coloquinte.Rectangle(left, right, bottom, top), row, True, False)
    start, cells, dx, dy = (data[name].tolist() for name in ("start", "cells", "dx", "dy"))
    for net in range(len(start) - 1):
        first, last = start[net], start[net + 1]
        circuit.add_net(cells[first:last], dx[first:last], dy[first:last])
    if (density := float(sys.argv[5])) > 0:
        # wider cells leave room between them: the density is even, and routable
        circuit.expand_cells_to_density(density)
    circuit.check()
    parameters = coloquinte.ColoquinteParameters(int(sys.argv[3]), 1)
    if int(sys.argv[6]):
        circuit.place_global(parameters)
    circuit.legalize(parameters)
    if int(sys.argv[4]):
        circuit.place_detailed(parameters)
    north = [orientation == coloquinte.CellOrientation.N for orientation in circuit.cell_orientation]
    np.savez(sys.argv[2], x=np.array(circuit.cell_x), y=np.array(circuit.cell_y), north=np.array(north))


if __name__ == "__main__":
    main()
