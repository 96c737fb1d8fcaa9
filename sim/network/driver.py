"""Driver of a network's chip over I2C: loads weights and reads them back."""

from __future__ import annotations

from sim.chip_driver import I2cBus, RegisterDriver
from sim.chip_registers import DEVICE_ADDRESS, Loading, masks_of
from sim.network.registers import chip_fields, weight_fields
from sim.network.spec import NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["NetworkDriver"]


class NetworkDriver(RegisterDriver):
    """Registers of the chip of a network.

    Parameters
    ----------
    bus : I2cBus
    spec : NetworkSpec
    loading : Loading
        How the chip was generated.
    counters : int
        As `chip_fields`.
    device_address, burst : int
        As `sim.chip_driver.RegisterDriver`.
    """

    def __init__(
        self, bus: I2cBus, spec: NetworkSpec, loading: Loading, *, counters: int = 0,
        device_address: int = DEVICE_ADDRESS, burst: int = 32,
    ) -> None:  # fmt: skip
        super().__init__(bus, chip_fields(spec, loading, counters), device_address=device_address, burst=burst)
        self.spec = spec

    def load(self, weights: NetworkWeights) -> None:
        """Load weights, have them applied where loading is guarded, and read them back.

        Raises
        ------
        ValueError
            If they are of another network. Nothing is written then.
        LoadError
            As `sim.chip_driver.RegisterDriver.load_image`.
        """
        if weights.spec != self.spec:
            raise ValueError(f"weights: expected those of {self.spec.name}, got those of {weights.spec.name}")
        self.load_image(dict.fromkeys(masks_of(weight_fields(self.spec)), 0) | dict(weights.writes()))
