"""Blocks that are not ours to build: ports with a contract, and nothing inside."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component

__all__ = ["BlackBox"]


class BlackBox(Component):
    """A component of which only ports are exported: an analogue macro, a memory of a compiler.

    Placed with `hw.common.hierarchy.place`, it becomes a module with the attribute ``blackbox``: synthesis connects and
    counts it, and leaves it alone. It cannot be simulated: a component with the same ports takes its place there.
    """

    black_box = True
    clocked = True
    # nothing is ever elaborated: Amaranth need not complain about it
    _MustUse__silence = True

    def elaborate(self, _platform: object) -> Module:
        raise TypeError(f"{type(self).__name__} is a black box: it has ports, and nothing to simulate or convert")
