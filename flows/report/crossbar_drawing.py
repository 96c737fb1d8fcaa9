"""Pictures of a crossbar: conductance map, histogram of conductances, spike raster, confusion matrix."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt

__all__ = ["confusion_svg", "histogram_svg", "map_image", "raster_svg"]


def map_image(codes: npt.ArrayLike, top: int) -> str:
    """Conductance codes as an image, one pixel per cell, row 0 at the top: an ``img`` with its data inside.

    Parameters
    ----------
    codes : array_like of int, shape (rows, columns)
    top : int
        Code of the end of the colour scale.
    """
    array = np.asarray(codes)
    shown = (mpl.colormaps["viridis"](array / top)[..., :3] * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, shown, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = f"conductance map, {array.shape[0]} rows by {array.shape[1]} columns"
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'


def histogram_svg(codes: npt.ArrayLike, lsb_us: float, top: int) -> str:
    """How many cells have each conductance code; code 0, cells that did not form, stands in words.

    Parameters
    ----------
    codes : array_like of int
    lsb_us : float
        Conductance of one code in uS.
    top : int
        Largest code.
    """
    counts = np.bincount(np.asarray(codes).reshape(-1), minlength=top + 1)
    formed = counts[1:]
    highest = max(int(formed.max()), 1)
    width = 640 / top
    parts = ['<svg viewBox="-50 -26 730 226" class="plot" role="img">']
    for code, count in enumerate(formed.tolist(), start=1):
        height = 150 * count / highest
        parts.append(
            f'<rect x="{width * (code - 1):.1f}" y="{150 - height:.1f}" width="{max(width - 1, 1):.1f}" '
            f'height="{height:.1f}" fill="#6d93c9"><title>code {code}: {count} cells</title></rect>'
        )
    for mark in np.linspace(0, top, 5):
        x = width * (mark - 0.5)
        parts.append(f'<text x="{x:.1f}" y="168" text-anchor="middle">{mark * lsb_us:.1f}</text>')
    parts.append('<text x="320" y="188" text-anchor="middle">conductance of formed cells, µS</text>')
    parts.append(
        f'<text x="-6" y="8" text-anchor="end">{highest:,}</text><text x="-6" y="150" text-anchor="end">0</text>'
    )
    silent = int(counts[0])
    share = 100 * silent / counts.sum()
    parts.append(f'<text x="640" y="-12" text-anchor="end">{silent:,} cells ({share:.1f} %) at code 0</text></svg>')
    return "".join(parts)


def raster_svg(inputs: npt.ArrayLike, spikes: npt.ArrayLike) -> str:
    """Spikes of one sample: a dot per spike, time to the right, input channels below the liquid's neurons.

    Parameters
    ----------
    inputs : array_like of bool, shape (steps, channels)
    spikes : array_like of bool, shape (steps, neurons)
    """
    given, liquid = np.asarray(inputs, bool), np.asarray(spikes, bool)
    steps = len(liquid)
    column, row = 760 / steps, 1.1
    tall, low = row * liquid.shape[1], row * given.shape[1]
    parts = [f'<svg viewBox="-70 -6 840 {tall + low + 54:.0f}" class="wide" role="img">']
    for name, array, colour, start in (("liquid", liquid, "#b3541e", 0.0), ("input", given, "#2459a9", tall + 10)):
        parts.append(f'<text x="-8" y="{start + row * array.shape[1] / 2:.0f}" text-anchor="end">{name}</text>')
        for number in (0, array.shape[1] - 1):
            parts.append(f'<text x="-8" y="{start + row * number + 4:.0f}" text-anchor="end">{number}</text>')
        dots = "".join(f"M{column * t:.1f} {start + row * c:.1f}h{0.7 * column:.1f}" for t, c in np.argwhere(array))
        parts.append(f'<path d="{dots}" stroke="{colour}" stroke-width="1.1" fill="none"/>')
    bottom = tall + low + 26
    for step in range(0, steps + 1, max(steps // 5, 1)):
        parts.append(f'<text x="{column * step:.0f}" y="{bottom:.0f}" text-anchor="middle">{step}</text>')
    parts.append(f'<text x="760" y="{bottom + 13:.0f}" text-anchor="end">step</text></svg>')
    return "".join(parts)


def confusion_svg(matrix: npt.ArrayLike) -> str:
    """Confusion matrix: a row per true class, a column per class found, shade by share of the row.

    Parameters
    ----------
    matrix : array_like of int, shape (classes, classes)
    """
    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 40
    n = len(counts)
    parts = [f'<svg viewBox="-46 -30 {n * size + 56} {n * size + 40}" class="plot" style="max-width:560px" role="img">']
    parts.append(f'<text x="{n * size / 2}" y="-18" text-anchor="middle">class found</text>')
    parts.append(
        f'<text x="-34" y="{n * size / 2}" transform="rotate(-90 -34 {n * size / 2})" text-anchor="middle">digit</text>'
    )
    for i in range(n):
        parts.append(f'<text x="{(i + 0.5) * size}" y="-5" text-anchor="middle">{i}</text>')
        parts.append(f'<text x="-8" y="{(i + 0.6) * size}" text-anchor="end">{i}</text>')
        for j in range(n):
            colour = mpl.colors.to_hex(mpl.colormaps["Blues"](0.85 * share[i, j]))
            ink = "#fff" if share[i, j] > 0.6 else "#1b2430"
            parts.append(
                f'<rect x="{j * size}" y="{i * size}" width="{size - 1}" height="{size - 1}" fill="{colour}"/>'
                f'<text x="{(j + 0.5) * size}" y="{(i + 0.6) * size}" text-anchor="middle" style="fill:{ink}">'
                f"{counts[i, j] or ''}</text>"
            )
    return "".join(parts) + "</svg>"
