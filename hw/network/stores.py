"""Storing results: formats, rectifiers and their limits, one after the other."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Value

from hw.common.requantise import store
from sim.fixed_point import FixedPoint
from sim.network.nodes import Store

__all__ = ["code_shape", "stored"]


def code_shape(form: FixedPoint) -> object:
    """Shape of a code: its width, signed if the format is."""
    from amaranth.hdl import signed, unsigned

    return signed(form.width) if form.signed else unsigned(form.width)


def stored(m: Module, value: Value, fraction: int, stores: Sequence[Store], name: str) -> Value:
    """A value after some stores.

    Parameters
    ----------
    m : Module
        Where the logic goes.
    value : Value
        Signed or unsigned, with `fraction` fraction bits.
    fraction : int
    stores : sequence of Store
        In their order.
    name : str
        Stem of names of signals.
    """
    for number, step in enumerate(stores):
        if step.relu:
            value = _rectified(value)
            if step.most is not None:
                # in units or smaller steps, so that the limit is a code
                value, fraction = Cat(Const(0, max(0, -fraction)), value), max(fraction, 0)
                value = Mux(value > step.most << fraction, step.most << fraction, value)
        value = store(m, value, fraction, step.result, f"{name}_{number}")
        fraction = step.result.fraction
    return value


def _rectified(value: Value) -> Value:
    """``max(value, 0)``, unsigned."""
    if not value.shape().signed:
        return value
    return value[:-1] & ~value[-1].replicate(len(value) - 1) if len(value) > 1 else Const(0, 1)
