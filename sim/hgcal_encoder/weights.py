"""Weights of an encoder and their image in the chip's registers.

The image is one bit string, least significant bit first: weight n occupies bits ``width*n`` upwards, two's
complement, in the order convolution kernel (row, column, channel, filter), convolution bias, dense matrix as
[latent][activation] (the transpose of the Keras layout), dense bias. ECON-T spreads it over 12 blocks of 134 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.files import replacing
from sim.fixed_point import IntArray, Overflow, Rounding, check_range
from sim.foreign_files import read_npz
from sim.hgcal_encoder.spec import CELLS, EncoderSpec
from sim.messages import shown

BLOCKS = 12
"""Register blocks of the image on ECON-T (one per eRx input)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """Integer codes of ``spec.weight``, checked on construction.

    Attributes
    ----------
    spec : EncoderSpec
    kernel : ndarray of int64, shape (kernel rows, kernel columns, channels, filters)
    kernel_bias : ndarray of int64, shape (filters,)
    dense : ndarray of int64, shape (activations, latents)
        The layout of Keras.
    dense_bias : ndarray of int64, shape (latents,)

    Raises
    ------
    ValueError
        If a shape or a code does not fit the spec.
    """

    spec: EncoderSpec
    kernel: IntArray
    kernel_bias: IntArray
    dense: IntArray
    dense_bias: IntArray

    def __post_init__(self) -> None:
        for name, shape in _shapes(self.spec).items():
            codes = self.spec.weight.check(getattr(self, name), name)
            if codes.shape != shape:
                raise ValueError(f"{name}: {self.spec.name} needs shape {shape}, got {codes.shape}")
            object.__setattr__(self, name, codes)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Weights)
            and self.spec == other.spec
            and bool(np.array_equal(self.to_codes(), other.to_codes()))
        )

    def to_codes(self) -> IntArray:
        """All codes in the order of the image, shape (parameters,)."""
        parts = (self.kernel, self.kernel_bias, self.dense.T, self.dense_bias)
        return np.concatenate([part.ravel() for part in parts])

    @classmethod
    def from_codes(cls, codes: IntArray, spec: EncoderSpec) -> Weights:
        """Inverse of `to_codes`.

        Raises
        ------
        ValueError
            If the number of codes or a code does not fit the spec.
        """
        flat = spec.weight.check(codes, "weights")
        if flat.shape != (spec.parameters,):
            raise ValueError(f"weights: {spec.name} has {spec.parameters} parameters, got shape {flat.shape}")
        shapes = _shapes(spec)
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        kernel, kernel_bias, dense, dense_bias = np.split(flat, ends[:-1])
        return cls(
            spec=spec,
            kernel=kernel.reshape(shapes["kernel"]),
            kernel_bias=kernel_bias,
            dense=dense.reshape(spec.latents, spec.activations).T.copy(),
            dense_bias=dense_bias,
        )

    def to_image(self) -> bytes:
        """The image as bytes, least significant byte first; unused bits of the last byte are 0."""
        width = self.spec.weight.width
        bits = (self.to_codes()[:, None] >> np.arange(width)) & 1
        return np.packbits(bits.astype(np.uint8).ravel(), bitorder="little").tobytes()

    @classmethod
    def from_image(cls, image: bytes, spec: EncoderSpec) -> Weights:
        """Inverse of `to_image`; bytes beyond the image must be 0.

        Raises
        ------
        ValueError
            If the image is too short or has bits set beyond its end.
        """
        bits = np.unpackbits(np.frombuffer(image, np.uint8), bitorder="little").astype(np.int64)
        if len(bits) < spec.weight_bits:
            raise ValueError(f"weight image: {spec.name} needs {spec.weight_bits} bits, got {len(bits)}")
        if bits[spec.weight_bits :].any():
            bit = spec.weight_bits + int(np.argmax(bits[spec.weight_bits :]))
            raise ValueError(f"weight image: bit {bit} is set, but the image of {spec.name} ends at {spec.weight_bits}")
        fields = bits[: spec.weight_bits].reshape(-1, spec.weight.width)
        return cls.from_codes(spec.weight.fit(fields @ (1 << np.arange(spec.weight.width))), spec)

    def stored_as(self, spec: EncoderSpec) -> Weights:
        """The same network in another spec: values rounded to its weight format (ties to even), saturated at its ends.

        Raises
        ------
        ValueError
            If shapes do not fit the spec.
        """
        form = replace(spec.weight, rounding=Rounding.RND_CONV, overflow=Overflow.SAT)
        fraction = self.spec.weight.fraction
        codes = {name: form.requantise(getattr(self, name), fraction) for name in _shapes(self.spec)}
        return Weights(spec=spec, **codes)

    def to_float(self) -> dict[str, npt.NDArray[np.float64]]:
        """Values of the codes as float64, by field name."""
        return {name: self.spec.weight.decode(getattr(self, name)) for name in _shapes(self.spec)}

    def save(self, path: Path) -> None:
        """Write the image as hexadecimal text, 16 bytes a line, after a comment that names the spec."""
        image = self.to_image()
        lines = [
            f"# liquidcal weight image, {self.spec.name}, {self.spec.weight_bits} bits, least significant byte first"
        ]
        lines += [image[i : i + 16].hex(" ") for i in range(0, len(image), 16)]
        with replacing(path) as file:
            file.write("\n".join(lines) + "\n")

    def save_arrays(self, path: Path) -> None:
        """Write the codes as a ``.npz`` of arrays by field name, with the name of the spec."""
        arrays = {name: getattr(self, name) for name in _shapes(self.spec)}
        with replacing(path, "wb") as file:
            np.savez_compressed(file, spec=np.array(self.spec.name), **arrays)

    @classmethod
    def load(cls, path: Path, spec: EncoderSpec) -> Weights:
        """Read weights: a ``.npz`` of code arrays by field name, or the hexadecimal image of `save`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the content is not a weight image of this spec; the message names file and place.
        """
        path = Path(path)
        try:
            if path.suffix == ".npz":
                arrays = read_npz(path)
            else:
                text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise FileNotFoundError(f"no weight image at {path}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path}: neither an .npz archive by its name nor hexadecimal text") from None
        try:
            return cls._from_arrays(arrays, spec) if path.suffix == ".npz" else cls.from_image(_parse_hex(text), spec)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.int64]], spec: EncoderSpec) -> Weights:
        if missing := [name for name in _shapes(spec) if name not in arrays]:
            raise ValueError(f"expected arrays {', '.join(_shapes(spec))}; missing {', '.join(missing)}")
        if "spec" in arrays and str(arrays["spec"]) != spec.name:
            raise ValueError(f"weights of {shown(str(arrays['spec']), quoted=False)}, but the encoder is {spec.name}")
        return cls(spec=spec, **{name: arrays[name] for name in _shapes(spec)})

    @classmethod
    def random(cls, spec: EncoderSpec, rng: np.random.Generator) -> Weights:
        """Uniformly random codes over the whole range of the weight format."""
        codes = rng.integers(spec.weight.min_code, spec.weight.max_code + 1, spec.parameters)
        return cls.from_codes(codes, spec)


def load_multiplexer(path: Path) -> IntArray | None:
    """Trigger cell of each grid cell that a trained model (``.npz``) carries; None for other weight files.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no archive, or the multiplexer is not one trigger cell for each of 48 grid cells.
    """
    if Path(path).suffix != ".npz":
        return None
    arrays = read_npz(path)
    if "multiplexer" not in arrays:
        return None
    try:
        cells = check_range(arrays["multiplexer"], 0, CELLS - 1, "multiplexer")
        if cells.shape != (CELLS,):
            raise ValueError(f"multiplexer: expected {CELLS} trigger cells, got shape {cells.shape}")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    return cells


def _shapes(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    return {
        "kernel": (*spec.kernel, spec.grid[2], spec.filters),
        "kernel_bias": (spec.filters,),
        "dense": (spec.activations, spec.latents),
        "dense_bias": (spec.latents,),
    }


def _parse_hex(text: str) -> bytes:
    image = bytearray()
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0]
        try:
            image += bytes.fromhex(content)
        except ValueError:
            raise ValueError(f"line {number}: expected hexadecimal bytes, got {content.strip()[:40]!r}") from None
    return bytes(image)
