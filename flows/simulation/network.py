"""A network in native simulation: compiled once, weights loaded, fed with codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from flows.simulation.native import ROWS_PER_CALL, NativeModel, Words, build_native
from hw.common.export import to_verilog
from hw.common.scheme import Scheme
from hw.network.frozen import frozen_weights
from hw.network.network import PROTECTION, Network, output_port
from sim.fixed_point import FixedPoint, IntArray
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["NetworkBench", "packed", "unpacked"]


def packed(codes: IntArray, form: FixedPoint) -> Words:
    """Codes side by side as 32-bit words, the first code in the lowest bits.

    Parameters
    ----------
    codes : ndarray of int64, shape (n, elements)
    form : FixedPoint

    Returns
    -------
    ndarray of uint32, shape (n, words)
    """
    bits = ((codes[:, :, None] >> np.arange(form.width)) & 1).astype(np.uint8).reshape(len(codes), -1)
    bits = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 32)))
    words: Words = np.packbits(bits, axis=1, bitorder="little").view("<u4").astype(np.uint32)
    return words


def unpacked(words: npt.NDArray[np.integer], form: FixedPoint, size: int) -> IntArray:
    """Codes of words as `packed` makes them; shape (n, size)."""
    bytes_ = np.ascontiguousarray(words.astype("<u4")).view(np.uint8)
    bits = np.unpackbits(bytes_, axis=1, bitorder="little")[:, : size * form.width]
    fields = bits.reshape(len(words), size, form.width).astype(np.int64)
    weights = 1 << np.arange(form.width, dtype=np.int64)
    if form.signed:
        weights[-1] = -weights[-1]
    codes: IntArray = fields @ weights
    return codes


class NetworkBench:
    """Native simulation of the hardware of a network.

    Parameters
    ----------
    spec : NetworkSpec
    frozen : NetworkWeights, optional
        Weights that are folded in; otherwise `codes` loads some.
    verilog : str, optional
        Text to simulate in place of what is generated.
    scheme : Scheme
        Protection of registers and weights.
    reuse : int
        Multiplications of a sample that a multiplier serves: clocks from sample to sample.
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(
        self, spec: NetworkSpec, frozen: NetworkWeights | None = None, verilog: str = "",
        scheme: Scheme = Scheme.NONE, reuse: int = 1, timeout_s: float = 900.0,
    ) -> None:  # fmt: skip
        self.spec, self.reuse = spec, reuse
        component = Network(
            spec=spec, frozen=frozen_weights(frozen) if frozen else None, reuse=reuse, **PROTECTION[scheme]
        )
        self.latency = component.latency
        self.loaded = bool(spec.layers) and frozen is None
        self.verilog = verilog or to_verilog(component, spec.name)
        self.library, self.ports = build_native(self.verilog, spec.name, clock="clk", timeout_s=timeout_s)

    def model(self, seed: int = 1) -> NativeModel:
        """A fresh model, before reset."""
        return NativeModel(self.library, self.ports, "clk", seed)

    def load(self, model: NativeModel, weights: NetworkWeights | None) -> None:
        """Three clocks of reset, then one byte a clock."""
        model.run({"rst": [1, 1, 1]})
        if self.loaded and weights is not None:
            address, data = np.array(weights.writes()).T
            model.run({"write_address": address, "write_data": data, "write_enable": 1})

    def stream(self, model: NativeModel, codes: IntArray, advance: Callable[[int], None] | None = None) -> IntArray:
        """Codes of all outputs for codes of samples, as fast as they may come; shape (n, elements of all outputs).

        Where a sample takes several clocks, `x` holds other bits in those after the first.
        """
        rows = packed(codes, self.spec.input)
        if self.reuse > 1:
            rows = np.stack([rows, *[~rows] * (self.reuse - 1)], axis=1).reshape(-1, rows.shape[1])
        rows = np.concatenate([rows, np.zeros((self.latency, rows.shape[1]), rows.dtype)])
        start = np.zeros(len(rows), np.int64)
        start[: len(codes) * self.reuse : self.reuse] = 1
        found: list[IntArray] = []
        for first in range(0, len(rows), ROWS_PER_CALL):
            part = slice(first, first + ROWS_PER_CALL)
            response = model.run({"x": rows[part], **({"start": start[part]} if self.reuse > 1 else {})})
            parts = []
            for name in self.spec.outputs:
                tensor = self.spec.tensors[name]
                values = response[output_port(self.spec, name)]
                if values.ndim == 1:  # up to 62 bits
                    values = np.stack([values & 0xFFFF_FFFF, values >> 32], axis=1)
                if self.reuse > 1:
                    values = values[response["valid"] == 1]
                parts.append(unpacked(values, tensor.form, tensor.size))
            found.append(np.concatenate(parts, axis=1))
            if advance is not None:
                advance(len(found[-1]))
        results = np.concatenate(found)
        if self.reuse == 1:
            return results[self.latency :]
        if len(results) != len(codes):
            raise ValueError(f"{self.spec.name}: expected {len(codes)} valid results, got {len(results)}")
        return results

    def codes(self, codes: npt.ArrayLike, weights: NetworkWeights | None = None, seed: int = 1) -> IntArray:
        """Reset, load weights, and run samples.

        Parameters
        ----------
        codes : array_like of int, shape (n, elements)
        weights : NetworkWeights, optional
            To load; frozen hardware has its own.
        seed : int
            Seed of uninitialised state.
        """
        size = self.spec.tensors[INPUT].size
        rows = self.spec.input.check(codes, "input").reshape(-1, size)
        with self.model(seed) as model:
            self.load(model, weights)
            return self.stream(model, rows)
