"""Either chip by name: presets and TOML files of both, and variants of an encoder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from typing import Any

from flows.synthesis.recipe import AREA, BUFFERED, Recipe
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import PRESETS as ENCODER_PRESETS
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.spec import PRESETS as CROSSBAR_PRESETS
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.spec_file import load_preset

__all__ = ["INTERNAL_CLOCK", "PRESETS", "Design", "Spec", "component", "design", "load_design"]

Spec = EncoderSpec | CrossbarSpec

PRESETS: dict[str, Spec] = {**ENCODER_PRESETS, **CROSSBAR_PRESETS}
"""Presets of both chips by name."""


BUNCH_CROSSING_NS = 25.0

INTERNAL_CLOCK = "fast_clk"
"""Port of the second clock of an encoder whose multipliers are reused."""


def load_design(name: str) -> Spec:
    """A preset of either chip by name, or a spec from a TOML file.

    A file with a convolution kernel is an encoder's, one with a firing threshold a crossbar's.

    Raises
    ------
    ValueError
        If there is neither such a preset nor such a file, or the file is not a spec.
    """
    return load_preset(name, PRESETS, _from_toml)


def _from_toml(text: str) -> Spec:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not a TOML file: {error}") from None
    if "kernel" in table:
        return EncoderSpec.from_toml(text)
    if "threshold" in table:
        return CrossbarSpec.from_toml(text)
    raise ValueError("expected the field kernel (an encoder) or threshold (a crossbar), got neither")


def component(spec: Spec, *, black_boxes: bool = False, macro_seed: int = 0) -> Any:
    """A fresh hardware component of a design, to be elaborated once.

    Parameters
    ----------
    spec : EncoderSpec or CrossbarSpec
    black_boxes : bool
        A crossbar's macro and weight memory as ports only, for an ASIC; otherwise the macro is a memory with the
        conductances of a seed, for an FPGA. Without meaning for an encoder.
    macro_seed : int
        Of these conductances.
    """
    match spec:
        case EncoderSpec():
            from hw.hgcal_encoder.encoder import Encoder

            return Encoder(spec=spec)
        case CrossbarSpec():
            from flows.designs.macro_image import macro_image
            from hw.lsm_crossbar.crossbar import Crossbar
            from sim.lsm_crossbar.macro_model.device import draw

            return Crossbar(spec=spec, image=None if black_boxes else macro_image(draw(spec, macro_seed), words=True))


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is synthesised, placed, timed and measured: a chip, and of an encoder which of its variants.

    Attributes
    ----------
    spec : EncoderSpec or CrossbarSpec
    scheme : Scheme or None
        Protection of a whole encoder chip with its I2C; None: the data path with a plain write port, unprotected.
    loading : Loading or None
        How a whole chip is loaded.
    clock_gating : bool
        Registers with an enable stand behind clock gates of the library.

    Raises
    ------
    ValueError
        A variant of a crossbar, or scheme without loading.
    """

    spec: Spec
    scheme: Scheme | None = None
    loading: Loading | None = None
    clock_gating: bool = False

    def __post_init__(self) -> None:
        if (self.scheme is None) != (self.loading is None):
            raise ValueError(f"a whole chip has a scheme and a loading, got {self.scheme} and {self.loading}")
        if self.scheme is not None and not isinstance(self.spec, EncoderSpec):
            raise ValueError(f"schemes of protection are those of an encoder; {self.spec.name} is none")

    @property
    def name(self) -> str:
        """Name of the folder of results and of the top module: the spec's, and whatever departs from it."""
        parts = [self.spec.name]
        if isinstance(self.spec, EncoderSpec) and self.spec.reuse > 1:
            parts.append(f"reuse{self.spec.reuse}")
        if self.scheme is not None and self.loading is not None:
            parts += [self.scheme.value, self.loading.value]
        if self.clock_gating:
            parts.append("gated")
        return "_".join(parts)

    @property
    def reuse(self) -> int:
        """Internal clocks in a clock: 1 without an internal clock."""
        return self.spec.reuse if isinstance(self.spec, EncoderSpec) else 1

    @property
    def period_ns(self) -> float:
        """Period of the clock, ns: a bunch crossing, or what a crossbar's spec says."""
        return BUNCH_CROSSING_NS if isinstance(self.spec, EncoderSpec) else self.spec.clock_period_ns

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
    def internal_clocks(self) -> dict[str, int]:
        """Clock ports beside ``clk``, each with how many times as fast it is."""
        return {INTERNAL_CLOCK: self.reuse} if self.reuse > 1 else {}

    @property
    def latency(self) -> int:
        """Clocks from inputs to outputs of an encoder, as its hardware says; 0 for a crossbar."""
        if not isinstance(self.spec, EncoderSpec):
            return 0
        part = self.component()
        part._MustUse__silence = True  # only asked, never elaborated
        return int(part.latency)

    @property
    def options(self) -> str:
        """The options of the command line that make this variant, each with a space before it."""
        text = f" --reuse {self.reuse}" if self.reuse > 1 else ""
        if self.scheme is not None and self.loading is not None:
            text += f" --scheme {self.scheme.value} --loading {self.loading.value}"
        return text + (" --clock-gating" if self.clock_gating else "")

    def component(self) -> Any:
        """A fresh hardware component, as an ASIC has it."""
        if self.scheme is None or self.loading is None:
            return component(self.spec, black_boxes=True)
        from hw.hgcal_encoder.chip import Chip

        assert isinstance(self.spec, EncoderSpec)
        return Chip(spec=self.spec, scheme=self.scheme, loading=self.loading)


def design(
    preset: str,
    *,
    reuse: int | None = None,
    scheme: Scheme | None = None,
    loading: Loading | None = None,
    clock_gating: bool = False,
) -> Design:
    """A design of the command line.

    Parameters
    ----------
    preset : str
        As `load_design` takes it.
    reuse : int, optional
        In place of the spec's factor.
    scheme, loading : optional
        Either one makes it a whole chip; the other is then `Scheme.NONE`, or `Loading.DIRECT`.
    clock_gating : bool

    Raises
    ------
    ValueError
        See `load_design` and `Design`; a reuse factor of a crossbar.
    """
    spec = load_design(preset)
    if reuse is not None:
        if not isinstance(spec, EncoderSpec):
            raise ValueError(f"multipliers are reused in an encoder; {spec.name} is none")
        spec = replace(spec, reuse=reuse)
    if scheme is not None or loading is not None:
        scheme, loading = scheme or Scheme.NONE, loading or Loading.DIRECT
    return Design(spec=spec, scheme=scheme, loading=loading, clock_gating=clock_gating)
