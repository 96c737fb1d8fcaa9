"""One of three copies of a whole state machine that correct each other."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.registered import connect_logic, described, plain, ports_of
from hw.common.replica import Replica, majority

__all__ = ["RegisteredReplica"]


class RegisteredReplica(Component):
    """`Registered` in triplicate: logic, flip-flops and voter of one copy; the states of the other two are inputs.

    The logic works on the vote of the three states, so a copy with a wrong state, or one whose logic erred for a clock,
    is right again at the next clock. Not triplicated: clock and reset.

    Reset: `reset` of the logic, asynchronous.

    Parameters
    ----------
    logic : class of Component
        As for `Registered`.
    **parameters
        Constructor arguments of the logic.

    Members
    -------
    <port>
        Every port of the logic but `state` and `next_state`.
    raw : Out
        State of this copy.
    peers : In
        States of the other two.
    error : Out(1)
        This copy differs from the vote.
    """

    clocked = True

    def __init__(self, *, logic: Callable[..., Component], **parameters: Any):
        self._logic, self._parameters = logic, parameters
        self._model = model = described(logic, **parameters)
        self._width = len(plain(model.state))
        super().__init__(ports_of(model) | {"raw": Out(self._width), "peers": In(2 * self._width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        logic = place(m, platform, "rules", self._logic, **self._parameters)
        state = place(m, platform, "state", Replica, width=self._width, reset=int(self._model.reset))
        vote = majority(state.o, self.peers[: self._width], self.peers[self._width :])
        m.d.comb += [
            plain(logic.state).eq(vote),
            state.i.eq(plain(logic.next_state)),
            self.raw.eq(state.o),
            self.error.eq(state.o != plain(logic.state)),
        ]
        connect_logic(m, self, logic, self._model)
        return m
