"""The table "published chip, baselines, ours" of docs/results: ``python -m benchmarks.comparison``.

Every figure is taken from a file that a tool wrote (``benchmarks/results/*.json``) or, for other chips, from
``flows/estimates/published.toml`` with its citation; nothing is computed here but the unit it is shown in. Writes
``benchmarks/results/comparison.json``, where each figure says which file, which metric and which command it is from,
and then the tables of README and docs. ``--measure`` runs those commands first, in their order: hours.

A row is native (figures of the library's own node) or translated into the published chip's node, never both; what is
not there yet (a results file that no run has written) leaves its row out.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.tables import update
from flows.common.metrics import Metric, package_version, read_metrics, write_metrics
from flows.estimates.published import systems
from sim.files import replacing

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

UNITS = {
    "mm2": "mm²", "um2": "µm²", "mw": "mW", "w": "W", "nj": "nJ", "ns": "ns", "mhz": "MHz", "percent": "%",
    "pj_per_synaptic_operation": "pJ", "tops_per_watt": "TOPS/W",
}  # fmt: skip
"""Units as shown; a published figure's name ends in one of them."""
LARGE = {"um2": ("mm²", 1e-6), "pJ": ("nJ", 1e-3)}
"""Units that large metrics are shown in, from a thousand on."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a file.

    Attributes
    ----------
    shown : str
        As in the table.
    value : int or float
        As in the file.
    unit : str
    path, name : str
        File below the repository, and metric (JSON) or ``table.key`` (TOML) in it.
    command, tool, date : str
        Of the metric; for a published figure its citation, system and node stand in `method`.
    method : str
    """

    shown: str
    value: int | float
    unit: str
    path: str
    name: str
    method: str
    command: str = ""
    tool: str = ""
    date: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    what : str
    node : str
        Node and method of our figures.
    published, baselines, ours : tuple of Figure
    joint : str
        Between our figures: the two ends of a range, or alternatives.
    """

    what: str
    node: str
    published: tuple[Figure, ...] = ()
    baselines: tuple[Figure, ...] = ()
    ours: tuple[Figure, ...] = ()
    joint: str = " to "


@dataclass(frozen=True, kw_only=True)
class Part:
    """The table of one chip."""

    title: str
    rows: tuple[Row, ...] = field(repr=False)


class Files:
    """Figures of results and of published chips, by name.

    Parameters
    ----------
    results : Path
        Folder of ``NAME.json``.
    """

    def __init__(self, results: Path = RESULTS):
        self._results = results
        self._metrics: dict[str, dict[str, Metric]] = {}

    def has(self, file: str) -> bool:
        """Whether some run left these results."""
        return (self._results / f"{file}.json").is_file()

    def metrics(self, file: str) -> dict[str, Metric]:
        """Metrics of a results file by name."""
        if file not in self._metrics:
            self._metrics[file] = {m.name: m for m in read_metrics(self._results / f"{file}.json")}
        return self._metrics[file]

    def ours(self, file: str, name: str, *, note: str = "") -> Figure:
        """A measured figure.

        Raises
        ------
        ValueError
            The file has no such metric, or it is text.
        """
        metric = self.metrics(file).get(name)
        if metric is None or isinstance(metric.value, str):
            raise ValueError(f"{file}.json: expected a number {name}")
        return Figure(
            shown=shown(metric.value, metric.unit) + note, value=metric.value, unit=metric.unit, name=name,
            path=f"benchmarks/results/{file}.json", command=metric.command, date=metric.date, method=metric.method,
            tool=f"{metric.tool} {metric.tool_version}",
        )  # fmt: skip

    def published(self, system: str, key: str) -> Figure:
        """A published figure, shown with its system and node."""
        about = systems()[system]
        value = about.figures[key]
        unit = next((key[-len(u) :] for u in sorted(UNITS, key=len, reverse=True) if key.endswith(u)), "")
        where = ", ".join(part for part in (about.node, about.kind) if part != "none")
        number = f"{value:g} {UNITS.get(unit, unit)}".strip()
        return Figure(
            shown=f"{number} ({about.name}; {where})", value=value, unit=unit,
            path="flows/estimates/published.toml", name=f"{system}.{key}", method=about.citation,
        )  # fmt: skip


def shown(value: float, unit: str) -> str:
    """A measured value as one reads it: counts whole, the rest to three digits."""
    unit, factor = LARGE[unit] if unit in LARGE and value >= 1000 else (UNITS.get(unit, unit), 1.0)
    value = value * factor if factor != 1.0 else value
    if abs(value) >= 1000:
        number = f"{value:,.0f}" if not unit.endswith("/s") else f"{float(f'{value:.2e}'):,.0f}"
    else:
        number = str(value) if isinstance(value, int) else f"{value:#.3g}".rstrip(".")
    return f"{number} {unit}".strip()


NATIVE = "45 nm (NanGate, predictive)"
AREA_METHODS = ("stillmaker_baas", "gate_density")
"""Methods by which an area is translated, in the order of the row."""
ENERGY_METHODS = ("constant_field", "stillmaker_baas_45nm_HP_to_65nm_LP")
"""Methods by which an energy is translated: the lowest and the highest figure."""
PUBLISHED_VECTORS = "verification__compared__check:published_vectors__file:testOutput_bx0000-1781"
"""Crossings of the ECON-T emulator's repository that the RTL reproduces."""


def encoder_rows(files: Files) -> Iterator[Row]:
    """HGCAL encoder."""
    yield from _encoder_area_and_energy(files)
    if files.has("target"):
        yield from whole_chips(files)
    yield from _encoder_time(files)
    yield from _encoder_decoded(files)
    yield from _encoder_emulation(files)


def _encoder_area_and_energy(files: Files) -> Iterator[Row]:
    """The encoder alone, in its own node and in the published chip's."""
    ours, other = files.ours, files.published
    chip_area, chip_energy = other("econ_t", "area_mm2"), other("econ_t", "energy_nj")
    place, power, dynamic = "placement_ECON_T", "power_ECON_T", "energy__per_inference__dynamic"
    yield Row(
        what="area, native", ours=(ours(place, "design__core__area"),),
        node=f"{NATIVE}: core after placement, unprotected",
    )  # fmt: skip
    yield Row(
        what="area, 65 nm terms", published=(chip_area,), baselines=(other("econ_t_earlier", "area_mm2"),),
        ours=tuple(ours(place, f"design__core__area__node:65nm_LP__method:{how}") for how in AREA_METHODS),
        node="translated to 65 nm: Stillmaker-Baas; gate density. Unprotected, without I2C",
    )  # fmt: skip
    schemes = (
        ("tmr_registers_guarded", "registers triplicated, logic once"),
        ("secded_guarded", "SECDED weight store"),
    )
    for scheme, text in schemes:
        yield Row(
            what=f"area, protected ({text}), native",
            ours=(ours("protection", f"design__instance__area__case:{scheme}"),),
            node=f"{NATIVE}: cells after synthesis, reuse 1, guarded loading, clock gated",
        )  # fmt: skip
    yield Row(
        what="area, multipliers reused 8 times, native", ours=(ours("reuse", "design__instance__area__case:reuse_8"),),
        node=f"{NATIVE}: cells after synthesis, unprotected",
    )  # fmt: skip
    yield Row(
        what="energy per inference, native",
        ours=(
            ours(power, "energy__per_inference"),
            ours(power, "energy__per_inference__bound:low"),
            ours(power, "energy__per_inference__bound:high"),
        ),
        joint=" | ", node=f"{NATIVE}: placed wires, real stimulus, glitches, clock tree; ends of the estimate",
    )  # fmt: skip
    yield Row(
        what="energy per inference, 65 nm terms",
        published=(chip_energy,),
        baselines=(other("memristive_vae", "energy_nj"), other("econ_t_earlier", "energy_nj")),
        ours=tuple(ours(power, f"{dynamic}__node:65nm_LP__method:{how}") for how in ENERGY_METHODS),
        node="translated to 65 nm: constant-field; Stillmaker-Baas. Without leakage, unprotected, without I2C",
    )  # fmt: skip


def _encoder_time(files: Files) -> Iterator[Row]:
    """A network with constant weights, the largest clock, latency."""
    ours, other = files.ours, files.published
    if files.has("frozen"):
        area = "design__instance__area__case"
        for case, text in (("each_product_floored", "each product floored"), ("whole_products", "whole products")):
            yield Row(
                what=f"area, network with its weights folded in, {text}",
                baselines=(ours("frozen", f"{area}:da4ml_{case}", note=" (da4ml)"),),
                ours=(ours("frozen", f"{area}:liquidcal_{case}"),),
                node=f"{NATIVE}: cells after synthesis, convolution and dense layer, same network and library",
            )  # fmt: skip
    yield Row(
        what="largest clock", published=(other("econ_t", "rate_mhz"),), ours=(ours("timing_ECON_T", "timing__fmax"),),
        node=f"{NATIVE}: OpenSTA, typical corner, placed wires",
    )  # fmt: skip
    yield Row(
        what="latency", published=(other("econ_t", "added_latency_ns"),),
        baselines=(other("memristive_vae", "added_latency_ns"),),
        ours=(ours("reuse", "design__latency__case:reuse_1", note=" of 25 ns"),),
        node="RTL: words to frame; the network's share, which the published 50 ns are, is 2",
    )  # fmt: skip


def _encoder_decoded(files: Files) -> Iterator[Row]:
    """How far decoded modules are from the true ones, against the published chip and the other algorithms."""
    ours, other = files.ours, files.published
    cells = (("1_3", "1-3"), ("4_7", "4-7"), ("8_48", "8-48"))
    for key, name in cells:
        baseline = [other("econ_t_6bit", "emd_ttbar_8_48")] if key == "8_48" else []
        yield Row(
            what=f"median EMD, CMS top pairs, {name} cells, 5 eLinks",
            published=(other("econ_t_float", f"emd_ttbar_{key}"), *baseline),
            ours=(ours("weights", f"ttbar__cells:{name}__case:econ_t_5elinks_words"),),
            node="from words, exact chip arithmetic, off-detector decoder; published from ideal charges",
        )  # fmt: skip
    case = "pu200_3_links_cells_13-19"
    yield Row(
        what="median EMD, pile-up 200, 13-19 cells, 3 eLinks",
        baselines=(
            ours("emd_versus_bits", f"best_choice__case:{case}", note=" (best choice)"),
            ours("emd_versus_bits", f"threshold_sum_tuned__case:{case}", note=" (threshold sum, tuned, variable rate)"),
        ),
        ours=(ours("emd_versus_bits", f"autoencoder__case:{case}"),),
        node="from words, exact chip arithmetic, same simulated modules",
    )  # fmt: skip


def _encoder_emulation(files: Files) -> Iterator[Row]:
    """The published vectors, and how fast the golden model is."""
    ours = files.ours
    yield Row(
        what="published crossings reproduced", ours=(ours("verification", PUBLISHED_VECTORS),),
        node="RTL in Verilator, every eTx word",
    )  # fmt: skip
    speed = "model__throughput__engine"
    yield Row(
        what="emulator",
        baselines=(
            ours("models", f"{speed}:hls4ml__path:pixels_to_latents", note=" (hls4ml, 1 thread)"),
            ours("models", f"{speed}:da4ml__products:chip__path:pixels_to_latents", note=" (da4ml, 2 threads)"),
        ),
        ours=(
            ours("models", f"{speed}:numba__threads:1__path:charges_to_latents", note=" (1 thread)"),
            ours("models", f"{speed}:numba__threads:2__path:charges_to_latents", note=" (2 threads)"),
        ),
        joint=", ", node="golden model, bit-exact, two cores",
    )  # fmt: skip


def whole_chips(files: Files) -> Iterator[Row]:
    """Protected chips with I2C, as far as the target's results hold them."""
    names = files.metrics("target")
    cases = list(dict.fromkeys(n.partition("__case:")[2] for n in names if "__case:ours" in n))
    published = {"area": "area_mm2", "energy": "energy_nj", "latency": "added_latency_ns"}
    for quantity, key in published.items():
        for case in cases:
            if f"{quantity}__case:{case}" not in names:
                continue
            words = case.replace("_", " ")
            less = "without leakage, " if quantity == "energy" else ""
            node = f"translated to 65 nm: less favourable method, {less}protected, with I2C, clock gated"
            yield Row(
                what=f"{quantity}, whole protected chip, {words}", published=(files.published("econ_t", key),),
                ours=(files.ours("target", f"{quantity}__case:{case}"),),
                node="RTL: clocks of the network, 25 ns each" if quantity == "latency" else node,
            )  # fmt: skip
    for case in cases:
        if (name := f"setup_slack__case:{case}") in names:
            yield Row(
                what=f"worst setup slack, whole protected chip, {case.replace('_', ' ')}",
                ours=(files.ours("target", name),),
                node="45 nm (NanGate, predictive): placed wires; below 0 a clock is missed",
            )


def crossbar_rows(files: Files) -> Iterator[Row]:
    """LSM crossbar."""
    ours, other = files.ours, files.published
    accuracy = [ours("lsm_accuracy", f"accuracy__{n}__case:chip_synthesised_to_real") for n in ("mean", "lowest")]
    yield Row(
        what="N-MNIST accuracy, 200 neurons", published=(other("rram_lsm", "nmnist_accuracy_percent"),),
        baselines=(other("rram_lsm_software", "nmnist_accuracy_percent"), other("nalsm1000", "nmnist_accuracy_percent"),
                other("lsmcore", "nmnist_accuracy_percent")),
        ours=tuple(accuracy), joint=", lowest of 5 draws ",
        node="the chip's integers; trained on synthesised, tested on 1,000 real recordings",
    )  # fmt: skip
    yield Row(
        what="the same, published input and window", published=(other("rram_lsm", "nmnist_accuracy_percent"),),
        ours=(ours("lsm_accuracy", "accuracy__mean__case:paper_input_real_to_real"),),
        node="the chip's integers; 800 real recordings to learn from",
    )  # fmt: skip
    part = "energy__per_synaptic_operation__bound"
    tops = other("tsmc_rram", "tops_per_watt")
    for what, case, baselines in (
        ("energy per synaptic operation, whole chip", "together",
         tuple(other(s, "pj_per_synaptic_operation") for s in ("spire", "odin", "reckon"))),
        ("array and ADCs alone", "array_and_ADCs_alone", (tops,)),
    ):  # fmt: skip
        yield Row(
            what=what, baselines=baselines,
            ours=tuple(ours("lsm_gated_energy_split", f"{part}:{end}__case:{case}") for end in ("low", "high")),
            node="translated to 40 nm: digital part, clock gated, by Stillmaker-Baas and constant-field; macro by "
            "published models",
        )  # fmt: skip
    yield Row(
        what="energy per inference, whole chip", baselines=(other("odin", "energy_nj"),),
        ours=tuple(
            ours("lsm_gated_energy_split", f"energy__per_inference__bound:{e}__case:together") for e in ("low", "high")
        ),
        node="translated to 40 nm, as above; one N-MNIST recording",
    )  # fmt: skip
    for how, file in (("clock gated", "lsm_gated_energy_stages"), ("not gated", "lsm_energy_stages")):
        yield Row(
            what=f"energy per inference, digital part, {how}, native", ours=(ours(file, "energy__per_inference"),),
            node=f"{NATIVE}: recordings on the netlist, glitches, clock tree",
        )  # fmt: skip
    yield Row(
        what="area, whole chip", baselines=(other("lsmcore", "area_mm2"), other("reckon", "area_mm2")),
        ours=tuple(ours("lsm_gated_area", f"design__area__bound:{end}__case:together") for end in ("low", "high")),
        node="translated to 40 nm: gate density; cells, ADCs and weight memory by published models",
    )  # fmt: skip
    yield Row(
        what="area, digital part, native", ours=(ours("area_N_MNIST", "design__instance__area"),),
        node=f"{NATIVE}: cells after synthesis",
    )  # fmt: skip
    speed = "liquid__throughput__engine"
    yield Row(
        what="emulator",
        baselines=(
            ours("liquid_speed", f"{speed}:snntorch", note=" (snnTorch)"),
            ours("liquid_speed", f"{speed}:spikingjelly", note=" (SpikingJelly)"),
        ),
        ours=(ours("liquid_speed", f"{speed}:golden"),),
        node="golden model, bit-exact, two cores; baselines float32, idealised liquid",
    )  # fmt: skip


def build(files: Files) -> tuple[Part, ...]:
    """The tables of both chips."""
    return (
        Part(title="HGCAL encoder `ECON_T`", rows=tuple(encoder_rows(files))),
        Part(title="LSM crossbar `N_MNIST`", rows=tuple(crossbar_rows(files))),
    )


def _cell(figures: Sequence[Figure], joint: str = "; ") -> str:
    return joint.join(figure.shown for figure in figures).replace("|", r"\|")


def _range(row: Row) -> str:
    """Our figures in one cell: a unit that all share stands once."""
    if row.joint == " | ":
        nominal, low, high = (figure.shown for figure in row.ours)
        return f"{nominal} ({low.rpartition(' ')[0]} to {high})"
    units = {figure.shown.partition(" ")[2] for figure in row.ours}
    if row.joint == " to " and len(units) == 1 and len(row.ours) > 1:
        return " to ".join([*(f.shown.partition(" ")[0] for f in row.ours[:-1]), row.ours[-1].shown])
    return row.joint.join(figure.shown for figure in row.ours)


def document(parts: Sequence[Part]) -> dict[str, Any]:
    """What comparison.json holds: tables as text for `benchmarks.tables`, and every figure with its origin."""
    columns = ["", "published chip", "baselines", "ours", "ours: node and method", "ours: from"]
    tables, figures, cited = [], [], {}
    for part in parts:
        rows = []
        for row in part.rows:
            cited |= {f.name.partition(".")[0]: f for f in (*row.published, *row.baselines) if not f.command}
            sources = sorted({Path(f.path).name for f in (*row.ours, *row.baselines) if f.command})
            links = ", ".join(f"[{name}](benchmarks/results/{name})" for name in sources)
            rows.append([row.what, _cell(row.published), _cell(row.baselines), _range(row), row.node, links])
            figures += [
                {"chip": part.title, "row": row.what, "column": column, **asdict(figure)}
                for column, found in (("published", row.published), ("baselines", row.baselines), ("ours", row.ours))
                for figure in found
            ]
        tables.append({"title": part.title, "columns": columns, "rows": rows})
    origin = "[comparison.json](benchmarks/results/comparison.json), written by `python -m benchmarks.comparison`."
    notes = [
        "Published: " + "; ".join(f"{f.shown.partition('(')[2].partition(';')[0]}: {f.method}" for f in cited.values())
        + ". File: [published.toml](flows/estimates/published.toml).",
        f"Metric, tool, version, command and date of every figure: {origin}",
    ]  # fmt: skip
    return {
        "command": "python -m benchmarks.comparison",
        "tool": f"liquidcal {package_version('liquidcal')}",
        "tables": tables,
        "notes": notes,
        "figures": figures,
    }


STEPS = (
    "liquidcal synth ECON_T --library nangate45",
    "liquidcal synth N_MNIST --library nangate45",
    "liquidcal place N_MNIST --repair",
    "liquidcal power N_MNIST --glitch-clocks 96",
    "python -m flows.report.protection_cost ECON_T --clock-gating --result benchmarks/results/protection.json",
    "python -m benchmarks.target",
    "python -m benchmarks.supply",
)
"""Commands that no metric of the table names: steps whose results others read, and what only collects."""
COLLECTED = {
    "area_ECON_T": "ECON_T/synthesis/metrics.json",
    "area_N_MNIST": "N_MNIST/synthesis/metrics.json",
    "verification": "ECON_T/verification_metrics.json",
}
"""Results files that are the metrics of a step below ``report/`` as they are."""


def commands(parts: Sequence[Part]) -> list[str]:
    """Commands that write the figures, each once: steps of a design before what collects them."""
    found = (f.command for p in parts for r in p.rows for f in (*r.baselines, *r.ours) if f.command)
    order = ("liquidcal synth", "liquidcal place", "liquidcal time", "liquidcal power", "")
    return sorted(
        dict.fromkeys([*STEPS, *found]), key=lambda c: next(i for i, start in enumerate(order) if c.startswith(start))
    )


def stale(parts: Sequence[Part], start: float, root: Path = ROOT) -> list[str]:
    """Results files behind the figures that no command has written since `start` (seconds since the epoch)."""
    files = {f.path for p in parts for r in p.rows for f in (*r.baselines, *r.ours) if f.command}
    return sorted(name for name in files if (root / name).stat().st_mtime < start)


def words_of(command: str) -> list[str]:
    """A command of a metric as it is run here: our own programs, and data files where they are.

    Metrics name data by file name only; the published vectors of the verification are not in its command at all. Both
    are looked for in the shared data (``$LIQUIDCAL_DATA``).

    Raises
    ------
    FileNotFoundError
        A file is not there.
    """
    data = Path(os.environ.get("LIQUIDCAL_DATA", ROOT.parent / "shared" / "data"))
    words = shlex.split(command)
    programs = {"liquidcal": [str(Path(sys.executable).with_name("liquidcal"))], "python": [sys.executable]}
    listed = [*programs.get(words[0], words[:1])]
    for word in words[1:]:
        name, equal, file = word.partition("=")
        listed.append(f"{name}={_find(data, file)}" if equal and file.endswith(".csv") else word)
    if command.startswith("liquidcal verify ECON_T"):
        vectors = {"words": "testInput_bx*.csv", "settings": "AE/init.yaml", "frames": "AE/testOutput_bx*.csv"}
        listed += [part for name, file in vectors.items() for part in (f"--{name}", str(_find(data, file)))]
    return listed


def _find(data: Path, name: str) -> Path:
    found = sorted(data.rglob(name))
    if not found:
        raise FileNotFoundError(f"{name}: not below {data}")
    return found[0]


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--measure", action="store_true", help="run the commands behind the figures first (hours)")
    parser.add_argument("--commands", action="store_true", help="print these commands, numbered, and stop")
    parser.add_argument("--start", type=int, default=1, help="with --measure: number of the first command to run")
    options = parser.parse_args()
    parts = build(Files())
    if options.commands:
        print("\n".join(f"{number:2} {command}" for number, command in enumerate(commands(parts), 1)))
        return 0
    if options.measure:
        listed = commands(parts)
        if not 1 <= options.start <= len(listed):
            parser.error(f"--start: expected 1 to {len(listed)}, got {options.start}")
        begun = time.time()
        # before hours pass: every program and data file is there
        ready = [(command, words_of(command)) for command in listed]
        for number, (command, words) in enumerate(ready[options.start - 1 :], options.start):
            print(f"$ {command}", flush=True)
            ended = subprocess.run(words, cwd=ROOT, check=False)
            if ended.returncode:
                again = f"; go on with --measure --start {number}"
                print(f"benchmarks.comparison: {command} ended with {ended.returncode}{again}", file=sys.stderr)
                return 1
        for name, source in COLLECTED.items():
            write_metrics(RESULTS / f"{name}.json", read_metrics(ROOT / "report" / source))
        parts = build(Files())
        if options.start == 1 and (left := stale(parts, begun)):
            print(f"benchmarks.comparison: no command has written {', '.join(left)}", file=sys.stderr)
            return 1
    with replacing(RESULTS / "comparison.json") as file:
        json.dump(document(parts), file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(RESULTS / "comparison.json")
    for problem in update(ROOT, check=False):
        print(f"benchmarks.comparison: {problem}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
