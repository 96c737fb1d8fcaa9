"""Weights of a network as integer codes, and the image in which they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim.files import replacing
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz
from sim.messages import shown
from sim.network.spec import NetworkSpec

__all__ = ["NetworkWeights", "WeightRow", "address_bits", "weight_rows"]


@dataclass(frozen=True, kw_only=True)
class WeightRow:
    """Weights and the bias of one output, or of all outputs that share them, side by side in the image.

    Attributes
    ----------
    layer : str
        Name of the node.
    number : int
        Number of the bias.
    weights : tuple of int
        Numbers of its weights, in their order in the row.
    bits : int
        Bits of the row: all weights, each low bit first, then the bias.
    """

    layer: str
    number: int
    weights: tuple[int, ...]
    bits: int

    @property
    def size(self) -> int:
        """Bytes of the row."""
        return -(-self.bits // 8)


def weight_rows(spec: NetworkSpec) -> tuple[WeightRow, ...]:
    """Rows of the weight image, in the order of layers and biases."""
    return tuple(
        WeightRow(layer=name, number=number, weights=weights, bits=len(weights) * node.weight.width + node.bias.width)
        for name, node in spec.layers.items()
        for number, weights in enumerate(node.rows(spec.size_into(name)))
    )


def address_bits(spec: NetworkSpec) -> tuple[int, int]:
    """Bits of a byte's address that pick the row, and below them those that pick the byte in its row."""
    rows = weight_rows(spec)
    return max(1, (len(rows) - 1).bit_length()), max(1, (max(row.size for row in rows) - 1).bit_length())


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkWeights:
    """Codes of all weights and biases.

    Attributes
    ----------
    spec : NetworkSpec
    weights, biases : dict of str to ndarray of int64
        By name of the node; flat, in the order that the kind of node says.

    Raises
    ------
    ValueError
        If a layer is missing, or has another number of codes, or codes that its format has not.
    """

    spec: NetworkSpec
    weights: dict[str, IntArray]
    biases: dict[str, IntArray]

    def __post_init__(self) -> None:
        for what, arrays, place in (("weights", self.weights, 0), ("biases", self.biases, 1)):
            if other := sorted(set(arrays) ^ set(self.spec.layers)):
                raise ValueError(f"{what}: expected the layers {', '.join(self.spec.layers)}, not {shown(other[0])}")
            for name, node in self.spec.layers.items():
                count = node.counts(self.spec.size_into(name))[place]
                form = (node.weight, node.bias)[place]
                codes = form.check(arrays[name], f"{what} of {name}")
                if codes.shape != (count,):
                    raise ValueError(f"{what} of {name}: expected {count} codes, got shape {codes.shape}")
                arrays[name] = codes

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, NetworkWeights)
            and self.spec == other.spec
            and all(np.array_equal(self.weights[name], other.weights[name]) for name in self.weights)
            and all(np.array_equal(self.biases[name], other.biases[name]) for name in self.biases)
        )

    @classmethod
    def random(cls, spec: NetworkSpec, rng: np.random.Generator) -> NetworkWeights:
        """Every code of every format equally likely."""
        found: tuple[dict[str, IntArray], dict[str, IntArray]] = ({}, {})
        for name, node in spec.layers.items():
            for arrays, form, count in zip(
                found, (node.weight, node.bias), node.counts(spec.size_into(name)), strict=True
            ):
                arrays[name] = rng.integers(form.min_code, form.max_code + 1, count)
        return cls(spec=spec, weights=found[0], biases=found[1])

    def save(self, path: Path) -> None:
        """Write codes and spec as ``.npz``."""
        arrays: dict[str, Any] = {f"weights_{name}": codes for name, codes in self.weights.items()}
        arrays |= {f"biases_{name}": codes for name, codes in self.biases.items()}
        with replacing(path, "wb") as file:
            np.savez_compressed(file, spec=np.array(self.spec.to_toml()), **arrays)

    @classmethod
    def load(cls, path: Path, spec: NetworkSpec | None = None) -> NetworkWeights:
        """Read what `save` wrote.

        Parameters
        ----------
        path : Path
        spec : NetworkSpec, optional
            That the weights have to be of.

        Raises
        ------
        ValueError
            If the file holds something else, or weights of another network; the message names the file.
        """
        try:
            arrays = dict(read_npz(path))
        except ValueError as error:
            cause = str(error).removeprefix(f"{path}: ")
            raise ValueError(f"{path}: expected weights of a network (.npz): {cause}") from None
        if "spec" not in arrays or arrays["spec"].dtype.kind != "U" or arrays["spec"].ndim:
            raise ValueError(f"{path}: expected weights of a network (.npz): no text called spec")
        try:
            found = NetworkSpec.from_toml(str(arrays.pop("spec")))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if spec is not None and found != spec:
            raise ValueError(f"{path}: expected weights of {spec.name} as it is specified, got those of {found.name}")
        parts = {
            what: {
                name.removeprefix(f"{what}_"): codes for name, codes in arrays.items() if name.startswith(f"{what}_")
            }
            for what in ("weights", "biases")
        }
        try:
            return cls(spec=found, **parts)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def row_codes(self, row: WeightRow) -> tuple[IntArray, int]:
        """Codes of the weights of a row, and of its bias."""
        return self.weights[row.layer][list(row.weights)], int(self.biases[row.layer][row.number])

    def writes(self) -> list[tuple[int, int]]:
        """Address and byte of every write that loads the image, ascending.

        A row starts at a multiple of the same power of two (`address_bits`), so that hardware compares and never
        subtracts. Its codes stand low bit first without gaps; bits beyond the last are zero.
        """
        low = address_bits(self.spec)[1]
        found = []
        for place, row in enumerate(weight_rows(self.spec)):
            node = self.spec.layers[row.layer]
            codes, bias = self.row_codes(row)
            word = 0
            for at, code in enumerate([*map(int, codes), bias]):
                width = node.bias.width if at == len(codes) else node.weight.width
                word |= (code & ((1 << width) - 1)) << (at * node.weight.width)
            found += [(place << low | byte, word >> (8 * byte) & 0xFF) for byte in range(row.size)]
        return found
