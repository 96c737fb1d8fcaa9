"""A state machine split into its logic and its flip-flops, so that both can be protected and proved on their own."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.wiring import Component, In, Member

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.storage_cell import StorageCell
from hw.common.voted_cell import VotedCell

__all__ = ["Registered", "connect_logic", "delayed", "described", "plain", "ports_of", "stored", "watched"]


class Registered(Component):
    """Combinational logic with its state in one register.

    The logic has, besides its own ports, an input `state`, an output `next_state` of equal width, and an attribute
    `reset` (the state after reset). Every flip-flop of the machine then sits in one `register`, which is where schemes
    of protection go, and what the machine does is a function of ports and state that a solver can quantify over.

    Reset: `reset` of the logic, asynchronous.

    Parameters
    ----------
    logic : class of Component
        The logic.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor; an output `error`, if it has one, becomes
        an output of this component.
    **parameters
        Constructor arguments of the logic.

    Members
    -------
    <port>
        Every port of the logic but `state` and `next_state`.
    error : Out(1)
        That of the register, if it has one.
    """

    clocked = True

    def __init__(
        self,
        *,
        logic: Callable[..., Component],
        register: Callable[..., Component] = PipelineRegister,
        **parameters: Any,
    ):
        self._logic, self._register, self._parameters = logic, register, parameters
        self._model = model = described(logic, **parameters)
        self._kept = {"width": len(plain(model.state)), "reset": int(model.reset)}
        kept = described(register, **self._kept).signature.members
        self._error = {"error": kept["error"]} if "error" in kept else {}
        super().__init__(ports_of(model) | self._error)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        logic = place(m, platform, "rules", self._logic, **self._parameters)
        state = place(m, platform, "state", self._register, **self._kept)
        m.d.comb += [plain(logic.state).eq(state.o), state.i.eq(plain(logic.next_state))]
        connect_logic(m, self, logic, self._model)
        if self._error:
            m.d.comb += self.error.eq(state.error)
        return m


def described(part: Callable[..., Component], /, **parameters: Any) -> Any:
    """A component that is only asked for its ports and properties, never elaborated."""
    if not isinstance(part, type):
        component: Any = part(**parameters)
        component._MustUse__silence = True
        return component
    # silent before its constructor may refuse the parameters
    component = part.__new__(part)
    component._MustUse__silence = True
    component.__init__(**parameters)
    return component


def watched(register: Callable[..., Component]) -> bool:
    """Whether a register tells errors."""
    return "error" in described(register, width=1).signature.members


def delayed(
    m: Module, platform: object, name: str, value: Value, *, register: Callable[..., Component], errors: list[Value]
) -> Value:
    """A value one clock later, from a register of its own; what that tells of errors, if it does, joins `errors`."""
    step = place(m, platform, f"{name}_register", register, width=len(value))
    m.d.comb += step.i.eq(value)
    if watched(register):
        errors.append(step.error)
    kept: Value = step.o
    return kept


def stored(
    m: Module, platform: object, name: str, value: Value, enable: Value, *, register: Callable[..., Component],
    errors: list[Value],
) -> Value:  # fmt: skip
    """A value as it was in the last clock in which `enable` was 1, 0 after reset, in cells of up to a byte.

    For what changes seldom: its flip-flops are clocked when they take it, or when copies differ, and rest otherwise.
    The cells are `VotedCell` where the register is voted, and tell errors as `delayed` does; else `StorageCell`.
    """
    voted = watched(register)
    kept: list[Value] = []
    for first in range(0, len(value), 8):
        part = value[first : first + 8]
        cell = place(
            m, platform, f"{name}_{first // 8}_cell", VotedCell if voted else StorageCell, width=len(part), reset=0
        )
        m.d.comb += [cell.data.eq(part), cell.enable.eq(enable)]
        kept.append(cell.value)
        if voted:
            errors.append(cell.error)
    return Cat(kept)


def plain(value: Any) -> Any:
    """The bits of a port that may have a layout."""
    return value.as_value() if hasattr(value, "as_value") else value


def ports_of(logic: Component) -> dict[str, Member]:
    """Ports of a logic besides those of its state."""
    return {name: member for name, member in logic.signature.members.items() if name not in ("state", "next_state")}


def connect_logic(m: Module, outside: Any, logic: Any, model: Component) -> None:
    """Connect the ports of a logic with those of equal name of the component that holds it."""
    for name, member in ports_of(model).items():
        inner, outer = plain(getattr(logic, name)), plain(getattr(outside, name))
        m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
