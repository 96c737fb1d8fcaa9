"""Activity: which nets carry the clock, bits counted, recordings of two clocks, what a recording cannot hold."""

from pathlib import Path

import numpy as np
import pytest

from flows.netlist.gate_simulation import GateSimulator, from_lanes, population, to_lanes
from flows.power.activity import Activity, ActivityError, clock_nets, complete, record
from tests.flows.power.small import design


def test_clock_nets_follow_buffers_and_inverters(tmp_path: Path) -> None:
    netlist, library = design(
        "module t (input ck, d, output q, r); wire a, b; BUF x (.A(ck), .Y(a)); INV y (.A(a), .Y(b));"
        " DFF f (.D(d), .CK(a), .RN(1'b1), .Q(q)); NDFF g (.D(d), .CK(b), .Q(r)); endmodule", tmp_path,
    )  # fmt: skip
    found = clock_nets(netlist, library, "ck")
    names = {netlist.net_names[net]: inverted for net, inverted in found.items()}
    assert names == {"ck": False, "a": False, "b": True}


def test_population() -> None:
    words = np.random.default_rng(3).integers(0, 2**63, (20, 3)).astype(np.uint64)
    np.testing.assert_array_equal(population(words), [sum(int(w).bit_count() for w in row) for row in words])


def bits(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, shape).astype(bool)


CLOCKED = """module t (input ck, fk, d, en, output q, b, c, nck, ng, gck); wire nb, nc;
  DFF f (.D(d), .CK(ck), .RN(1'b1), .Q(q));
  DFF g (.D(nb), .CK(fk), .RN(1'b1), .Q(b)); INV h (.A(b), .Y(nb));
  GATE i (.CK(ck), .E(en), .GCK(gck)); DFF j (.D(nc), .CK(gck), .RN(1'b1), .Q(c)); INV k (.A(c), .Y(nc));
  INV l (.A(ck), .Y(nck)); INV m (.A(gck), .Y(ng)); endmodule"""


@pytest.mark.parametrize("pulses", [1, 2])
def test_rates_of_two_clocks_and_of_what_a_gate_lets_through(pulses: int, tmp_path: Path) -> None:
    """Counted by hand from the bits that go in: 5 streams, 3 clocks of warm-up, 9 that count, of which 3 are kept."""
    netlist, library = design(CLOCKED, tmp_path)
    simulator = GateSimulator(netlist, library, words=1, clock=("ck", "fk"))
    warm_up, clocks, streams, period = 3, 9, 5, 8.0
    data, enable = bits((2, warm_up + clocks, 64), 8)
    data[:, streams:] = enable[:, streams:] = True  # lanes that do not count
    advanced: list[int] = []

    def drive(sim: GateSimulator, clock: int) -> None:
        sim.set_port("d", from_lanes(data[clock : clock + 1]))
        sim.set_port("en", from_lanes(enable[clock : clock + 1]))

    activity = record(
        simulator, drive, clocks=clocks, warm_up=warm_up, lanes=streams, period_ns=period, source="test", snapshots=3,
        pulses=pulses, advance=advanced.append,
    )  # fmt: skip
    assert advanced == [1] * (warm_up + clocks)
    assert activity.clocks == clocks * streams
    assert activity.duration_ns == pytest.approx(clocks * streams * period)
    assert activity.clock == netlist.ports["ck"].nets[0]
    data, enable = data[:, :streams], enable[:, :streams]
    counted = slice(warm_up, None)
    moved = (data[1:] != data[:-1]).astype(float)
    through = enable[counted].mean()
    rates = {
        "ck": 2, "fk": 2 * pulses, "nck": 2, "gck": 2 * through, "ng": 2 * through,
        "d": moved[warm_up - 1 :].mean(), "q": moved[warm_up - 2 : -1].mean(),
        # a bit that its own inverse is written into moves at every edge that it sees
        "b": pulses, "c": enable[warm_up - 1 : -1].mean(),
    }  # fmt: skip
    duties = {
        "ck": 0.5, "fk": 0.5, "nck": 0.5, "gck": through / 2, "ng": 1 - through / 2, "d": data[counted].mean(),
        "q": data[warm_up - 1 : -1].mean(),
    }  # fmt: skip
    found = {name: int(netlist.ports[name].nets[0]) for name in rates}
    assert {n: activity.toggles_per_ns[found[n]] for n in rates} == {
        n: pytest.approx(r / period) for n, r in rates.items()
    }
    assert {name: activity.duty[found[name]] for name in duties} == {n: pytest.approx(d) for n, d in duties.items()}
    # kept: first, middle and last of the clocks that count, a pair for each pulse
    assert activity.pairs == 3 * pulses * streams
    assert np.array_equal(activity.mask, np.full(3 * pulses, 2**streams - 1, np.uint64))
    for word, (clock, pulse) in enumerate((clock, pulse) for clock in (3, 7, 11) for pulse in range(pulses)):
        before, after = (to_lanes(states[[found["q"]], word : word + 1])[0, :streams]
                         for states in (activity.before, activity.after))  # fmt: skip
        assert np.array_equal(after, data[clock - 1])
        assert np.array_equal(before, data[clock - 1 if pulse else clock - 2])
        assert activity.before[found["ck"], word] == activity.after[found["gck"], word] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clocks": 0}, "expected at least one clock and one of warm-up, got 0 and 1"),
        ({"warm_up": 0}, "expected at least one clock and one of warm-up, got 1 and 0"),
        ({"pulses": 0}, "0 pulses in a period of the clocks ck"),
        ({"pulses": 2}, "2 pulses in a period of the clocks ck"),
        ({}, ""),
    ],
)
def test_what_cannot_be_recorded(options: dict[str, int], message: str, tmp_path: Path) -> None:
    """One clock and one of warm-up are enough; a second pulse needs a second clock."""
    netlist, library = design(
        "module t (input ck, d, output q); DFF f (.D(d), .CK(ck), .RN(1'b1), .Q(q)); endmodule", tmp_path
    )
    simulator = GateSimulator(netlist, library, words=1, clock="ck")
    arguments = {"clocks": 1, "warm_up": 1, "lanes": 64, "period_ns": 1.0, "source": "test"} | options

    def drive(sim: GateSimulator, clock: int) -> None:
        sim.set_port("d", np.full((1, 1), clock, np.uint64))

    if message:
        with pytest.raises(ActivityError, match=f"^{message}$"):
            record(simulator, drive, **arguments)  # type: ignore[arg-type]
        return
    activity = record(simulator, drive, **arguments)  # type: ignore[arg-type]
    assert (activity.clocks, activity.pairs, activity.with_delays) == (64, 64, False)
    assert activity.annotated.all()
    # four of many clocks are kept where nothing else is asked for
    assert record(simulator, drive, **arguments | {"clocks": 9}).pairs == 4 * 64  # type: ignore[arg-type]


ADDER = """
  cell (HALF) {
    area : 2;
    pin (A) { direction : input; capacitance : 0.01; }
    pin (B) { direction : input; capacitance : 0.01; }
    pin (S) { direction : output; function : "A ^ B"; }
    pin (C) { direction : output; function : "A & B"; }
  }
"""


def test_what_a_recording_cannot_hold_is_filled_in(tmp_path: Path) -> None:
    """Open outputs from the kept pairs, those of flip-flops from the output beside them, states of nets without a name.

    A net that neither is recorded nor follows from others is taken as 0: the port y here.
    """
    text = """module t (input ck, a, b, y, output s, q, p, m, n); wire o;
      HALF h (.A(a), .B(b), .S(s)); NDFF f (.D(a), .CK(ck), .Q(q)); NDFF g (.D(b), .CK(ck), .QN(p));
      NDFF k (.D(b), .CK(ck), .Q(o)); INV i (.A(y), .Y(m)); INV j (.A(o), .Y(n)); endmodule"""
    netlist, library = design(text, tmp_path, cells=ADDER)
    simulator = GateSimulator(netlist, library, words=2, clock="ck")
    net = {name: netlist.net_names.index(name) for name in "abyosqpmn"}
    rng = np.random.default_rng(9)
    before, after = rng.integers(0, 2**63, (2, netlist.nets, 2), np.uint64)
    for states in (before, after):  # what the cells make of it
        states[0], states[1] = 0, np.uint64(2**64 - 1)
        states[net["s"]] = states[net["a"]] ^ states[net["b"]]
    annotated = np.ones(netlist.nets, bool)
    annotated[[net["y"], net["o"], net["m"], net["n"]]] = False
    rates = rng.uniform(0.1, 0.2, netlist.nets)
    mask = np.array([2**40 - 1, 2**13 - 1], np.uint64)
    pairs, period = 53, 4.0
    given = Activity(
        toggles_per_ns=rates, duty=rng.random(netlist.nets), annotated=annotated, before=before, after=after, mask=mask,
        clock=net["a"], period_ns=period, clocks=9, duration_ns=36.0, source="test",
    )  # fmt: skip
    simulator.values[:] = 5  # what stood there before does not matter
    found = complete(given, simulator)
    assert np.array_equal(found.toggles_per_ns[: netlist.nets], rates)
    assert np.array_equal(found.duty[: netlist.nets], given.duty)

    def row(kind: str, pin: str, output: str, name: str) -> int:
        """Row of an open pin of the cell whose other output is a net."""
        group = netlist.groups[kind]
        return int(simulator.pin_rows[kind][pin][list(group.pin(output)).index(net[name])])

    def ones(words: np.ndarray) -> int:
        return sum((int(word) & int(m)).bit_count() for word, m in zip(words, mask, strict=True))

    carry = row("HALF", "C", "S", "s")
    both = [states[net["a"]] & states[net["b"]] for states in (before, after)]
    assert found.toggles_per_ns[carry] == pytest.approx(ones(both[0] ^ both[1]) / pairs / period)
    assert found.duty[carry] == pytest.approx(ones(both[1]) / pairs)
    for states, filled in ((before, found.before), (after, found.after)):
        recorded = np.flatnonzero(annotated)
        assert np.array_equal(filled[recorded], states[recorded])
        assert np.array_equal(filled[carry], states[net["a"]] & states[net["b"]])
        # the state behind a recorded output, and of one that is not recorded: 0
        for kind, output, name in (("Q", "QN", "p"), ("QN", "Q", "q")):
            assert np.array_equal(filled[row("NDFF", kind, output, name)], ~states[net[name]])
        assert np.array_equal(filled[net["n"]], np.full(2, 2**64 - 1, np.uint64))
        assert np.array_equal(filled[net["m"]], np.full(2, 2**64 - 1, np.uint64))
    assert found.toggles_per_ns[row("NDFF", "QN", "Q", "q")] == rates[net["q"]]
    assert found.toggles_per_ns[row("NDFF", "Q", "QN", "p")] == rates[net["p"]]
    with pytest.raises(ValueError, match="expected a simulator of 2 words, got 1"):
        complete(given, GateSimulator(netlist, library, words=1, clock="ck"))
