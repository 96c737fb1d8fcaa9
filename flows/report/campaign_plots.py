"""Pictures of the campaign's physics: sensitivity map of all weight bits, rankings, Pareto of selective protection."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt

from flows.campaign.physics import Sensitivity

__all__ = ["lines_svg", "sensitivity_svg"]

Float64 = npt.NDArray[np.float64]

LOWEST = 1e-4
"""Start of the logarithmic colour scale, in low-density cells."""
COLOURS = ("#2459a9", "#c2571a", "#3b8a4a", "#8a4fa0", "#7a7a7a")
_PIXEL = 5


def _image(values: Float64, top: float, x: float, y: float) -> str:
    """A map, one square per value; row 0 at the top."""
    with np.errstate(divide="ignore"):
        scaled = np.log(values / LOWEST) / np.log(top / LOWEST)
    shown = (mpl.colormaps["inferno"](np.clip(scaled, 0, 1))[..., :3] * 255).round().astype(np.uint8)
    # repeated pixels: not every viewer leaves enlarged pictures sharp
    shown = shown.repeat(_PIXEL, axis=0).repeat(_PIXEL, axis=1)
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, shown, format="png")
    height, width = shown.shape[:2]
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<image x="{x:g}" y="{y:g}" width="{width}" height="{height}" href="data:image/png;base64,{data}"/>'
        f'<rect x="{x:g}" y="{y:g}" width="{width}" height="{height}" fill="none" stroke="#9fb2cf"/>'
    )


def sensitivity_svg(sensitivity: Sensitivity) -> str:
    """Every weight bit as a square, coloured by the mean change of the EMD that its flip makes.

    One strip per place in the weight, the sign on top: at the left the convolution (filters down, taps then bias to the
    right), at the right the dense layer (latents down, activations then bias to the right).
    """
    spec, width = sensitivity.spec, sensitivity.spec.weight.width
    bits = sensitivity.emd_shift.reshape(-1, width)
    cuts = np.cumsum([spec.kernel_taps * spec.filters, spec.filters, spec.activations * spec.latents])
    kernel, bias, dense, dense_bias = np.split(bits, cuts)
    kernel = np.concatenate([kernel.reshape(-1, spec.filters, width), bias[None]]).transpose(1, 0, 2)
    dense = np.concatenate([dense.reshape(spec.latents, -1, width), dense_bias[:, None]], axis=1)
    top = max(float(bits.max()), 10 * LOWEST)
    left, gap = 74, 20
    strip = _PIXEL * max(spec.filters, spec.latents) + gap
    right = left + _PIXEL * kernel.shape[1] + 40
    full = right + _PIXEL * dense.shape[1]
    head = 34
    bottom = head + width * strip
    parts = [f'<svg viewBox="0 0 {full + 10} {bottom + 50}" class="map wide" role="img">']
    parts.append(f'<text x="{left}" y="14">convolution</text>')
    parts.append(f'<text x="{left}" y="27" fill="#66717f">{spec.kernel_taps} taps, bias</text>')
    parts.append(
        f'<text x="{right}" y="14">dense layer: {spec.latents} latents down, {spec.activations} activations and bias to'
        f" the right (position by position, {spec.filters} filters each)</text>"
    )
    for row in range(width):
        place = width - 1 - row
        y = head + row * strip
        worth = place - spec.weight.fraction
        name = "sign" if place == width - 1 else f"2^{worth}" if worth else "1"
        parts.append(f'<text x="{left - 8}" y="{y + 26}" text-anchor="end">bit {place}</text>')
        parts.append(f'<text x="{left - 8}" y="{y + 40}" text-anchor="end">{escape(name)}</text>')
        parts.append(_image(kernel[:, :, place], top, left, y))
        parts.append(_image(dense[:, :, place], top, right, y))
    scale = 256
    for i in range(64):
        colour = mpl.colors.to_hex(mpl.colormaps["inferno"](i / 63))
        parts.append(f'<rect x="{right + 4 * i}" y="{bottom}" width="4.2" height="12" fill="{colour}"/>')
    decades = range(round(np.log10(LOWEST)), int(np.floor(np.log10(top))) + 1)
    for power in decades:
        x = right + scale * (power - np.log10(LOWEST)) / np.log10(top / LOWEST)
        parts.append(f'<text x="{x:.0f}" y="{bottom + 26}" text-anchor="middle">{10.0**power:g}</text>')
    parts.append(
        f'<text x="{right}" y="{bottom + 42}">mean |change of the EMD| by a flip, low-density cells (largest'
        f" {top:.2f}); black: at most {LOWEST:g}</text>"
    )
    return "".join(parts) + "</svg>"


def lines_svg(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    x_top: float,
    y_top: float,
    x_low: float = 0.0,
    form: str = "{:g}",
) -> str:
    """Named lines over linear axes.

    Parameters
    ----------
    lines : mapping of str to (x, y)
    x_label, y_label : str
    x_top, y_top, x_low : float
        Range of the axes; the vertical one starts at 0.
    form : str
        Format of the numbers at the horizontal axis.
    """
    width, height = 520, 240
    parts = ['<svg viewBox="-60 -14 900 310" class="plot" role="img">']
    for i in range(6):
        y = height * (1 - i / 5)
        parts.append(f'<path d="M0 {y:.1f} H{width}" stroke="#e4e8ee"/>')
        parts.append(f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{y_top * i / 5:.3g}</text>')
        x = width * i / 5
        value = form.format(x_low + (x_top - x_low) * i / 5)
        parts.append(f'<text x="{x:.1f}" y="{height + 16}" text-anchor="middle">{value}</text>')
    for number, (name, (xs, ys)) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(
            f"{width * (x - x_low) / (x_top - x_low):.1f},{height * (1 - y / y_top):.1f}"
            for x, y in zip(xs, ys, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        y = 14 + 18 * number
        parts.append(f'<path d="M{width + 16} {y - 4} h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{width + 40}" y="{y}">{escape(name)}</text>')
    parts.append(f'<text x="{width / 2}" y="{height + 38}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text transform="translate(-46 {height / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    return "".join(parts) + "</svg>"
