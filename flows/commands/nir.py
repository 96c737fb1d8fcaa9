"""``liquidcal nir``: liquids from and to NIR graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson
from flows.commands.outputs import output_file, output_folder
from flows.common.journal import Journal

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def nir() -> None:
    """Import a NIR graph as a crossbar, or export a liquid as one; prints what was rounded."""


@app.command("import")
def import_(
    graph: Annotated[Path, typer.Argument(help="NIR graph (HDF5): one recurrent layer of LIF neurons.")],
    out: Annotated[Path, typer.Option("--out", callback=output_folder, help="Folder for spec and conductances.")],
    step: Annotated[float, typer.Option(help="Length of a time step, in the unit of the graph's time constants.")],
    preset: Annotated[str, typer.Option(help="Spec that says what the graph does not, a preset or TOML.")] = "N_MNIST",
    as_json: AsJson = False,
) -> None:
    """Spec (NAME.toml) and conductances (.mem) of a graph, for train, generate and flow; the contract is printed."""
    from sim.files import replacing
    from sim.lsm_crossbar.nir_graph import read_liquid
    from sim.lsm_crossbar.spec import load_spec

    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in graph.stem).upper()
    name = name if name[:1].isalpha() else f"NIR_{name}"
    found = read_liquid(graph, load_spec(preset), step_s=step, name=name)
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{found.spec.name}.toml") as file:
        file.write(found.spec.to_toml())
    image = found.conductances.write(out)
    _print({"spec": str(out / f"{found.spec.name}.toml"), "conductances": str(image)}, found.contract, as_json)


@app.command("export")
def export(
    model: Annotated[str, typer.Argument(help="Model file (.npz), or the name of a shipped one.")],
    out: Annotated[Path, typer.Option("--out", help="NIR file.")],
    step: Annotated[float, typer.Option(help="Length of a time step in the graph's unit of time.")] = 1e-3,
    as_json: AsJson = False,
) -> None:
    """The liquid of a trained model as a NIR graph; what the graph cannot say is printed."""
    from sim.lsm_crossbar.learning.model import TrainedCrossbar
    from sim.lsm_crossbar.nir_graph import export_liquid, write_graph

    output_file(out)
    chosen = TrainedCrossbar.load(model)
    graph, contract = export_liquid(chosen.spec, chosen.conductances, step)
    write_graph(out, graph)
    _print({"graph": str(out)}, contract, as_json)


def _print(files: dict[str, str], contract: dict[str, str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(files | {"contract": contract}, indent=1))
        return
    console = Journal().console
    for what, text in (files | contract).items():
        console.print(f"{what}: {text}", markup=False, highlight=False)
