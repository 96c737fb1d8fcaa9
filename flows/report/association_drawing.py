"""Pictures of an association chip: its common space, and the curve over labelled pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

__all__ = ["curve_svg", "space_svg"]


def _colour(label: int) -> str:
    return mpl.colors.to_hex(mpl.colormaps["tab20"](2 * label % 20 + (2 * label // 20) % 2))


def space_svg(parts: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]]) -> str:
    """Points of two kinds in a plane, coloured by class: discs of the first kind, squares of the second.

    Parameters
    ----------
    parts : sequence of (places, labels)
        Of shape (n, 2) and (n,), for either kind.
    """
    places = np.concatenate([np.asarray(own, float).reshape(-1, 2) for own, _ in parts])
    low = places.min(axis=0) if len(places) else np.zeros(2)
    span = max(float(np.ptp(places, axis=0).max()) if len(places) else 1.0, 1e-9)
    size = 560
    marks = []
    classes: set[int] = set()
    for kind, (own, labels) in enumerate(parts):
        at = (np.asarray(own, float).reshape(-1, 2) - low) / span * (size - 30) + 15
        for (x, y), label in zip(at, np.asarray(labels, np.int64).tolist(), strict=True):
            classes.add(label)
            title = f"<title>{('seen', 'heard')[kind]} {label}</title>"
            look = f'fill="{_colour(label)}"'
            marks.append(
                f'<circle cx="{x:.1f}" cy="{size - y:.1f}" r="5" {look} fill-opacity=".55">{title}</circle>'
                if kind == 0
                else f'<rect x="{x - 4.5:.1f}" y="{size - y - 4.5:.1f}" width="9" height="9" {look} '
                f'stroke="#1b2430">{title}</rect>'
            )
    legend = [
        f'<rect x="{size + 20}" y="{20 + 22 * i}" width="14" height="14" fill="{_colour(label)}"/>'
        f'<text x="{size + 42}" y="{32 + 22 * i}">{label}</text>'
        for i, label in enumerate(sorted(classes))
    ]
    return (
        f'<svg viewBox="0 0 {size + 90} {size}" class="plot" role="img">'
        f'<rect x="0" y="0" width="{size}" height="{size}" fill="none" stroke="#dfe4ea"/>'
        + "".join([*marks, *legend])
        + "</svg>"
    )


def curve_svg(curve: Sequence[Mapping[str, float]]) -> str:
    """Retrieval over the number of labelled pairs, both ways, from chance up."""
    width, height = 560, 240
    ks = [float(row["k"]) for row in curve]
    top = np.log2(max(max(ks), 2.0))

    def x(k: float) -> float:
        return width * float(np.log2(k)) / float(top)

    def y(share: float) -> float:
        return height * (1 - (share - 0.5) / 0.5)

    parts = ['<svg viewBox="-50 -14 760 300" class="plot" role="img">']
    for percent in (50, 60, 70, 80, 90, 100):
        at = y(percent / 100)
        parts.append(f'<path d="M0 {at:.1f}H{width}" stroke="#dfe4ea"/>')
        parts.append(f'<text x="-8" y="{at + 4:.1f}" text-anchor="end">{percent} %</text>')
    for k in ks:
        parts.append(f'<text x="{x(k):.1f}" y="{height + 18}" text-anchor="middle">{k:g}</text>')
    parts.append(f'<text x="{width / 2}" y="{height + 38}" text-anchor="middle">labelled pairs of a word</text>')
    for way, name, colour in (
        ("audio_to_image", "spoken queries", "#b3541e"), ("image_to_audio", "seen queries", "#2459a9"),
    ):  # fmt: skip
        points = [(x(row["k"]), y(max(row[way], 0.5))) for row in curve]
        line = "M" + " L".join(f"{px:.1f} {py:.1f}" for px, py in points)
        parts.append(f'<path d="{line}" stroke="{colour}" stroke-width="2" fill="none"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>' for px, py in points]
        # the upper line's name stands above its end, the lower one's below
        upper = curve[-1][way] >= max(curve[-1]["audio_to_image"], curve[-1]["image_to_audio"])
        px, py = points[-1]
        parts.append(
            f'<text x="{px + 10:.1f}" y="{py + (-4 if upper else 14):.1f}" style="fill:{colour}">{name}</text>'
        )
    return "".join(parts) + "</svg>"
