"""Register map of the production chip: byte writes that load settings and weights into a real ECON-T.

`registers` and `chip_registers` describe the chip that this project builds, at the addresses of first silicon; on the
production chip those addresses are clocks, links and other blocks. Source: register map of ECON-T (LDMX-Software/pflib
@bc37b50, register_maps/ECONT_I2C_params_regmap.yaml).
"""

from __future__ import annotations

from collections.abc import Mapping

from sim.hgcal_encoder.settings import AUTOENCODER, Settings
from sim.hgcal_encoder.spec import CELLS, WordOrder
from sim.hgcal_encoder.weights import BLOCKS, Weights
from sim.register_map import Field

__all__ = ["BLOCK_BITS", "production_map", "production_writes"]

BLOCK_BITS = 8 * 134
"""Bits of the weight image in each of its blocks."""
_BLOCK_STRIDE = 0x86


def production_map() -> tuple[Field, ...]:
    """Registers of multiplexer, calibration, algorithm, formatter, buffer and weights, ascending by address."""
    single = (
        Field(name="alg_type", address=0x049F, width=3),
        Field(name="alg_high_density", address=0x049F, lsb=3, width=1),
        Field(name="bad_erx_mode", address=0x049F, lsb=4, width=2),
        Field(name="valid_threshold", address=0x049F, lsb=6, width=3, reset=1),
        Field(name="invalid_threshold", address=0x049F, lsb=9, width=3, reset=1),
        Field(name="observation_window", address=0x049F, lsb=12, width=3, reset=1),
        Field(name="drop_lsb", address=0x053E, width=3),
        Field(name="buff_t1", address=0x0540, width=9, reset=48),
        Field(name="buff_t2", address=0x0542, width=9, reset=511),
        Field(name="buff_t3", address=0x0544, width=5),
        Field(name="use_sum", address=0x0544, lsb=5, width=1, reset=1),
        Field(name="stc_type", address=0x0545, width=3, reset=1),
        Field(name="active_etxs", address=0x0545, lsb=3, width=13, reset=0b11),
        Field(name="idle_pattern", address=0x0547, width=11, reset=0x5AA),
        Field(name="keep_auto_encoder_bits", address=0x0549, width=144, reset=(1 << 144) - 1),
        Field(name="link_reset_pattern", address=0x055B, width=11, reset=0x122),
        Field(name="etx_pattern", address=0x055B, lsb=11, width=3),
    )
    cells = (
        field
        for cell in range(CELLS)
        for field in (
            Field(name="mux", index=cell, address=0x040F + cell, width=6, reset=cell),
            Field(name="cal", index=cell, address=0x043F + 2 * cell, width=12, reset=0x800),
            Field(name="threshold", index=cell, address=0x04AE + 3 * cell, width=22),
        )
    )
    weights = (
        Field(name="weights", index=block, address=0x0600 + _BLOCK_STRIDE * block, width=BLOCK_BITS)
        for block in range(BLOCKS)
    )
    return tuple(sorted((*single, *cells, *weights), key=lambda field: (field.address, field.lsb)))


def production_writes(
    settings: Settings,
    weights: Weights | None = None,
    *,
    algorithm: int = AUTOENCODER,
    others: Mapping[str, int] | None = None,
) -> list[tuple[int, int]]:
    """Byte writes that load settings and weights into a production chip, ascending by address.

    Registers that share a byte with a written one are written at their reset value, or as `others` says.

    Parameters
    ----------
    settings : Settings
        Converted to the word order of production. The network must have the sizes of the chip's.
    weights : Weights, optional
    algorithm : int, optional
        Register alg_type.
    others : mapping of str to int, optional
        Further registers of `production_map` that have one value: drop_lsb, buff_t1, idle_pattern, ...

    Raises
    ------
    ValueError
        If the network is not one of the chip's size, or a value does not fit its register.
    """
    spec = settings.spec
    if spec.keep_bits != 144 or (weights is not None and weights.spec.weight_bits != BLOCKS * BLOCK_BITS):
        raise ValueError(
            f"{spec.name}: the production chip holds 144 latent bits and {BLOCKS * BLOCK_BITS:,} bits of weights, "
            f"got {spec.keep_bits} and {(weights.spec if weights is not None else spec).weight_bits:,}"
        )
    ordered = settings.in_order(WordOrder.PRODUCTION)
    values: dict[tuple[str, int], int] = {
        ("alg_type", 0): algorithm,
        ("alg_high_density", 0): int(ordered.high_density),
        ("active_etxs", 0): (1 << ordered.etx_count) - 1,
        ("keep_auto_encoder_bits", 0): ordered.keep_mask,
    }
    values |= {("mux", cell): int(value) for cell, value in enumerate(ordered.select)}
    values |= {("cal", cell): int(value) for cell, value in enumerate(ordered.factors)}
    if weights is not None:
        image = int.from_bytes(weights.to_image(), "little")
        for block in range(BLOCKS):
            values["weights", block] = image >> BLOCK_BITS * block & ((1 << BLOCK_BITS) - 1)
    fields = production_map()
    known = {field.name for field in fields}
    for name, value in (others or {}).items():
        if name not in known or (name, 1) in {(field.name, field.index) for field in fields}:
            raise ValueError(f"the production chip has no single register {name!r}")
        values[name, 0] = value
    touched: set[int] = set()
    memory: dict[int, int] = {}
    for field in fields:
        value = values.get((field.name, field.index), field.reset)
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"{field.name}: expected 0 to {(1 << field.width) - 1}, got {value}")
        data = (value << field.lsb).to_bytes(field.size, "little")
        for byte, bits in enumerate(data):
            memory[field.address + byte] = memory.get(field.address + byte, 0) | bits
        if (field.name, field.index) in values:
            touched |= set(range(field.address, field.address + field.size))
    return [(address, memory[address]) for address in sorted(touched)]
