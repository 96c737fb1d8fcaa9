"""How long a match takes, clock by clock: what docs/chips/association.md promises, benches demand."""

from __future__ import annotations

from sim.lsm_crossbar.association.spec import AssociationSpec

__all__ = ["match_clocks"]


def match_clocks(spec: AssociationSpec, used: int) -> int:
    """Clocks from the start of a match to `match_valid`, with `used` entries.

    Each pass multiplies all components, a clock behind the addresses, and then puts out the similarities of its
    lanes one by one. Binary: an entry a clock, two clocks behind its address. Without entries one clock.
    """
    if used == 0:
        return 1
    if spec.binary:
        return used + 3
    passes = -(-used // spec.match_lanes)
    return passes * (spec.dimensions + 1 + spec.match_lanes) + 1
