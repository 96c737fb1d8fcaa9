"""The concentrator as a design: the data path of ECON-T with its algorithms, and its settings in registers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flows.designs.design import Design, Flops
from flows.designs.encoder import BUNCH_CROSSING_NS
from hw.common.scheme import Scheme
from sim.hgcal_encoder.concentrator_spec import PRESETS, AlgorithmNumber, ConcentratorSpec
from sim.messages import shown

if TYPE_CHECKING:  # slow to import
    from pathlib import Path

    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated

__all__ = ["ConcentratorDesign"]


@dataclass(frozen=True, kw_only=True)
class ConcentratorDesign(Design):
    """A concentrator, plain or with all of its registers in three copies; with clock gates or without.

    Attributes
    ----------
    spec : ConcentratorSpec
    scheme : Scheme or None
        Protection: `Scheme.TMR_REGISTERS`, of settings and of all registers but the words in the buffer; None: none.

    Raises
    ------
    ValueError
        If it is another scheme.
    """

    spec: ConcentratorSpec
    scheme: Scheme | None = None

    kind: ClassVar = "concentrator"
    presets: ClassVar = PRESETS
    mark: ClassVar = "algorithms"
    rooms: ClassVar = {
        "power": "flows.power.concentrator",
        "verification": "flows.verification.concentrator",
        "proofs": "flows.steps.concentrator_proofs",
        "demo": "flows.steps.concentrator_demo",
        "report": "flows.report.concentrator",
    }
    crossings: ClassVar = 200_000
    crossings_in_flow: ClassVar = 20_000
    serial: ClassVar = True
    stimulus: ClassVar = ("crossings", "streams", "weights", "algorithm")

    def __post_init__(self) -> None:
        if self.scheme not in (None, Scheme.TMR_REGISTERS):
            raise ValueError(f"scheme of a concentrator: expected {Scheme.TMR_REGISTERS}, got {self.scheme}")

    @classmethod
    def of(cls, spec: ConcentratorSpec, *, scheme: Scheme | str | None = None, **common: Any) -> Self:
        """A variant of a concentrator.

        Parameters
        ----------
        spec : ConcentratorSpec
        scheme : optional
            ``none`` is as good as nothing.
        **common
            Fields of `Design`.

        Raises
        ------
        ValueError
            A scheme that a concentrator does not have.
        """
        if scheme is not None and scheme not in list(Scheme):
            raise ValueError(f"scheme: expected {Scheme.NONE} or {Scheme.TMR_REGISTERS}, got {shown(scheme)}")
        chosen = Scheme(scheme) if scheme is not None else Scheme.NONE
        return cls(spec=spec, scheme=None if chosen is Scheme.NONE else chosen, **common)

    @classmethod
    def read_spec(cls, text: str) -> ConcentratorSpec:
        return ConcentratorSpec.from_toml(text)

    @property
    def period_ns(self) -> float:
        return BUNCH_CROSSING_NS

    @property
    def latency(self) -> int:
        return max(self.latency_of(number) for number in self.spec.numbers)

    def latency_of(self, number: AlgorithmNumber) -> int:
        """Clocks from words to the eTx words that are sent in their crossing, with one algorithm selected."""
        from hw.hgcal_encoder.concentrator_core import algorithm_latency

        return algorithm_latency(number)

    @property
    def made_of_equal_parts(self) -> bool:
        return True  # neurons, comparators, cells

    def component(self) -> Any:
        from hw.hgcal_encoder.concentrator import Concentrator

        if self.scheme is None:
            return Concentrator(spec=self.spec)
        from hw.common.voted_cell import VotedCell
        from hw.common.voted_register import VotedRegister

        return Concentrator(spec=self.spec, register=VotedRegister, cell=VotedCell)

    @property
    def protected(self) -> bool:
        return self.scheme is not None

    @property
    def verified_alone(self) -> bool:
        return self.scheme is None

    def flip_flops(self) -> Flops | None:
        if self.scheme is None:
            return None
        from flows.designs.concentrator_bits import concentrator_bits

        return Flops(bits=concentrator_bits(self), what=str(self.scheme))

    def variant(self) -> dict[str, Any]:
        return ({} if self.scheme is None else {"scheme": self.scheme.value}) | super().variant()

    @property
    def plain(self) -> Self:
        return replace(self, scheme=None, clock_gating=False)

    def _name_parts(self) -> list[str]:
        return [] if self.scheme is None else [self.scheme.value]

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Verilog, register map and, with settings, what loads them: see `flows.designs.concentrator_files`."""
        from flows.designs.concentrator_files import generate
        from sim.hgcal_encoder.algorithms.concentrator_model import load_concentrator_settings
        from sim.hgcal_encoder.weights import Weights

        if options.seed is not None:
            raise ValueError("--seed draws the macro of a crossbar; a concentrator has none")
        if options.loading is not None:
            raise ValueError("--loading is that of the chip around an encoder; a concentrator has none")
        protected = type(self).of(self.spec, scheme=options.scheme or self.scheme)
        if options.registers is not None:
            raise ValueError(f"--registers chooses the map of an encoder; {self.spec.name} has one")
        if options.weights is not None and options.settings is None:
            raise ValueError("--weights go into the registers beside --settings; give both")
        settings = None
        if options.settings is not None:
            settings = load_concentrator_settings(options.settings, self.spec)
            if options.weights is not None:
                settings = replace(settings, weights=Weights.load(options.weights, self.spec.encoder))
        with journal.step(f"{self.spec.name}: Amaranth to Verilog"):
            return generate(self.spec, folder, settings, component=protected.component())
