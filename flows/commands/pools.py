"""``liquidcal pools``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson


class Process(StrEnum):
    """Collisions that Pythia makes."""

    MINBIAS = "minbias"
    TTBAR = "ttbar"


def pools(
    process: Annotated[Process, typer.Argument(help="Minimum bias, or top pairs.")],
    out: Annotated[Path, typer.Option(help="Pool (.npz); the shower generator takes it as PileUp(pool=...).")],
    events: Annotated[int, typer.Option(min=1, help="Collisions; each gives two endcaps.")] = 3000,
    seed: Annotated[int, typer.Option(min=1, help="Of Pythia.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make a pool of particles at the front face with Pythia, of which the shower generator then draws.

    Two pools ship. Needs the extra 'pools' (pythia8mc, GPL).
    """
    import json

    from flows.commands.outputs import output_file
    from flows.common.journal import Journal
    from sim.hgcal_encoder.detector.pools import generate_pool, save_pool

    output_file(out)
    journal = Journal()
    with journal.step(f"{events:,} {process.value} collisions", events) as advance:
        done = 0

        def show(count: int) -> None:
            nonlocal done
            advance(count - done)
            done = count

        try:
            pool = generate_pool(process.value, events, seed, show)
        except RuntimeError as error:  # Pythia gave up
            raise ValueError(str(error)) from None
    save_pool(out, pool)
    result = {"out": str(out), "endcaps": len(pool["off"]) - 1, "particles": len(pool["kind"])}
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        print(f"{result['endcaps']:,} endcaps, {result['particles']:,} particles: {out}")
