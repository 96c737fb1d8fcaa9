"""LinkReset ECON-T: when the transmitters carry the packet that the back end aligns to."""

from __future__ import annotations

from dataclasses import dataclass

from sim.hgcal_encoder.link_spec import LinkSpec

__all__ = ["LinkReset"]


@dataclass(kw_only=True)
class LinkReset:
    """Crossings left, counted from the command.

    The packet takes the place of `spec.link_reset_crossings` crossings, the first one `spec.link_reset_delay` after the
    command. A command during the delay or the packet starts both anew (choice); ChipSync ends them.

    Attributes
    ----------
    spec : LinkSpec
    left : int
    """

    spec: LinkSpec
    left: int = 0

    @property
    def active(self) -> bool:
        """This crossing belongs to the packet."""
        return 0 < self.left <= self.spec.link_reset_crossings

    def step(self, command: bool, chip_sync: bool = False) -> None:
        """One crossing."""
        if command:
            self.left = self.spec.link_reset_crossings + self.spec.link_reset_delay - 1
        elif self.left:
            self.left -= 1
        if chip_sync:
            self.left = 0
