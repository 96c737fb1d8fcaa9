"""``liquidcal transfer``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson
from flows.commands.outputs import free_file, output_folder
from flows.common.journal import Journal
from sim.files import replacing, write_arrays


def transfer(
    model: Annotated[Path, typer.Argument(help="Model (.npz) of `liquidcal train astrocyte_liquid`.")],
    out: Annotated[Path, typer.Option("--out", callback=output_folder, help="Folder for what is written.")],
    programming_error: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Relative standard deviation of a written conductance.")
    ] = None,
    read_noise: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Of a cell, relative.")] = None,
    drift_s: Annotated[
        float | None, typer.Option(min=1.0, help="Time, s, that the cells have drifted when the readout is trained.")
    ] = None,
    pristine_mohm: Annotated[
        float | None, typer.Option(min=0.1, help="Resistance of cells without synapse, Mohm; else they do not conduct.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the errors of the macro, and of the digits and spikes.")] = 0,
    digits: Annotated[
        Path | None, typer.Option(help="Folder or .npz with MNIST or Fashion-MNIST, in place of what ships.")
    ] = None,
    images: Annotated[int, typer.Option(min=10, help="Digits that the readout learns from; a third more choose.")] = (
        1_500
    ),
    test: Annotated[int, typer.Option(min=1, help="Digits that are scored, once.")] = 1_000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --out holds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a tuned astrocyte liquid into a macro of the crossbar, or a tile of them, train the readout, and score it.

    Leaves NAME.toml, the crossbar's spec with the threshold that validation chose; NAME.npz, the conductances in uS
    that `generate`, `train`, `evaluate` and `flow` take as --conductances; and NAME_readout.npz, weights and biases.
    """
    from flows.learning.astrocyte_crossbar import chip_spec
    from flows.learning.astrocyte_crossbar import transfer as written
    from flows.learning.crossbar import ASSUMED_DRIFT
    from sim.astrocyte_liquid.learning.model import TrainedLiquid
    from sim.lsm_crossbar.macro_model.measured_file import write_measured
    from sim.lsm_crossbar.spec import DeviceParameters

    chosen = TrainedLiquid.load(model)
    stem = chip_spec(chosen.spec).name
    names = [free_file(out / name, overwrite) for name in (f"{stem}.toml", f"{stem}.npz", f"{stem}_readout.npz")]
    drift = {} if drift_s is None else {**ASSUMED_DRIFT, "drift_time_s": drift_s}
    device = DeviceParameters(
        pristine_resistance_mohm=pristine_mohm, programming_error=programming_error or None, **drift
    )
    result = written(
        chosen, device, Journal(), seed=seed, read_noise=read_noise, digits=digits,
        sizes=(images, max(1, images // 3), test),
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    with replacing(names[0]) as file:
        file.write(result.spec.to_toml())
    write_measured(names[1], result.conductances.codes * result.spec.g_lsb_us)
    readout = result.readout.readout
    write_arrays(names[2], {"weights": readout.weights.astype("i2"), "bias": readout.bias.astype("i8")})
    summary = {
        "files": [str(name) for name in names], "spec": result.spec.name, "threshold": result.spec.threshold,
        "validation": result.readout.chosen.validation_accuracy, "accuracy": result.accuracy, "rate": result.rate,
        "conductances_sha256": result.conductances.sha256,
    }  # fmt: skip
    if as_json:
        print(json.dumps(summary, indent=1))
    else:
        print(f"{names[1]}: {100 * result.accuracy:.1f} % of {test:,} digits right, threshold {result.spec.threshold}")
