"""Driver of the encoder's chip over I2C: settings and weights, status and error counters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim.chip_driver import I2cBus, LoadError, RegisterDriver
from sim.hgcal_encoder.configuration.chip_registers import (
    DEVICE_ADDRESS,
    ChipField,
    Loading,
    chip_fields,
    error_counters,
    image_bytes,
    image_fields,
    image_masks,
)
from sim.hgcal_encoder.settings import AUTOENCODER, Settings
from sim.hgcal_encoder.spec import CELLS, EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = ["ChipDriver", "I2cBus", "LoadError", "settings_and_weights"]


def settings_and_weights(spec: EncoderSpec, image: Mapping[int, int]) -> tuple[Settings, Weights]:
    """Settings and weights of an image: inverse of `sim.hgcal_encoder.configuration.chip_registers.image_bytes`.

    Raises
    ------
    ValueError
        If a byte is missing, or a setting is out of range.
    """
    if missing := [address for address in image_masks(spec) if address not in image]:
        raise ValueError(f"{len(missing)} bytes of the image are missing, the first at {missing[0]:#06x}")
    values = {(field.name, field.index): _get(image, field) for field in image_fields(spec)}
    bits = sum(field.width for field in image_fields(spec) if field.name == "weights")
    total, shift = 0, 0
    for field in sorted((f for f in image_fields(spec) if f.name == "weights"), key=lambda f: f.index):
        total |= values["weights", field.index] << shift
        shift += field.width
    settings = Settings(
        spec=spec,
        select=np.array([values["select", i] for i in range(CELLS)]),
        factors=np.array([values["factors", i] for i in range(CELLS)]),
        high_density=bool(values["high_density", 0]),
        etx_count=values["etx_count", 0],
        keep_mask=values["keep_mask", 0],
    )
    return settings, Weights.from_image(total.to_bytes(-(-bits // 8), "little"), spec)


class ChipDriver(RegisterDriver):
    """Registers of one chip by name.

    Parameters
    ----------
    bus : I2cBus
    spec : EncoderSpec
    loading : Loading
        How the chip was generated.
    device_address : int
        7 bits.
    burst : int
        Bytes of one transfer at most.

    Raises
    ------
    ValueError
        If `burst` is below 1.
    """

    def __init__(
        self, bus: I2cBus, spec: EncoderSpec, loading: Loading, *, device_address: int = DEVICE_ADDRESS,
        burst: int = 32,
    ) -> None:  # fmt: skip
        super().__init__(bus, chip_fields(spec, loading), device_address=device_address, burst=burst)
        self.spec, self.loading = spec, loading

    def load(
        self,
        settings: Settings,
        weights: Weights,
        *,
        algorithm: int = AUTOENCODER,
        drop_lsb: int = 0,
        start: bool = True,
    ) -> None:
        """Load an image, read it back, and send frames.

        Parameters
        ----------
        settings, weights : Settings, Weights
            Checked before anything is written.
        algorithm, drop_lsb : int
            Registers of the chip beside those of the autoencoder.
        start : bool
            Set `run` at the end.

        Raises
        ------
        ValueError
            If a value does not fit. Nothing is written then.
        LoadError
            If the chip refuses the image, or holds another one afterwards. Guarded loading has not applied anything
            then, unless the message says so.
        """
        image = image_bytes(self.spec, settings, weights, algorithm=algorithm, drop_lsb=drop_lsb)
        self.load_image(image)
        if start:
            self.write("run", 1)

    def errors(self) -> dict[str, int]:
        """Error counters by name."""
        return {name: self.read(name) for name, _ in error_counters()}


def _get(image: Mapping[int, int], field: ChipField) -> int:
    data = bytes(image[field.address + byte] for byte in range(field.size))
    return int.from_bytes(data, "little") >> field.lsb & ((1 << field.width) - 1)
