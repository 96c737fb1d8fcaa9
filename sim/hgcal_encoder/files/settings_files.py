"""Settings files that users have (YAML), in the three spellings that are published.

* First silicon: ``Algorithm: {density, select}``, ``FormatterBuffer: {mask_ae, mask_ae2, eporttx_numen, ...}``.
* Production: ``ConfigAlgo: {alg_high_density, alg_type}``, ``FormatterBuffer: {active_etxs, keep_auto_encoder_bits}``.
* Layered, as the control software of first silicon writes it: ``ECON-T: RW: BLOCK: registers: NAME: value``.

A section may have a level ``Global``; ``FmtBuf`` is short for ``FormatterBuffer``. The spelling implies the order of
cells in an input word. What a file leaves out stands at the reset value of the chip: multiplexer straight through,
calibration 1, two links, all latent bits kept, thresholds and dropped bits 0, `use_sum` and `stc_type` 1. A name that
no register has is refused, in any section that this package reads; other sections of the chip are left alone.
Source: register maps of ECON-T-P1 (cmantill/econt_sw @e403a79) and of production (LDMX-Software/pflib @bc37b50).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sim.files import replacing
from sim.fixed_point import IntArray
from sim.foreign_files import read_yaml
from sim.hgcal_encoder.settings import AUTOENCODER, Settings
from sim.hgcal_encoder.spec import CELLS, ECON_T, EncoderSpec, WordOrder
from sim.hgcal_encoder.weights import BLOCKS, Weights
from sim.messages import shown

__all__ = [
    "array",
    "autoencoder_settings",
    "drop_lsb",
    "front_end",
    "integer",
    "load_settings",
    "read_table",
    "save_settings",
    "section",
    "single_registers",
]

Section = Mapping[Any, Any]
Table = Mapping[str, Section]

WEIGHT_NAMES = tuple(f"weights_byte{offset}" for offset in range(0, 136, 16))
_AUTOENCODER_NAMES = frozenset({
    "alg_high_density", "alg_type", "active_etxs", "eporttx_numen", "keep_auto_encoder_bits", "mask_ae", "mask_ae2",
})  # fmt: skip
"""Registers that `Settings` stand for."""
BLOCK_BYTES = 134
"""Bytes of the weight image in each of its blocks."""
_CHIPS = {WordOrder.P1: "first", WordOrder.PRODUCTION: "production"}
_CELL_KEYS = frozenset(range(CELLS))
_KEYS: dict[str, frozenset[Any]] = {
    "Algorithm": frozenset({"density", "select"}),
    "ConfigAlgo": frozenset({
        "alg_high_density", "alg_type", "bad_erx_mode", "invalid_threshold", "observation_window", "valid_threshold",
    }),
    "FormatterBuffer": frozenset({
        "active_etxs", "align_serializer", "buff_t1", "buff_t2", "buff_t3", "buffer_wr_ptr_ovflw_err",
        "eporttx_numen", "etx_pattern", "idle_pattern", "keep_auto_encoder_bits", "link_reset_pattern", "mask_ae",
        "mask_ae2", "stc_type", "tmr_err_cnt_fmtbuf", "tx_sync_word", "use_sum",
    }),
    "Mux": _CELL_KEYS, "Cal": _CELL_KEYS, "AlgoThreshold": _CELL_KEYS,
    "AlgoDroplsb": frozenset({"drop_lsb"}),
    "Encoder": frozenset(range(BLOCKS)),
}  # fmt: skip
_OTHER_SECTIONS = frozenset({
    "Algo", "Aligner", "ChAligner", "ChEprxGrp", "ChErr", "ClocksAndResets", "Config", "ERx", "ETx", "EprxGrpTop",
    "ErrTop", "FCtrl", "Misc", "Misc_TMR_ERR_CNT", "PLL", "MuxCalib", "SingleRegs",
})  # fmt: skip
"""Sections of the chip outside the encoder."""
_ALIASES = {"FmtBuf": "FormatterBuffer"}


def load_settings(path: Path, spec: EncoderSpec = ECON_T) -> tuple[Settings, Weights | None]:
    """Read a settings file that selects the autoencoder.

    Parameters
    ----------
    path : Path
        See the module's text.
    spec : EncoderSpec
        Network that the weight image belongs to.

    Returns
    -------
    settings : Settings
    weights : Weights or None
        The weights, if the file carries an image.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not YAML, selects another algorithm, or a value is unknown or out of range; the message names
        file and place.
    """
    return autoencoder_settings(read_table(path), path, spec)


def autoencoder_settings(table: Table, path: Path, spec: EncoderSpec) -> tuple[Settings, Weights | None]:
    """As `load_settings`, from the sections of a file that was read."""
    try:
        chosen, settings = front_end(table, spec)
        if chosen != AUTOENCODER:
            raise ValueError(f"selects algorithm {chosen}; the autoencoder is {AUTOENCODER}")
        buffer = section(table, "FormatterBuffer")
        full = (1 << spec.keep_bits) - 1
        if settings.word_order is WordOrder.PRODUCTION:
            mask = integer(buffer, "keep_auto_encoder_bits", "FormatterBuffer", full)
        else:
            low = min(spec.keep_bits, 128)
            mask = integer(buffer, "mask_ae", "FormatterBuffer", (1 << low) - 1)
            mask |= integer(buffer, "mask_ae2", "FormatterBuffer", full >> low) << 128
        return replace(settings, keep_mask=mask), _weights(table, spec)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def save_settings(path: Path, settings: Settings, weights: Weights | None, order: WordOrder) -> None:
    """Write settings, and weights as the image of their blocks, in the spelling of either chip.

    Parameters
    ----------
    path : Path
    settings : Settings
        Converted to the word order.
    weights : Weights, optional
    order : WordOrder
        First silicon (`WordOrder.P1`) or production: their spellings differ as their orders do.

    Raises
    ------
    ValueError
        If the weights are not as many as the chip holds, or the keep mask is wider than its registers.
    """
    spec, ordered = settings.spec, settings.in_order(order)
    if spec.keep_bits > 144:
        raise ValueError(f"{spec.name}: the chip has registers for 144 latent bits, got {spec.keep_bits}")
    if order is WordOrder.PRODUCTION:
        content: dict[str, Any] = {
            "ConfigAlgo": {"Global": {"alg_high_density": int(ordered.high_density), "alg_type": AUTOENCODER}},
            "FormatterBuffer": {
                "Global": {
                    "active_etxs": (1 << ordered.etx_count) - 1,
                    "keep_auto_encoder_bits": ordered.keep_mask,
                }
            },
        }
    else:
        content = {
            "Algorithm": {"Global": {"density": int(ordered.high_density), "select": AUTOENCODER}},
            "FormatterBuffer": {
                "Global": {
                    "eporttx_numen": ordered.etx_count,
                    "mask_ae": ordered.keep_mask & ((1 << 128) - 1),
                    "mask_ae2": ordered.keep_mask >> 128,
                }
            },
        }
    content["Mux"] = dict(enumerate(ordered.select.tolist()))
    content["Cal"] = dict(enumerate(ordered.factors.tolist()))
    if weights is not None:
        image = weights.to_image()
        if len(image) != BLOCKS * BLOCK_BYTES:
            raise ValueError(f"{spec.name}: the chip holds {BLOCKS * BLOCK_BYTES} bytes of weights, got {len(image)}")
        content["Encoder"] = {
            block: {
                name: int.from_bytes(part[16 * number : 16 * number + 16], "little")
                for number, name in enumerate(WEIGHT_NAMES)
            }
            for block in range(BLOCKS)
            for part in [image[BLOCK_BYTES * block : BLOCK_BYTES * (block + 1)]]
        }
    with replacing(path) as file:
        file.write(f"# liquidcal, settings of {spec.name} as the {_CHIPS[order]} chip spells them\n")
        yaml.safe_dump(content, file, sort_keys=False)


def single_registers(table: Table) -> dict[str, int]:
    """Values of a file in registers of algorithm, formatter and buffer that the autoencoder has no part in.

    Raises
    ------
    ValueError
        If a value is no integer.
    """
    found: dict[str, int] = {}
    for where in ("ConfigAlgo", "FormatterBuffer", "AlgoDroplsb"):
        values = section(table, where)
        found |= {name: integer(values, name, where) for name in values if name not in _AUTOENCODER_NAMES}
    return found


def read_table(path: Path) -> Table:
    """Sections of a settings file by name, without the level ``Global``; layered files as first silicon spells them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not YAML, or a section or a name in it is unknown; the message names file and place.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no settings file at {path}") from None
    try:
        if not isinstance(content, Mapping):
            raise ValueError("expected a table of settings sections")
        if isinstance(content.get("ECON-T"), Mapping):
            content = _unlayered(content["ECON-T"])
        table: dict[str, Section] = {}
        for given, found in content.items():
            name = _ALIASES.get(given, given) if isinstance(given, str) else given
            if name in _OTHER_SECTIONS:
                continue
            if name not in _KEYS:
                expected = ", ".join(sorted(_KEYS))
                raise ValueError(f"unknown section {shown(given)}; expected {expected} or another block of the chip")
            if name in table:
                raise ValueError(f"section {name} occurs twice, as {shown(given)} too")
            table[name] = _section(name, found)
        return table
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _section(name: str, found: Any) -> Section:
    if isinstance(found, Mapping) and "Global" in found:
        if len(found) > 1:
            other = next(key for key in found if key != "Global")
            raise ValueError(f"{name}: unknown {shown(other)} beside Global")
        found = found["Global"]
    if name == "AlgoDroplsb" and not isinstance(found, Mapping):
        # published files write the number itself
        found = {"drop_lsb": found}
    if found is None:
        found = {}
    if not isinstance(found, Mapping):
        raise ValueError(f"section {name}: expected a table, got {shown(found)}")
    if unknown := [key for key in found if key not in _KEYS[name]]:
        known = "0 to 47" if _KEYS[name] is _CELL_KEYS else ", ".join(map(str, sorted(_KEYS[name], key=str)))
        raise ValueError(f"{name}: unknown {shown(unknown[0])}; expected {known}")
    return found


_LAYERED = {
    "MFC_MUX_SELECT": ("Mux", "mux_select_"),
    "MFC_CAL_VAL": ("Cal", "cal_"),
    "ALGO_THRESHOLD_VAL": ("AlgoThreshold", "threshold_val_"),
}
"""Blocks of the layered spelling with one register for each trigger cell."""
_PACKED = {
    "config": {"stc_type": (0, 2), "use_sum": (2, 1), "eporttx_numen": (4, 4)},
    "algo": {"select": (0, 3), "density": (3, 1)},
}
"""Registers of several parameters: lowest bit and width of each."""


def _unlayered(chip: Mapping[Any, Any]) -> dict[str, Any]:
    """Sections of first silicon from ``RW: BLOCK: registers: NAME: {value, params}``."""
    blocks = chip.get("RW")
    if not isinstance(blocks, Mapping):
        raise ValueError("ECON-T: expected a table RW of register blocks")
    table: dict[str, Any] = {"Algorithm": {}, "FormatterBuffer": {}}
    for name, block in blocks.items():
        registers = block.get("registers") if isinstance(block, Mapping) else None
        if not isinstance(registers, Mapping):
            raise ValueError(f"ECON-T.RW.{shown(name, quoted=False)}: expected a table with registers")
        where = f"ECON-T.RW.{shown(name, quoted=False)}"
        if name in _LAYERED:
            target, stem = _LAYERED[name]
            table[target] = _numbered(registers, stem, where)
        elif name == "MFC_ALGORITHM_SEL_DENSITY":
            table["Algorithm"] = _parameters(registers, where)
        elif name == "FMTBUF_ALL":
            table["FormatterBuffer"] = _parameters(registers, where)
        elif name == "ALGO_DROPLSB":
            table["AlgoDroplsb"] = _parameters(registers, where)
        elif isinstance(name, str) and name.startswith("AUTOENCODER_") and name.endswith("INPUT"):
            number = name.removeprefix("AUTOENCODER_").removesuffix("INPUT")
            chosen = range(BLOCKS) if number == "*" else [int(number)] if number.isdecimal() else []
            if not chosen:
                raise ValueError(f"{where}: expected the number of a block, got {shown(number)}")
            table.setdefault("Encoder", {}).update({k: _parameters(registers, where) for k in chosen})
    return table


def _numbered(registers: Mapping[Any, Any], stem: str, where: str) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for name, register in registers.items():
        number = str(name).removeprefix(stem)
        value = register.get("value") if isinstance(register, Mapping) else register
        if number == "*":
            if not isinstance(value, list) or len(value) != CELLS:
                raise ValueError(f"{where}.{name}: expected a list of {CELLS} values, got {shown(value)}")
            found |= dict(enumerate(value))
        elif number.isdecimal() and int(number) < CELLS:
            found[int(number)] = value
        else:
            raise ValueError(f"{where}: unknown register {shown(name)}")
    return found


def _parameters(registers: Mapping[Any, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, register in registers.items():
        packed = _PACKED.get(name) if isinstance(name, str) else None
        if not isinstance(register, Mapping):
            raise ValueError(f"{where}.{shown(name, quoted=False)}: expected a table with value or params")
        value = register.get("value")
        if packed is None:
            found[name] = value
            continue
        if value is not None:
            whole = integer({name: value}, name, where)
            found |= {key: whole >> low & ((1 << width) - 1) for key, (low, width) in packed.items()}
        params = register.get("params") or {}
        for key, entry in params.items() if isinstance(params, Mapping) else ():
            if key not in packed:
                raise ValueError(f"{where}.{name}: unknown {shown(key)}; expected {', '.join(packed)}")
            if isinstance(entry, Mapping) and "param_value" in entry:
                found[key] = entry["param_value"]
    return found


def front_end(table: Table, spec: EncoderSpec = ECON_T) -> tuple[int, Settings]:
    """Number of the chosen algorithm, and the settings that all algorithms share; the keep mask is left at its default.

    Raises
    ------
    ValueError
        If neither section that says the spelling is there, or a value is out of range.
    """
    buffer = section(table, "FormatterBuffer")
    if "ConfigAlgo" in table:
        algorithm = section(table, "ConfigAlgo")
        chosen = integer(algorithm, "alg_type", "ConfigAlgo", 0)
        density = integer(algorithm, "alg_high_density", "ConfigAlgo", 0)
        etx_count = _links(integer(buffer, "active_etxs", "FormatterBuffer", 0x3))
        order = WordOrder.PRODUCTION
    elif "Algorithm" in table:
        algorithm = section(table, "Algorithm")
        chosen = integer(algorithm, "select", "Algorithm", 0)
        density = integer(algorithm, "density", "Algorithm", 0)
        # first silicon takes a number of links, under either name, and powers up with two
        name = next((name for name in ("eporttx_numen", "active_etxs") if name in buffer), "eporttx_numen")
        etx_count = integer(buffer, name, "FormatterBuffer", 2)
        order = WordOrder.P1
    else:
        raise ValueError(
            f"expected a section ConfigAlgo (production) or Algorithm (first silicon), got {sorted(table)}"
        )
    if not 0 <= chosen <= 7:
        raise ValueError(f"algorithm: expected 0 to 7, got {shown(chosen)}")
    if density not in (0, 1):
        raise ValueError(f"density: expected 0 (low) or 1 (high), got {shown(density)}")
    return chosen, Settings(
        spec=spec,
        select=array(table, "Mux", np.arange(CELLS)),
        factors=array(table, "Cal", np.full(CELLS, 2048)),
        high_density=bool(density),
        etx_count=etx_count,
        word_order=order,
    )


def _weights(table: Table, spec: EncoderSpec) -> Weights | None:
    if "Encoder" not in table:
        return None
    encoder = table["Encoder"]
    image = b""
    for block in range(BLOCKS):
        if block not in encoder:
            raise ValueError(f"Encoder: block {block} is missing")
        words = encoder[block]
        if not isinstance(words, Mapping):
            raise ValueError(f"Encoder.{block}: expected a table, got {shown(words)}")
        if unknown := [name for name in words if name not in WEIGHT_NAMES]:
            raise ValueError(f"Encoder.{block}: unknown {shown(unknown[0])}; expected {', '.join(WEIGHT_NAMES)}")
        for name in WEIGHT_NAMES:
            size = 6 if name == WEIGHT_NAMES[-1] else 16
            value = integer(words, name, f"Encoder.{block}")
            if not 0 <= value < 1 << (8 * size):
                got = shown(value) if value.bit_length() > 256 else hex(value)
                raise ValueError(f"Encoder.{block}.{name}: expected {8 * size} bits, got {got}")
            image += value.to_bytes(size, "little")
    return Weights.from_image(image, spec)


def section(table: Table, name: str) -> Section:
    """A section of `read_table`; empty if the file leaves it at its reset values."""
    return table.get(name, {})


def integer(values: Section, name: str | int, where: str, reset: int | None = None) -> int:
    """A number of a section called `where` in messages, or its reset value.

    Raises
    ------
    ValueError
        If it is no integer, or is missing and has no reset value.
    """
    if name not in values:
        if reset is None:
            raise ValueError(f"{where}: {name} is missing")
        return reset
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where}.{name}: expected an integer, got {shown(value)}")
    return value


def array(table: Table, name: str, reset: IntArray) -> IntArray:
    """One integer per trigger cell, numbered 0 ... 47 in the section.

    Raises
    ------
    ValueError
        If a value is no integer, or does not fit 63 bits.
    """
    values = section(table, name)
    found = [integer(values, cell, name, int(reset[cell])) for cell in range(CELLS)]
    for cell, value in enumerate(found):
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"{name}.{cell}: expected a number that fits its register, got {shown(value)}")
    return np.array(found, np.int64)


def drop_lsb(table: Table) -> int:
    """Register drop_lsb, 0 where the file does not say."""
    return integer(section(table, "AlgoDroplsb"), "drop_lsb", "AlgoDroplsb", 0)


def _links(mask: int) -> int:
    count = mask.bit_count()
    if mask <= 0 or mask != (1 << count) - 1:
        got = shown(mask) if mask.bit_length() > 256 else hex(mask)
        raise ValueError(f"FormatterBuffer.active_etxs: expected a mask of links from 0 up (0x1f for five), got {got}")
    return count
