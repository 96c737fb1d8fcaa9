"""Which slot a network that reuses multipliers is in."""

from collections.abc import Callable
from functools import partial

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import delayed, watched

__all__ = ["SlotSequence"]


class SlotSequence(Component):
    """Slots of each bunch crossing, for every register on the way through the network.

    The first clock of a crossing is where the crossing clock has toggled. At depth d everything is what it was d clocks
    ago; the last slots there reach into the next crossing. An upset is gone with the next crossing.

    Crossings take their slots in ascending and descending order by turns, so that no weight is selected anew where one
    crossing ends and the next begins.

    Parameters
    ----------
    reuse : int
        Slots of a crossing.
    deepest : int
        Largest depth.
    one_order : bool
        Always ascending.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.

    Members
    -------
    toggle : In(1)
        Changes at each edge of the crossing clock.
    slot : Out(reuse) x (deepest + 1)
        One-hot, by depth; all 0 without a crossing.
    first, last : Out(deepest + 1)
        With the first and the last slot of a crossing, by depth.
    error : Out(1)
        If `register` has one.
    """

    clocked = True

    def __init__(
        self,
        *,
        reuse: int,
        deepest: int,
        one_order: bool,
        register: Callable[..., Component] = PipelineRegister,
    ):
        self._reuse = reuse
        self._deepest = deepest
        self._one_order = one_order
        self._register = register
        self._watched = watched(register)
        super().__init__(
            {
                "toggle": In(1),
                "slot": Out(ArrayLayout(reuse, deepest + 1)),
                "first": Out(deepest + 1),
                "last": Out(deepest + 1),
                **({"error": Out(1)} if self._watched else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        errors: list[Value] = []
        register = partial(delayed, m, platform, register=self._register, errors=errors)

        # the level of the toggle tells one crossing from the next
        descending = [self.toggle, register("toggle", self.toggle)]
        while len(descending) <= self._deepest and not self._one_order:
            descending.append(register(f"toggle_{len(descending)}", descending[-1]))
        times = [Signal(name="time_0")]
        m.d.comb += times[0].eq(descending[0] ^ descending[1])
        for number in range(1, self._reuse + self._deepest):
            times.append(register(f"time_{number}", times[-1]))
        for depth in range(self._deepest + 1):
            mine = times[depth : depth + self._reuse]
            slot = Cat(mine) if self._one_order else Mux(descending[depth], Cat(mine[::-1]), Cat(mine))
            m.d.comb += [self.slot[depth].eq(slot), self.first[depth].eq(mine[0]), self.last[depth].eq(mine[-1])]
        if self._watched:
            m.d.comb += self.error.eq(Cat(errors).any())
        return m
