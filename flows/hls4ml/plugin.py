"""Registers the backend: hls4ml calls this at every import, so nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["register"]


def register(register_backend: Callable[[str, Any], None], register_writer: Callable[[str, Any], None]) -> None:  # noqa: ARG001
    """Entry point ``hls4ml.backends``.

    The backend writes its files itself, so no writer is registered.
    """
    from flows.hls4ml.backend import NAME, LiquidcalBackend

    register_backend(NAME, LiquidcalBackend)
