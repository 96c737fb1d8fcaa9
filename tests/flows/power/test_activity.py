"""Activity: which nets carry the clock, and bits counted."""

from pathlib import Path

import numpy as np

from flows.library.power_library import read_power_library
from flows.netlist.gate_simulation import population
from flows.netlist.netlist import read_netlist
from flows.power.activity import clock_nets
from tests.flows.toy_library import TOY


def test_clock_nets_follow_buffers_and_inverters(tmp_path: Path) -> None:
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "t.v").write_text(
        "module t (input ck, d, output q, r); wire a, b; BUF x (.A(ck), .Y(a)); INV y (.A(a), .Y(b));"
        " DFF f (.D(d), .CK(a), .RN(1'b1), .Q(q)); NDFF g (.D(d), .CK(b), .Q(r)); endmodule"
    )
    netlist = read_netlist(tmp_path / "t.v", liberty=[tmp_path / "toy.lib"])
    found = clock_nets(netlist, read_power_library([tmp_path / "toy.lib"]), "ck")
    names = {netlist.net_names[net]: inverted for net, inverted in found.items()}
    assert names == {"ck": False, "a": False, "b": True}


def test_population() -> None:
    words = np.random.default_rng(3).integers(0, 2**63, (20, 3)).astype(np.uint64)
    np.testing.assert_array_equal(population(words), [sum(int(w).bit_count() for w in row) for row in words])
