"""One object for what is built: it says what a chip and its variant can do, and how they are spelt.

A kind of chip is a subclass (`flows.designs.encoder`, `flows.designs.crossbar`) and one entry in
`flows.designs.catalogue`. Steps, report and command line ask the design and never test for its kind.
"""

from __future__ import annotations

import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flows.common.content_cache import module_file
from flows.library.catalogue import cell_library
from flows.library.library import CellLibrary
from flows.synthesis.recipe import AREA, BUFFERED, Recipe
from hw.common.replica import KEPT
from sim.files import replacing
from sim.spec_file import parse_toml, toml_value

if TYPE_CHECKING:
    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated

__all__ = ["DESIGN_FILE", "INTERNAL_CLOCK", "Design", "Flops"]

DESIGN_FILE = "design.toml"
"""In every result folder: what design the results are of."""

INTERNAL_CLOCK = "fast_clk"
"""Port of the second clock of an encoder whose multipliers are reused."""


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Flip-flops that a protected design asks for, for the gate on its netlist.

    Attributes
    ----------
    bits : tuple
        Of `flows.designs.storage_bits.StorageBit`.
    what : str
        Scheme and loading, as the check names them.
    """

    bits: tuple[Any, ...]
    what: str


@dataclass(frozen=True, kw_only=True)
class Design(ABC):
    """A chip and its variant, on a cell library.

    Attributes
    ----------
    spec : spec of the chip
        Frozen dataclass with ``name`` and ``to_toml``.
    library : str
        As `flows.library.catalogue.cell_library` takes it: a name or files; ``auto``: the first that can be had.
    clock_gating : bool
        Registers with an enable behind clock gates of the library.
    source : str
        What the command line was given for the spec: a preset or a file. Empty: the preset that equals the spec, else
        the ``design.toml`` of the result folder.
    """

    spec: Any
    library: str = "auto"
    clock_gating: bool = False
    source: str = ""

    kind: ClassVar[str]
    """Word for this kind of chip in files and messages."""
    presets: ClassVar[Mapping[str, Any]]
    """Specs by name."""
    mark: ClassVar[str]
    """A field that the spec file of no other kind has."""
    rooms: ClassVar[Mapping[str, str]]
    """By room of `flows` the module that holds what the room knows of this kind alone.

    Names, not imports: rooms above this one are reached through `room`, and an import upwards there is none."""
    crossings: ClassVar[int] = 1
    """Clocks or steps of random stimulus in a verification of its own."""
    measured_macro: ClassVar[bool] = False
    """Whether its macro can hold measured conductances."""
    learns: ClassVar[bool] = False
    """Whether its flow learns from clips and recordings, which a user may give."""
    area_in_demo: ClassVar[bool] = True
    """Whether its demo synthesises, too: not where that takes longer than everything else."""
    stimulus: ClassVar[tuple[str, ...]] = ()
    """Options of `flows.power.run.PowerOptions` that say how large the stimulus of its power is."""
    serial: ClassVar[bool] = False
    """Whether its verification has a bench of the whole chip behind serial links."""
    one_source: ClassVar[bool] = False
    """Whether its clocks leave one source together, so that paths between them see the jitter of the fastest alone."""
    upsets_by: ClassVar[str] = "rtl"
    """Engine of its fault campaign where none is chosen."""
    crossings_in_flow: ClassVar[int] = 1
    """The same where verification is one of many steps."""

    # --- what a kind of chip says ----------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def read_spec(cls, text: str) -> Any:
        """A spec of this kind from TOML. Raises ValueError if it is none."""

    @classmethod
    def of(cls, spec: Any, **choices: Any) -> Self:
        """A variant of a spec: fields of the design, and choices that a kind of chip adds."""
        return cls(spec=spec, **choices)

    @property
    @abstractmethod
    def period_ns(self) -> float:
        """Period of the clock ``clk``, ns."""

    @abstractmethod
    def component(self) -> Any:
        """A fresh hardware component as an ASIC has it, to be elaborated once."""

    def emulation(self, seed: int | None = None) -> Any:
        """A fresh hardware component as an FPGA has it.

        Parameters
        ----------
        seed : int, optional
            Of what an FPGA has to emulate in memories.

        Raises
        ------
        ValueError
            A seed for a design that emulates nothing.
        """
        if seed is not None:
            raise ValueError(f"{self.spec.name}: no macro is emulated on an FPGA, so there is no seed of one")
        return self.component()

    @property
    def made_of_equal_parts(self) -> bool:
        """Whether keeping modules apart saves a place and route more than optimising across them."""
        return False

    @property
    def reuse(self) -> int:
        """Internal clocks in a clock: 1 without an internal clock."""
        return 1

    @property
    def latency(self) -> int:
        """Clocks from inputs to outputs, as the hardware says; 0 where it depends on the data."""
        return 0

    @abstractmethod
    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Write what a chip integrator needs into a folder of its own.

        Raises
        ------
        ValueError
            Something to load that is not for this kind of chip.
        FileExistsError
            If the folder holds something else.
        """

    @property
    def protected(self) -> bool:
        """Whether its netlist must hold every flip-flop that the design names: synthesis could merge copies."""
        return False

    def flip_flops(self) -> Flops | None:
        """What the netlist of a `protected` design must hold; None of any other."""
        return None

    @property
    def verified_alone(self) -> bool:
        """Whether `liquidcal verify` has a bench of this very variant."""
        return True

    def trained_model(self, folder: Path) -> Path | None:  # noqa: ARG002
        """The trained model that earlier steps left in a result folder, and later ones run."""
        return None

    def variant(self) -> dict[str, Any]:
        """Choices beside the spec that make this variant, by the name of their option; those at rest are left out."""
        return {"clock_gating": True} if self.clock_gating else {}

    @property
    def plain(self) -> Self:
        """The same spec without any choice of a variant: what variants have in common lies in its folder."""
        return replace(self, clock_gating=False)

    # --- how it is mapped -------------------------------------------------------------------------------------------

    @property
    def clock_period_ns(self) -> float:
        """Period of the fastest clock, ns: what logic is mapped for; the internal clock's where there is one."""
        return self.period_ns / self.reuse

    @property
    def recipe(self) -> Recipe:
        """How the design is mapped, the same for area, timing, power and fault campaign.

        Smallest area at one clock; with an internal clock also buffers on nets that it would otherwise miss.
        """
        return AREA if self.reuse == 1 else BUFFERED

    @property
    def boundaries(self) -> tuple[str, ...]:
        """Shell patterns of the modules whose boundary synthesis keeps."""
        return (KEPT,)

    @property
    def internal_clocks(self) -> dict[str, int]:
        """Clock ports beside ``clk``, each with how many times as fast it is."""
        return {INTERNAL_CLOCK: self.reuse} if self.reuse > 1 else {}

    @property
    def clock_high(self) -> float:
        """Share of its period that the fastest clock is high; latches that are open while it is low open then."""
        return 0.5

    @property
    def cells(self) -> CellLibrary:
        """The cell library; see `flows.library.catalogue.cell_library` for errors."""
        return cell_library(self.library)

    # --- its one spelling -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the folder of results and of the top module: the spec's, and whatever departs from it."""
        return "_".join([self.spec.name, *self._name_parts(), *(["gated"] if self.clock_gating else [])])

    def _name_parts(self) -> list[str]:
        return []

    @property
    def case(self) -> str:
        """What tells it from other variants of its spec, as metrics of several variants have it; empty for the plain
        one."""
        return "_".join(self._name_parts())

    @property
    def argument(self) -> str:
        """What the command line takes for the spec: preset, file, or the design file of the result folder."""
        if self.source:
            return self.source
        return self.spec.name if self._is_preset() else DESIGN_FILE

    def _is_preset(self) -> bool:
        return bool(self.presets.get(self.spec.name) == self.spec)

    @property
    def options(self) -> str:
        """The options of the command line that make this variant, each with a space before it."""
        text = ""
        for name, value in self.variant().items():
            text += f" --{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        return text

    def command(self, verb: str, *options: str) -> str:
        """The command that does a step of this design again, for the origin of its figures."""
        words = " ".join(["liquidcal", verb, shlex.quote(self.argument), *filter(None, options)])
        return words + self.options

    @property
    def library_argument(self) -> str:
        """The library as ``--library`` takes it; ``auto`` by the name of what was found."""
        return shlex.quote(self.cells.name if self.library == "auto" else self.library)

    def identity(self) -> dict[str, Any]:
        """Spec and variant, for the keys of caches: all that the hardware depends on, nothing of how it is mapped."""
        return {"kind": self.kind, "spec": self.spec.to_toml(), "variant": self.variant()}

    def mapping(self) -> dict[str, Any]:
        """Library and recipe by content, for the keys of caches: the library's files count, not its name."""
        return {
            "library": self.cells.sha256, "dont_use": list(self.cells.dont_use),
            "recipe": asdict(self.recipe), "clock_period_ns": self.clock_period_ns,
        }  # fmt: skip

    # --- its file ---------------------------------------------------------------------------------------------------

    def to_toml(self) -> str:
        """The design as TOML, with the whole spec in it."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spec"}
        lines = [
            # a JSON text is a TOML text, with quotes and backslashes escaped
            f"{name} = {json.dumps(value, ensure_ascii=False) if isinstance(value, str) else toml_value(value)}"
            for name, value in own.items()
            if value not in (None, "")
        ]
        spec = self.spec.to_toml().replace("\n[", "\n[spec.")
        return "\n".join([f'kind = "{self.kind}"', *lines]) + f"\n\n[spec]\n{spec}"

    def save(self, folder: Path) -> Self:
        """Write ``design.toml`` into a result folder, which is made if it is not there.

        A design whose library is left to choose (``auto``) keeps the one of the results that are there.

        Returns
        -------
        Design
            What the file now says.
        """
        known = self.at(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / DESIGN_FILE) as file:
            file.write(known.to_toml())
        return known

    @contextmanager
    def results(self, folder: Path) -> Iterator[Self]:
        """As `save`, for the work that fills the folder: what was made here is removed if the work fails at once.

        A folder that holds more than ``design.toml`` by then stays.
        """
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        known = self.save(folder)
        try:
            yield known
        except BaseException:
            if folder in made and [path.name for path in folder.iterdir()] == [DESIGN_FILE]:
                (folder / DESIGN_FILE).unlink()
                with suppress(OSError):  # of another run, meanwhile
                    for path in made:
                        path.rmdir()
            raise

    def at(self, folder: Path) -> Self:
        """The design with the library that results in a folder were made with, if it is left to choose here."""
        path = folder / DESIGN_FILE
        if self.library != "auto" or not path.is_file():
            return self
        try:
            text = path.read_text()
            table = parse_toml(text)
        except ValueError:  # damaged: these results are not of this design
            return self
        library, source = table.get("library"), table.get("source", "")
        if not isinstance(library, str) or replace(self, library=library, source=source).to_toml() != text:
            return self
        return replace(self, library=library)

    # --- what other rooms know of its kind --------------------------------------------------------------------------

    def room(self, name: str) -> Any:
        """The module in which a room holds what it knows of this kind of chip.

        Raises
        ------
        ValueError
            If this kind has none there.
        """
        if name not in self.rooms:
            raise ValueError(f"{self.spec.name} is of the kind {self.kind}, which has no {name}")
        return import_module(self.rooms[name])

    def code(self, *rooms: str) -> tuple[str, ...]:
        """Files of our own that describe this kind of chip, here and in rooms: for the keys of caches."""
        modules = [type(self).__module__, *(self.rooms[name] for name in rooms if name in self.rooms)]
        return tuple(module_file(module) for module in modules)
