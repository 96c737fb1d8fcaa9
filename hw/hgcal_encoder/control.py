"""Control of the encoder's chip."""

from hw.common.chip_control import ChipControlLogic
from sim.hgcal_encoder.configuration.chip_registers import DEVICE_ADDRESS, Loading, chip_fields, error_counters
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["ControlLogic"]


class ControlLogic(ChipControlLogic):
    """`ChipControlLogic` with the encoder's registers; `run`: frames are sent.

    Parameters
    ----------
    spec : EncoderSpec
    loading : Loading
    counters : int
        Error counters: the first ones of `sim.hgcal_encoder.configuration.chip_registers.error_counters`.
    steps, scrub, words, device_address
        As `ChipControlLogic`.

    Members
    -------
    As `ChipControlLogic`.

    Raises
    ------
    ValueError
        If there are not as many error counters.
    """

    def __init__(
        self, *, spec: EncoderSpec, loading: Loading, steps: int = 1, counters: int = 0, scrub: bool = False,
        words: int = 0, device_address: int = DEVICE_ADDRESS,
    ):  # fmt: skip
        if not 0 <= counters <= len(error_counters()):
            raise ValueError(f"expected 0 to {len(error_counters())} error counters, got {counters}")
        super().__init__(
            fields=chip_fields(spec, loading), steps=steps, scrub=scrub, words=words, device_address=device_address,
            counters=tuple(name for name, _ in error_counters()[:counters]),
        )  # fmt: skip
