"""Registers of an algorithm: while it is not selected they keep their word, and the logic after them rests."""

from collections.abc import Callable

from amaranth.hdl import Module, Mux, Value
from amaranth.lib.wiring import Component

from hw.common.hierarchy import place

__all__ = ["isolated", "place_held"]


def place_held(
    m: Module, platform: object, name: str, value: Value, enable: Value, *, register: Callable[..., Component]
) -> Value:
    """A value one clock later, kept while `enable` is 0: synthesis makes one clock gate of it.

    Parameters
    ----------
    m, platform : Module, object
        Parent, and what its `elaborate` was given.
    name : str
        Of the instance, ``<name>_register``.
    value : Value
    enable : Value
        One bit.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.
        Zeros after reset.
    """
    step = place(m, platform, f"{name}_register", register, width=len(value))
    m.d.comb += step.i.eq(Mux(enable, value, step.o))
    kept: Value = step.o
    return kept


def isolated(value: Value, enable: Value) -> Value:
    """A value where `enable` is 1, else zeros: logic behind it sees no toggle while it is not used."""
    bits = Value.cast(value)
    return bits & enable.replicate(len(bits))
