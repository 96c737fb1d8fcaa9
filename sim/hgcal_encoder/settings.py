"""Settings of the data path outside the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import index

import numpy as np

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.calibrate import CALIBRATION
from sim.hgcal_encoder.spec import CELLS, ECON_T, ETX_WORDS, EncoderSpec, WordOrder
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
