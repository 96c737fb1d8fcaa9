"""Error flags of a channel and of the chip: what happened since it was cleared, and what of it counts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHANNEL_FLAGS", "ErrorFlags"]

CHANNEL_FLAGS = ("prbs_chk_err", "orbsyn_fc_err", "orbsyn_arr_err", "orbsyn_hdr_err", "spare_err", "hdr_mm_err")
"""Flags of a channel from bit 0 (register map of first silicon, block CH_ERR; ``spare_err`` is never set here)."""


@dataclass(kw_only=True)
class ErrorFlags:
    """Flags that stay until they are cleared, and a mask that keeps them out of the sum.

    A mask bit of 1 ignores the flag (choice: as the masks of the aligner). Writing either register by its strobe acts
    at once; a flag that comes in the same crossing is kept.

    Attributes
    ----------
    width : int
    data, mask : int
    """

    width: int
    data: int = 0
    mask: int = 0

    @property
    def out(self) -> bool:
        """Any flag that is not masked."""
        return self.data & ~self.mask != 0

    def step(
        self, raw: int, *, clear: bool = False, write_error: bool = False, write_mask: bool = False, value: int = 0
    ) -> None:
        """One crossing with the flags `raw`."""
        base = value if write_error else 0 if clear else self.data
        self.data = (base | raw) & (1 << self.width) - 1
        if write_mask:
            self.mask = value & (1 << self.width) - 1
