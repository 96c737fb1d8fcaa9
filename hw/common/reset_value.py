"""Widths and reset values that storage takes."""

__all__ = ["check_cell", "check_register"]


def check_cell(width: int, reset: int) -> None:
    """Refuse a storage cell that is no byte or part of one; raises ValueError."""
    if not 1 <= width <= 8:
        raise ValueError(f"a storage cell has 1 to 8 bits, got {width}")
    _check_reset(width, reset)


def check_register(width: int, reset: int) -> None:
    """Refuse a register without bits; raises ValueError."""
    if width < 1:
        raise ValueError(f"a register needs at least 1 bit, got {width}")
    _check_reset(width, reset)


def _check_reset(width: int, reset: int) -> None:
    if not 0 <= reset < 1 << width:
        raise ValueError(f"reset value {reset} does not fit {width} bits")
