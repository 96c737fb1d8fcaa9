"""Generation step: everything a chip integrator needs of one concentrator, in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from flows.common.content_cache import (
    ContentCache,
    cache_directory,
    code_hash,
    content_key,
    module_file,
    tool_versions,
)
from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.tables import write_ports, write_registers, write_writes
from hw.common.export import ports, to_verilog
from hw.common.scheme import Scheme
from hw.hgcal_encoder.concentrator import Concentrator
from hw.hgcal_encoder.concentrator_chip import ConcentratorChip
from hw.hgcal_encoder.register_view import CORE_SETTINGS
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorSettings
from sim.hgcal_encoder.concentrator_spec import SETTINGS, ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import chip_of, concentrator_fields, concentrator_writes
from sim.hgcal_encoder.configuration.register_maps import Chip, RegisterValues, register_bytes, register_fields

__all__ = ["chip_verilog", "generate", "setting_values"]

_BLOCK_BYTES, _PART_BYTES = 134, 16
"""Bytes of weights in a block of the map, and in a field of it."""
_P1_NAMES = {"configalgo_alg_type": "algorithm_select", "configalgo_alg_high_density": "algorithm_density"}
_MASK_BITS = 128
"""Bits of the first register of the mask on first silicon."""


def setting_values(settings: ConcentratorSettings, spec: ConcentratorSpec) -> RegisterValues:
    """Registers that hold a concentrator's settings, on the chip that has the word order of its spec.

    Raises
    ------
    ValueError
        If first silicon cannot be set so: it has one word for idle and link reset, and a number of links.
    """
    found: RegisterValues = {}
    registers = settings.registers(spec)
    weights = registers.pop("weights", None)
    for name, value in registers.items():
        count = SETTINGS[name].count
        width = spec.settings[name] // count
        for index in range(count):
            found[CORE_SETTINGS[name], index] = value >> width * index & ((1 << width) - 1)
    if chip_of(spec) is Chip.P1:
        found = _of_first_silicon(found)
    if weights is not None:
        image = weights.to_bytes(-(-spec.settings["weights"] // 8), "little")
        for block in range(-(-len(image) // _BLOCK_BYTES)):
            own = image[_BLOCK_BYTES * block : _BLOCK_BYTES * (block + 1)]
            for part in range(0, len(own), _PART_BYTES):
                found[f"encoder_weights_byte{part}", block] = int.from_bytes(own[part : part + _PART_BYTES], "little")
    return found


def _of_first_silicon(values: RegisterValues) -> RegisterValues:
    """Settings under the names of production, as first silicon has them."""
    found = {(_P1_NAMES.get(name, name), index): value for (name, index), value in values.items()}

    def taken(name: str) -> int | None:
        return found.pop((f"formatterbuffer_{name}", 0), None)

    idle, reset, active, keep = map(taken, ("idle_pattern", "link_reset_pattern", "active_etxs",
                                            "keep_auto_encoder_bits"))  # fmt: skip
    assert idle is not None  # every chip has this and the next two
    assert reset is not None
    assert active is not None
    if idle != reset:
        raise ValueError(
            f"idle_pattern: expected {reset:#x} as link_reset_pattern, since first silicon has one word for both, "
            f"got {idle:#x}"
        )
    if active & active + 1:
        raise ValueError(f"active_etxs: expected the first links, of which first silicon has a number, got {active:#x}")
    found["formatterbuffer_tx_sync_word", 0] = reset
    found["formatterbuffer_eporttx_numen", 0] = active.bit_length()
    if keep is not None:
        found["formatterbuffer_mask_ae", 0] = keep & ((1 << _MASK_BITS) - 1)
        found["formatterbuffer_mask_ae2", 0] = keep >> _MASK_BITS
    return found


def chip_verilog(spec: ConcentratorSpec, scheme: Scheme | None, component: Callable[[], ConcentratorChip]) -> str:
    """Verilog of a whole chip, its top ``<name>_CHIP``; kept by content, since it takes half a minute to write.

    Parameters
    ----------
    spec : ConcentratorSpec
    scheme : Scheme or None
        Of its protection.
    component : callable
        Makes the chip of this spec and scheme.
    """
    cache = ContentCache(cache_directory() / "concentrator-chips")
    modules = (__name__, "hw.hgcal_encoder.concentrator_core", "hw.common.voted_cell", "hw.common.voted_register")
    key = content_key(
        spec=spec.to_toml(), scheme=scheme, sources=code_hash(*map(module_file, modules)),
        tools=tool_versions("amaranth", "pyosys"),
    )  # fmt: skip
    found = cache.kept(key, lambda: {"verilog": to_verilog(component(), f"{spec.name}_CHIP")})
    return str(found["verilog"])


def generate(
    spec: ConcentratorSpec,
    out_dir: Path,
    settings: ConcentratorSettings | None = None,
    *,
    component: Concentrator | None = None,
    whole: Callable[[], ConcentratorChip] | None = None,
    scheme: Scheme | None = None,
) -> Generated:
    """Write Verilog, ports, register map and, with settings, the register writes that load them.

    Parameters
    ----------
    spec : ConcentratorSpec
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    settings : ConcentratorSettings, optional
    component : Concentrator, optional
        A protected one of this spec; the plain one if left out.
    whole : callable, optional
        Makes the whole chip around it, which is written as well: ``<name>_CHIP.v``, and ``chip_ports.csv``,
        ``chip_registers.csv``, ``chip_writes.csv`` (over I2C).
    scheme : Scheme, optional
        Of the protection of the whole chip.

    Raises
    ------
    FileExistsError
        If `out_dir` holds something else.
    """
    component = component or Concentrator(spec=spec)
    pins = ports(component)
    verilog = to_verilog(component, spec.name)
    design = {
        "name": spec.name,
        "latency_clocks": {number.label: component.latency_of(number) for number in spec.numbers},
        "throughput": "one bunch crossing per clock",
        "clock_period_ns": 25.0,
        "buffer_words": spec.buffer_words,
        "setting_bits": sum(spec.settings.values()),
    }
    with fresh_folder(out_dir, marker="design.json") as work:
        (work / f"{spec.name}.v").write_text(verilog)
        (work / "spec.toml").write_text(spec.to_toml())
        write_ports(work, pins)
        write_registers(work, concentrator_fields(spec))
        if settings is not None:
            write_writes(work, concentrator_writes(spec, settings.registers(spec)), digits=4)
        if whole is not None:
            top = f"{spec.name}_CHIP"
            (work / f"{top}.v").write_text(chip_verilog(spec, scheme, whole))
            write_ports(work, ports(whole()), stem="chip_ports")
            write_registers(work, register_fields(chip_of(spec)), stem="chip_registers")
            if settings is not None:
                loaded = register_bytes(chip_of(spec), setting_values(settings, spec))
                write_writes(work, loaded.items(), digits=4, stem="chip_writes")
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir, files=tuple(sorted(out_dir.iterdir())), latency=component.latency,
        lines=verilog.count("\n"),
    )  # fmt: skip
