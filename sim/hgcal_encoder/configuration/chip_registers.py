"""Register map of the whole chip: settings and weights, control, status, error counters, guarded loading.

One description: hardware (`hw.hgcal_encoder.control`), driver (`sim.hgcal_encoder.configuration.driver`),
documentation and C header (`flows.designs.register_documents`) read it. Addresses are those of ECON-T-P1 where its
register map has the register (cmantill/econt_sw @e403a79); what the chip does not have stands from 0x0c80 on.
"""

from __future__ import annotations

from dataclasses import fields, replace

from sim.chip_registers import (
    DEVICE_ADDRESS,
    LOAD_BEGIN,
    LOAD_COMMIT,
    LOAD_STATUS,
    Access,
    ChipField,
    Loading,
    guarded_fields,
    image_checksum,
    masks_of,
)
from sim.hgcal_encoder.configuration.registers import register_map, register_writes
from sim.hgcal_encoder.settings import AUTOENCODER, Settings
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.register_map import Field

__all__ = [
    "BLOCKS_OF_ERRORS", "DEVICE_ADDRESS", "LOAD_BEGIN", "LOAD_COMMIT", "LOAD_STATUS", "Access", "ChipField", "Loading",
    "chip_fields", "error_counters", "image_bytes", "image_checksum", "image_fields", "image_masks",
]  # fmt: skip

_CONTROL_ADDRESS = 0x0BEC
"""First register of the control block on ECON-T; everything after it keeps its distance."""
_ABOUT = {
    "etx_count": "Active eTx links, 1 to 13; 0, 14 and 15 count as 13.",
    "keep_mask": "One bit per latent bit: 1 keeps it in the frame.",
    "select": "Input that the trigger cell takes; 48 to 63: none, code 0.",
    "factors": "Calibration factor of the trigger cell, 1.11 unsigned.",
    "high_density": "Density of the module: 1 high.",
    "weights": "Block of the weight image, least significant bit first.",
}

BLOCKS_OF_ERRORS = {
    "formatter_buffer": ("etx_count", "keep_mask"),
    "mux_calibration": ("select", "factors"),
    "algorithm": ("high_density", "algorithm", "drop_lsb"),
    "weights": ("weights",),
}
"""Groups of the image whose errors share a counter."""


def image_fields(spec: EncoderSpec) -> tuple[ChipField, ...]:
    """Fields that are loaded: settings and weights, ascending by address.

    `algorithm` and `drop_lsb` are registers of ECON-T beside those of the autoencoder: frames are sent only while
    algorithm 4, the autoencoder, is selected; its decoder takes the number of dropped bits from the density.
    """
    found = [
        ChipField(**{f.name: getattr(field, f.name) for f in fields(Field)}, image=True, about=_ABOUT[field.name])
        for field in register_map(spec)
    ]
    found.append(
        ChipField(
            name="algorithm",
            address=0x0454,
            width=3,
            image=True,
            about=f"Algorithm; frames are sent with {AUTOENCODER}, the autoencoder, and are 0 otherwise.",
        )
    )
    found.append(
        ChipField(
            name="drop_lsb",
            address=0x04E5,
            width=8,
            image=True,
            about="Bits dropped by the other algorithms; stored, without effect on the autoencoder.",
        )
    )
    return tuple(sorted(found, key=lambda field: (field.address, field.lsb)))


def error_counters() -> tuple[tuple[str, int], ...]:
    """Names and addresses of the error counters, in the order of the hardware: corrected, then uncorrectable.

    Those of formatter buffer, multiplexer with calibration, algorithm and miscellaneous are where ECON-T has them
    (``rw_ecc_err_in_re_cnt_single`` and ``_double``); it has none for the weights.
    """
    return (
        ("corrected_formatter_buffer", 0x0C17),
        ("corrected_mux_calibration", 0x0C18),
        ("corrected_algorithm", 0x0C19),
        ("corrected_weights", 0x0C90),
        ("corrected_control", 0x0C1D),
        ("corrected_data_path", 0x0C91),
        ("uncorrectable_formatter_buffer", 0x0C47),
        ("uncorrectable_mux_calibration", 0x0C48),
        ("uncorrectable_algorithm", 0x0C49),
        ("uncorrectable_weights", 0x0C92),
    )


def chip_fields(spec: EncoderSpec, loading: Loading) -> tuple[ChipField, ...]:
    """All fields of the chip, ascending by address.

    If the image of a large network reaches beyond 0x0bec, everything from there on moves up by a multiple of 256.

    Raises
    ------
    ValueError
        If the map does not fit the 16-bit address space.
    """
    image = image_fields(spec)
    end = max(field.address + field.size for field in image)
    offset = max(0, -(-(end - _CONTROL_ADDRESS) // 256) * 256)
    control = [
        ChipField(name="clear_errors", address=_CONTROL_ADDRESS, width=1, about="Holds all error counters at 0."),
        ChipField(name="run", address=_CONTROL_ADDRESS, lsb=1, width=1, about="Frames are sent; 0: all eTx words 0."),
    ]
    for name, address in error_counters():
        kind, _, where = name.partition("_")
        what = "Errors corrected" if kind == "corrected" else "Double errors seen by the scrubber"
        about = f"{what}: {where.replace('_', ' ')}; stops at 255."
        control.append(ChipField(name=name, address=address, width=8, access=Access.READ_ONLY, about=about))
    if loading is Loading.GUARDED:
        control += guarded_fields(0x0C80)
    control = [replace(field, address=field.address + offset) for field in control]
    if max(field.address + field.size for field in control) > 1 << 16:
        raise ValueError(f"{spec.name}: control registers do not fit the 16-bit address space after the image")
    return tuple(sorted((*image, *control), key=lambda field: (field.address, field.lsb)))


def image_masks(spec: EncoderSpec) -> dict[int, int]:
    """Bits in use of every byte of the image, ascending by address."""
    return masks_of(image_fields(spec))


def image_bytes(
    spec: EncoderSpec,
    settings: Settings,
    weights: Weights,
    *,
    algorithm: int = AUTOENCODER,
    drop_lsb: int = 0,
) -> dict[int, int]:
    """Every byte of an image, ascending by address.

    Raises
    ------
    ValueError
        If a setting does not fit its field.
    """
    for name, value, width in (("algorithm", algorithm, 3), ("drop_lsb", drop_lsb, 8)):
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name}: expected 0 to {(1 << width) - 1}, got {value}")
    if weights.spec != spec:
        raise ValueError(f"weights of {weights.spec.name}, but the chip is {spec.name}")
    image = dict.fromkeys(image_masks(spec), 0) | dict(register_writes(spec, settings, weights))
    by_name = {field.name: field for field in image_fields(spec)}
    for name, value in (("algorithm", algorithm), ("drop_lsb", drop_lsb)):
        image[by_name[name].address] |= value << by_name[name].lsb
    return image
