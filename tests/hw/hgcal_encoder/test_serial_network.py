"""Network with reused multipliers against the golden model, at factors with every set of internal registers."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator, SimulatorContext

from hw.common.dot_product import DotProductFormat
from hw.hgcal_encoder.schedule import Schedule
from hw.hgcal_encoder.serial_network import SerialNetwork, serial_registers
from hw.hgcal_encoder.slot_sequence import SlotSequence
from sim.hgcal_encoder.spec import ECON_T, TNS_2021, EncoderSpec
from tests.specs import SMALL

NETWORK_CLOCKS = 1
"""Edges of the crossing clock behind that of the pixels, after which the latents are there."""


@pytest.mark.parametrize("spec", [ECON_T, TNS_2021, SMALL], ids=lambda spec: spec.name)
def test_a_schedule_computes_every_position_and_every_tap_once(spec: EncoderSpec) -> None:
    for reuse in range(2, 17):
        schedule = Schedule(spec=replace(spec, reuse=reuse))
        assert len(schedule.units) == -(-spec.positions // reuse)
        seen = [position for unit in schedule.units for position in unit if position is not None]
        assert sorted(seen) == list(range(spec.positions))
        for number, unit in enumerate(schedule.units):
            assert len(unit) == reuse
            for slot, position in enumerate(unit):
                cells = {tap: schedule.cell(number, slot, tap) for tap in schedule.unit_taps[number]}
                expected = {} if position is None else {tap: cell for cell, tap in spec.taps[position]}
                assert {tap: cell for tap, cell in cells.items() if cell is not None} == expected
        activations = [schedule.activation(slot, index) for slot in range(reuse) for index in range(schedule.parallel)]
        assert sorted(a for a in activations if a is not None) == list(range(spec.activations))
        # ideal reuse would be the factor itself; less where positions do not fill the slots
        assert schedule.multipliers >= spec.multiplies / reuse


def test_latents_are_there_before_the_second_edge_of_the_crossing_clock() -> None:
    for reuse in range(2, 17):
        network = SerialNetwork(spec=replace(ECON_T, reuse=reuse))
        network._MustUse__silence = True
        assert network.internal_latency == reuse + len(serial_registers(reuse)) + 1
        assert network.internal_latency <= 2 * reuse - 1


@pytest.mark.parametrize(("reuse", "deepest", "one_order"), [(2, 0, False), (4, 1, False), (5, 2, False), (5, 2, True)])
def test_crossings_take_their_slots_in_both_orders_by_turns(reuse: int, deepest: int, one_order: bool) -> None:
    """Where crossings meet the slot stays, so no weight is selected anew; a depth is so many clocks late."""
    sequence = SlotSequence(reuse=reuse, deepest=deepest, one_order=one_order)
    seen: list[list[tuple[int, int, int]]] = []
    simulator = Simulator(sequence)
    simulator.add_clock(1e-9)

    async def bench(context: SimulatorContext) -> None:
        for clock in range(7 * reuse):
            context.set(sequence.toggle, (clock // reuse + 1) % 2)
            at = [
                (
                    context.get(sequence.slot[depth]),
                    context.get(sequence.first[depth]),
                    context.get(sequence.last[depth]),
                )
                for depth in range(deepest + 1)
            ]
            seen.append(at)
            await context.tick()

    simulator.add_testbench(bench)
    simulator.run()
    ascending = list(range(reuse))
    orders = [ascending if one_order else ascending[::-1], ascending] * 4
    expected = [(1 << slot, place == 0, place == reuse - 1) for order in orders for place, slot in enumerate(order)]
    for depth in range(deepest + 1):
        assert [at[depth] for at in seen[depth:]] == expected[: 7 * reuse - depth]
        assert all(at[depth] == (0, 0, 0) for at in seen[:depth])


def test_bad_factors_are_refused() -> None:
    for reuse in (0, 17, 2.0, True):
        with pytest.raises(ValueError, match="reuse: expected 1 to 16|reuse: expected an integer"):
            replace(SMALL, reuse=reuse)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        SerialNetwork(spec=SMALL)
    with pytest.raises(ValueError, match="accumulated products: expected at least the 3 taps, got 2"):
        DotProductFormat(taps=3, shift=4, accumulated=2)
    assert EncoderSpec.from_toml(replace(SMALL, reuse=8).to_toml()).reuse == 8
