"""Register map of the crossbar chip: settings, status, and the readout weights behind the same write port.

Addresses count bytes; a field's bits go upwards from bit 0 of its first byte, least significant byte first. The upper
half of the address space holds the readout weights: one word for each feature (window * neurons + neuron), at
multiples of `weight_stride`; output o has bits ``o*readout_weight_bits`` and up of the word. Where every neuron has a
threshold of its own, its ratio is two bytes at `ratio_address`, above the settings.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.lsm_crossbar.spec import BAND_MAX, NOISE_STATE_WIDTH, OWN_RATIO_MAX, RATE_MAX, RATIO_MAX, CrossbarSpec
from sim.register_map import Field

__all__ = [
    "BIAS_ADDRESS", "HOMEOSTAT_BAND_ADDRESS", "HOMEOSTAT_ENABLE_ADDRESS", "HOMEOSTAT_RATIO_ADDRESS",
    "HOMEOSTAT_RATE_ADDRESS", "NOISE_ENABLE_ADDRESS", "NOISE_SEED_ADDRESS", "RATIO_BYTES", "STATUS_ADDRESS",
    "THRESHOLD_ADDRESS", "address_width", "ratio_address", "register_map", "register_writes", "weight_address",
    "weight_bytes", "weight_stride",
]  # fmt: skip

STATUS_ADDRESS = 0x00
"""Reading: see `hw.lsm_crossbar.status`. Writing anything clears the flag of dropped events."""
THRESHOLD_ADDRESS = 0x10
"""A write starts the homeostat anew."""
HOMEOSTAT_ENABLE_ADDRESS = 0x14
HOMEOSTAT_RATIO_ADDRESS = 0x16
HOMEOSTAT_RATE_ADDRESS = 0x16
"""Where every neuron has a threshold of its own, instead of the ratio."""
RATIO_BYTES = 2
"""Bytes of a neuron's ratio."""
NOISE_ENABLE_ADDRESS = 0x18
HOMEOSTAT_BAND_ADDRESS = 0x19
NOISE_SEED_ADDRESS = 0x1C
BIAS_ADDRESS = 0x20
_BIAS_STRIDE = 8


def weight_bytes(spec: CrossbarSpec) -> int:
    """Bytes of a word of readout weights."""
    return -(-spec.outputs * spec.readout_weight_bits // 8)


def weight_stride(spec: CrossbarSpec) -> int:
    """Addresses from one word of readout weights to the next: a power of two."""
    return 1 << (weight_bytes(spec) - 1).bit_length()


def _settings_size(spec: CrossbarSpec) -> int:
    """Addresses of settings and ratios of neurons."""
    settings = BIAS_ADDRESS + _BIAS_STRIDE * spec.outputs
    return ratio_address(spec, spec.neurons) if spec.own_thresholds else settings


def address_width(spec: CrossbarSpec) -> int:
    """Bits of a byte address: settings in the lower half, readout weights in the upper one."""
    weights = spec.features * weight_stride(spec)
    return 1 + max((_settings_size(spec) - 1).bit_length(), (weights - 1).bit_length())


def ratio_address(spec: CrossbarSpec, neuron: int, byte: int = 0) -> int:
    """Address of a byte of a neuron's ratio: a power of two above all settings, then two bytes for each neuron."""
    settings = BIAS_ADDRESS + _BIAS_STRIDE * spec.outputs
    base = 1 << (max(settings, RATIO_BYTES * spec.neurons) - 1).bit_length()
    return base + RATIO_BYTES * neuron + byte


def weight_address(spec: CrossbarSpec, feature: int, byte: int = 0) -> int:
    """Address of a byte of the weights of one feature."""
    return (1 << (address_width(spec) - 1)) + feature * weight_stride(spec) + byte


def register_map(spec: CrossbarSpec, *, noise: bool = True) -> tuple[Field, ...]:
    """All settings, ascending by address.

    Parameters
    ----------
    spec : CrossbarSpec
    noise : bool
        With the settings of the behavioural macro's read noise, if the spec has any. A real macro brings its own.
    """
    fields = [Field(name="threshold", address=THRESHOLD_ADDRESS, width=spec.threshold_width, reset=spec.threshold)]
    if noise and spec.noise_scale is not None:
        fields.append(Field(name="noise_enable", address=NOISE_ENABLE_ADDRESS, width=1, reset=1))
        fields.append(Field(name="noise_seed", address=NOISE_SEED_ADDRESS, width=NOISE_STATE_WIDTH))
    if (homeostat := spec.homeostat) is not None:
        fields.append(Field(name="homeostat_enable", address=HOMEOSTAT_ENABLE_ADDRESS, width=1))
    if homeostat is not None and spec.own_thresholds:
        fields.append(
            Field(name="homeostat_rate", address=HOMEOSTAT_RATE_ADDRESS, width=RATE_MAX.bit_length(),
                  reset=homeostat.rate)
        )  # fmt: skip
    elif homeostat is not None:
        fields += [
            Field(name="homeostat_ratio", address=HOMEOSTAT_RATIO_ADDRESS, width=RATIO_MAX.bit_length(),
                  reset=homeostat.ratio),
            Field(name="homeostat_band", address=HOMEOSTAT_BAND_ADDRESS, width=BAND_MAX.bit_length(),
                  reset=homeostat.band),
        ]  # fmt: skip
    fields += [
        Field(name="bias", index=output, address=BIAS_ADDRESS + _BIAS_STRIDE * output, width=spec.bias_width)
        for output in range(spec.outputs)
    ]
    return tuple(sorted(fields, key=lambda field: field.address))


def register_writes(
    spec: CrossbarSpec,
    *,
    threshold: int | None = None,
    noise_enable: bool | None = None,
    noise_seed: int | None = None,
    homeostat_enable: bool | None = None,
    homeostat_ratio: npt.ArrayLike | None = None,
    homeostat_band: int | None = None,
    homeostat_rate: int | None = None,
    weights: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
) -> list[tuple[int, int]]:
    """Byte writes that load what is given, ascending by address.

    Parameters
    ----------
    spec : CrossbarSpec
    threshold : int, optional
        0 to `spec.threshold_max`.
    noise_enable : bool, optional
    noise_seed : int, optional
        0 to 2**31 - 1. Writing it starts the count of samples anew.
    homeostat_enable : bool, optional
    homeostat_ratio, homeostat_band : int, optional
        0 to `RATIO_MAX`, 0 to `BAND_MAX`; see `sim.lsm_crossbar.spec.HomeostatParameters`. Where every neuron has a
        threshold of its own, ratios of shape (neurons,), 0 to `OWN_RATIO_MAX`, and no band.
    homeostat_rate : int, optional
        0 to `RATE_MAX`; where every neuron has a threshold of its own.
    weights : array_like of int, shape (outputs, windows, neurons), optional
        Readout weights.
    bias : array_like of int, shape (outputs,), optional

    Returns
    -------
    list of (address, byte)

    Raises
    ------
    ValueError
        If a value does not fit, a shape is wrong, or the spec has no noise or no homeostat to set.
    """
    values: dict[tuple[str, int], int] = {}
    if threshold is not None:
        values["threshold", 0] = int(check_range(threshold, 0, spec.threshold_max, "threshold"))
    if noise_enable is not None or noise_seed is not None:
        if spec.noise_scale is None:
            raise ValueError(f"{spec.name} has no read noise: noise_scale is None")
        if noise_enable is not None:
            values["noise_enable", 0] = int(bool(noise_enable))
        if noise_seed is not None:
            values["noise_seed", 0] = int(check_range(noise_seed, 0, (1 << NOISE_STATE_WIDTH) - 1, "noise seed"))
    homeostat = {
        "homeostat_enable": (homeostat_enable, 1), "homeostat_ratio": (homeostat_ratio, RATIO_MAX),
        "homeostat_band": (homeostat_band, BAND_MAX), "homeostat_rate": (homeostat_rate, RATE_MAX),
    }  # fmt: skip
    ratios = None
    known = {field.name for field in register_map(spec)}
    for name, (value, largest) in homeostat.items():
        if value is None:
            continue
        if name == "homeostat_ratio" and spec.own_thresholds:
            ratios = _shaped(check_range(value, 0, OWN_RATIO_MAX, "homeostat ratio"), (spec.neurons,), "ratios")
            continue
        if name not in known:
            kind = "no homeostat" if spec.homeostat is None else "another kind of homeostat"
            raise ValueError(f"{spec.name} has {kind}: {name} is no register of it")
        values[name, 0] = int(check_range(int(np.asarray(value)), 0, largest, name.replace("_", " ")))
    if bias is not None:
        checked = _shaped(check_range(bias, -spec.bias_max - 1, spec.bias_max, "bias"), (spec.outputs,), "bias")
        values |= {("bias", output): int(value) for output, value in enumerate(checked)}
    writes = []
    for field in register_map(spec):
        if (field.name, field.index) in values:
            value = values[field.name, field.index] & ((1 << field.width) - 1)
            writes += [(field.address + byte, value >> 8 * byte & 0xFF) for byte in range(field.size)]
    if ratios is not None:
        writes += [
            (ratio_address(spec, neuron, byte), int(ratio) >> 8 * byte & 0xFF)
            for neuron, ratio in enumerate(ratios)
            for byte in range(RATIO_BYTES)
        ]
    if weights is not None:
        shape = (spec.outputs, spec.windows, spec.all_neurons)
        table = _shaped(spec.readout_weight_codes(weights), shape, "readout weights")
        for feature, row in enumerate(table.reshape(spec.outputs, spec.features).T):
            word = sum(int(code) << output * spec.readout_weight_bits for output, code in enumerate(row))
            writes += [
                (weight_address(spec, feature, byte), word >> 8 * byte & 0xFF) for byte in range(weight_bytes(spec))
            ]
    return writes


def _shaped(array: IntArray, shape: tuple[int, ...], name: str) -> IntArray:
    if np.shape(array) != shape:
        raise ValueError(f"{name}: expected the shape {shape}, got {np.shape(array)}")
    return array
