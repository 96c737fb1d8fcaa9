"""The command line: ``liquidcal``.

Exit codes: 0 the command did its job and every gate passed, 1 a gate failed, 2 wrong usage, bad input, missing tool.
"""

from __future__ import annotations

import sys

import typer

from flows.commands import (
    campaign,
    convert,
    cost,
    demo,
    encode,
    evaluate,
    export,
    flow,
    fpga,
    freeze,
    generate,
    place,
    pools,
    power,
    prove,
    report,
    sensitivity,
    sweep,
    synth,
    timing,
    train,
    verify,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Hardware/software co-design of detector and neuromorphic chips.

    Start with [bold]liquidcal demo[/]: a shower becomes eLink words, and one seed a liquid that reads digits, each in
    model and RTL, with a report. PRESET is a design: of the HGCAL encoder ECON_T (the network on the chip) or TNS_2021
    (the published network), of the LSM crossbar N_MNIST, N_TIDIGITS or FULL_MACRO, or a TOML file of your own.""",
)

app.command()(demo.demo)
app.command()(encode.encode)
app.command()(convert.convert)
app.command()(generate.generate)
app.command()(freeze.freeze)
app.command()(verify.verify)
app.command()(prove.prove)
app.command()(flow.flow)
app.command()(synth.synth)
app.command()(place.place)
app.command("time")(timing.timing)
app.command()(power.power)
app.command()(export.export)
app.command()(fpga.fpga)
app.command()(sweep.sweep)
app.command()(campaign.campaign)
app.command()(sensitivity.sensitivity)
app.command()(cost.cost)
app.command()(report.report)
app.command()(pools.pools)
app.command()(train.train)
app.add_typer(evaluate.app, name="evaluate")


def main() -> None:
    """Entry point: turns expected errors into one line and an exit code. Ctrl-C ends with 130, as shells do."""
    from flows.common.errors import FlowError
    from flows.common.metrics import GateError
    from hw.common.export import ExportError
    from sim.hgcal_encoder.configuration.driver import LoadError

    expected = (FlowError, ValueError, TypeError, OSError, ExportError, LoadError, ModuleNotFoundError)
    try:
        app()
    except GateError as error:
        print(f"liquidcal: {error}", file=sys.stderr)
        sys.exit(1)
    except expected as error:
        print(f"liquidcal: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
