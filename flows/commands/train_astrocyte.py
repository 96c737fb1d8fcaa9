"""``liquidcal train astrocyte_liquid``: the weights of a liquid and its readout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, EventFolder, Labels, Scheduler, Workers
from flows.commands.outputs import free_file, output_folder
from flows.common.journal import Journal


def astrocyte_liquid(
    out: Annotated[Path, typer.Option("--out", callback=output_folder, help="Folder for the model.")],
    preset: Annotated[
        str, typer.Option(help="NALSM_1000, NALSM_216, NALSM_1000_EVENTS, or a spec in a TOML file.")
    ] = "NALSM_1000",
    seed: Annotated[int, typer.Option(min=0, help="Of the network, its images and their spikes.")] = 1,
    digits: Annotated[
        Path | None, typer.Option(help="Folder or .npz with MNIST or Fashion-MNIST, in place of what ships.")
    ] = None,
    events: EventFolder = None,
    labels: Labels = None,
    snapshots: Annotated[int, typer.Option(min=0, help="Short samples that tune the liquid.")] = 5_000,
    images: Annotated[int, typer.Option(min=10, help="Samples that the readout learns from; a fifth more choose.")] = (
        2_000
    ),
    plastic: Annotated[
        bool, typer.Option("--plastic", help="Weights change within every sample, as published; else frozen.")
    ] = False,
    scheduler: Scheduler = None,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that --out holds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tune a liquid with STDP under an astrocyte, and train its readout.

    On digits, or, where the liquid has an input for each pixel and polarity of N-MNIST's sensor, on recordings.

    An interrupted run goes on from its checkpoints in --out. Tuning takes one sample after another; spikes of samples
    are counted in threads, in processes (--workers), or on a cluster (--scheduler).
    """
    from flows.learning.astrocyte import LiquidTraining, train_liquid
    from flows.stimulus.astrocyte_samples import SampleFiles
    from sim.astrocyte_liquid.spec import load_spec

    spec = load_spec(preset)
    path = free_file(out / f"{spec.name}.npz", overwrite)
    training = LiquidTraining(
        seed=seed, snapshots=snapshots, training=images, validation=max(1, images // 5), plastic=plastic
    )
    given = SampleFiles(digits=digits, events=events, labels=labels)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{spec.name}.checkpoint.npz"
    model, right = train_liquid(
        spec, training, Journal(), given=given, checkpoint=checkpoint, scheduler=scheduler, workers=workers
    )
    model.save(path)
    for kept in out.glob(f"{checkpoint.stem}*.npz"):
        kept.unlink()
    result = {"model": str(path), "spec": spec.name, "seed": seed, "synapses": len(model.network), "validation": right}
    print(json.dumps(result, indent=1) if as_json else f"{path}: {100 * right:.1f} % of the validation samples right")
