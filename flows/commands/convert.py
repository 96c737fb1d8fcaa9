"""``liquidcal convert``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import AsJson, EncoderPreset, finish
from flows.commands.outputs import output_file
from flows.common.journal import Check, Journal

if TYPE_CHECKING:
    from sim.hgcal_encoder.files.keras_files import KerasEncoder


def convert(
    model: Annotated[Path, typer.Argument(help="Encoder of Keras, QKeras, FKeras or HGQ2: .h5, .hdf5 or .keras.")],
    out: Annotated[Path, typer.Option(help="Weight image: .npz of codes, any other name for hex text.")],
    preset: EncoderPreset = "ECON_T",
    round_to_grid: Annotated[bool, typer.Option("--round", help="Move weights to the nearest code.")] = False,
    rounding: Annotated[
        str, typer.Option(help="With --round: nearest, or floor to the code below as in published images.")
    ] = "nearest",
    clip: Annotated[bool, typer.Option("--clip", help="Bring weights beyond the range to its end.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the model of the file, QKeras, hls4ml, golden model and hardware.")
    ] = False,
    images: Annotated[int, typer.Option(min=2, help="Images of the check.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the images.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Import a trained encoder as a weight image of the chip.

    An autoencoder file will do: its encoder is found by the shapes of its layers. Quantisers that the file describes
    are applied. Weights between two codes or out of range are refused unless --round or --clip allows to move them.
    """
    from flows.designs.catalogue import encoder_spec
    from sim.hgcal_encoder.files.keras_files import read_keras_encoder

    output_file(out, (model, model.with_suffix(".json"), preset))
    spec = encoder_spec(preset)
    journal = Journal()
    if rounding not in ("nearest", "floor"):
        raise typer.BadParameter(f"--rounding: expected nearest or floor, got {rounding!r}")
    found = read_keras_encoder(model, spec, round_to_grid=round_to_grid, clip=clip, rounding=rounding)  # type: ignore[arg-type]
    if out.suffix == ".npz":
        found.weights.save_arrays(out)
    else:
        found.weights.save(out)
    result: dict[str, Any] = {
        "out": str(out),
        "spec": spec.name,
        "layers": found.layers,
        "described": found.described,
        "quantised": found.quantised,
        "parameters": spec.parameters,
        "rounded": found.rounded,
        "largest_step_codes": found.largest_step,
        "clipped": found.clipped,
    }
    journal.console.print(
        f"{spec.parameters:,} weights from {', '.join(found.layers.values())}: {found.rounded:,} rounded "
        f"(by up to {found.largest_step:.2f} codes), {found.clipped:,} clipped: {out}"
    )
    if not found.described:
        journal.console.print("  the file holds weights alone: stride, padding and quantisers could not be checked")
    if check:
        result["comparisons"] = _check(journal, model, found, images, seed)
        finish(journal, result, as_json)
    elif as_json:
        print(json.dumps(result, indent=1))


def _check(journal: Journal, model: Path, found: KerasEncoder, images: int, seed: int) -> list[dict[str, Any]]:
    """Every engine against the golden model.

    The model of the file and QKeras must agree only where they have the rules of the spec, and the file also only if
    no weight was moved.
    """
    import numpy as np

    from flows.learning.conversion import (
        Backend,
        HardwareNetwork,
        Hls4mlNetwork,
        compare,
        compare_file,
        file_model,
        qkeras_expresses,
        qkeras_model,
        sample_pixels,
        trace_model,
        trace_qkeras,
    )

    weights = found.weights
    spec = weights.spec
    pixels = sample_pixels(spec, np.random.default_rng(seed), images)
    reference = trace_model(weights, pixels)
    comparisons = []
    names = [found.layers[layer].rpartition("/")[2] for layer in ("convolution", "dense")]
    with journal.step("model of the file"):
        try:
            comparisons.append(compare_file(reference, file_model(model, *names), pixels))
        except ValueError as error:
            journal.console.print(f"  {error}")
    with journal.step("QKeras"):
        comparisons.append(compare(reference, trace_qkeras(qkeras_model(weights), spec, pixels)))
    for backend in Backend:
        with journal.step(f"hls4ml {backend}"), tempfile.TemporaryDirectory(prefix="liquidcal-hls4ml-") as folder:
            comparisons.append(
                compare(reference, Hls4mlNetwork(weights, Path(folder), backend, trace=True).trace(pixels))
            )
    with journal.step("hardware"):
        comparisons.append(compare(reference, HardwareNetwork(spec).trace(weights, pixels)))
    for comparison in comparisons:
        if comparison.engine in ("QKeras", "model of the file") and not qkeras_expresses(spec):
            journal.console.print(f"  {comparison.engine}, which has other rules than {spec.name}: {comparison}")
            continue
        if comparison.engine == "model of the file" and (found.rounded or found.clipped or not found.quantised):
            journal.console.print(f"  its weights or results are not those of the chip's formats: {comparison}")
            continue
        name = f"{comparison.engine} = {comparison.reference}"
        total = sum(comparison.compared.values())
        detail = "" if comparison.equal else str(comparison)
        journal.check(Check(name=name, passed=comparison.equal, compared=total, unit="codes", detail=detail))
    return [
        {
            "engine": comparison.engine,
            "reference": comparison.reference,
            "compared": comparison.compared,
            "different": comparison.different,
            "largest": comparison.largest,
        }
        for comparison in comparisons
    ]
