"""Pareto fronts of measured points, and their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from flows.steps.measure import Figure
from flows.steps.sweep import Row
from sim.files import replacing

__all__ = ["draw_pareto", "pareto_front"]


def pareto_front(rows: Sequence[Row], minimise: Sequence[str]) -> list[int]:
    """Rows that no other row beats: no worse in every figure of `minimise` and better in one.

    A name with a minus in front is maximised. Rows without one of the figures are never on the front.
    """
    named = [(name.removeprefix("-"), -1.0 if name.startswith("-") else 1.0) for name in minimise]
    usable = [i for i, row in enumerate(rows) if all(name in row.figures for name, _ in named)]
    values = {i: tuple(sign * rows[i].figures[name] for name, sign in named) for i in usable}
    return [
        i
        for i in usable
        if not any(
            values[j] != values[i] and all(a <= b for a, b in zip(values[j], values[i], strict=True)) for j in usable
        )
    ]


_COLOURS = ("#2459a9", "#b3541e", "#1d7a46", "#7a3e9d", "#a0860f", "#2d8f9e", "#b3261e", "#5c6670")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def draw_pareto(
    rows: Sequence[Row], x: str, y: str, path: Path, title: str, figures: Mapping[str, Figure] | None = None
) -> None:
    """Scatter of two figures with the Pareto front as steps.

    The first axis of the sweep gives the colour of a point, the second its marker; further ones are written beside it.

    Parameters
    ----------
    rows : sequence of Row
    x, y : str
        Figures, with a minus in front where more is better.
    path : Path
        SVG file.
    title : str
    figures : mapping of str to Figure, optional
        Labels and scales; a figure without one is shown by its name.

    Raises
    ------
    ValueError
        If no point has both figures.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    names = (x.removeprefix("-"), y.removeprefix("-"))
    drawn = [(figures or {}).get(name, Figure(label=name)) for name in names]
    shown = {
        i: (row.figures[names[0]] * drawn[0].scale, row.figures[names[1]] * drawn[1].scale)
        for i, row in enumerate(rows)
        if set(names) <= set(row.figures)
    }
    if not shown:
        raise ValueError(f"no point has both {names[0]} and {names[1]}")
    front = sorted(pareto_front(rows, (x, y)), key=lambda i: shown[i])
    varied = [a for a in rows[0].chosen if len({str(row.chosen[a]) for row in rows}) > 1]
    looks = [list(dict.fromkeys(str(rows[i].chosen[a]) for i in shown)) for a in varied[:2]]
    picture, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    # between two points of the front there is the one that is no worse in x
    where: Literal["pre", "post"] = "pre" if x.startswith("-") else "post"
    if len(front) > 1:
        axes.step(*zip(*(shown[i] for i in front), strict=True), where=where, color="#9aa5b1", linewidth=1.2, zorder=1)
    for i, position in shown.items():
        result = [str(rows[i].chosen[a]) for a in varied]
        colour = _COLOURS[looks[0].index(result[0]) % len(_COLOURS)] if result else _COLOURS[0]
        marker = _MARKERS[looks[1].index(result[1]) % len(_MARKERS)] if len(result) > 1 else "o"
        face = colour if i in front else "white"
        axes.scatter(*position, s=46, marker=marker, facecolor=face, edgecolor=colour, linewidth=1.5, zorder=3)
        if rest := ", ".join(f"{a} {v}" for a, v in zip(varied[2:], result[2:], strict=True)):
            axes.annotate(rest, position, (6, 4), textcoords="offset points", fontsize=7, color="#5c6670")
    keys = [
        Line2D([], [], linestyle="", marker="o", markersize=7, color=_COLOURS[k % len(_COLOURS)],
               label=f"{varied[0].replace('_', ' ')} {value or 'none'}")
        for k, value in enumerate(looks[0] if looks else ())
    ]  # fmt: skip
    keys += [
        Line2D([], [], linestyle="", marker=_MARKERS[k % len(_MARKERS)], markersize=7, color="#5c6670",
               label=f"{varied[1].replace('_', ' ')} {value or 'none'}")
        for k, value in enumerate(looks[1] if len(looks) > 1 else ())
    ]  # fmt: skip
    keys += [
        Line2D([], [], color="#9aa5b1", marker="o", markersize=7, markerfacecolor="#5c6670", markeredgecolor="#5c6670",
               label="on the Pareto front"),
        Line2D([], [], linestyle="", marker="o", markersize=7, markerfacecolor="white", markeredgecolor="#5c6670",
               label="not on it"),
    ]  # fmt: skip
    axes.set(xlabel=drawn[0].label, ylabel=drawn[1].label, title=title)
    axes.margins(0.12)
    axes.ticklabel_format(useOffset=False)
    axes.grid(color="#e8ebef", linewidth=0.8, zorder=0)
    axes.legend(handles=keys, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path, "wb") as file:
        picture.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(picture)
