"""Register map of a network's chip: rows of weights where the weight image has them, control registers after them."""

from __future__ import annotations

from sim.chip_registers import Access, ChipField, Loading, guarded_fields
from sim.network.spec import NetworkSpec
from sim.network.weights import address_bits, weight_rows

__all__ = ["ERROR_COUNTERS", "chip_fields", "weight_fields"]

ERROR_COUNTERS = ("corrected_weights", "corrected_control", "uncorrectable_weights")
"""Of a chip with code words; with copies and voters the first two, without protection none."""


def weight_fields(spec: NetworkSpec) -> tuple[ChipField, ...]:
    """The image: one field for each row, index and address ascending together."""
    low = address_bits(spec)[1]
    return tuple(
        ChipField(
            name="weights", index=number, address=number << low, width=row.bits, image=True,
            about=f"Layer {row.layer}, output {row.number}: its weights, then its bias, low bits first.",
        )
        for number, row in enumerate(weight_rows(spec))
    )  # fmt: skip


def chip_fields(spec: NetworkSpec, loading: Loading, counters: int = 0) -> tuple[ChipField, ...]:
    """All fields, ascending by address; control registers begin at a multiple of 256.

    Parameters
    ----------
    spec : NetworkSpec
    loading : Loading
    counters : int
        Error counters: the first ones of `ERROR_COUNTERS`.

    Raises
    ------
    ValueError
        If there are no weights, or the map does not fit the 16-bit address space.
    """
    if not spec.layers:
        raise ValueError(f"{spec.name}: expected a layer with weights to load, got none")
    image = weight_fields(spec)
    base = -(-(image[-1].address + image[-1].size) // 256) * 256
    control = [
        ChipField(
            name=name, address=base + 0x10 + number, width=8, access=Access.READ_ONLY,
            about=f"{name.replace('_', ' ').capitalize()}: errors so far; stops at 255.",
        )
        for number, name in enumerate(ERROR_COUNTERS[:counters])
    ]  # fmt: skip
    if counters:
        control.insert(0, ChipField(name="clear_errors", address=base, width=1, about="Holds all error counters at 0."))
    if loading is Loading.GUARDED:
        control += guarded_fields(base + 0x80)
    if base + 0x100 > 1 << 16:
        raise ValueError(
            f"{spec.name}: expected an image below 0xff00 of the 16-bit address space, got {base:#x} bytes"
        )
    return (*image, *control)
