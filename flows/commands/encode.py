"""``liquidcal encode``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import AsJson, EncoderPreset
from flows.commands.outputs import output_file
from flows.common.journal import Journal
from sim.hgcal_encoder.spec import CELLS, EncoderSpec
from sim.hgcal_encoder.words import ORBIT_LENGTH

if TYPE_CHECKING:
    from sim.fixed_point import IntArray
    from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorSettings
    from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
    from sim.hgcal_encoder.weights import Weights


class EncodeEngine(StrEnum):
    """Engines of ``encode``."""

    NUMPY = "numpy"
    NUMBA = "numba"
    RTL = "rtl"


class Level(StrEnum):
    """What of the chip the RTL holds."""

    WORD = "word"
    """From aligned words to the words of the transmitters."""
    SERIAL = "serial"
    """The whole chip, from bits at its receivers to bits at its transmitters, loaded over I2C and aligned."""


_NAMES = {
    "NoneType": "autoencoder",
    "ThresholdSum": "threshold sum",
    "SuperTriggerCells": "super trigger cells",
    "BestChoice": "best choice",
    "Repeater": "repeater",
}
"""Algorithms by the class of their model."""


def encode(
    out: Annotated[Path, typer.Option(help="Output CSV: frames in the testOutput layout, or latents.")],
    words: Annotated[Path | None, typer.Option(help="eRx words, CSV in the testInput layout.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="ECON-T settings (YAML); they choose the algorithm, and may hold its weights.")
    ] = None,
    charges: Annotated[
        Path | None, typer.Option(help="Calibrated charges CALQ_0 to CALQ_47: CSV, Parquet or ROOT.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weight image: .npz of codes or the hex text of generate.")
    ] = None,
    preset: EncoderPreset = "ECON_T",
    engine: Annotated[
        EncodeEngine, typer.Option(help="Golden model (numpy, numba) or the simulated RTL.")
    ] = EncodeEngine.NUMBA,
    level: Annotated[
        Level, typer.Option(help="RTL: the data path on aligned words, or the whole chip on serial bits.")
    ] = Level.WORD,
    chip: Annotated[
        str | None,
        typer.Option(
            help="RTL: the concentrator that encodes, ECON_T_P1 or ECON_T_PRODUCTION, as the settings are spelled, or "
            "a spec in a TOML file; else one that has the selected algorithm alone, which builds faster."
        ),
    ] = None,
    waves: Annotated[
        Path | None, typer.Option(help="With --level serial: every signal of the chip while the words pass, as VCD.")
    ] = None,
    first_bx: Annotated[
        int,
        typer.Option(
            min=0,
            max=ORBIT_LENGTH - 1,
            help="Bunch crossing of the first row of words, if it does not carry the orbit header.",
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Encode eRx words to eTx words, or charges to latents.

    Words: --words FILE.csv --settings FILE.yaml --out FILE.csv; the algorithm is the one that the settings select:
    threshold sum, super trigger cells, best choice, repeater or autoencoder.
    Charges: --charges FILE --weights IMAGE --out FILE.csv. The multiplexer of --settings, else the one that a
    trained model (.npz) carries, brings trigger cells onto the grid; without either, column i is grid cell i.
    """
    from flows.designs.catalogue import concentrator_spec, encoder_spec

    output_file(out, (words, settings, charges, weights, preset))
    spec = encoder_spec(preset)
    whole = None if chip is None else concentrator_spec(chip)
    if whole is not None and (engine is not EncodeEngine.RTL or words is None):
        raise typer.BadParameter("--chip is a concentrator in RTL: use --words, --settings and --engine rtl")
    journal = Journal()
    if level is Level.SERIAL and (engine is not EncodeEngine.RTL or words is None):
        raise typer.BadParameter("--level serial is the whole chip in RTL: use --words, --settings and --engine rtl")
    if waves is not None:
        if level is not Level.SERIAL:
            raise typer.BadParameter("--waves: expected --level serial, whose signals they are")
        output_file(waves, (words, settings, charges, weights, preset, out))
    if words is not None and settings is not None and charges is None:
        stream = _Stream(
            words=words, settings=settings, weights=weights, spec=spec, engine=engine, level=level, whole=whole,
            waves=waves, first_bx=first_bx,
        )  # fmt: skip
        result = stream.encode(out, journal)
    elif charges is not None and weights is not None and words is None:
        if engine is EncodeEngine.RTL:
            raise typer.BadParameter("the RTL takes words: use --words and --settings with --engine rtl")
        if first_bx:
            raise typer.BadParameter("--first-bx counts rows of --words; charges have no bunch crossing")
        rows = _latents(out, charges, weights, settings, spec, engine, journal)
        result = {"rows": rows, "kind": "latents", "out": str(out), "engine": engine.value}
    else:
        raise typer.BadParameter("give either --words and --settings, or --charges and --weights")
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        by = f", {result['algorithm']}" if "algorithm" in result else ""
        journal.console.print(f"{result['rows']:,} bunch crossings: {result['kind']}{by} in {out}")


@dataclass(frozen=True, kw_only=True)
class _Stream:
    """Words of consecutive bunch crossings, and what encodes them."""

    words: Path
    settings: Path
    weights: Path | None
    spec: EncoderSpec
    engine: EncodeEngine
    level: Level
    whole: ConcentratorSpec | None
    waves: Path | None
    first_bx: int

    def encode(self, out: Path, journal: Journal) -> dict[str, Any]:
        """Write the frames; what was done, for JSON."""
        from sim.hgcal_encoder.algorithms.concentrator import encode_words, load_chip_settings
        from sim.hgcal_encoder.files import vectors
        from sim.hgcal_encoder.words import wrong_headers

        chip = load_chip_settings(self.settings, self.spec)
        name = _NAMES[type(chip.algorithm).__name__]
        if chip.algorithm is not None and self.weights is not None:
            raise typer.BadParameter(f"--weights: {self.settings} selects {name}, which has none")
        rows = vectors.read_words(self.words)
        wrong = wrong_headers(rows)
        if len(wrong):
            row, link = wrong[0].tolist()
            warnings.warn(
                f"{self.words}: {len(wrong):,} of {rows.size:,} words carry a header that no aligned link sends,"
                f" first row {row + 2}, column RX_DATA_{link}: {rows[row, link] >> 28:#x}; encoded as the chip does",
                stacklevel=2,
            )
        if self.level is Level.SERIAL:
            frames: Any = self._serial(rows, chip, journal)
        elif self.whole is not None or (chip.algorithm is not None and self.engine is EncodeEngine.RTL):
            frames = self._concentrator(rows, chip, journal)
        elif chip.algorithm is not None:
            frames = encode_words(chip.algorithm, chip.settings, rows, self.first_bx)
        else:
            frames = self._autoencoder(rows, chip, journal)
        vectors.write_frames(out, frames)
        return {
            "rows": len(rows), "kind": "frames", "out": str(out), "engine": self.engine.value, "algorithm": name,
            "wrong_headers": len(wrong),
        }  # fmt: skip

    def _concentrator(self, rows: IntArray, chip: Any, journal: Journal) -> Any:
        """By the RTL of a concentrator."""
        from flows.simulation.concentrator import simulate_concentrator

        spec, settings = self._configured(chip)
        with journal.step(f"RTL: {len(rows):,} bunch crossings", len(rows)) as advance:
            return simulate_concentrator(
                spec, rows, settings.registers(spec), first_bx=self.first_bx, advance=advance
            )  # fmt: skip

    def _serial(self, rows: IntArray, chip: Any, journal: Journal) -> Any:
        """By the RTL of the whole chip."""
        from flows.simulation.serial_chip import SerialBench

        spec, settings = self._configured(chip)
        with journal.step("RTL of the whole chip: Amaranth to Verilog to simulator"):
            bench = SerialBench(spec, trace=self.waves is not None)
        with journal.step(f"RTL, serial to serial: {len(rows):,} bunch crossings"):
            return bench.frames(rows, settings, first_bx=self.first_bx, waves=self.waves)

    def _configured(self, chip: Any) -> tuple[ConcentratorSpec, ConcentratorSettings]:
        """The chip of ``--chip``, or one that has the selected algorithm alone and builds in a minute; its settings."""
        from sim.hgcal_encoder.algorithms.concentrator_model import load_concentrator_settings
        from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, AlgorithmNumber, ConcentratorSpec

        settings = load_concentrator_settings(self.settings, self.whole or ECON_T_PRODUCTION)
        number = AlgorithmNumber(settings.alg_type)
        order = chip.settings.word_order
        spec = self.whole or ConcentratorSpec(
            name=f"ONLY_{number.label}", algorithms=(number.label,), word_order=order
        )  # fmt: skip
        if not spec.has(number) or spec.word_order is not order:
            raise typer.BadParameter(
                f"--chip {spec.name}: expected {number.label} and words as of {order.value}, which {self.settings} "
                f"selects; it has {', '.join(spec.algorithms)}, and words as of {spec.word_order.value}"
            )
        if number is AlgorithmNumber.AUTOENCODER:
            settings = replace(settings, weights=self._image(settings.weights, spec.encoder))
        return spec, settings

    def _image(self, own: Weights | None, spec: EncoderSpec) -> Weights:
        """Weights of ``--weights``, else those of the settings."""
        from sim.hgcal_encoder.weights import Weights

        image = Weights.load(self.weights, spec) if self.weights is not None else own
        if image is None:
            raise typer.BadParameter(f"{self.settings} carries no weights; add --weights IMAGE")
        return image

    def _autoencoder(self, rows: IntArray, chip: Any, journal: Journal) -> Any:
        from sim.hgcal_encoder.encoder import Encoder

        image = self._image(chip.weights, self.spec)
        if self.engine is not EncodeEngine.RTL:
            return Encoder(self.spec, image, chip.settings, self.engine.value).frames(rows, self.first_bx)
        from flows.simulation.encoder import simulate_encoder

        with journal.step(f"RTL: {len(rows):,} bunch crossings", len(rows)) as advance:
            return simulate_encoder(
                self.spec, rows, chip.settings, image, first_bx=self.first_bx, advance=advance
            )  # fmt: skip


def _latents(
    out: Path, charges: Path, weights: Path, settings: Path | None, spec: EncoderSpec, engine: EncodeEngine,
    journal: Journal,
) -> int:  # fmt: skip
    """Write the latents of charges; how many rows there were."""
    from sim.hgcal_encoder.encoder import Encoder
    from sim.hgcal_encoder.files import vectors
    from sim.hgcal_encoder.files.readers import charge_tables
    from sim.hgcal_encoder.weights import Weights

    image = Weights.load(weights, spec)
    select = _multiplexer(weights, settings, spec)
    encoder = Encoder(spec, image, engine=engine.value)
    tables = charge_tables(charges)
    with journal.step("encode", unit="modules") as advance:

        def latents() -> Iterator[IntArray]:
            for table in tables:
                yield encoder.latents(table.charges[:, select])
                advance(len(table.charges))

        return vectors.write_latents_in_parts(out, latents())


def _multiplexer(weights: Path, settings: Path | None, spec: EncoderSpec) -> IntArray:
    """Trigger cell for each grid cell: from settings, from a trained model, or as it comes."""
    import numpy as np

    from sim.hgcal_encoder.files.settings_files import load_settings
    from sim.hgcal_encoder.weights import load_multiplexer

    if settings is not None:
        return load_settings(settings, spec)[0].select
    carried = load_multiplexer(weights)
    return np.arange(CELLS) if carried is None else carried
