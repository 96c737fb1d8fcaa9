"""The encoder as a design: the data path alone, or the whole chip with I2C, loading and protection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flows.designs.design import Design, Flops
from flows.synthesis.recipe import AREA, Recipe
from hw.common.scheme import Scheme
from hw.hgcal_encoder.schedule import CLOCK_HIGH
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import PRESETS, EncoderSpec, WordOrder

if TYPE_CHECKING:  # slow to import
    from pathlib import Path

    from flows.common.journal import Journal
    from flows.designs.generated import FileOptions, Generated

__all__ = ["BUNCH_CROSSING_NS", "EncoderDesign"]

BUNCH_CROSSING_NS = 25.0
_ROOMY_NS = 8.0
"""Slots longer than this need no buffers against the loads of their selects."""


@dataclass(frozen=True, kw_only=True)
class EncoderDesign(Design):
    """An encoder.

    Attributes
    ----------
    spec : EncoderSpec
    scheme : Scheme or None
        Protection of the whole chip with its I2C; None: the data path with a plain write port, unprotected.
    loading : Loading or None
        How the whole chip is loaded.
    isolation : bool
        Latches in front of both layers, against glitches: see `hw.common.isolation_latch`.

    Raises
    ------
    ValueError
        Scheme without loading, or loading without scheme.
    """

    spec: EncoderSpec
    scheme: Scheme | None = None
    loading: Loading | None = None
    isolation: bool = False

    kind: ClassVar = "encoder"
    presets: ClassVar = PRESETS
    mark: ClassVar = "kernel"
    rooms: ClassVar = {
        "power": "flows.power.encoder",
        "verification": "flows.verification.encoder",
        "report": "flows.report.encoder",
        "demo": "flows.steps.encoder_demo",
        "freezing": "flows.steps.freeze",
        "measures": "flows.steps.encoder_measures",
        "proofs": "flows.steps.encoder_proofs",
        "costs": "flows.report.protection_cost",
    }
    crossings: ClassVar = 100_000
    crossings_in_flow: ClassVar = 20_000
    stimulus: ClassVar = ("crossings", "streams", "weights")

    def __post_init__(self) -> None:
        if (self.scheme is None) != (self.loading is None):
            raise ValueError(f"a whole chip has a scheme and a loading, got {self.scheme} and {self.loading}")

    @classmethod
    def read_spec(cls, text: str) -> EncoderSpec:
        return EncoderSpec.from_toml(text)

    @classmethod
    def of(
        cls,
        spec: EncoderSpec,
        *,
        reuse: int | None = None,
        scheme: Scheme | str | None = None,
        loading: Loading | str | None = None,
        isolation: bool = False,
        **common: Any,
    ) -> Self:
        """A variant of an encoder.

        Parameters
        ----------
        spec : EncoderSpec
        reuse : int, optional
            In place of the spec's factor.
        scheme, loading : optional
            Either one makes it the whole chip; the other is then `Scheme.NONE`, or `Loading.DIRECT`.
        isolation : bool
            Latches in front of both layers.
        **common
            Fields of `Design`.

        Raises
        ------
        ValueError
            An unknown scheme or loading, or a factor that the spec refuses.
        """
        if reuse is not None:
            spec = replace(spec, reuse=reuse)
        if scheme is not None or loading is not None:
            try:
                scheme, loading = Scheme(scheme or Scheme.NONE), Loading(loading or Loading.DIRECT)
            except ValueError as error:
                known = f"schemes {', '.join(Scheme)}; loadings {', '.join(Loading)}"
                raise ValueError(f"{error}; {known}") from None
        return cls(spec=spec, scheme=scheme, loading=loading, isolation=isolation, **common)

    @property
    def period_ns(self) -> float:
        return BUNCH_CROSSING_NS

    @property
    def reuse(self) -> int:
        return self.spec.reuse

    @property
    def clock_high(self) -> float:
        return CLOCK_HIGH if self.isolation else super().clock_high

    @property
    def recipe(self) -> Recipe:
        # on ECON_T in three slots buffers and larger cells add 5 % of area and 1 % of energy, for nothing
        roomy = self.scheme is Scheme.SECDED_WORDS and self.clock_period_ns > _ROOMY_NS
        recipe = AREA if roomy else super().recipe
        # latches let operands go together, and bits in the order in which they come make fewer glitches; with a
        # multiplier for each product the wires of such trees leave a router too little room
        return replace(recipe, trees=self.isolation and self.reuse > 1)

    @property
    def latency(self) -> int:
        part = self.component()
        part._MustUse__silence = True  # only asked, never elaborated
        return int(part.latency)

    @property
    def made_of_equal_parts(self) -> bool:
        return True  # neurons

    @property
    def protected(self) -> bool:
        return self.scheme is not None

    @property
    def verified_alone(self) -> bool:
        return self.scheme is None

    def component(self) -> Any:
        if self.scheme is None or self.loading is None:
            from hw.hgcal_encoder.encoder import Encoder

            return Encoder(spec=self.spec, isolation=self.isolation)
        from hw.hgcal_encoder.chip import Chip

        return Chip(spec=self.spec, scheme=self.scheme, loading=self.loading, isolation=self.isolation)

    def flip_flops(self) -> Flops | None:
        if self.scheme is None or self.loading is None:
            return None
        from flows.designs.storage_bits import chip_bits

        bits = chip_bits(self.spec, self.scheme, self.loading)
        return Flops(bits=bits, what=f"{self.scheme}, {self.loading} loading")

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        """Verilog, register map and, with weights, what loads them: see `flows.designs.encoder_files`."""
        from flows.designs.encoder_files import generate
        from sim.hgcal_encoder.configuration.production_registers import production_map
        from sim.hgcal_encoder.files.settings_files import autoencoder_settings, read_table, single_registers
        from sim.hgcal_encoder.weights import Weights

        if options.seed is not None:
            raise ValueError("--seed draws the macro of a crossbar; an encoder has none")
        settings, image, others, order = None, None, {}, options.registers
        if options.settings is not None:
            table = read_table(options.settings)
            settings, image = autoencoder_settings(table, options.settings, self.spec)
            others = single_registers(table)
            order = order or settings.word_order
        image = Weights.load(options.weights, self.spec) if options.weights is not None else image
        production = None
        if order is WordOrder.PRODUCTION:
            known = {field.name for field in production_map()}
            production = {name: value for name, value in others.items() if name in known}
        with journal.step(f"{self.spec.name}: Amaranth to Verilog"):
            return generate(
                self.spec,
                folder,
                image,
                settings,
                scheme=options.scheme,
                loading=options.loading or Loading.DIRECT,
                production=production,
            )

    def variant(self) -> dict[str, Any]:
        found: dict[str, Any] = {"reuse": self.reuse} if self.reuse > 1 else {}
        if self.scheme is not None and self.loading is not None:
            found |= {"scheme": self.scheme.value, "loading": self.loading.value}
        found |= {"isolation": True} if self.isolation else {}
        return found | super().variant()

    @property
    def plain(self) -> Self:
        spec = replace(self.spec, reuse=1)
        return replace(self, spec=spec, scheme=None, loading=None, isolation=False, clock_gating=False)

    @property
    def case(self) -> str:
        protected = [self.scheme.value, self.loading.value] if self.scheme and self.loading else []
        others = [f"reuse_{self.reuse}"] if self.reuse > 1 else []
        return "_".join(protected + others + (["isolated"] if self.isolation else []))

    def _name_parts(self) -> list[str]:
        parts = [f"reuse{self.reuse}"] if self.reuse > 1 else []
        parts += [self.scheme.value, self.loading.value] if self.scheme and self.loading else []
        return parts + (["isolated"] if self.isolation else [])

    def _is_preset(self) -> bool:
        preset = self.presets.get(self.spec.name)
        # the factor is an option of the command line
        return preset is not None and bool(replace(preset, reuse=self.reuse) == self.spec)
