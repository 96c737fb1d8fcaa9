"""Combinational components in Amaranth's simulator, rows of integers in and out."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Value
from amaranth.lib.wiring import Component, In
from amaranth.sim import Simulator

from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.spec import CELLS, ECON_T, EncoderSpec, WordOrder

ODD = EncoderSpec(
    name="ODD",
    grid=(6, 6, 1),
    cell_map=tuple(cell if cell % 7 else -1 for cell in range(47, 11, -1)),
    kernel=(2, 2),
    filters=3,
    stride=1,
    padding=(0, 0, 0, 0),
    latents=5,
    weight=FixedPoint(width=5, fraction=3, signed=True),
    pixel=FixedPoint(width=6, fraction=5, signed=False),
    conv_product_fraction=6,
    dense_product_fraction=5,
    conv_product_rounding=Rounding.RND_CONV,
    dense_product_rounding=Rounding.RND,
    activation=FixedPoint(width=5, fraction=4, signed=False, rounding=Rounding.RND_CONV, overflow=Overflow.SAT),
    latent=FixedPoint(width=7, fraction=4, signed=False, rounding=Rounding.RND, overflow=Overflow.WRAP),
    word_order=WordOrder.P1,
)
"""Every rule differs from the presets: widths, rounding, overflow, holes in the grid, word order."""

PADDED = EncoderSpec(
    name="PADDED",
    grid=(2, 3, 2),
    cell_map=(0, 1, -1, 3, 4, 40, 6, 47, 8, 9, 10, 10),
    kernel=(3, 2),
    filters=2,
    stride=2,
    padding=(2, 2, 1, 1),
    latents=2,
    weight=FixedPoint(width=4, fraction=3, signed=True),
    pixel=FixedPoint(width=9, fraction=8, signed=False),
    conv_product_fraction=11,
    dense_product_fraction=3,
    conv_product_rounding=Rounding.TRN,
    dense_product_rounding=Rounding.RND_CONV,
    activation=FixedPoint(width=9, fraction=8, signed=False, rounding=Rounding.RND, overflow=Overflow.WRAP),
    latent=FixedPoint(width=4, fraction=4, signed=False, rounding=Rounding.RND_CONV, overflow=Overflow.SAT),
)
"""Two channels, padding on every side (positions with few taps), exact products, latents wider than their sum."""


def evaluate(component: Component, **inputs: npt.ArrayLike) -> dict[str, list[int]]:
    """Outputs of a combinational component for rows of inputs.

    Parameters
    ----------
    component : Component
        Without state.
    **inputs
        By port: integers of any size for all rows, shape (n,), or packed already by `pack`.

    Returns
    -------
    dict
        By port, unsigned integers.
    """
    return run(component, inputs, clocked=False)


def run(component: Component, inputs: Mapping[str, Any], *, clocked: bool) -> dict[str, list[int]]:
    """As `evaluate`; with a clock, row i shows the outputs before clock edge i with inputs i applied."""
    ports = {}
    outputs = {}
    for path, member, value in component.signature.flatten(component):
        name = "__".join(map(str, path))
        (ports if member.flow == In else outputs)[name] = Value.cast(value).as_unsigned()
    if unknown := set(inputs) - set(ports):
        raise ValueError(f"no inputs {sorted(unknown)}; there are {sorted(ports)}")
    rows = max(len(values) for values in inputs.values())
    seen: dict[str, list[int]] = {name: [] for name in outputs}

    async def bench(ctx: Any) -> None:
        for row in range(rows):
            for name, values in inputs.items():
                ctx.set(Value.cast(_member(component, name)), int(values[row]))
            if not clocked:
                await ctx.delay(1e-9)
            for name, value in outputs.items():
                seen[name].append(ctx.get(value))
            if clocked:
                await ctx.tick()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simulator = Simulator(component)
        if clocked:
            simulator.add_clock(25e-9)
        simulator.add_testbench(bench)
        simulator.run()
    return seen


def _member(component: Component, name: str) -> Any:
    value: Any = component
    for part in name.split("__"):
        value = value[int(part)] if part.isdigit() else getattr(value, part)
    return value


def pack(values: npt.ArrayLike, width: int) -> list[int]:
    """Rows of an array port: element 0 in the lowest bits; negative codes become two's complement."""
    array = np.asarray(values).astype(object)
    array = array.reshape(len(array), -1) & ((1 << width) - 1)
    return [sum(int(value) << (width * i) for i, value in enumerate(row)) for row in array]


def unpack(values: list[int], width: int, count: int) -> np.ndarray:
    """Inverse of `pack` for unsigned elements."""
    mask = (1 << width) - 1
    return np.array([[value >> (width * i) & mask for i in range(count)] for value in values], np.int64)


def charges(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Calibrated charges of all sizes: extremes, single cells, and every order of magnitude."""
    scale = rng.integers(0, 23, (rows, 1))
    values = rng.integers(0, 1 << 22, (rows, CELLS)) >> scale
    values[rng.random((rows, CELLS)) < rng.choice([0.0, 0.5, 0.95], (rows, 1))] = 0
    values[:4] = 0
    values[1] = (1 << 22) - 1
    values[2, 7] = (1 << 22) - 1
    values[3, 40] = 1
    return values


__all__ = ["ECON_T", "ODD", "PADDED", "charges", "evaluate", "pack", "run", "unpack"]
