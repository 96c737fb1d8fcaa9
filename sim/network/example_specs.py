"""A small network with every kind of node and every mode, for tests and for mutation."""

from __future__ import annotations

from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.network.nodes import Add, ArgMax, Convolution, Dense, Pool, Scale, Store, Wire
from sim.network.spec import NetworkSpec

__all__ = ["campaign_spec", "every_kind"]


def _form(width: int, fraction: int, signed: bool = True, rounding: str = "TRN", overflow: str = "WRAP") -> FixedPoint:
    return FixedPoint(
        width=width, fraction=fraction, signed=signed, rounding=Rounding(rounding), overflow=Overflow(overflow)
    )


def _windows(rows: int, columns: int, channels: int) -> tuple[tuple[int, ...], ...]:
    """Windows of 2 x 2, side by side."""
    return tuple(
        tuple(((row + i) * columns + column + j) * channels + channel for i in (0, 1) for j in (0, 1))
        for row in range(0, rows, 2)
        for column in range(0, columns, 2)
        for channel in range(channels)
    )


def every_kind() -> NetworkSpec:
    """Signed inputs; convolution, depthwise convolution, scale, both poolings, sum, difference, wires, dense, argmax.

    Products are rounded in two ways, one accumulator wraps, biases lie above and below the step of the products, and
    results are stored by every mode of rounding and overflow.
    """
    return NetworkSpec(
        name="EVERY_KIND", input_shape=(4, 4, 2), input=_form(6, 3), outputs=("classes", "cat"),
        nodes={
            "conv": Convolution(
                inputs=("input",), shape=(4, 4, 2), kernel=(3, 3), filters=3, padding=(1, 1, 1, 1), weight=_form(5, 3),
                bias=_form(6, 4), accumulator=_form(12, 4), result=_form(9, 4, True, "RND_INF", "SAT_SYM"),
            ),
            "act": Store(inputs=("conv",), result=_form(6, 2, False, "RND_ZERO", "SAT"), relu=True, most=6),
            "dw": Convolution(
                inputs=("act",), shape=(4, 4, 3), kernel=(2, 2), filters=1, depthwise=True, stride=(2, 2),
                weight=_form(4, 2), bias=_form(4, 8), accumulator=_form(14, 8),
                result=_form(8, 3, True, "TRN_ZERO", "SAT_ZERO"),
            ),
            "bn": Scale(
                inputs=("dw",), channels=3, weight=_form(5, 3), bias=_form(6, 4), accumulator=_form(15, 7),
                result=_form(8, 3, True, "RND_MIN_INF", "SAT"),
            ),
            "pool": Pool(inputs=("act",), windows=_windows(4, 4, 3), result=_form(8, 3)),
            "mean": Pool(inputs=("act",), mean=True, windows=_windows(4, 4, 3), result=_form(8, 3, True, "RND_CONV")),
            "sum": Add(inputs=("bn", "pool"), result=_form(8, 2, True, "RND")),
            "difference": Add(inputs=("sum", "mean"), result=_form(8, 3), subtract=True),
            "cat": Wire(inputs=("difference", "bn"), sources=(*range(24), -1)),
            "fc": Dense(
                inputs=("cat",), units=4, weight=_form(6, 5), bias=_form(6, 5), accumulator=_form(13, 6, True, "RND"),
                result=_form(10, 4, True, "RND_CONV"),
            ),
            "classes": ArgMax(inputs=("fc",), result=_form(3, 1, False)),
        },
    )  # fmt: skip


def campaign_spec() -> NetworkSpec:
    """The network whose mutants the bench has to kill: signed and unsigned inputs of layers, shared and own weights."""
    return NetworkSpec(
        name="CAMPAIGN", input_shape=(2, 3, 1), input=_form(5, 2), outputs=("fc",),
        nodes={
            "conv": Convolution(
                inputs=("input",), shape=(2, 3, 1), kernel=(2, 2), filters=2, weight=_form(4, 2), bias=_form(4, 3),
                accumulator=_form(10, 3), result=_form(8, 3),
            ),
            "act": Store(inputs=("conv",), result=_form(5, 2, False, "RND", "SAT"), relu=True),
            "fc": Dense(
                inputs=("act",), units=2, weight=_form(4, 3), bias=_form(5, 4), accumulator=_form(9, 4),
                result=_form(7, 3, True, "RND_CONV", "SAT"),
            ),
        },
    )  # fmt: skip
