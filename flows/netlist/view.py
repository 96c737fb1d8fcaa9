"""A netlist prepared for power: what its wires weigh, what hangs on each net, how fast it switches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.library.power_library import PowerLibrary
from flows.netlist.delays import NetTiming, pin_loads, propagate
from flows.netlist.netlist import Netlist

__all__ = ["NetlistView", "Wires", "default_tree_slew_ns", "prepare"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Wires:
    """Wires of a netlist, from a placement or estimated.

    Attributes
    ----------
    ff : ndarray, shape (nets,)
        Capacitance of each net's wire.
    ohm : ndarray, shape (nets,)
        Resistance of each net's wire from the driver to the farthest pin; 0 where it is not known.
    ff_per_um : float
        Capacitance of a wire by length, for what no netlist holds; 0 where it is not known.
    core_um2 : float
        Area that the cells are spread over.
    source : str
        Where they come from, for reports.
    """

    ff: Floats
    ohm: Floats
    ff_per_um: float
    core_um2: float
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class NetlistView:
    """What power needs of a netlist beside its cells, found out once.

    Attributes
    ----------
    wires : Wires
    pin_ff : ndarray, shape (nets,)
        Capacitance of the input pins on each net.
    timing : NetTiming
        Loads, transition times and delays, wires included.
    tree_slew_ns : float
        Transition time that a clock tree delivers at its sinks.
    """

    wires: Wires
    pin_ff: Floats
    timing: NetTiming
    tree_slew_ns: float


def default_tree_slew_ns(library: PowerLibrary) -> float:
    """Transition time that the clock tree delivers: half the library's limit, else 0.25 ns."""
    return 0.25 if library.max_transition_ns is None else library.max_transition_ns / 2


def prepare(
    netlist: Netlist,
    library: PowerLibrary,
    level: npt.NDArray[np.int32],
    wires: Wires,
    *,
    trees: Collection[str] = (),
    port_load_ff: float = 0.0,
    tree_slew_ns: float | None = None,
) -> NetlistView:
    """Walk a netlist once.

    Parameters
    ----------
    netlist, library
    level : ndarray of int32
        `flows.netlist.gate_simulation.topological_levels`, which a simulator has as `level`.
    wires : Wires
    trees : collection of str
        Ports that a tree of buffers will drive: clocks, reset. Those that the netlist does not have are left out.
    port_load_ff : float
        Load outside each output port.
    tree_slew_ns : float, optional
        Transition time that the trees deliver; `default_tree_slew_ns` where left out.
    """
    slew = default_tree_slew_ns(library) if tree_slew_ns is None else tree_slew_ns
    timing = propagate(
        netlist, library, level, wire_ff=wires.ff, wire_ohm=wires.ohm, port_load_ff=port_load_ff,
        fixed_slew_ns={int(netlist.ports[name].nets[0]): slew for name in trees if name in netlist.ports},
    )  # fmt: skip
    return NetlistView(wires=wires, pin_ff=pin_loads(netlist, library), timing=timing, tree_slew_ns=slew)
