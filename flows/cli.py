"""The command line: ``liquidcal``.

Exit codes: 0 the command did its job and every gate passed, 1 a gate failed, 2 wrong usage, bad input, missing tool,
3 a fault of liquidcal itself, 130 interrupted, 143 and 129 ended by SIGTERM and SIGHUP. Whatever goes wrong is one line
on standard error that names file and field; ``--debug`` before the command adds the traceback.
"""

from __future__ import annotations

import errno
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from flows.commands.lazy import LazyGroup
from sim.messages import MOST_SHOWN

app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Hardware/software co-design of detector and neuromorphic chips.

    Start with [bold]liquidcal demo[/]: a shower becomes eLink words, and one seed a liquid that reads digits, each in
    model and RTL, with a report. PRESET is a design: of the HGCAL encoder ECON_T (the network on the chip) or TNS_2021
    (the published network), of the LSM crossbar N_MNIST, N_MNIST_HOMEOSTAT, N_MNIST_OWN_THRESHOLDS, N_TIDIGITS,
    SPOKEN_DIGITS or FULL_MACRO, of two of them DIGITS_8BIT, DIGITS_4BIT or DIGITS_BINARY, or a TOML file of your
    own.""",
)


MOST_LETTERS = 1000
"""Letters of a line about an error; a single value in it has at most `sim.messages.MOST_SHOWN`."""
# typer brings its own copy of click, or takes the installed one: this class is the right one of either
_ClickError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_debug = False


def _show_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        print(f"liquidcal {metadata.version('liquidcal')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options in front of the command; the help of the program is that of `app`."""
    global _debug
    _debug = debug


def one_line(error: BaseException) -> str:
    """An error in one line: of the operating system with the file in front, of anything else as it says itself."""
    if isinstance(error, OSError) and error.errno is not None:
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else (error.strerror or "").lower()
        text = what if error.filename is None else f"{error.filename}: {what}"
    else:
        text = str(error) or type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 3] + "..."


def _late_errors() -> tuple[type[BaseException], ...]:
    """Errors of the hardware and of the chip's driver, whose modules the command has then imported.

    They are looked up and not imported: that would take a third of the time of ``--help``.
    """
    places = {"hw.common.export": "ExportError", "sim.hgcal_encoder.configuration.driver": "LoadError"}
    return tuple(getattr(sys.modules[module], name) for module, name in places.items() if module in sys.modules)


@contextmanager
def _quiet_end() -> Iterator[None]:
    """What an interrupted generation of hardware leaves unused is no news to the user, whenever Python drops it."""
    try:
        yield
    finally:
        if (hdl := sys.modules.get("amaranth.hdl")) is not None:
            warnings.simplefilter("ignore", hdl.UnusedElaboratable)


def _end(text: str, code: int) -> None:
    if _debug:
        traceback.print_exc()
    print(f"liquidcal: {text}", file=sys.stderr)
    sys.exit(code)


def main() -> None:
    """Entry point: turns errors and warnings into one line each, and errors into an exit code."""
    from flows.common.errors import FlowError
    from flows.common.metrics import GateError
    from flows.common.scratch import ended_by_signals, scratch_folder

    expected = (FlowError, ValueError, TypeError, OSError, ImportError)
    shown = warnings.showwarning

    def show(message: Any, category: Any, *place: Any, **more: Any) -> None:
        if category is UserWarning:
            print(f"liquidcal: warning: {' '.join(str(message).split())}", file=sys.stderr)
        else:
            shown(message, category, *place, **more)

    global _debug
    _debug = False
    code: Any = 0
    with _quiet_end(), ended_by_signals(), scratch_folder(), warnings.catch_warnings():
        warnings.showwarning = show
        try:
            code = app(prog_name="liquidcal", standalone_mode=False)
        except typer.Abort:
            code = 130
        except _ClickError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
                sys.exit(2)
            command = error.ctx.command_path if getattr(error, "ctx", None) else "liquidcal"
            text = " ".join(error.format_message().split()).removeprefix("Invalid value: ")
            # click repeats what was typed at full length
            text = re.sub(rf"(\S{{{MOST_SHOWN - 3}}})\S{{4,}}", r"\1...", text)
            _end(f"{text[:MOST_LETTERS]} ({command} --help)", error.exit_code)
        except GateError as error:
            _end(one_line(error), 1)
        except expected as error:
            _end(one_line(error), 2)
        except _late_errors() as error:
            _end(one_line(error), 2)
        except MemoryError:
            _end("not enough memory", 2)
        except Exception as error:
            hint = "" if _debug else "; liquidcal --debug ... shows where"
            _end(f"a fault of liquidcal, please report it: {type(error).__name__}: {one_line(error)}{hint}", 3)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
