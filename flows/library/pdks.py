"""Open process design kits on this machine: which files of theirs a library consists of, by corner.

A kit is looked for below ``$PDK_ROOT`` (open_pdks and IHP-Open-PDK layouts) and in an OpenROAD-flow-scripts checkout
(``$PDK_ROOT`` itself, or ``$FLOW_HOME``, which its scripts set). Nothing is fetched; nothing about a kit is typed in
but where its files lie.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from flows.library.liberty_file import LibraryError, read_liberty_file
from flows.library.library import CellLibrary, library_from_files
from sim.messages import shown

__all__ = ["CORNERS", "FAMILIES", "Family", "corner_files", "library_from_pdk", "library_from_text"]

CORNERS = ("typical", "slow", "fast")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to lay a library out: a folder below a root, and patterns below it.

    ``{corner}`` in a pattern is replaced by the family's name of the corner. Every pattern must match; where one of
    `liberty` matches several files, all belong to the library. Of `lef` and `verilog` patterns, the first match counts.
    """

    folder: str
    liberty: tuple[str, ...]
    lef: tuple[str, ...]
    verilog: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Family:
    """A library and its layouts."""

    description: str
    corners: Mapping[str, str]
    layouts: tuple[Layout, ...]
    dont_use: tuple[str, ...] = ()
    predictive: bool = False


def _openroad(platform: str, liberty: Sequence[str], lef: Sequence[str], verilog: Sequence[str] = ()) -> list[Layout]:
    return [
        Layout(folder=f"{root}platforms/{platform}", liberty=tuple(liberty), lef=tuple(lef), verilog=tuple(verilog))
        for root in ("flow/", "")
    ]


_SKY = "sky130_fd_sc_hd"
_GF = "gf180mcu_fd_sc_mcu7t5v0"
_IHP = "sg13g2_stdcell"

FAMILIES: Mapping[str, Family] = {
    "sky130": Family(
        description="SkyWater 130 nm, sky130_fd_sc_hd",
        corners={"typical": "tt_025C_1v80", "slow": "ss_100C_1v60", "fast": "ff_n40C_1v95"},
        layouts=(
            *(
                Layout(
                    folder=f"{kit}/libs.ref/{_SKY}",
                    liberty=(f"lib/{_SKY}__{{corner}}.lib*",),
                    lef=(f"techlef/{_SKY}__nom.tlef", f"lef/{_SKY}.lef"),
                    verilog=("verilog/primitives.v", f"verilog/{_SKY}.v"),
                )
                for kit in ("sky130A", "sky130B")
            ),
            *_openroad("sky130hd", [f"lib/{_SKY}__{{corner}}.lib*"], [f"lef/{_SKY}.tlef", f"lef/{_SKY}_merged.lef"]),
        ),
        # probe cells have metal on all layers, lpflow cells want a second supply
        dont_use=("*__probe*", "*__lpflow*"),
    ),
    "gf180mcu": Family(
        description="GlobalFoundries 180 nm MCU, 7 tracks, 5 V",
        corners={"typical": "tt_025C_5v00", "slow": "ss_125C_4v50", "fast": "ff_n40C_5v50"},
        layouts=(
            *(
                Layout(
                    folder=f"{kit}/libs.ref/{_GF}",
                    liberty=(f"lib/{_GF}__{{corner}}.lib*",),
                    lef=(f"techlef/{_GF}__nom.tlef", f"lef/{_GF}.lef"),
                    verilog=("verilog/primitives.v", f"verilog/{_GF}.v"),
                )
                for kit in ("gf180mcuD", "gf180mcuC", "gf180mcuB", "gf180mcuA")
            ),
            *_openroad(
                "gf180",
                [f"lib/{_GF}__{{corner}}.lib*"],
                ["lef/gf180mcu_5LM_1TM_9K_7t_tech.lef", "lef/gf180mcu_5LM_1TM_9K_7t_sc.lef"],
            ),
        ),
    ),
    "sg13g2": Family(
        description="IHP SG13G2 130 nm BiCMOS, 1.2 V",
        corners={"typical": "typ_1p20V_25C", "slow": "slow_1p08V_125C", "fast": "fast_1p32V_m40C"},
        layouts=(
            Layout(
                folder=f"ihp-sg13g2/libs.ref/{_IHP}",
                liberty=(f"lib/{_IHP}_{{corner}}.lib*",),
                lef=("lef/sg13g2_tech.lef", f"lef/{_IHP}.lef"),
                verilog=(f"verilog/{_IHP}.v",),
            ),
            *_openroad("ihp-sg13g2", [f"lib/{_IHP}_{{corner}}.lib*"], ["lef/sg13g2_tech.lef", f"lef/{_IHP}.lef"]),
        ),
        dont_use=("sg13g2_sighold",),
    ),
    "asap7": Family(
        description="ASAP7 7.5 tracks, regular threshold: predictive 7 nm kit, not manufacturable",
        corners={"typical": "TT", "slow": "SS", "fast": "FF"},
        layouts=tuple(
            _openroad(
                "asap7",
                [
                    f"lib/NLDM/asap7sc7p5t_{group}_RVT_{{corner}}_nldm_*.lib*"
                    for group in ("AO", "INVBUF", "OA", "SEQ", "SIMPLE")
                ],
                ["lef/asap7_tech_1x_*.lef", "lef/asap7sc7p5t_28_R_1x_*.lef"],
            )
        ),
        # half-integer drives and scan cells, as OpenROAD-flow-scripts leaves them out; not so DFFASRHQN, the one
        # flip-flop with an asynchronous reset, which our registers have (decision 0003)
        dont_use=("*x1p*_ASAP7*", "*xp*", "SDF*", "ICG*"),
        predictive=True,
    ),
}
"""Kits by name."""


def roots() -> tuple[Path, ...]:
    """Folders that kits are looked for in: ``$PDK_ROOT`` (several, separated as in PATH), then ``$FLOW_HOME``."""
    named = [*os.environ.get("PDK_ROOT", "").split(os.pathsep), os.environ.get("FLOW_HOME", "")]
    return tuple(Path(name) for name in named if name)


def _match(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    # a plain file beside its packed form is the same file
    return [path for path in found if path.suffix != ".gz" or path.with_suffix("") not in found]


def _layout(name: str, searched: Sequence[Path]) -> tuple[Family, Layout, Path]:
    if name not in FAMILIES:
        raise ValueError(f"unknown kit {name!r}: expected one of {', '.join(FAMILIES)}")
    family = FAMILIES[name]
    for root in searched:
        for layout in family.layouts:
            if (root / layout.folder).is_dir():
                return family, layout, root / layout.folder
    if not searched:
        raise LibraryError(
            f"kit {name}: set PDK_ROOT (open_pdks, IHP) or FLOW_HOME (OpenROAD-flow-scripts) to where it is"
        )
    places = ", ".join(layout.folder for layout in family.layouts)
    raise LibraryError(f"kit {name} is not in {', '.join(map(str, searched))}: looked for {places}")


def corner_files(name: str, corner: str = "typical", *, root: Path | None = None) -> tuple[Path, ...]:
    """Liberty files of a kit at a corner.

    Parameters
    ----------
    name : str
        Of `FAMILIES`.
    corner : {"typical", "slow", "fast"}
        Slow: hot or cold as the kit has it, low supply; for setup. Fast: for hold.
    root : Path, optional
        Where to look instead of `roots`.

    Raises
    ------
    LibraryError
        The kit or the corner is not there; the message lists the corners that are.
    ValueError
        Unknown name or corner.
    """
    if corner not in CORNERS:
        raise ValueError(f"corner {corner!r}: expected one of {', '.join(CORNERS)}")
    family, layout, folder = _layout(name, roots() if root is None else (root,))
    files: list[Path] = []
    for pattern in layout.liberty:
        found = _match(folder, pattern.format(corner=family.corners[corner]))
        if not found:
            there = sorted(path.name for path in folder.glob(f"{Path(layout.liberty[0]).parent}/*.lib*"))
            raise LibraryError(
                f"kit {name}: no {pattern.format(corner=family.corners[corner])} in {folder}; "
                f"Liberty files there: {', '.join(there[:12]) or 'none'}"
            )
        files += found
    return tuple(files)


def library_from_pdk(name: str, corner: str = "typical", *, root: Path | None = None) -> CellLibrary:
    """A kit's library at a corner; see `corner_files` for parameters and errors."""
    if corner not in CORNERS:
        raise ValueError(f"corner {corner!r}: expected one of {', '.join(CORNERS)}")
    family, layout, folder = _layout(name, roots() if root is None else (root,))
    liberty = corner_files(name, corner, root=root)
    lef = []
    for pattern in layout.lef:
        if not (found := _match(folder, pattern)):
            raise LibraryError(f"kit {name}: no {pattern} in {folder}")
        lef.append(found[0])
    verilog = [found[0] for pattern in layout.verilog if (found := _match(folder, pattern))]
    cells = [cell for path in liberty for cell in read_liberty_file(path).cells]
    unused = [cell for cell in cells if any(fnmatchcase(cell, pattern) for pattern in family.dont_use)]
    return library_from_files(
        name=name if corner == "typical" else f"{name}:{corner}",
        liberty=liberty,
        lef=lef,
        verilog=verilog,
        description=f"{family.description}, corner {family.corners[corner]}",
        predictive=family.predictive,
        dont_use=unused,
    )


def library_from_text(text: str) -> CellLibrary:
    """A library from files joined by commas: ``.lib`` (``.lib.gz``), ``.lef`` or ``.tlef`` (technology first), ``.v``.

    A part ``dont_use=PATTERN`` (``*`` and ``?``) keeps synthesis from cells beside those that Liberty marks.

    Raises
    ------
    LibraryError
        No cell is like the pattern.
    ValueError
        A file of another kind, or no Liberty file.
    """
    patterns: list[str] = []
    lots: dict[str, list[Path]] = {"liberty": [], "lef": [], "verilog": []}
    kinds = {".lib": "liberty", ".lef": "lef", ".tlef": "lef", ".v": "verilog"}
    for part in text.split(","):
        if part.strip().startswith("dont_use="):
            patterns.append(part.strip().removeprefix("dont_use="))
            continue
        path = Path(part.strip())
        suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
        if suffix not in kinds:
            raise ValueError(f"library file {part!r}: expected .lib, .lef, .tlef or .v, each with or without .gz")
        lots[kinds[suffix]].append(path)
    cells = [cell for path in lots["liberty"] if path.is_file() for cell in read_liberty_file(path).cells]
    unused = {pattern: [cell for cell in cells if fnmatchcase(cell, pattern)] for pattern in patterns}
    for pattern, found in unused.items():
        if not found:
            raise LibraryError(f"dont_use={shown(pattern, quoted=False)}: none of {len(cells)} cells is like that")
    return library_from_files(
        name=text, liberty=lots["liberty"], lef=lots["lef"], verilog=lots["verilog"], description="files by path",
        dont_use=sorted({cell for found in unused.values() for cell in found}),
    )  # fmt: skip
