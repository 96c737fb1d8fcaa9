"""SVG pictures of the report: modules, data path, frame, bars. Plain text in, no dependency on a plotting backend."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from sim.hgcal_encoder.detector.geometry import Density, module_geometry
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ERX_WORDS, SUM_WIDTH, EncoderSpec

STYLE = """\
svg text { font: 11px system-ui, Arial, sans-serif; fill: #1b2430; }
svg.path .box { fill: #eef2f8; stroke: #9fb2cf; } svg.path .net { fill: #dfeadf; stroke: #7fa685; }
svg.path .name { font-size: 13px; font-weight: 600; text-anchor: middle; }
svg.path .detail { text-anchor: middle; fill: #66717f; font-size: 10px; }
svg.path .bus { fill: #2459a9; font-size: 11px; } svg.path .wire { stroke: #2459a9; stroke-width: 2; fill: none; }
svg.path .lead { stroke: #b9c6da; fill: none; }
svg.module polygon { stroke: #4a4a4a; stroke-width: .5; }
svg.module .outline { fill: none; stroke: #222; stroke-width: 1.2; }
svg.bars rect { fill: #6d93c9; }
svg.bits text { font: 11px ui-monospace, "DejaVu Sans Mono", monospace; }
.counter { fill: #f3c98b; } .sum { fill: #a9c7ee; } .latent { fill: #b9ddb9; } .pad { fill: #eceff3; }
"""
"""Style sheet of all pictures, for the page that embeds them."""


def standalone(svg: str) -> str:
    """A picture as a file of its own: with namespace, style sheet and a white ground."""
    head, _, rest = svg.partition(">")
    ground = '<rect x="-1000" y="-1000" width="9999" height="9999" fill="#fff"/>'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{ground}{rest}\n'


def module_svg(values: npt.ArrayLike, top: float, *, density: Density = "low", signed: bool = False) -> str:
    """One hexagonal module, its 48 trigger cells coloured by value.

    Parameters
    ----------
    values : array_like, shape (48,)
        One value per trigger cell; shown in a tooltip as well.
    top : float
        Value of the end of the colour scale; colours follow the square root, so that small deposits show.
    density : {"low", "high"}
    signed : bool
        Diverging colours around zero, for differences.
    """
    geometry = module_geometry(density)
    scaled = np.sqrt(np.clip(np.abs(np.asarray(values, float)) / max(top, 1e-12), 0, 1)) * np.sign(values)
    colours = mpl.colormaps["RdBu_r"]((1 + scaled) / 2) if signed else mpl.colormaps["inferno"](scaled)
    parts = ['<svg viewBox="-100 -100 200 200" class="module" role="img">']
    for cell, (corners, colour) in enumerate(zip(geometry.rhombi_mm, colours, strict=True)):
        points = " ".join(f"{x:.1f},{-y:.1f}" for x, y in corners)
        value = float(np.asarray(values)[cell])
        parts.append(
            f'<polygon points="{points}" fill="{mpl.colors.to_hex(colour)}"><title>trigger cell {cell}: {value:.0f}'
            "</title></polygon>"
        )
    outline = " ".join(f"{x:.1f},{-y:.1f}" for x, y in geometry.module_outline_mm)
    parts.append(f'<polygon points="{outline}" class="outline"/></svg>')
    return "".join(parts)


def events_svg(events: Sequence[tuple[str, Sequence[str]]], rows: Sequence[str]) -> str:
    """Modules side by side in one picture: a column per event with its caption, a row per kind of picture.

    Parameters
    ----------
    events : sequence of (caption, pictures)
        Pictures of `module_svg`, one per row.
    rows : sequence of str
        Names of the rows.
    """
    size, left, top = 170, 80, 24
    parts = [f'<svg viewBox="0 0 {left + size * len(events)} {top + size * len(rows)}">']
    for j, name in enumerate(rows):
        parts.append(f'<text x="0" y="{top + size * (j + 0.5):.0f}" font-weight="600">{escape(name)}</text>')
    for i, (caption, pictures) in enumerate(events):
        x = left + size * i
        parts.append(f'<text x="{x + size / 2:.0f}" y="14" text-anchor="middle">{escape(caption)}</text>')
        for j, picture in enumerate(pictures):
            place = f'<svg x="{x}" y="{top + size * j}" width="{size}" height="{size}"'
            parts.append(picture.replace("<svg", place, 1))
    return "".join(parts) + "</svg>"


def colour_bar_svg(top: float, label: str, *, colours: str = "inferno", even: bool = False) -> str:
    """Scale of colours from 0 to `top`: of `module_svg` in steps of the square root, or `even`."""
    shown = [mpl.colors.to_hex(mpl.colormaps[colours](i / 64)) for i in range(64)]
    marks = [top * i / 4 for i in range(5)] if even else [0.0, top / 16, top / 4, top]
    rectangles = "".join(
        f'<rect x="{4 * i}" y="0" width="4.2" height="12" fill="{colour}"/>' for i, colour in enumerate(shown)
    )
    ticks = "".join(
        f'<text x="{256 * (v / top if even else (v / top) ** 0.5):.0f}" y="26" text-anchor="middle">{v:.0f}</text>'
        for v in marks
    )
    caption = f'<text x="128" y="40" text-anchor="middle">{escape(label)}</text>'
    return f'<svg viewBox="-14 -2 284 46" class="scale">{rectangles}{ticks}{caption}</svg>'


def data_path_svg(spec: EncoderSpec) -> str:
    """The stages of an encoder with the widths between them, all from its spec."""
    rows, columns = spec.output_shape
    # between words and decode 7-bit codes travel, then integers, then the fixed-point formats of the spec
    stages = [
        ("eRx words", "header, 4 cells each", f"{CELLS} x 7 b"),
        ("multiplexer", f"{CELLS} to {CELLS}", f"{CELLS} x 7 b"),
        ("decode", "4E3M float", f"{CELLS} x 21 b"),
        ("calibrate", "x 1.11 factor", f"{CELLS} x {CHARGE_WIDTH} b"),
        ("normalise", f"sum {SUM_WIDTH} b", f"{CELLS} x {spec.pixel.width} b"),
        (
            "convolution",
            f"{spec.kernel[0]}x{spec.kernel[1]}x{spec.grid[2]}, {spec.filters} filters, /{spec.stride}",
            f"{rows}x{columns}x{spec.filters} x {spec.activation.width} b",
        ),
        ("dense", f"{spec.activations} to {spec.latents}", f"{spec.latents} x {spec.latent.width} b"),
        ("frame", "counter, sum, latents", "1 to 13 x 32 b"),
    ]
    width, gap = 112, 40
    parts = [f'<svg viewBox="0 0 {len(stages) * (width + gap) + 84} 150" class="path" role="img">']
    parts.append(f'<text x="0" y="58" class="bus">{ERX_WORDS} x 32 b</text><path d="M0 66 H60" class="wire"/>')
    for i, (name, detail, bus) in enumerate(stages):
        x = 62 + i * (width + gap)
        kind = "net" if name in ("convolution", "dense") else "box"
        parts.append(
            f'<rect x="{x}" y="36" width="{width}" height="60" rx="8" class="{kind}"/>'
            f'<text x="{x + width / 2}" y="62" class="name">{name}</text>'
            f'<text x="{x + width / 2}" y="82" class="detail">{escape(detail)}</text>'
            f'<path d="M{x + width} 66 h{gap - 2}" class="wire"/>'
            f'<text x="{x + width + gap / 2}" y="{24 if i % 2 else 116}" class="bus" text-anchor="middle">'
            f"{escape(bus)}</text>"
        )
        if i < len(stages) - 1:
            edge = 28 if i % 2 else 106
            parts.append(f'<path d="M{x + width + gap / 2} 66 V{edge}" class="lead"/>')
    parts.append("</svg>")
    return "".join(parts)


def frame_svg(frame: Sequence[int], spec: EncoderSpec, etx_count: int, kept: int) -> str:
    """The words of one frame bit by bit, coloured by field.

    Parameters
    ----------
    frame : sequence of int
        eTx words.
    spec : EncoderSpec
    etx_count : int
        Links shown.
    kept : int
        Latent bits kept by the mask.
    """
    capacity = spec.capacity(etx_count)
    sent = min(kept, capacity)
    fields = ["counter"] * 5 + ["sum"] * 9 + ["pad"] * (capacity - sent) + ["latent"] * sent
    size = 18
    parts = [f'<svg viewBox="0 0 {32 * size + 60} {etx_count * (size + 6)}" class="bits">']
    for bit in range(32 * etx_count):
        word, place = divmod(bit, 32)
        value = int(frame[word]) >> (31 - place) & 1
        field = fields[bit] if bit < len(fields) else "pad"
        x, y = 56 + place * size, word * (size + 6)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{size - 1}" height="{size}" class="{field}"/>'
            f'<text x="{x + size / 2 - 0.5}" y="{y + 13}" text-anchor="middle">{value}</text>'
        )
    parts += [f'<text x="0" y="{word * (size + 6) + 13}">eTx {word}</text>' for word in range(etx_count)]
    return "".join(parts) + "</svg>"


def bars_svg(rows: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars: label, value, text after the bar."""
    top = max((value for _, value, _ in rows), default=1.0) or 1.0
    parts = [f'<svg viewBox="0 0 760 {26 * len(rows)}" class="bars">']
    for i, (label, value, text) in enumerate(rows):
        y = 26 * i
        length = 420 * value / top
        parts.append(
            f'<text x="150" y="{y + 16}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="160" y="{y + 3}" width="{length:.1f}" height="18" rx="3"/>'
            f'<text x="{168 + length:.1f}" y="{y + 16}">{escape(text)}</text>'
        )
    return "".join(parts) + "</svg>"


def histogram_svg(edges: Sequence[float], counts: Sequence[int], label: str) -> str:
    """Columns of counts between edges, with the edges' range and the largest count written out."""
    highest = max(max(counts), 1)
    width = 640 / len(counts)
    parts = ['<svg viewBox="-56 -8 730 206" class="plot" role="img">']
    for i, count in enumerate(counts):
        height = 150 * count / highest
        parts.append(
            f'<rect x="{width * i:.1f}" y="{150 - height:.1f}" width="{width - 1:.1f}" height="{height:.1f}" '
            f'fill="#6d93c9"><title>{edges[i]:.2f} to {edges[i + 1]:.2f}: {count}</title></rect>'
        )
    for i in range(5):
        value = edges[0] + (edges[-1] - edges[0]) * i / 4
        parts.append(f'<text x="{160 * i}" y="168" text-anchor="middle">{value:.1f}</text>')
    parts.append(f'<text x="320" y="188" text-anchor="middle">{escape(label)}</text>')
    parts.append(
        f'<text x="-6" y="8" text-anchor="end">{highest:,}</text><text x="-6" y="150" text-anchor="end">0</text>'
    )
    return "".join(parts) + "</svg>"
