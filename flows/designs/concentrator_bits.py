"""Flip-flops of a concentrator by name, with the copies of each bit: what its netlist must hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

from amaranth.lib.wiring import Component

from flows.designs.storage_bits import ShellLibrary, StorageBit, Stratum, flip_flops_of
from hw.common.export import to_rtlil
from sim.register_map import Field

__all__ = ["concentrator_bits"]

_WEIGHTS = ("weights", "encoder_weights")
"""Names of the fields that hold weights, behind the write port and on the chip."""
_CONTROL = ("control", "links", "overflow")
"""Parts of the whole chip beside the data path."""
_REPLICA = re.compile(r"replica_([012])")


def concentrator_bits(component: Component, top: str, fields: Iterable[Field]) -> tuple[StorageBit, ...]:
    """Every flip-flop of a concentrator, found in the design itself; names are those of the Verilog.

    Parameters
    ----------
    component : Component
        The concentrator, or the chip around it.
    top : str
        Its name in the Verilog.
    fields : iterable of Field
        Its register map, which tells weights from settings.
    """
    rtlil = to_rtlil(component, top, ShellLibrary(top, _combinational))
    weights = {
        field.address + byte for field in fields if field.name.startswith(_WEIGHTS) for byte in range(field.size)
    }
    return tuple(_bit(path, signal, index, weights) for path, signal, index in flip_flops_of(rtlil, top))


def _combinational(component: Component) -> bool:
    return getattr(component, "latency", None) == 0 and not getattr(component, "clocked", False)


def _bit(path: tuple[str, ...], signal: str, index: int, weights: set[int]) -> StorageBit:
    copies = [found.group(1) for name in path if (found := _REPLICA.fullmatch(name))]
    byte = next((int(name[5:9], 16) for name in path if name.startswith("byte_")), None)
    stratum = Stratum.CONTROL if path[0] in _CONTROL else Stratum.DATA_PATH
    if "registers" in path:
        stratum = Stratum.WEIGHT if byte in weights else Stratum.SETTING
    return StorageBit(
        path=".".join((*path, signal)), bit=index, copy=int(copies[-1]) if copies else 0,
        stratum=stratum,
        protected=".".join((*(_REPLICA.sub("replica", name) for name in path), f"{signal}[{index}]")),
    )  # fmt: skip
