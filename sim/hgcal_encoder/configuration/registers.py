"""Register map of the encoder: where each setting and weight lives, at the addresses of ECON-T.

Addresses count bytes; a field's bits go upwards from bit `lsb` of its first byte, least significant byte first.
Source: ECON-T-P1 I2C register map (cmantill/econt_sw @e403a79).
"""

from __future__ import annotations

import numpy as np

from sim.hgcal_encoder.calibrate import CALIBRATION
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, EncoderSpec
from sim.hgcal_encoder.weights import BLOCKS, Weights
from sim.register_map import Field

ADDRESS_WIDTH = 16
LINKS_ADDRESS = 0x03B0
KEEP_ADDRESS = 0x03B1
SELECT_ADDRESS = 0x03C4
FACTOR_ADDRESS = 0x03F4
DENSITY_ADDRESS = 0x0454
WEIGHT_ADDRESS = 0x0538
WEIGHT_STRIDE = 143


def register_map(spec: EncoderSpec) -> tuple[Field, ...]:
    """All fields of an encoder, ascending by address.

    The weight image is spread over 12 blocks of equal size, 143 bytes apart (farther if a block is larger), as on
    ECON-T: 134 bytes each there, 143 for TNS_2021.

    Raises
    ------
    ValueError
        If the image does not fit the 16-bit address space.
    """
    image_bytes = -(-spec.weight_bits // 8)
    block_bytes = -(-image_bytes // BLOCKS)
    stride = max(WEIGHT_STRIDE, block_bytes)
    end = WEIGHT_ADDRESS + BLOCKS * stride
    # a mask beyond the 19 bytes that ECON-T leaves for it moves after the weights
    keep = KEEP_ADDRESS if KEEP_ADDRESS + -(-spec.keep_bits // 8) <= SELECT_ADDRESS else end
    if max(end, keep + -(-spec.keep_bits // 8)) > 1 << ADDRESS_WIDTH:
        raise ValueError(f"{spec.name}: {image_bytes} bytes of weights do not fit the 16-bit address space")
    fields = [
        Field(name="etx_count", address=LINKS_ADDRESS, lsb=4, width=4, reset=2),
        Field(name="keep_mask", address=keep, width=spec.keep_bits, reset=(1 << spec.keep_bits) - 1),
        *(Field(name="select", index=i, address=SELECT_ADDRESS + i, width=6, reset=i) for i in range(CELLS)),
        *(
            Field(
                name="factors",
                index=i,
                address=FACTOR_ADDRESS + 2 * i,
                width=CALIBRATION.width,
                reset=1 << CALIBRATION.fraction,
            )
            for i in range(CELLS)
        ),
        Field(name="high_density", address=DENSITY_ADDRESS, lsb=3, width=1),
        *(
            Field(name="weights", index=block, address=WEIGHT_ADDRESS + stride * block, width=width)
            for block in range(BLOCKS)
            if (width := min(8 * block_bytes, spec.weight_bits - 8 * block_bytes * block)) > 0
        ),
    ]
    return tuple(sorted(fields, key=lambda f: f.address))


def reset_settings(spec: EncoderSpec) -> Settings:
    """Settings of an encoder after reset, before anything is loaded."""
    values = {(f.name, f.index): f.reset for f in register_map(spec)}
    return Settings(
        spec=spec,
        select=np.array([values["select", i] for i in range(CELLS)]),
        factors=np.array([values["factors", i] for i in range(CELLS)]),
        high_density=bool(values["high_density", 0]),
        etx_count=values["etx_count", 0],
        keep_mask=values["keep_mask", 0],
    )


def register_writes(
    spec: EncoderSpec, settings: Settings | None = None, weights: Weights | None = None
) -> list[tuple[int, int]]:
    """Byte writes that load settings and weights, ascending by address.

    Parameters
    ----------
    spec : EncoderSpec
    settings : Settings, optional
        Converted to the word order of the spec.
    weights : Weights, optional

    Returns
    -------
    list of (address, byte)
        Bytes shared by several fields are written once.

    Raises
    ------
    ValueError
        If a setting is out of the range of the spec.
    """
    image = int.from_bytes(weights.to_image(), "little") if weights is not None else 0
    values: dict[tuple[str, int], int] = {}
    if settings is not None:
        ordered = settings.of(spec).in_order(spec.word_order)
        values["etx_count", 0] = ordered.etx_count
        values["keep_mask", 0] = ordered.keep_mask
        values["high_density", 0] = int(ordered.high_density)
        values |= {("select", i): int(value) for i, value in enumerate(ordered.select)}
        values |= {("factors", i): int(value) for i, value in enumerate(ordered.factors)}
    written: dict[int, int] = {}
    for field in register_map(spec):
        if field.name == "weights":
            if weights is None:
                continue
            value = image & ((1 << field.width) - 1)
            image >>= field.width
        elif (field.name, field.index) in values:
            value = values[field.name, field.index]
        else:
            continue
        for byte in range(field.size):
            bits = (value << field.lsb) >> (8 * byte) & 0xFF
            written[field.address + byte] = written.get(field.address + byte, 0) | bits
    return sorted(written.items())
