"""Errors that a user can do something about: one base, which the command line shows as one line."""

from __future__ import annotations

__all__ = ["FlowError", "ToolError", "ToolTimeout"]


class FlowError(Exception):
    """A flow cannot go on. The message is one line for the user: what was expected, what came, what to do."""


class ToolError(FlowError):
    """A program that a flow runs is missing, or refused its input.

    Parameters
    ----------
    tool : str
        Name of the program.
    message : str
        One line for the user.
    log : str
        Everything that the program wrote.
    """

    def __init__(self, tool: str, message: str, log: str = "") -> None:
        # `args` stay what the class was called with: so an error crosses the border of a process in one piece
        self.tool = tool
        self.message = message
        self.log = log

    def __str__(self) -> str:
        return self.message


class ToolTimeout(ToolError):  # noqa: N818
    """A program was ended at its time limit: it gave no answer, neither a good nor a bad one."""
