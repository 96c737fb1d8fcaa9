"""Logic synthesis onto a cell library: hierarchical, measured, checked.

`synthesise` takes RTLIL or Verilog of any hierarchical design and leaves a mapped netlist with its reports in a fresh
directory. Four decisions make it scale and keep area small:

* Modules of equal content are merged first (`merge_identical_modules`): generators such as Amaranth emit one module per
  instance, so a layer of 16 equal neurons would otherwise be synthesised 16 times.
* Boundaries are kept around the direct children of the top module (the stages of the report), around modules that occur
  more than once, and where asked; everything else is flattened.
* Additions can use the library's full adders, which yosys' own mapping of ``$fa`` and ``$alu`` leaves unused: see
  `Recipe`.
* yosys-abc gets an own script with driving cell and load: its default one does not finish on multiplier arrays.

Gates are separate: `gate_synthesis` judges the metrics and fails on a missing one.
"""

import json
import math
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from flows.cells import AdderCell, CellLibrary
from flows.folder import fresh_folder
from flows.metrics import Metric, now, read_metrics, require_equal, write_metrics
from flows.yosys import YosysError, YosysRun, quote, run_yosys, yosys_version

__all__ = [
    "AREA",
    "BUFFERED",
    "Equivalence",
    "ModuleArea",
    "Recipe",
    "Stage",
    "SynthesisError",
    "SynthesisResult",
    "equivalence",
    "gate_synthesis",
    "load_result",
    "merge_identical_modules",
    "synthesise",
    "write_simulation_model",
]


class SynthesisError(RuntimeError):
    """The design cannot be synthesised as asked, or two independent counts of the result disagree."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to map: choices that trade area, delay and run time, the function being the same.

    Attributes
    ----------
    name : str
        For reports.
    booth : bool
        Radix-4 Booth recoding of multipliers (A. D. Booth, A signed binary multiplication technique, 1951) instead of
        an array of partial products.
    adder_cells : bool
        Map adders to the library's full adder where it has one; otherwise leave them to abc as gates.
    ripple : bool
        Ripple-carry for word additions and comparisons; otherwise yosys' parallel prefix (Brent-Kung).
    extract : bool
        Find full adders that the source writes as gates (``a ^ b ^ c`` and majority) with yosys' ``extract_fa``.
    complement : bool
        Full adders work on complemented operands: sum and carry of three complements are the complements of sum and
        carry, so partial products become NAND instead of AND, and only the ends of an adder tree pay an inverter.
    abc : tuple of str
        Commands of yosys-abc, run on each module after reading library and constraints.
    abc_small, small_cells : tuple of str, int
        Commands for modules of at most `small_cells` generic gates, for mappers whose run time grows faster than the
        module; none where empty.
    """

    name: str
    booth: bool = False
    adder_cells: bool = True
    ripple: bool = True
    extract: bool = False
    complement: bool = False
    abc: tuple[str, ...]
    abc_small: tuple[str, ...] = ()
    small_cells: int = 0


_REWRITE = ("strash", "dc2", "rewrite", "refactor", "balance", "rewrite -z", "dc2", "dch", "dch")

AREA = Recipe(
    name="area",
    # the adder trees are the library's full adders already; what is left for abc is the selection of partial products
    abc=("strash", "&get -n", "&nf -R 100", "&put", "topo", "buffer -c", "dnsize", "stime -p"),
    # emap (A. Tempia Calvino, G. De Micheli, Technology mapping using multi-output library cells, ICCAD 2023) maps
    # smaller, but its time grows with more than the square of the module's size
    abc_small=(*_REWRITE, "emap -a", "topo", "dnsize", "stime -p"),
    small_cells=3000,
)
"""Smallest area of the recipes that were measured; mapped without regard to delay beyond abc's down-sizing."""

BUFFERED = replace(
    AREA,
    name="buffered",
    # -p: what a module gets through its ports and from its flip-flops is buffered, too
    abc=("strash", "&get -n", "&nf -R 100", "&put", "topo", "buffer -c -p", "upsize", "dnsize", "stime -p"),
    abc_small=(*_REWRITE, "emap -a", "topo", "buffer -c -p", "upsize", "dnsize", "stime -p"),
)
"""`AREA`, then buffers on nets of more than ten loads and cells of the size that their loads ask for.

For a clock that a signal with hundreds of loads would miss."""


@dataclass(frozen=True, kw_only=True)
class ModuleArea:
    """One module of the netlist: how often it occurs, and one occurrence with everything below it.

    Areas in square micrometres; `gate_equivalents` in areas of the smallest two-input NAND.
    """

    module: str
    instances: int
    area_um2: float
    gate_equivalents: float
    flip_flops: int
    cells: int
    own_area_um2: float
    own_cells: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the stage table: all direct instances of one module in the top module, together.

    The last row has the top module's own name and no instances: cells that belong to the top module itself.
    """

    module: str
    instances: tuple[str, ...]
    area_um2: float
    gate_equivalents: float
    flip_flops: int
    cells: int


@dataclass(frozen=True, kw_only=True)
class SynthesisResult:
    """Where the outputs are and what they measure.

    Attributes
    ----------
    directory : Path
        Holds everything below and the scripts and logs of each yosys run.
    top : str
        Top module.
    netlist_verilog, netlist_json, netlist_rtlil : Path
        The mapped netlist, hierarchical.
    source_rtlil : Path
        The design as read, equal modules merged: the reference for `equivalence`.
    modules : tuple of ModuleArea
        Every module of the netlist, top first.
    stages : tuple of Stage
        Direct children of the top module, largest first, then the top module's own cells.
    metrics : tuple of Metric
        All figures with their origin.
    """

    directory: Path
    top: str
    netlist_verilog: Path
    netlist_json: Path
    netlist_rtlil: Path
    source_rtlil: Path
    modules: tuple[ModuleArea, ...]
    stages: tuple[Stage, ...]
    metrics: tuple[Metric, ...]

    @cached_property
    def values(self) -> Mapping[str, int | float | str]:
        """Metric values by name."""
        return {metric.name: metric.value for metric in self.metrics}

    @property
    def area_um2(self) -> float:
        """Cell area of the whole design in square micrometres."""
        return float(self.values["design__instance__area"])

    @property
    def gate_equivalents(self) -> float:
        """`area_um2` over the area of the smallest two-input NAND."""
        return float(self.values["design__instance__area__gate_equivalent"])

    @property
    def flip_flops(self) -> int:
        """Number of flip-flops."""
        return int(self.values["design__instance__count__class:flip_flop"])


# --- equal modules --------------------------------------------------------------------------------------------------

_PRIVATE = re.compile(r"(?<!\S)\$\S+")
_DEFINES = re.compile(r"^\s*(?:wire|cell|memory|process)\b.*?(\S+)$")
_CELL = re.compile(r"^(\s*cell )(\S+)( \S+)$")


@dataclass
class _Module:
    name: str
    header: list[str]
    body: list[str]


def _split_modules(rtlil: str) -> tuple[list[str], list[_Module]]:
    """Split RTLIL text into what precedes the modules and the modules, each with its attributes as header."""
    preamble: list[str] = []
    modules: list[_Module] = []
    header: list[str] = []
    current: _Module | None = None
    for line in rtlil.splitlines():
        if current is not None:
            if line == "end":
                modules.append(current)
                current = None
            else:
                current.body.append(line)
        elif line.startswith("module "):
            current = _Module(line.split(" ", 1)[1].strip(), header, [])
            header = []
        elif line.startswith("attribute "):
            header.append(line)
        elif line.strip() and not line.startswith("#"):
            preamble.append(line)
    if current is not None:
        raise ValueError(f"RTLIL text ends inside module {current.name}")
    return preamble, modules


def merge_identical_modules(rtlil: str) -> tuple[str, dict[str, str]]:
    """Merge modules of equal content, children first, so that each distinct module stays once.

    Two modules are equal when their text is, source locations and the numbering of private (``$``) names aside, with
    children compared by what they were merged into. Names of ports and public wires count.

    Parameters
    ----------
    rtlil : str
        A design as RTLIL text.

    Returns
    -------
    merged : str
        The same design with the copies removed.
    representative : dict of str to str
        For each removed module the one that stands for it, names as in RTLIL (with backslash).

    Raises
    ------
    ValueError
        The text is no RTLIL, or its modules instantiate each other in a circle.
    """
    preamble, modules = _split_modules(rtlil)
    if not modules:
        raise ValueError("RTLIL text without a module")
    by_name = {module.name: module for module in modules}
    if len(by_name) != len(modules):
        raise ValueError("RTLIL text with two modules of one name")
    representative: dict[str, str] = {}
    seen: dict[str, str] = {}
    state: dict[str, int] = {}

    def visit(name: str) -> None:
        if state.get(name) == 2:
            return
        if state.get(name) == 1:
            raise ValueError(f"module {name} contains itself")
        state[name] = 1
        module = by_name[name]
        for index, line in enumerate(module.body):
            if (cell := _CELL.match(line)) and cell.group(2) in by_name:
                visit(cell.group(2))
                target = representative.get(cell.group(2), cell.group(2))
                module.body[index] = f"{cell.group(1)}{target}{cell.group(3)}"
        private: dict[str, str] = {}
        for line in module.body:
            if (defined := _DEFINES.match(line)) and defined.group(1).startswith("$"):
                private.setdefault(defined.group(1), f"${len(private)}")
        text = "\n".join(
            _PRIVATE.sub(lambda match: private.get(match.group(), match.group()), line)
            for line in [*module.header, *module.body]
            if not line.lstrip().startswith(("attribute \\src ", "attribute \\hdlname "))
        )
        first = seen.setdefault(text, name)
        if first != name:
            representative[name] = first
        state[name] = 2

    for module in modules:
        visit(module.name)
    lines = list(preamble)
    for module in modules:
        if module.name not in representative:
            lines += [*module.header, f"module {module.name}", *module.body, "end"]
    return "\n".join(lines) + "\n", representative


# --- technology maps ------------------------------------------------------------------------------------------------

_FULL_ADDER_BOX = r"""
(* blackbox *)
module _liquidcal_fa_ (input A, input B, input CI, output CO, output S);
endmodule
"""

# `$fa` is a row of full adders (X carry, Y sum); `$alu` as yosys' manual defines it
_CARRY_SAVE_MAP = r"""
(* techmap_celltype = "$fa" *)
module liquidcal_carry_save (A, B, C, X, Y);
  parameter WIDTH = 1;
  (* force_downto *) input [WIDTH-1:0] A, B, C;
  (* force_downto *) output [WIDTH-1:0] X, Y;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin : bits
    _liquidcal_fa_ fa (.A(A[i]), .B(B[i]), .CI(C[i]), .CO(X[i]), .S(Y[i]));
  end endgenerate
endmodule
"""

_RIPPLE_MAP = r"""
(* techmap_celltype = "$alu" *)
module liquidcal_ripple (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  input CI, BI;
  (* force_downto *) output [Y_WIDTH-1:0] X, Y, CO;
  (* force_downto *) wire [Y_WIDTH-1:0] a, extended, b;
  (* force_downto *) wire [Y_WIDTH:0] carry;
  \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
  \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(extended));
  assign b = extended ^ {Y_WIDTH{BI}};
  assign carry[0] = CI;
  genvar i;
  generate for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
    _liquidcal_fa_ fa (.A(a[i]), .B(b[i]), .CI(carry[i]), .CO(carry[i + 1]), .S(Y[i]));
  end endgenerate
  assign X = a ^ b;
  assign CO = carry[Y_WIDTH:1];
endmodule
"""

# a full adder with a constant or twice the same input is less than a full adder
_SIMPLIFY_MAP = r"""
(* techmap_celltype = "_liquidcal_fa_" *)
module liquidcal_simplify (A, B, CI, CO, S);
  input A, B, CI;
  output CO, S;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTVAL_B_ = 0;
  parameter _TECHMAP_CONSTMSK_CI_ = 0;
  parameter _TECHMAP_CONSTVAL_CI_ = 0;
  parameter _TECHMAP_BITS_CONNMAP_ = 0;
  parameter [_TECHMAP_BITS_CONNMAP_-1:0] _TECHMAP_CONNMAP_A_ = 0;
  parameter [_TECHMAP_BITS_CONNMAP_-1:0] _TECHMAP_CONNMAP_B_ = 0;
  parameter [_TECHMAP_BITS_CONNMAP_-1:0] _TECHMAP_CONNMAP_CI_ = 0;
  localparam A0 = _TECHMAP_CONSTMSK_A_ && _TECHMAP_CONSTVAL_A_ !== 1'b1;
  localparam B0 = _TECHMAP_CONSTMSK_B_ && _TECHMAP_CONSTVAL_B_ !== 1'b1;
  localparam C0 = _TECHMAP_CONSTMSK_CI_ && _TECHMAP_CONSTVAL_CI_ !== 1'b1;
  generate
    if (A0) begin assign CO = B & CI; assign S = B ^ CI; end
    else if (B0) begin assign CO = A & CI; assign S = A ^ CI; end
    else if (C0) begin assign CO = A & B; assign S = A ^ B; end
    else if (_TECHMAP_CONSTMSK_A_) begin assign CO = B | CI; assign S = ~(B ^ CI); end
    else if (_TECHMAP_CONSTMSK_B_) begin assign CO = A | CI; assign S = ~(A ^ CI); end
    else if (_TECHMAP_CONSTMSK_CI_) begin assign CO = A | B; assign S = ~(A ^ B); end
    else if (_TECHMAP_CONNMAP_A_ == _TECHMAP_CONNMAP_B_) begin assign CO = A; assign S = CI; end
    else if (_TECHMAP_CONNMAP_A_ == _TECHMAP_CONNMAP_CI_) begin assign CO = A; assign S = B; end
    else if (_TECHMAP_CONNMAP_B_ == _TECHMAP_CONNMAP_CI_) begin assign CO = B; assign S = A; end
    else wire _TECHMAP_FAIL_ = 1;
  endgenerate
endmodule
"""

# only one output used: gates are smaller than the compound cell
_PARTIAL_MAP = r"""
(* techmap_celltype = "_liquidcal_fa_sum_" *)
module liquidcal_sum_only (A, B, CI, CO, S);
  input A, B, CI;
  output CO, S;
  assign S = A ^ B ^ CI;
  assign CO = 1'bx;
endmodule
(* techmap_celltype = "_liquidcal_fa_carry_" *)
module liquidcal_carry_only (A, B, CI, CO, S);
  input A, B, CI;
  output CO, S;
  assign CO = (A & B) | (CI & (A | B));
  assign S = 1'bx;
endmodule
"""


def _cell_map(adder: AdderCell, complement: bool) -> str:
    """Technology map from the full-adder box to the library's cell."""
    nets = ("~A", "~B", "~CI") if complement else ("A", "B", "CI")
    pins = ", ".join(f".{pin}({net})" for pin, net in zip(adder.inputs, nets, strict=True))
    body = f"\\{adder.cell} _TECHMAP_REPLACE_ ({pins}, .{adder.sum}(s), .{adder.carry}(co));"
    out = "~" if complement else ""
    body = f"wire s, co; {body} assign S = {out}s; assign CO = {out}co;"
    return (
        '(* techmap_celltype = "_liquidcal_fa_" *)\n'
        "module liquidcal_fa_cell (input A, input B, input CI, output CO, output S);\n"
        f"  {body}\nendmodule\n"
    )


# --- netlist --------------------------------------------------------------------------------------------------------


def _public(name: str) -> str:
    return name.removeprefix("\\")


def _count(
    netlist: Mapping[str, Any], top: str, library: CellLibrary, black_boxes: Collection[str] = ()
) -> tuple[tuple[ModuleArea, ...], tuple[Stage, ...], Counter[str], Counter[str]]:
    """Areas and counts from the netlist itself: modules, stages, library cells by type, cells of no library by type.

    Black boxes of the source are nobody's cells: they have no area and are not counted.
    """
    modules = {name: body for name, body in netlist["modules"].items() if name == top or _is_design(body)}
    own = {name: Counter(str(cell["type"]) for cell in body["cells"].values()) for name, body in modules.items()}
    flops = set(library.flip_flops)
    totals: dict[str, tuple[float, int, int]] = {}
    instances: Counter[str] = Counter()

    def total(name: str) -> tuple[float, int, int]:
        if name not in totals:
            area, count, registers = 0.0, 0, 0
            for kind, number in own[name].items():
                if kind in modules:
                    below = total(kind)
                    area += number * below[0]
                    count += number * below[1]
                    registers += number * below[2]
                elif kind in library.cells:
                    area += number * library.cells[kind].area_um2
                    count += number
                    registers += number * (kind in flops)
            totals[name] = (area, count, registers)
        return totals[name]

    order: list[str] = []

    def parents_first(name: str) -> None:
        if name in order:
            return
        for kind in own[name]:
            if kind in modules:
                parents_first(kind)
        order.append(name)

    total(top)
    parents_first(top)
    instances[top] = 1
    mapped: Counter[str] = Counter()
    unmapped: Counter[str] = Counter()
    for name in reversed(order):
        for kind, number in own[name].items():
            if kind in modules:
                instances[kind] += number * instances[name]
            elif kind in library.cells:
                mapped[kind] += number * instances[name]
            elif kind not in black_boxes:
                unmapped[kind] += number * instances[name]

    def own_area(name: str) -> tuple[float, int, int]:
        cells = {kind: number for kind, number in own[name].items() if kind in library.cells}
        return (
            math.fsum(number * library.cells[kind].area_um2 for kind, number in cells.items()),
            sum(cells.values()),
            sum(number for kind, number in cells.items() if kind in flops),
        )

    rows = tuple(
        ModuleArea(
            module=name,
            instances=instances[name],
            area_um2=totals[name][0],
            gate_equivalents=library.gate_equivalents(totals[name][0]),
            flip_flops=totals[name][2],
            cells=totals[name][1],
            own_area_um2=own_area(name)[0],
            own_cells=own_area(name)[1],
        )
        for name in reversed(order)
    )
    children: dict[str, list[str]] = {}
    for instance, cell in modules[top]["cells"].items():
        if cell["type"] in modules:
            children.setdefault(cell["type"], []).append(instance)
    stages = [
        Stage(
            module=kind,
            instances=tuple(sorted(names)),
            area_um2=len(names) * totals[kind][0],
            gate_equivalents=library.gate_equivalents(len(names) * totals[kind][0]),
            flip_flops=len(names) * totals[kind][2],
            cells=len(names) * totals[kind][1],
        )
        for kind, names in children.items()
    ]
    stages.sort(key=lambda stage: (-stage.area_um2, stage.module))
    top_area, top_cells, top_flip_flops = own_area(top)
    stages.append(
        Stage(
            module=top,
            instances=(),
            area_um2=top_area,
            gate_equivalents=library.gate_equivalents(top_area),
            flip_flops=top_flip_flops,
            cells=top_cells,
        )
    )
    return rows, tuple(stages), mapped, unmapped


def _is_design(body: Mapping[str, Any]) -> bool:
    attributes = body.get("attributes", {})
    return not any(int(str(attributes.get(key, "0")), 2) for key in ("blackbox", "whitebox"))


def _half_used_adders(netlist: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Full-adder boxes of which only the sum, or only the carry, is read: as ``module/cell`` selections of yosys."""
    sum_only, carry_only = [], []
    for name, body in netlist["modules"].items():
        if not _is_design(body):
            continue
        used: set[Any] = set()
        for port in body["ports"].values():
            if port["direction"] != "input":
                used.update(port["bits"])
        boxes = {}
        for cell_name, cell in body["cells"].items():
            if cell["type"] == "_liquidcal_fa_":
                boxes[cell_name] = cell["connections"]
            directions = cell.get("port_directions", {})
            for pin, bits in cell["connections"].items():
                if directions.get(pin) != "output":
                    used.update(bits)
        for cell_name, pins in boxes.items():
            carry, total = pins["CO"][0] in used, pins["S"][0] in used
            if total and not carry:
                sum_only.append(f"{name}/{cell_name}")
            elif carry and not total:
                carry_only.append(f"{name}/{cell_name}")
    return sum_only, carry_only


def _problems(report: str) -> tuple[int, int]:
    """Number of combinational loops and of other problems in what yosys' ``check`` wrote."""
    loops = len(re.findall(r"^Warning: found logic loop in module", report, re.MULTILINE))
    found = re.search(r"Found and reported (\d+) problems", report)
    if found is None:
        raise SynthesisError("yosys check wrote no result")
    return loops, int(found.group(1)) - loops


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _plan(
    netlist: Mapping[str, Any], top: str, keep: Sequence[str], flatten: Sequence[str], min_keep_cells: int
) -> list[str]:
    """Names of the modules whose boundaries stay."""
    modules = {name: body for name, body in netlist["modules"].items() if _is_design(body)}
    children = {
        name: Counter(cell["type"] for cell in body["cells"].values() if cell["type"] in modules)
        for name, body in modules.items()
    }
    instances: Counter[str] = Counter()

    def walk(name: str, times: int) -> None:
        instances[name] += times
        for child, number in children[name].items():
            walk(child, times * number)

    walk(top, 1)

    def size(name: str) -> int:
        own = 0
        for cell in modules[name]["cells"].values():
            if cell["type"] not in modules:
                own += max((len(bits) for bits in cell["connections"].values()), default=1) * (
                    8 if cell["type"] in ("$mul", "$macc", "$macc_v2", "$shiftx", "$pmux", "$mem_v2") else 1
                )
        return own + sum(number * size(child) for child, number in children[name].items())

    kept = []
    for name in instances:
        attributes = modules[name].get("attributes", {})
        asked = bool(int(str(attributes.get("keep_hierarchy", "0")), 2))
        if name == top:
            continue
        if _matches(name, keep) or (
            not _matches(name, flatten)
            and (asked or name in children[top] or (instances[name] > 1 and size(name) >= min_keep_cells))
        ):
            kept.append(name)
    return kept


# --- the step -------------------------------------------------------------------------------------------------------


def _read_command(source: str | Path | Sequence[Path], directory: Path) -> tuple[str, str | None]:
    """The yosys command that reads the source, and its text where it is RTLIL."""
    if isinstance(source, str):
        if re.search(r"^\s*endmodule\b", source, re.MULTILINE) or re.search(r"\bendmodule\b", source):
            (directory / "source.v").write_text(source)
            return "read_verilog -sv source.v", None
        if re.search(r"^module \\", source, re.MULTILINE):
            return "read_rtlil source.il", source
        raise ValueError("source text is neither Verilog (no endmodule) nor RTLIL (no module)")
    paths = [source] if isinstance(source, Path) else list(source)
    if not paths:
        raise ValueError("no source files given")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"no source file {path}")
    if all(path.suffix in (".il", ".rtlil") for path in paths):
        if len(paths) != 1:
            raise ValueError(f"one RTLIL file expected, got {len(paths)}")
        return "read_rtlil source.il", paths[0].read_text()
    if any(path.suffix in (".il", ".rtlil") for path in paths):
        raise ValueError("RTLIL and Verilog files cannot be mixed")
    return "\n".join(f"read_verilog -sv {quote(path.resolve())}" for path in paths), None


def _read_library(library: CellLibrary, *, functions: bool = False) -> str:
    flags = "-overwrite -ignore_miss_func" if functions else "-lib -overwrite -ignore_miss_func"
    return "\n".join(f"read_liberty {flags} {quote(path)}" for path in library.liberty)


def _liberty_flags(library: CellLibrary) -> str:
    return " ".join(f"-liberty {quote(path)}" for path in library.liberty)


def _dont_use_flags(cells: Iterable[str]) -> str:
    return " ".join(f"-dont_use {cell}" for cell in cells)


def _selection(names: Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def synthesise(
    source: str | Path | Sequence[Path],
    *,
    top: str,
    library: CellLibrary,
    out_dir: Path,
    clock_period_ns: float = 25.0,
    recipe: Recipe = AREA,
    keep: Sequence[str] = (),
    flatten: Sequence[str] = (),
    min_keep_cells: int = 64,
    clock_gating: bool = False,
    timeout_s: float = 1200.0,
    command: str = "",
) -> SynthesisResult:
    """Synthesise a design onto a cell library.

    The step works in a temporary directory beside `out_dir` and moves it there when everything is complete: an
    interrupted run leaves nothing, an earlier result of `out_dir` is replaced.

    Parameters
    ----------
    source : str, Path or sequence of Path
        RTLIL or Verilog text (SystemVerilog as yosys reads it); one RTLIL file (``.il``, ``.rtlil``); or Verilog files.
    top : str
        Name of the top module.
    library : CellLibrary
        Target library.
    out_dir : Path
        Result directory: absent, empty, or an earlier result of this step.
    clock_period_ns : float
        Delay target of abc for each piece of logic between registers and adder cells.
    recipe : Recipe
        Mapping choices.
    keep, flatten : sequence of str
        Shell patterns of module names whose boundary stays, or goes; `keep` wins. Replicated registers under a voter
        must be kept: flattened, they are equal and merge into one.
    min_keep_cells : int
        Repeated modules below this rough size (in word-level cell bits, a multiplier bit counts 8) are flattened.
    clock_gating : bool
        Turn groups of at least 4 flip-flops with a common enable into a clock gate of the library and plain flip-flops.
    timeout_s : float
        Limit of each of the yosys runs in seconds.
    command : str
        What to run to obtain the figures again, for their provenance; the call of this function if left out.

    Returns
    -------
    SynthesisResult
        Outputs and figures. Judge them with `gate_synthesis`.

    Raises
    ------
    YosysError
        yosys refused the design or ran into the time limit.
    SynthesisError
        Independent area counts disagree.
    FileExistsError
        `out_dir` holds something else.
    ValueError, FileNotFoundError
        A bad argument.
    """
    if clock_period_ns <= 0:
        raise ValueError(f"clock_period_ns must be positive, got {clock_period_ns}")
    if clock_gating and not library.of_kind("clock_gate"):
        raise ValueError(f"library {library.name} has no clock gate")
    with fresh_folder(out_dir, marker="metrics.json") as work:
        _synthesise(
            source=source,
            top=top,
            library=library,
            work=work,
            clock_period_ns=clock_period_ns,
            recipe=recipe,
            keep=keep,
            flatten=flatten,
            min_keep_cells=min_keep_cells,
            clock_gating=clock_gating,
            timeout_s=timeout_s,
            command=command,
        )
    return load_result(out_dir)


def _synthesise(
    *,
    source: str | Path | Sequence[Path],
    top: str,
    library: CellLibrary,
    work: Path,
    clock_period_ns: float,
    recipe: Recipe,
    keep: Sequence[str],
    flatten: Sequence[str],
    min_keep_cells: int,
    clock_gating: bool,
    timeout_s: float,
    command: str,
) -> None:
    runs: dict[str, YosysRun] = {}

    def run(name: str, lines: Sequence[str]) -> None:
        runs[name] = run_yosys("\n".join(lines) + "\n", directory=work, name=name, timeout_s=timeout_s)

    top_id = top if top.startswith("\\") else f"\\{top}"
    top = _public(top_id)
    read, rtlil = _read_command(source, work)
    if rtlil is None:
        run("read", [read, f"hierarchy -check -top {top_id}", "write_rtlil read.il"])
        rtlil = (work / "read.il").read_text()
    merged, representative = merge_identical_modules(rtlil)
    if top_id in representative:
        raise SynthesisError(f"top module {top} equals {representative[top_id]}, which stands elsewhere in the design")
    (work / "source.il").write_text(merged)

    run(
        "elaborate",
        [
            "read_rtlil source.il",
            f"hierarchy -check -top {top_id}",
            "proc",
            "chformal -remove",
            "delete t:$print t:$scopeinfo",
            "opt_expr",
            "opt_clean",
            "write_rtlil elaborated.il",
            "write_json elaborated.json",
            # loops may close over module boundaries: look at the flat design
            "setattr -mod -unset keep_hierarchy",
            "flatten",
            "tee -o check_source.txt check",
        ],
    )
    elaborated = json.loads((work / "elaborated.json").read_text())
    black_boxes = sorted(name for name, body in elaborated["modules"].items() if not _is_design(body))
    kept = _plan(elaborated, top, keep, flatten, min_keep_cells)
    (work / "kept.txt").write_text(_selection(kept))

    boxes = recipe.adder_cells or recipe.ripple
    (work / "full_adder_box.v").write_text(_FULL_ADDER_BOX)
    (work / "arithmetic_map.v").write_text(_CARRY_SAVE_MAP + (_RIPPLE_MAP if recipe.ripple else ""))
    (work / "simplify_map.v").write_text(_SIMPLIFY_MAP)
    (work / "partial_map.v").write_text(_PARTIAL_MAP)
    adder = library.full_adder if recipe.adder_cells else None
    gates_map = _GATES_MAP if adder is None else _cell_map(adder, recipe.complement)
    (work / "cell_map.v").write_text(gates_map)
    simplify = ["techmap -map simplify_map.v", "opt_expr", "opt_merge", "opt_clean"]
    enables = "" if clock_gating else "-nodffe"
    arithmetic = ["maccmap", "techmap -map arithmetic_map.v", "opt_expr", "opt_clean", *simplify * 3] if boxes else []
    run(
        "map",
        [
            "read_rtlil elaborated.il",
            f"hierarchy -check -top {top_id}",
            "read_verilog -lib full_adder_box.v",
            "setattr -mod -unset keep_hierarchy",
            *([f"setattr -mod -set keep_hierarchy 1 {' '.join(kept)}"] if kept else []),
            "flatten",
            f"hierarchy -check -top {top_id}",
            "opt_expr",
            "opt_clean",
            f"opt {enables} -nosdff",
            "wreduce",
            "peepopt",
            "opt_clean",
            *(["booth"] if recipe.booth else []),
            "alumacc",
            "share",
            f"opt {enables} -nosdff",
            "memory -nomap",
            "opt_clean",
            f"opt -fast -full {enables} -nosdff",
            "memory_map",
            f"opt -undriven -fine {enables} -nosdff",
            *arithmetic,
            "techmap",
            "opt_expr",
            "opt_merge",
            "opt_clean",
            *(simplify * 3 if boxes else []),
            *(["techmap", "extract_fa -fa", "techmap -map arithmetic_map.v", *simplify] if recipe.extract else []),
            "techmap",
            f"opt -fast {enables} -nosdff",
            "write_rtlil mapped.il",
            "write_json mapped.json",
        ],
    )
    mapped_json = json.loads((work / "mapped.json").read_text())
    sum_only, carry_only = _half_used_adders(mapped_json)
    sizes = {name: len(body["cells"]) for name, body in mapped_json["modules"].items() if _is_design(body)}
    small = [name for name, size in sizes.items() if recipe.abc_small and size <= recipe.small_cells]
    large = [name for name in sizes if name not in small]
    partial = []
    for kind, names in (("sum", sum_only), ("carry", carry_only)):
        if names:
            (work / f"{kind}_only.txt").write_text(_selection(names))
            partial += [
                f"select -read {kind}_only.txt",
                f"chtype -set _liquidcal_fa_{kind}_",
                "select -clear",
            ]
    (work / "constraints.txt").write_text(f"set_driving_cell {library.driving_cell}\nset_load {library.load_ff}\n")
    (work / "recipe.abc").write_text("\n".join(recipe.abc) + "\n")
    (work / "small.abc").write_text("\n".join(recipe.abc_small) + "\n")
    liberty = _liberty_flags(library)
    unused = _dont_use_flags(library.dont_use)
    tie = []
    if library.tie_low is not None and library.tie_high is not None:
        tie = [f"hilomap -singleton -locell {' '.join(library.tie_low)} -hicell {' '.join(library.tie_high)}"]
    run(
        "netlist",
        [
            "read_verilog -lib full_adder_box.v",
            "read_rtlil mapped.il",
            *partial,
            "techmap -map partial_map.v",
            "techmap -map cell_map.v",
            *([f"clockgate {liberty} {unused} -min_net_size 4"] if clock_gating else []),
            f"dfflibmap {unused} {liberty}",
            "techmap",
            "opt_expr",
            "opt_merge",
            "opt_clean",
            *(
                f"abc {liberty} {unused} -constr constraints.txt -D {1000 * clock_period_ns:.0f} "
                f"-script {script} {' '.join(names)}"
                for script, names in (("recipe.abc", large), ("small.abc", small))
                if names
            ),
            "opt_clean -purge",
            # a netlist for placement and timing knows neither 'x nor initial values
            "setundef -zero",
            "setattr -unset init",
            *tie,
            "splitnets",
            "opt_clean -purge",
            _read_library(library),
            f"hierarchy -check -top {top_id}",
            "tee -o check_netlist.txt check -mapped",
            f"tee -q -o stat.json stat -json {liberty} -top {top_id}",
            "write_rtlil netlist.il",
            "write_json netlist.json",
            "write_verilog -noattr -noexpr -nohex -nodec netlist.v",
        ],
    )

    netlist = json.loads((work / "netlist.json").read_text())
    modules, stages, mapped, unmapped = _count(netlist, top, library, black_boxes)
    stat = json.loads((work / "stat.json").read_text())
    area = modules[0].area_um2
    yosys_area = float(stat["design"].get("area", 0.0))
    if not math.isclose(area, yosys_area, rel_tol=1e-6, abs_tol=1e-3):
        raise SynthesisError(f"netlist area {area} um2 differs from yosys stat's design area {yosys_area} um2")
    loops_source, other_source = _problems((work / "check_source.txt").read_text())
    loops_netlist, other_netlist = _problems((work / "check_netlist.txt").read_text())
    version, date = yosys_version(), now()
    command = command or (
        f"flows.synthesis.synthesise(top={top!r}, library={library.name!r}, recipe={recipe.name!r}, "
        f"clock_period_ns={clock_period_ns})"
    )

    def metric(name: str, value: int | float, unit: str, method: str) -> Metric:
        return Metric(
            name=name,
            value=value,
            unit=unit,
            tool="yosys",
            tool_version=version,
            library=library.name,
            library_sha256=library.sha256,
            method=method,
            command=command,
            date=date,
        )

    by_kind = Counter(dict.fromkeys(("flip_flop", "latch", "clock_gate", "combinational", "tie"), 0))
    for cell, number in mapped.items():
        by_kind[library.cells[cell].kind] += number
    walked = "sum of Liberty cell areas over the hierarchical netlist; equals yosys stat's design area"
    counted = "counted in the hierarchical netlist"
    metrics = [
        metric("design__instance__area", area, "um2", walked),
        metric(
            "design__instance__area__gate_equivalent",
            library.gate_equivalents(area),
            "GE",
            f"area over {library.nand2_area_um2} um2 of {library.nand2}",
        ),
        metric("design__instance__count", sum(mapped.values()), "", counted),
        metric("design__instance_unmapped__count", sum(unmapped.values()), "", "neither library cells nor modules"),
        metric(
            "design__black_box__count",
            len(black_boxes),
            "",
            f"modules of which only the ports are known, without area: {', '.join(black_boxes) or 'none'}",
        ),
        *(
            metric(f"design__instance__count__class:{kind}", number, "", f"{counted}; class by Liberty groups")
            for kind, number in sorted(by_kind.items())
        ),
        metric(
            "design__instance__count__class:full_adder",
            mapped[library.full_adder.cell] if library.full_adder else 0,
            "",
            counted,
        ),
        metric("design__module__count", len(modules), "", "distinct modules of the netlist"),
        metric("design__module_merged__count", len(representative), "", "modules of the source that equal another one"),
        metric(
            "design__combinational_loop__count",
            loops_source + loops_netlist,
            "",
            "yosys check on the flattened source and on each module of the netlist",
        ),
        metric(
            "design__check_problem__count",
            other_source + other_netlist,
            "",
            "yosys check: undriven or multiply driven wires, unknown cells",
        ),
    ]
    for stage in stages:
        tag = re.sub(r"[^A-Za-z0-9_.]", "_", stage.module)
        for name, amount, unit in (
            ("design__instance__area", stage.area_um2, "um2"),
            ("design__instance__area__gate_equivalent", stage.gate_equivalents, "GE"),
            ("design__instance__count", stage.cells, ""),
            ("design__flip_flop__count", stage.flip_flops, ""),
        ):
            scope = (
                f"all {len(stage.instances)} instance(s), with submodules" if stage.instances else "the top's own cells"
            )
            method = walked if unit == "um2" else counted
            metrics.append(metric(f"{name}__module:{tag}", amount, unit, f"{method}; {scope}"))
    wall, memory = "wall-clock time of the yosys process", "resident memory of the process group, sampled"
    for name, done in runs.items():
        metrics.append(metric(f"flow__runtime__total__step:{name}", round(done.wall_s, 3), "s", wall))
        metrics.append(metric(f"flow__memory__peak__step:{name}", done.peak_memory_bytes, "B", memory))
    total_s = sum(done.wall_s for done in runs.values())
    metrics.append(metric("flow__runtime__total", round(total_s, 3), "s", "sum over the steps"))
    peak_bytes = max(done.peak_memory_bytes for done in runs.values())
    metrics.append(metric("flow__memory__peak", peak_bytes, "B", "largest of the steps"))
    unmapped_text = {"unmapped": dict(sorted(unmapped.items())), "cells": dict(sorted(mapped.items()))}
    tables = {
        "top": top,
        "library": library.name,
        "library_sha256": library.sha256,
        "recipe": asdict(recipe),
        "modules": [asdict(row) for row in modules],
        "stages": [asdict(row) for row in stages],
        **unmapped_text,
    }
    (work / "modules.json").write_text(json.dumps(tables, indent=1) + "\n")
    for scratch in ("elaborated.json", "mapped.json", "read.il"):
        (work / scratch).unlink(missing_ok=True)
    write_metrics(work / "metrics.json", metrics)


_GATES_MAP = """
(* techmap_celltype = "_liquidcal_fa_" *)
module liquidcal_fa_gates (input A, input B, input CI, output CO, output S);
  wire t = A ^ B;
  assign S = t ^ CI;
  assign CO = (A & B) | (CI & t);
endmodule
"""


def load_result(directory: Path) -> SynthesisResult:
    """Read back what `synthesise` left in a directory."""
    path = directory / "modules.json"
    if not path.is_file() or not (directory / "metrics.json").is_file():
        raise FileNotFoundError(f"{directory} holds no synthesis result")
    tables = json.loads(path.read_text())
    return SynthesisResult(
        directory=directory,
        top=tables["top"],
        netlist_verilog=directory / "netlist.v",
        netlist_json=directory / "netlist.json",
        netlist_rtlil=directory / "netlist.il",
        source_rtlil=directory / "source.il",
        modules=tuple(ModuleArea(**row) for row in tables["modules"]),
        stages=tuple(Stage(**{**row, "instances": tuple(row["instances"])}) for row in tables["stages"]),
        metrics=read_metrics(directory / "metrics.json"),
    )


def gate_synthesis(
    metrics: Sequence[Metric], *, flip_flops: int | None = None, allow_latches: bool = False
) -> tuple[Metric, ...]:
    """Gate: every cell mapped, no latch, no combinational loop, no undriven net, the flip-flop count as expected.

    Parameters
    ----------
    metrics : sequence of Metric
        What `synthesise` measured.
    flip_flops : int or None
        Expected number of flip-flops, or None for no expectation.
    allow_latches : bool
        True where the design uses latches on purpose.

    Returns
    -------
    tuple of Metric
        The metrics that were judged.

    Raises
    ------
    GateError
        The first gate that fails, or a metric that is missing.
    """
    judged = [
        require_equal(metrics, "design__instance_unmapped__count", 0),
        require_equal(metrics, "design__combinational_loop__count", 0),
        require_equal(metrics, "design__check_problem__count", 0),
    ]
    if not allow_latches:
        judged.append(require_equal(metrics, "design__instance__count__class:latch", 0))
    if flip_flops is not None:
        judged.append(require_equal(metrics, "design__instance__count__class:flip_flop", flip_flops))
    return tuple(judged)


# --- is the netlist right? ------------------------------------------------------------------------------------------


def write_simulation_model(
    result: SynthesisResult, library: CellLibrary, path: Path, *, timeout_s: float = 600.0
) -> None:
    """Write the netlist with its cells as zero-delay functions: Verilog that any simulator reads, Verilator included.

    Parameters
    ----------
    result : SynthesisResult
        A netlist.
    library : CellLibrary
        The library that it was mapped to; a library of another hash raises ValueError.
    path : Path
        Output Verilog file, written completely or not at all.
    """
    if result.metrics[0].library_sha256 != library.sha256:
        raise ValueError(f"{result.directory} was not mapped to this version of library {library.name}")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.absolute().parent) as scratch:
        run_yosys(
            "\n".join(
                [
                    _read_library(library, functions=True),
                    f"read_rtlil {quote(result.netlist_rtlil.resolve())}",
                    f"hierarchy -check -top \\{result.top}",
                    "proc",
                    "opt_clean",
                    "write_verilog -noattr model.v",
                ]
            ),
            directory=Path(scratch),
            name="simulation_model",
            timeout_s=timeout_s,
        )
        (Path(scratch) / "model.v").replace(path)


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Outcome of `equivalence`: `proved`, or a counterexample or an unproved rest, told by the end of the log."""

    module: str
    proved: bool
    method: Literal["induction", "miter"]
    log: str


def equivalence(
    *,
    gold: str | Path,
    gate: str | Path,
    module: str,
    library: CellLibrary,
    directory: Path,
    gate_module: str | None = None,
    method: Literal["induction", "miter"] = "induction",
    timeout_s: float = 300.0,
) -> Equivalence:
    """Prove that a module of a netlist does what its source does, for every input and state.

    Parameters
    ----------
    gold, gate : str or Path
        Source and netlist: RTLIL text, or a file. The netlist may use cells of `library`.
    module : str
        Module to compare, with everything below it; `gate_module` where the netlist calls it otherwise.
    library : CellLibrary
        Gives the functions of the netlist's cells.
    directory : Path
        Working directory, created.
    method : {"induction", "miter"}
        ``induction``: ``equiv_make``, ``equiv_simple``, ``equiv_induct``, for modules with registers, matched by name.
        ``miter``: one SAT problem for modules without registers.
    timeout_s : float
        Limit in seconds; running into it raises `YosysError`.
    """
    directory.mkdir(parents=True, exist_ok=True)

    def prepare(source: str | Path, name: str, found: str, cells: bool) -> list[str]:
        read, rtlil = _read_command(source, directory)
        file = f"{name}.il"
        if rtlil is not None:
            (directory / file).write_text(rtlil)
            read = f"read_rtlil {file}"
        elif isinstance(source, str):
            (directory / "source.v").rename(directory / f"{name}.v")
            read = f"read_verilog -sv {name}.v"
        return [
            *([_read_library(library, functions=True)] if cells else []),
            read,
            "setattr -mod -unset keep_hierarchy",
            f"hierarchy -check -top \\{_public(found)}",
            "proc",
            "flatten",
            "memory",
            "opt_clean",
            "async2sync",
            f"rename -top {name}",
            f"design -stash {name}",
        ]

    lines = [
        *prepare(gold, "gold", module, False),
        *prepare(gate, "gate", gate_module or module, True),
        "design -copy-from gold -as gold gold",
        "design -copy-from gate -as gate gate",
    ]
    if method == "miter":
        lines += [
            "miter -equiv -flatten -make_outputs gold gate miter",
            "hierarchy -top miter",
            "opt -fast",
            "sat -verify -prove trigger 0 -show-inputs -show-outputs miter",
        ]
    else:
        lines += [
            "equiv_make gold gate equiv",
            "hierarchy -top equiv",
            "opt_clean",
            "equiv_simple -undef",
            "equiv_induct",
            "equiv_status -assert",
        ]
    try:
        done = run_yosys("\n".join(lines) + "\n", directory=directory, name="equivalence", timeout_s=timeout_s)
    except YosysError as error:
        # only these two ends are answers; a time limit or a refused design is none
        refuted = re.search(r"^ERROR: Called with -verify and proof did fail!", error.log, re.MULTILINE)
        open_rest = re.search(
            r"^ERROR: Found \d+ unproven \$equiv cells in 'equiv_status -assert'", error.log, re.MULTILINE
        )
        if refuted or open_rest:
            return Equivalence(module=module, proved=False, method=method, log=error.log)
        raise
    return Equivalence(module=module, proved=True, method=method, log=done.log)
