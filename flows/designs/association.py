"""The association chip as a design: two crossbars, their projections and the match; macros and memories are boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flows.designs.design import Design
from sim.lsm_crossbar.association.spec import PRESETS, AssociationSpec

if TYPE_CHECKING:  # slow to import
    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated

__all__ = ["MODEL", "AssociationDesign"]

MODEL = "model.npz"
"""Spec, seeds and projections that a draw leaves in a result folder."""


@dataclass(frozen=True, kw_only=True)
class AssociationDesign(Design):
    """An association chip; its only variant has clock gates.

    Attributes
    ----------
    spec : AssociationSpec
    """

    spec: AssociationSpec

    kind: ClassVar = "association"
    presets: ClassVar = PRESETS
    mark: ClassVar = "match_lanes"
    rooms: ClassVar = {
        "demo": "flows.steps.association_demo",
        "power": "flows.power.association",
        "report": "flows.report.association",
        "steps": "flows.steps.association",
        "verification": "flows.verification.association",
    }
    crossings: ClassVar = 60
    crossings_in_flow: ClassVar = 24
    stimulus: ClassVar = ("recordings", "modality", "weights")
    learns: ClassVar = True
    area_in_demo: ClassVar = False

    @classmethod
    def read_spec(cls, text: str) -> AssociationSpec:
        return AssociationSpec.from_toml(text)

    @property
    def period_ns(self) -> float:
        return self.spec.clock_period_ns

    def component(self) -> Any:
        from hw.lsm_crossbar.association import Association

        return Association(spec=self.spec)

    def trained_model(self, folder: Path) -> Path | None:
        return folder / MODEL

    def emulation(self, seed: int | None = None) -> Any:
        """The macros are memories with the conductances of a seed, 0 if left out."""
        from flows.designs.macro_image import macro_image
        from hw.lsm_crossbar.association import Association
        from sim.lsm_crossbar.macro_model.device import draw

        vision, audio = (macro_image(draw(crossbar, seed or 0), words=True) for crossbar in self.spec.crossbars)
        return Association(spec=self.spec, images=(vision, audio))

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Verilog, conductance files and register map: see `flows.designs.association_files`."""
        from flows.designs.association_files import generate
        from sim.lsm_crossbar.association.model import TrainedAssociation
        from sim.lsm_crossbar.macro_model.device import draw

        for name in ("scheme", "settings", "loading", "registers"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is for an encoder; an association chip takes --weights and --seed")
        projections = None
        if options.weights is not None:
            model = TrainedAssociation.load(options.weights)
            if model.spec != self.spec:
                raise ValueError(f"{options.weights} was trained for another spec than {self.spec.name}")
            if options.seed is not None:
                raise ValueError(f"{options.weights} says the seeds of its macros; leave --seed out")
            conductances, projections = model.conductances, model.projections
        else:
            vision, audio = (draw(crossbar, options.seed or 0) for crossbar in self.spec.crossbars)
            conductances = (vision, audio)
        with journal.step(f"{self.spec.name}: Amaranth to Verilog"):
            return generate(self.spec, folder, conductances, projections)
