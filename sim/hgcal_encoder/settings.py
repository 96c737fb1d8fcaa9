"""Settings of the data path outside the network, and readers for the settings files that users have.

Two spellings are published, and each implies the order of cells in an input word: first silicon (``Algorithm:
{density, select}``, ``FormatterBuffer: {mask_ae, mask_ae2, ...}``) and production (``ConfigAlgo``,
``FormatterBuffer: Global: {active_etxs, keep_auto_encoder_bits}``). Both may carry the weight image under ``Encoder``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.calibrate import CALIBRATION
from sim.hgcal_encoder.spec import CELLS, ECON_T, ETX_WORDS, EncoderSpec, WordOrder
from sim.hgcal_encoder.weights import BLOCKS, Weights
from sim.messages import shown

AUTOENCODER = 4
"""Algorithm number of the autoencoder on the chip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """Everything that is loaded into the encoder besides weights.

    Attributes
    ----------
    spec : EncoderSpec
        Network that the settings are for; it decides what is in range.
    select : ndarray of int64, shape (48,)
        Input that each trigger cell takes.
    factors : ndarray of int64, shape (48,)
        Calibration factors, unsigned 1.11.
    high_density : bool
        Density of the module; decides how far decoded charges are shifted.
    etx_count : int
        Active eTx links, 1 to 13.
    keep_mask : int
        One bit per latent bit; all of them if left out.
    word_order : WordOrder
        Order of trigger cells in an input word; that of the spec if left out.

    Raises
    ------
    ValueError
        If a setting is out of range; the message names it, what this spec expects and what came.
    """

    spec: EncoderSpec = ECON_T
    select: IntArray = field(default_factory=lambda: np.arange(CELLS))
    factors: IntArray = field(default_factory=lambda: np.full(CELLS, 1 << CALIBRATION.fraction))
    high_density: bool = True
    etx_count: int = 5
    keep_mask: int = None  # type: ignore[assignment]  # never None once made
    word_order: WordOrder = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        spec = self.spec
        for name, top in (("select", CELLS - 1), ("factors", CALIBRATION.max_code)):
            try:
                values = check_range(getattr(self, name), 0, top, name)
            except TypeError as error:
                raise ValueError(str(error)) from None
            if values.shape != (CELLS,):
                raise ValueError(f"{name}: expected {CELLS} values, got shape {values.shape}")
            object.__setattr__(self, name, values)
        density = self.high_density
        if not isinstance(density, bool | np.bool_ | int | np.integer) or density not in (0, 1):
            raise ValueError(f"high_density: expected True or False, got {shown(density)}")
        object.__setattr__(self, "high_density", bool(density))
        full = (1 << spec.keep_bits) - 1
        if self.keep_mask is None:
            object.__setattr__(self, "keep_mask", full)
        for name, low, high in (("etx_count", 1, ETX_WORDS), ("keep_mask", 0, full)):
            try:
                value = index(getattr(self, name))
            except TypeError:
                raise ValueError(f"{name}: expected an integer, got {shown(getattr(self, name))}") from None
            if not low <= value <= high:
                expected = f"{low} to {high}" if name == "etx_count" else f"at most the {spec.keep_bits} bits"
                got = value if name == "etx_count" else shown(f"{value:#x}", quoted=False)
                raise ValueError(f"{name}: expected {expected} of {spec.name}, got {got}")
            object.__setattr__(self, name, value)
        order = spec.word_order if self.word_order is None else self.word_order
        if order not in list(WordOrder):
            raise ValueError(f"word_order: expected {' or '.join(WordOrder)}, got {shown(order)}")
        object.__setattr__(self, "word_order", WordOrder(order))

    def of(self, spec: EncoderSpec) -> Settings:
        """The same settings for another network.

        Raises
        ------
        ValueError
            If a setting is out of the range of that network.
        """
        return self if spec == self.spec else replace(self, spec=spec)

    def in_order(self, order: WordOrder) -> Settings:
        """The same settings for hardware that reads the cells of a word in another order.

        The order inside a word is a permutation of the multiplexer's inputs, so the selection absorbs it.
        """
        if order is self.word_order:
            return self
        return replace(self, select=self.select ^ 3, word_order=order)


def keep_mask(spec: EncoderSpec, bits: int) -> int:
    """Mask that keeps the `bits` most significant bits of every latent.

    Raises
    ------
    ValueError
        If a latent has fewer bits.
    """
    width = spec.latent.width
    if not 0 <= bits <= width:
        raise ValueError(f"bits kept per latent: expected 0 to {width}, got {bits}")
    one = ((1 << bits) - 1) << (width - bits)
    return sum(one << (width * latent) for latent in range(spec.latents))


def bits_per_latent(spec: EncoderSpec, etx_count: int) -> int:
    """Bits of every latent that fit on `etx_count` links: 1, 3, 5, 7, 9 for 1 to 5 links of ECON_T."""
    return min(spec.capacity(etx_count) // spec.latents, spec.latent.width)


def load_settings(path: Path, spec: EncoderSpec = ECON_T) -> tuple[Settings, Weights | None]:
    """Read a published ECON-T settings file (YAML).

    Parameters
    ----------
    path : Path
        Settings file.
    spec : EncoderSpec
        Network that the weight image belongs to.

    Returns
    -------
    settings : Settings
    weights : Weights or None
        The weights, if the file carries an image.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not YAML, selects another algorithm, or a section is missing or out of range.
    """
    table = read_table(path)
    try:
        chosen, settings = front_end(table, spec)
        if chosen != AUTOENCODER:
            raise ValueError(f"selects algorithm {chosen}; the autoencoder is {AUTOENCODER}")
        buffer = section(table, "FormatterBuffer")
        if settings.word_order is WordOrder.PRODUCTION:
            mask = integer(buffer, "keep_auto_encoder_bits", "FormatterBuffer")
        else:
            mask = integer(buffer, "mask_ae", "FormatterBuffer")
            mask |= (integer(buffer, "mask_ae2", "FormatterBuffer") if "mask_ae2" in buffer else 0) << 128
        return replace(settings, keep_mask=mask), _weights(table, spec)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def read_table(path: Path) -> Mapping[Any, Any]:
    """A YAML file of settings sections; `load_settings` lists the errors."""
    try:
        table = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"no settings file at {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a YAML file: {str(error).splitlines()[0]}") from None
    if not isinstance(table, Mapping):
        raise ValueError(f"{path}: expected a table of settings sections")
    return table


def front_end(table: Mapping[Any, Any], spec: EncoderSpec = ECON_T) -> tuple[int, Settings]:
    """Number of the chosen algorithm, and the settings that all algorithms share; the keep mask is left at its default.

    Raises
    ------
    ValueError
        If a section is missing or out of range.
    """
    select, factors = array(table, "Mux"), array(table, "Cal")
    if "ConfigAlgo" in table:
        algorithm = section(table, "ConfigAlgo")
        chosen = integer(algorithm, "alg_type", "ConfigAlgo")
        density = integer(algorithm, "alg_high_density", "ConfigAlgo")
        etx_count = _links(integer(section(table, "FormatterBuffer"), "active_etxs", "FormatterBuffer"))
        order = WordOrder.PRODUCTION
    elif "Algorithm" in table:
        algorithm = section(table, "Algorithm")
        buffer = section(table, "FormatterBuffer")
        chosen = integer(algorithm, "select", "Algorithm")
        density = integer(algorithm, "density", "Algorithm")
        # first silicon takes a number of links, under either name, and powers up with two
        name = next((name for name in ("eporttx_numen", "active_etxs") if name in buffer), None)
        etx_count = integer(buffer, name, "FormatterBuffer") if name else 2
        order = WordOrder.P1
    else:
        raise ValueError(
            f"expected a section ConfigAlgo (production) or Algorithm (first silicon), got {sorted(table)}"
        )
    if density not in (0, 1):
        raise ValueError(f"density: expected 0 (low) or 1 (high), got {density}")
    return chosen, Settings(
        spec=spec, select=select, factors=factors, high_density=bool(density), etx_count=etx_count, word_order=order
    )


def _weights(table: Mapping[Any, Any], spec: EncoderSpec) -> Weights | None:
    if "Encoder" not in table:
        return None
    encoder = table["Encoder"]
    image = b""
    for block in range(BLOCKS):
        if not isinstance(encoder, Mapping) or block not in encoder:
            raise ValueError(f"Encoder: block {block} is missing")
        for offset in range(0, 136, 16):
            size = 16 if offset < 128 else 6
            name = f"weights_byte{offset}"
            value = integer(encoder[block], name, f"Encoder.{block}")
            if not 0 <= value < 1 << (8 * size):
                raise ValueError(f"Encoder.{block}.{name}: expected {8 * size} bits, got {value:#x}")
            image += value.to_bytes(size, "little")
    return Weights.from_image(image, spec)


def section(table: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    """A section, without the level ``Global`` that some files have; ValueError if it is missing."""
    found = table.get(name)
    if isinstance(found, Mapping) and isinstance(found.get("Global"), Mapping):
        found = found["Global"]
    if not isinstance(found, Mapping):
        raise ValueError(f"section {name} is missing")
    return found


def integer(values: Mapping[Any, Any], name: str | int, where: str) -> int:
    """A number of a section called `where` in messages; ValueError if it is missing or no integer."""
    if name not in values:
        raise ValueError(f"{where}: {name} is missing")
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where}.{name}: expected an integer, got {value!r}")
    return value


def array(table: Mapping[Any, Any], name: str) -> IntArray:
    """One integer per trigger cell, numbered 0 ... 47 in the section; ValueError if one is missing."""
    values = section(table, name)
    return np.array([integer(values, cell, name) for cell in range(CELLS)])


def _links(mask: int) -> int:
    count = mask.bit_count()
    if mask <= 0 or mask != (1 << count) - 1:
        raise ValueError(
            f"FormatterBuffer.active_etxs: expected a mask of links from 0 up (0x1f for five), got {mask:#x}"
        )
    return count
