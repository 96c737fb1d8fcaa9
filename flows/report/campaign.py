"""What the report shows of upsets: outcomes by stratum, sensitivity map, rankings, rates, cost of protection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.campaign.conclusions import TOPS
from flows.campaign.physics import Sensitivity
from flows.common.metrics import Metric
from flows.designs.encoder import EncoderDesign
from flows.report import drawing
from flows.report.campaign_plots import lines_svg, sensitivity_svg
from flows.report.document import Picture, Section, Table, origins, read_json, table
from flows.report.protection_cost import costs, costs_below
from sim.files import replacing

__all__ = ["campaign_sections"]


def campaign_sections(folder: Path, design: EncoderDesign) -> list[Section]:
    """Sections on fault campaigns, sensitivities and the cost of schemes, as far as they ran.

    Leaves ``sensitivity.svg`` and ``selective.svg`` in the folder. Campaigns and sensitivities of all variants of a
    design lie in the folder that has its plain name; whole chips in folders beside it.

    Parameters
    ----------
    folder : Path
        Result folder of an encoder, or of one of its variants.
    design : EncoderDesign

    Raises
    ------
    ValueError
        If a file is damaged, or was not written by ``campaign`` or ``sensitivity``.
    """
    sections = []
    shared = folder.parent / design.plain.name
    source = shared if shared.is_dir() else folder
    found = [(path, read_json(path)) for path in sorted(source.glob("campaign-*.json"))]
    if summaries := [(path, summary) for path, summary in found if "rows" in summary]:
        with _of_files(*(path for path, _ in summaries)):
            sections.append(_outcomes([summary for _, summary in summaries]))
    result = read_json(source / "sensitivity.json")
    if result and (source / "sensitivity.npz").is_file():
        with _of_files(source / "sensitivity.json"):
            ran = tuple(filter(None, [result.get("origin")]))
            sections += [replace(section, origins=ran) for section in _physics(source, folder, result)]
    chips = costs_below(folder.parent, design)
    variants: list[tuple[str, Sequence[Metric]]] = [
        (f"scheme and loading, {how}", costs([row for row in chips if row.design.clock_gating == gated]))
        for gated, how in ((True, "clock gated"), (False, "not clock gated"))
    ]
    if not chips and "costs" in result:
        variants = [("scheme and loading", [Metric.from_dict(row) for row in result["costs"]])]
    if variants := [(title, metrics) for title, metrics in variants if metrics]:
        sections.append(_cost(variants))
    return sections


@contextmanager
def _of_files(*paths: Path) -> Iterator[None]:
    """Say which file lacks something."""
    try:
        yield
    except (KeyError, TypeError) as error:
        raise ValueError(f"{', '.join(map(str, paths))}: damaged, or of another version ({error!r})") from None


def _outcomes(summaries: list[dict[str, Any]]) -> Section:
    tables, lead = [], []
    for summary in summaries:
        rows = [
            [
                f"{_case(summary)}, {_engine(summary)}",
                row["kind"],
                row["stratum"],
                "" if row["population"] is None else row["population"],
                *(row[name] for name in ("faults", "masked", "corrected", "corrupted", "hang", "persistent")),
                f"{100 * row['shown']:.3g} ({100 * row['shown_low']:.3g} to {100 * row['shown_high']:.3g})",
            ]
            for row in summary["rows"]
        ]
        columns = ["scheme, engine", "fault", "stratum", ">flip-flops", ">faults", ">masked", ">corrected"]
        tables.append(table([*columns, ">corrupted", ">hang", ">not gone", ">shows, %"], rows))
        lead.append(
            f"{_case(summary)} ({summary['loading']}, {_engine(summary)}): {summary['faults']:,} faults,"
            f" {summary['uncorrected_single']:,} single flips not corrected."
        )
    return Section(
        title="Faults in the running chip",
        lead=" ".join(lead),
        tables=tuple(tables),
        origins=tuple(summary["origin"] for summary in summaries if "origin" in summary),
        notes=(
            (
                "Frames of every crossing are compared with the golden model. Shows: a wrong frame or an I2C bus that"
                f" does not answer; in brackets the Clopper-Pearson interval at {100 * summaries[0]['confidence']:g} %."
            ),
        ),
    )


def _case(summary: dict[str, Any]) -> str:
    """Scheme of a campaign, and its reuse factor above 1."""
    reuse = summary.get("reuse", 1)
    return f"{summary['scheme']} at reuse {reuse}" if reuse > 1 else str(summary["scheme"])


def _engine(summary: dict[str, Any]) -> str:
    """What the faults of a campaign were injected into."""
    return f"{summary['engine']}, clock gated" if summary.get("clock_gating") else str(summary["engine"])


def _cost(variants: Sequence[tuple[str, Sequence[Metric]]]) -> Section:
    """Area and energy of chips by scheme and loading, a table for each title and its metrics."""
    tables = tuple(_cost_table(title, metrics) for title, metrics in variants)
    return Section(
        title="Cost of protection",
        tables=tables,
        notes=(
            (
                "Whole chips with I2C, cells after synthesis. Energy of one inference with real showers on the netlist;"
                " wires by the library's wire load where the chip was not placed; dynamic is the total without leakage,"
                " clocks are pins and trees. In brackets the ratio to the unprotected chip with direct loading."
            ),
        ),
        origins=origins(metric for _, metrics in variants for metric in metrics),
    )


def _cost_table(title: str, metrics: Sequence[Metric]) -> Table:
    cases: dict[str, dict[str, float]] = {}
    for metric in metrics:
        name, _, case = metric.name.rpartition("__case:")
        cases.setdefault(case, {})[name] = float(metric.value)
    base = cases.get("none_direct", {})

    def shown(row: dict[str, float], name: str) -> str:
        if name not in row:
            return ""
        ratio = f" ({row[name] / base[name]:.2f})" if base.get(name) else ""
        return f"{row[name]:,.0f}{ratio}"

    columns = {
        "area µm²": "design__instance__area", "of it store": "store__area", "of it control": "control__area",
        "flip-flops": "design__flip_flop__count", "energy pJ": "energy", "dynamic": "energy__dynamic",
        "leakage": "energy__leakage", "of it clocks": "energy__clocks",
    }  # fmt: skip
    rows = [[case.replace("_", " "), *(shown(row, name) for name in columns.values())] for case, row in cases.items()]
    return table([title, *(f">{column}" for column in columns)], rows)


def _physics(source: Path, folder: Path, result: dict[str, Any]) -> list[Section]:
    return [_flipped_bits(source, folder, result), _ranking(folder, result), _in_beam(result)]


def _flipped_bits(source: Path, folder: Path, result: dict[str, Any]) -> Section:
    picture = sensitivity_svg(Sensitivity.load(source / "sensitivity.npz"))
    with replacing(folder / "sensitivity.svg") as file:
        file.write(drawing.standalone(picture))
    width = len(result["places"])
    rows = [[f"bit {width - 1 - i}", f"{value:.4f}"] for i, value in enumerate(reversed(result["places"]))]
    return Section(
        title="What a flipped weight bit does",
        lead=(
            f"All {result['bits']:,} weight bits on {result['sample']}, {result['elinks']} eLinks, median EMD"
            f" without upset {result['emd_median']:.3f}. The worst bit changes the EMD by"
            f" {result['largest_shift']:.2f} on average; {result['idle_bits']:,} bits change no frame of the"
            " sample. The decoded module sum does not depend on weights: it travels in the frame."
        ),
        pictures=(Picture(markup=picture),),
        tables=(table(["place in the weight", ">mean |change of the EMD|"], rows),),
    )


def _ranking(folder: Path, result: dict[str, Any]) -> Section:
    header = [">Spearman", *(f">top {100 * top:g} %" for top in TOPS), ">bits for 90 %", ">bits for 99 %"]
    ranked = [
        [
            row["name"],
            f"{row['spearman']:.3f}",
            *(f"{100 * part:.1f} %" for part in row["covered"]),
            row["bits_for_90"],
            row["bits_for_99"],
        ]
        for row in result["rankings"]
    ]
    pictures: tuple[Picture, ...] = ()
    if pareto := result.get("pareto"):
        top = max(max(points["area_um2"]) for points in pareto.values())
        lines = {
            name: ([area / 1e3 for area in points["area_um2"]], [100 * part for part in points["left"]])
            for name, points in pareto.items()
        }
        markup = lines_svg(
            lines, x_label="area added by triplicating the highest-ranked bits, 10³ µm²", y_label="corruption left, %",
            x_top=top / 1e3, y_top=100.0, form="{:.0f}",
        )  # fmt: skip
        with replacing(folder / "selective.svg") as file:
            file.write(drawing.standalone(markup))
        caption = f"{result['bit_cost_um2']:.1f} µm² protect one bit (two copies and a voter)."
        pictures = (Picture(markup=markup, caption=caption),)
    return Section(
        title="Which bits to protect first",
        lead=(
            "Corruption is the sum over bits of the mean |change of the EMD|, as all bits flip at one rate. The"
            " orders: measured, and by the Hessian of the loss as FKeras ranks (O. Weng et al., ACM J. Auton."
            " Transport. Syst. (2024), doi 10.1145/3665334)."
        ),
        pictures=pictures,
        tables=(table(["order of bits", *header], ranked),),
    )


def _in_beam(result: dict[str, Any]) -> Section:
    beam = [
        [
            row["scheme"].replace("_", " "),
            f"{row['upsets_per_day']:,.0f}",
            f"{row['corrupted_per_day'][0]:.2e}",
            f"{row['corrupted_per_day'][1]:.2e} to {row['corrupted_per_day'][2]:.2e}",
            f"{100 * row['fraction']:.2g} %",
        ]
        for row in result["beam"]
    ]
    columns = ["scheme", ">upsets of weights a day", ">corrupted crossings a day", ">range", ">of all crossings"]
    return Section(
        title="Weights in beam",
        lead="One chip at the largest flux of HGCAL, image loaded every ten hours.",
        tables=(table(columns, beam),),
        notes=("Flux 2e7 cm⁻² s⁻¹, 2.3e-14 cm² a flip-flop; the range is 2.0e-14 to 2.6e-14 cm² (ECON-D in protons).",),
    )
