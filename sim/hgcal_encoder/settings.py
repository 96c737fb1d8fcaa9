"""Settings of the data path outside the network, and readers for the settings files that users have.

Two spellings are published, and each implies the order of cells in an input word: first silicon (``Algorithm:
{density, select}``, ``FormatterBuffer: {mask_ae, mask_ae2, ...}``) and production (``ConfigAlgo``,
``FormatterBuffer: Global: {active_etxs, keep_auto_encoder_bits}``). Both may carry the weight image under ``Encoder``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.calibrate import CALIBRATION
from sim.hgcal_encoder.spec import CELLS, ECON_T, EncoderSpec, WordOrder
from sim.hgcal_encoder.weights import BLOCKS, Weights

AUTOENCODER = 4
"""Algorithm number of the autoencoder on the chip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """Everything that is loaded into the encoder besides weights.

    Attributes
    ----------
    select : ndarray of int64, shape (48,)
        Input that each trigger cell takes.
    factors : ndarray of int64, shape (48,)
        Calibration factors, unsigned 1.11.
    high_density : bool
        Density of the module; decides how far decoded charges are shifted.
    etx_count : int
        Active eTx links, 1 to 13.
    keep_mask : int
        One bit per latent bit.
    word_order : WordOrder
        Order of trigger cells in an input word.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    select: IntArray = field(default_factory=lambda: np.arange(CELLS))
    factors: IntArray = field(default_factory=lambda: np.full(CELLS, 1 << CALIBRATION.fraction))
    high_density: bool = True
    etx_count: int = 5
    keep_mask: int = (1 << ECON_T.keep_bits) - 1
    word_order: WordOrder = WordOrder.PRODUCTION

    def __post_init__(self) -> None:
        for name, top in (("select", CELLS - 1), ("factors", CALIBRATION.max_code)):
            values = check_range(getattr(self, name), 0, top, name)
            if values.shape != (CELLS,):
                raise ValueError(f"{name}: expected {CELLS} values, got shape {values.shape}")
            object.__setattr__(self, name, values)
        ECON_T.capacity(self.etx_count)
        if self.keep_mask < 0:
            raise ValueError(f"keep mask must not be negative, got {self.keep_mask}")

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
    try:
        table = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"no settings file at {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a YAML file: {str(error).splitlines()[0]}") from None
    try:
        return _settings(table), _weights(table, spec)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def _settings(table: object) -> Settings:
    if not isinstance(table, Mapping):
        raise ValueError("expected a table of settings sections")
    select, factors = _array(table, "Mux"), _array(table, "Cal")
    if "ConfigAlgo" in table:
        algorithm = _section(table, "ConfigAlgo")
        buffer = _section(table, "FormatterBuffer")
        chosen = _integer(algorithm, "alg_type", "ConfigAlgo")
        density = _integer(algorithm, "alg_high_density", "ConfigAlgo")
        etx_count = _links(_integer(buffer, "active_etxs", "FormatterBuffer"))
        mask = _integer(buffer, "keep_auto_encoder_bits", "FormatterBuffer")
        order = WordOrder.PRODUCTION
    elif "Algorithm" in table:
        algorithm = _section(table, "Algorithm")
        buffer = _section(table, "FormatterBuffer")
        chosen = _integer(algorithm, "select", "Algorithm")
        density = _integer(algorithm, "density", "Algorithm")
        # first silicon powers up with two links
        etx_count = _integer(buffer, "eporttx_numen", "FormatterBuffer") if "eporttx_numen" in buffer else 2
        mask = _integer(buffer, "mask_ae", "FormatterBuffer")
        mask |= (_integer(buffer, "mask_ae2", "FormatterBuffer") if "mask_ae2" in buffer else 0) << 128
        order = WordOrder.P1
    else:
        raise ValueError(
            f"expected a section ConfigAlgo (production) or Algorithm (first silicon), got {sorted(table)}"
        )
    if chosen != AUTOENCODER:
        raise ValueError(f"selects algorithm {chosen}; the autoencoder is {AUTOENCODER}")
    if density not in (0, 1):
        raise ValueError(f"density: expected 0 (low) or 1 (high), got {density}")
    return Settings(
        select=select,
        factors=factors,
        high_density=bool(density),
        etx_count=etx_count,
        keep_mask=mask,
        word_order=order,
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
            value = _integer(encoder[block], name, f"Encoder.{block}")
            if not 0 <= value < 1 << (8 * size):
                raise ValueError(f"Encoder.{block}.{name}: expected {8 * size} bits, got {value:#x}")
            image += value.to_bytes(size, "little")
    return Weights.from_image(image, spec)


def _section(table: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    section = table.get(name)
    if isinstance(section, Mapping) and isinstance(section.get("Global"), Mapping):
        section = section["Global"]
    if not isinstance(section, Mapping):
        raise ValueError(f"section {name} is missing")
    return section


def _integer(section: Mapping[Any, Any], name: str | int, where: str) -> int:
    if name not in section:
        raise ValueError(f"{where}: {name} is missing")
    value = section[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where}.{name}: expected an integer, got {value!r}")
    return value


def _array(table: Mapping[Any, Any], name: str) -> IntArray:
    section = _section(table, name)
    return np.array([_integer(section, cell, name) for cell in range(CELLS)])


def _links(mask: int) -> int:
    count = mask.bit_count()
    if mask <= 0 or mask != (1 << count) - 1:
        raise ValueError(
            f"FormatterBuffer.active_etxs: expected a mask of links from 0 up (0x1f for five), got {mask:#x}"
        )
    return count
