"""The concentrator as a design: data path of ECON-T with its algorithms and settings, alone or in the whole chip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flows.designs.design import Design, Flops
from flows.designs.encoder import BUNCH_CROSSING_NS
from hw.common.scheme import Scheme
from sim.hgcal_encoder.concentrator_spec import PRESETS, AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.configuration.concentrator_registers import chip_of
from sim.hgcal_encoder.configuration.register_maps import Chip
from sim.hgcal_encoder.link_spec import WORD_BITS
from sim.messages import shown

if TYPE_CHECKING:  # slow to import
    from pathlib import Path

    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated
    from flows.designs.storage_bits import StorageBit

__all__ = ["SERIAL_CLOCK", "ConcentratorDesign"]

SERIAL_CLOCK = "serial_clk"
"""Port of the whole chip: 32 bits in a crossing."""


@dataclass(frozen=True, kw_only=True)
class ConcentratorDesign(Design):
    """A concentrator, plain or with all of its registers in three copies; with clock gates or without.

    Without `loading` it is the data path with its settings behind a write port, between words and words.

    Attributes
    ----------
    spec : ConcentratorSpec
    scheme : Scheme or None
        Protection: `Scheme.TMR_REGISTERS`, of settings and of all registers but the words in the buffer; None: none.
    loading : Loading or None
        `Loading.DIRECT`: the whole chip from pin to pin, with links and registers behind I2C; None: the data path.

    Raises
    ------
    ValueError
        If it is another scheme, or another loading.
    """

    spec: ConcentratorSpec
    scheme: Scheme | None = None
    loading: Loading | None = None

    kind: ClassVar = "concentrator"
    presets: ClassVar = PRESETS
    mark: ClassVar = "algorithms"
    rooms: ClassVar = {
        "power": "flows.power.concentrator",
        "campaign": "flows.campaign.concentrator",
        "verification": "flows.verification.concentrator",
        "proofs": "flows.steps.concentrator_proofs",
        "demo": "flows.steps.concentrator_demo",
        "report": "flows.report.concentrator",
    }
    crossings: ClassVar = 200_000
    crossings_in_flow: ClassVar = 20_000
    serial: ClassVar = True
    upsets_by: ClassVar = "netlist"
    one_source: ClassVar = True
    area_in_demo: ClassVar = False
    stimulus: ClassVar = ("crossings", "streams", "weights", "algorithm")

    def __post_init__(self) -> None:
        if self.scheme not in (None, Scheme.TMR_REGISTERS):
            raise ValueError(f"scheme of a concentrator: expected {Scheme.TMR_REGISTERS}, got {self.scheme}")
        if self.loading not in (None, Loading.DIRECT):
            raise ValueError(f"loading of a concentrator: expected {Loading.DIRECT}, got {self.loading}")

    @classmethod
    def of(
        cls,
        spec: ConcentratorSpec,
        *,
        scheme: Scheme | str | None = None,
        loading: Loading | str | None = None,
        **common: Any,
    ) -> Self:
        """A variant of a concentrator.

        Parameters
        ----------
        spec : ConcentratorSpec
        scheme : optional
            ``none`` is as good as nothing.
        loading : optional
            The whole chip, loaded this way.
        **common
            Fields of `Design`.

        Raises
        ------
        ValueError
            A scheme or a loading that a concentrator does not have.
        """
        if loading is not None and loading not in list(Loading):
            raise ValueError(f"loading: expected {Loading.DIRECT}, got {shown(loading)}")
        if scheme is not None and scheme not in list(Scheme):
            raise ValueError(f"scheme: expected {Scheme.NONE} or {Scheme.TMR_REGISTERS}, got {shown(scheme)}")
        chosen = Scheme(scheme) if scheme is not None else Scheme.NONE
        return cls(
            spec=spec, scheme=None if chosen is Scheme.NONE else chosen,
            loading=None if loading is None else Loading(loading), **common,
        )  # fmt: skip

    @classmethod
    def read_spec(cls, text: str) -> ConcentratorSpec:
        return ConcentratorSpec.from_toml(text)

    @property
    def chip(self) -> Chip:
        """Register map of the whole chip."""
        return chip_of(self.spec)

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

    @property
    def boundaries(self) -> tuple[str, ...]:
        # of the whole chip the settings are inside its control: timing has to know them
        return super().boundaries if self.loading is None else (*super().boundaries, "*_register_file_*")

    @property
    def internal_clocks(self) -> dict[str, int]:
        return super().internal_clocks if self.loading is None else {SERIAL_CLOCK: WORD_BITS}

    def component(self) -> Any:
        from hw.common.voted_cell import VotedCell
        from hw.common.voted_register import VotedRegister
        from hw.hgcal_encoder.concentrator import Concentrator

        parts: dict[str, Any] = {} if self.scheme is None else {"register": VotedRegister, "cell": VotedCell}
        if self.loading is None:
            return Concentrator(spec=self.spec, **parts)
        from hw.hgcal_encoder.concentrator_chip import ConcentratorChip
        from hw.hgcal_encoder.concentrator_core import ConcentratorCore

        return ConcentratorChip(
            chip=self.chip, links=self.spec.link_spec,
            weights=self.spec.has(AlgorithmNumber.AUTOENCODER), core=ConcentratorCore, spec=self.spec,
            **parts,
        )  # fmt: skip

    def chip_verilog(self) -> str:
        """Verilog of the whole chip, see `flows.designs.concentrator_files.chip_verilog`."""
        from flows.designs.concentrator_files import chip_verilog

        return chip_verilog(self.spec, self.scheme, replace(self, loading=Loading.DIRECT).component)

    @property
    def protected(self) -> bool:
        return self.scheme is not None

    @property
    def verified_alone(self) -> bool:
        return self.scheme is None and self.loading is None

    def flip_flops(self) -> Flops | None:
        return None if self.scheme is None else Flops(bits=self.storage_bits(), what=str(self.scheme))

    def storage_bits(self) -> tuple[StorageBit, ...]:
        """Every flip-flop by name, with the copies of each bit."""
        from flows.designs.concentrator_bits import concentrator_bits
        from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_fields
        from sim.hgcal_encoder.configuration.register_maps import register_fields

        fields = concentrator_fields(self.spec) if self.loading is None else register_fields(self.chip)
        return concentrator_bits(self.component(), self.spec.name, fields)

    def variant(self) -> dict[str, Any]:
        chosen = {"scheme": self.scheme, "loading": self.loading}
        return {name: value.value for name, value in chosen.items() if value is not None} | super().variant()

    @property
    def plain(self) -> Self:
        return replace(self, scheme=None, loading=None, clock_gating=False)

    def _name_parts(self) -> list[str]:
        return [choice.value for choice in (self.scheme, self.loading) if choice is not None]

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Verilog, register map and, with settings, what loads them: see `flows.designs.concentrator_files`.

        With `loading` those of the whole chip as well.
        """
        from flows.designs.concentrator_files import generate
        from sim.hgcal_encoder.algorithms.concentrator_model import load_concentrator_settings
        from sim.hgcal_encoder.weights import Weights

        if options.seed is not None:
            raise ValueError("--seed draws the macro of a crossbar; a concentrator has none")
        protected = type(self).of(self.spec, scheme=options.scheme or self.scheme)
        loading = options.loading or self.loading
        whole = None if loading is None else replace(protected, loading=loading).component
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
            return generate(
                self.spec, folder, settings, component=protected.component(), whole=whole, scheme=protected.scheme
            )
