"""Two spike rasters side by side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["two_rasters_svg"]


def two_rasters_svg(before: npt.NDArray[np.integer], after: npt.NDArray[np.integer]) -> str:
    """Spikes before and after, a dot per spike, time to the right.

    Parameters
    ----------
    before, after : ndarray, shape (steps, neurons)
    """
    width, row = 360, 1.1
    tall = row * before.shape[1]
    parts = [f'<svg viewBox="-10 -22 790 {tall + 44:.0f}" class="wide" role="img">']
    for name, array, left in (("before", before, 0), ("after", after, 400)):
        column = width / len(array)
        parts.append(
            f'<text x="{left + width / 2}" y="-8" text-anchor="middle">{name}: {int(array.sum()):,} spikes</text>'
        )
        dots = "".join(f"M{left + column * t:.1f} {row * n:.1f}h{0.8 * column:.1f}" for t, n in np.argwhere(array))
        parts.append(f'<path d="{dots}" stroke="#b3541e" stroke-width="1.1" fill="none"/>')
        parts.append(f'<text x="{left + width}" y="{tall + 16:.0f}" text-anchor="end">step {len(array)}</text>')
    return "".join(parts) + "</svg>"
