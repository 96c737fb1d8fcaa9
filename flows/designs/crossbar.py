"""The crossbar as a design: its digital part around a macro and a weight memory that are black boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flows.designs.design import Design
from sim.lsm_crossbar.spec import PRESETS, CrossbarSpec

if TYPE_CHECKING:  # slow to import
    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated

__all__ = ["DIGITS", "MODEL", "CrossbarDesign"]

DIGITS = "pooled_3x3_split"
"""Encoding of recordings of digits, of `sim.lsm_crossbar.recordings.events.ENCODINGS`."""
MODEL = "model.npz"
"""Spec, seed and readout that a draw leaves in a result folder."""


@dataclass(frozen=True, kw_only=True)
class CrossbarDesign(Design):
    """A crossbar; its only variant has clock gates.

    Attributes
    ----------
    spec : CrossbarSpec
    """

    spec: CrossbarSpec

    kind: ClassVar = "crossbar"
    presets: ClassVar = PRESETS
    mark: ClassVar = "threshold"
    rooms: ClassVar = {
        "power": "flows.power.crossbar",
        "verification": "flows.verification.crossbar",
        "report": "flows.report.crossbar",
        "steps": "flows.steps.crossbar",
        "demo": "flows.steps.crossbar_demo",
        "measures": "flows.steps.crossbar_measures",
    }
    crossings: ClassVar = 2_000
    crossings_in_flow: ClassVar = 500
    measured_macro: ClassVar = True
    stimulus: ClassVar = ("recordings", "clocks", "weights")

    @classmethod
    def read_spec(cls, text: str) -> CrossbarSpec:
        return CrossbarSpec.from_toml(text)

    @property
    def period_ns(self) -> float:
        return self.spec.clock_period_ns

    def component(self) -> Any:
        from hw.lsm_crossbar.crossbar import Crossbar

        return Crossbar(spec=self.spec)

    def emulation(self, seed: int | None = None) -> Any:
        """The macro is a memory with the conductances of a seed, 0 if left out."""
        from flows.designs.macro_image import macro_image
        from hw.lsm_crossbar.crossbar import Crossbar
        from sim.lsm_crossbar.macro_model.device import draw

        return Crossbar(spec=self.spec, image=macro_image(draw(self.spec, seed or 0), words=True))

    def trained_model(self, folder: Path) -> Path | None:
        return folder / MODEL if self.shows_digits else None

    @property
    def shows_digits(self) -> bool:
        """Whether the chip has the ten classes and the inputs for recordings of digits."""
        from sim.lsm_crossbar.recordings.events import ENCODINGS

        return self.spec.outputs == 10 and self.spec.inputs >= ENCODINGS[DIGITS].inputs

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Verilog, conductance file and register map: see `flows.designs.crossbar_files`."""
        from flows.designs.crossbar_files import generate
        from sim.lsm_crossbar.learning.model import TrainedCrossbar
        from sim.lsm_crossbar.macro_model.measured_file import macro_of

        if options.scheme is not None:
            raise ValueError("--scheme protects the chip around an encoder; a crossbar has none")
        if options.settings is not None:
            raise ValueError("--settings are those of ECON_T; a crossbar takes --weights and --seed")
        if options.registers is not None:
            raise ValueError("--registers are those of ECON_T; a crossbar has one map")
        seed, readout, ratios = options.seed, None, None
        if options.weights is not None:
            model = TrainedCrossbar.load(options.weights)
            if model.spec != self.spec:
                raise ValueError(f"{options.weights} was trained for another spec than {self.spec.name}")
            if seed not in (None, model.seed):
                raise ValueError(f"{options.weights} was trained on the {model.macro_name}, --seed says {seed}")
            readout, ratios = model.readout, model.ratios
        if options.conductances is not None and (seed is not None or readout is not None):
            raise ValueError("--conductances say what the macro holds: expected neither --seed nor --weights")
        with journal.step(f"{self.spec.name}: conductances"):
            if options.weights is not None:
                conductances = model.conductances
            else:
                conductances = macro_of(self.spec, seed=seed or 0, conductances=options.conductances)
        with journal.step(f"{self.spec.name}: Amaranth to Verilog"):
            return generate(self.spec, folder, conductances, readout, ratios)
