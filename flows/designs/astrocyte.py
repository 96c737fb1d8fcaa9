"""The astrocyte liquid as a design: its lanes and controls around memories that are black boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flows.designs.design import Design
from sim.astrocyte_liquid.spec import PRESETS, AstrocyteSpec

if TYPE_CHECKING:  # slow to import
    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated

__all__ = ["MODEL", "AstrocyteDesign"]

MODEL = "liquid_model.npz"
"""Spec, seed, tuned weights and readout that a demo leaves in a result folder."""


@dataclass(frozen=True, kw_only=True)
class AstrocyteDesign(Design):
    """An astrocyte liquid; its only variant has clock gates.

    Attributes
    ----------
    spec : AstrocyteSpec
    """

    spec: AstrocyteSpec

    kind: ClassVar = "astrocyte"
    presets: ClassVar = PRESETS
    mark: ClassVar = "astrocyte_weight"
    rooms: ClassVar = {
        "power": "flows.power.astrocyte",
        "verification": "flows.verification.astrocyte",
        "report": "flows.report.astrocyte",
        "demo": "flows.steps.astrocyte_demo",
    }
    crossings: ClassVar = 2_000
    crossings_in_flow: ClassVar = 500
    stimulus: ClassVar = ("recordings", "clocks", "weights", "events", "labels")

    @classmethod
    def read_spec(cls, text: str) -> AstrocyteSpec:
        return AstrocyteSpec.from_toml(text)

    @property
    def period_ns(self) -> float:
        return self.spec.clock_period_ns

    @property
    def made_of_equal_parts(self) -> bool:
        return True

    def component(self) -> Any:
        from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid

        return AstrocyteLiquid(spec=self.spec)

    def emulation(self, seed: int | None = None) -> Any:
        """Memories as an FPGA has them, empty: the host loads them."""
        from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid

        if seed is not None:
            raise ValueError(f"{self.spec.name}: the host loads the network of a seed; there is none in the FPGA")
        return AstrocyteLiquid(spec=self.spec, boxes=False)

    def trained_model(self, folder: Path) -> Path | None:
        return folder / MODEL if (folder / MODEL).is_file() else None

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Verilog, memories, register map and the words that load a network: see `flows.designs.astrocyte_files`."""
        from flows.designs.astrocyte_files import generate
        from sim.astrocyte_liquid.learning.model import TrainedLiquid

        for name in ("scheme", "settings", "registers"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is for an encoder; an astrocyte liquid takes --weights or --seed")
        model = None
        if options.weights is not None:
            model = TrainedLiquid.load(options.weights)
            if model.spec != self.spec:
                raise ValueError(f"{options.weights} was trained for another spec than {self.spec.name}")
            if options.seed not in (None, model.seed):
                raise ValueError(
                    f"{options.weights} is of the network of seed {model.seed}, --seed says {options.seed}"
                )
        with journal.step(f"{self.spec.name}: Amaranth to Verilog"):
            return generate(self.spec, folder, model=model, seed=options.seed)
