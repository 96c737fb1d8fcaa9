"""The commands by name, imported when they are called: the help of the program must not take a second."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

__all__ = ["COMMANDS", "LazyGroup", "load"]

COMMANDS = {
    name: (name, name)
    for name in (
        "demo", "encode", "convert", "generate", "freeze", "verify", "prove", "flow", "synth", "place", "time", "power",
        "export", "fpga", "sweep", "campaign", "sensitivity", "cost", "report", "pools", "train", "evaluate",
    )
} | {"time": ("timing", "timing")}  # fmt: skip
"""Module of this room and function in it by the word of the command line; one with an ``app`` has sub-commands."""


class _Command(TyperCommand):
    """A command that takes its design by place, as in ``synth ECON_T``, or by name, as every command does."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Bring the value of ``--preset`` to the place of the argument."""
        if any(isinstance(parameter, TyperArgument) and parameter.name == "preset" for parameter in self.params):
            for number, word in enumerate(args):
                name, equals, value = word.partition("=")
                if word == "--":
                    break
                if name == "--preset":
                    if not equals and number + 1 == len(args):
                        raise typer.BadParameter("--preset: expected a design after it", ctx)
                    rest = args[:number] + args[number + (1 if equals else 2) :]
                    args = [value if equals else args[number + 1], *rest]
                    break
        return super().parse_args(ctx, args)


class LazyGroup(TyperGroup):
    """The program: lists its commands from the text of their modules, and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names, in the order of a first walk through the flow."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """A stand-in for the list: name and first sentence."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=_summary(*COMMANDS[cmd_name]), rich_markup_mode=self.rich_markup_mode)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, for the rest of the line."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name), self.rich_markup_mode), rest


def _summary(module: str, function: str) -> str:
    """First paragraph of a command's docstring, read without running its module."""
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    return (ast.get_docstring(found) or "").partition("\n\n")[0]


def load(name: str, markup: Any = None) -> Any:
    """A command as typer makes it of its function, by the word of the command line."""
    module, function = COMMANDS[name]
    loaded = import_module(f"flows.commands.{module}")
    sub = getattr(loaded, "app", None)
    if sub is None:
        sub = typer.Typer(add_completion=False, rich_markup_mode=markup)
        sub.command(name, cls=_Command)(getattr(loaded, function))
    command = typer.main.get_command(sub)
    command.name = name
    return command
