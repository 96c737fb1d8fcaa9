"""The public Python interface of liquidcal: what programs of others may build on.

Everything here is one of the objects of `sim` (models), `hw` (generators) and `flows` (steps), under a name that stays.
A name is imported when it is first used, so that ``import liquidcal`` costs nothing.

=========================  =================================================================================
`FixedPoint`,              number formats; modes of rounding and overflow
`Rounding`, `Overflow`
`EncoderSpec`,             specifications of the three kinds of chips
`CrossbarSpec`,
`NetworkSpec`
`NetworkWeights`,          weights of a network; its golden model
`Network`
`NetworkHardware`          the hardware of a network, an Amaranth component
`design`, `load_design`    a design by preset, file or spec; the design of a folder of results
`to_verilog`               Verilog of any Amaranth component
`Journal`                  where steps report what they do and check
`SYNTHESIS`, `PLACEMENT`,  steps: ``SYNTHESIS(design, folder, journal)`` returns metrics
`TIMING`, `POWER`,
`VERIFICATION`
`verilator_environment`    environment variables under which the installed Verilator builds
=========================  =================================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.common.journal import Journal
    from flows.designs.catalogue import design, load_design
    from flows.steps.placement import PLACEMENT
    from flows.steps.power import POWER
    from flows.steps.synthesis import SYNTHESIS
    from flows.steps.timing import TIMING
    from flows.steps.verification import VERIFICATION
    from flows.tools.verilator import verilator_environment
    from hw.common.export import to_verilog
    from hw.network.network import Network as NetworkHardware
    from sim.fixed_point import FixedPoint, Overflow, Rounding
    from sim.hgcal_encoder.spec import EncoderSpec
    from sim.lsm_crossbar.spec import CrossbarSpec
    from sim.network.model import Network
    from sim.network.spec import NetworkSpec
    from sim.network.weights import NetworkWeights

__all__ = [
    "PLACEMENT", "POWER", "SYNTHESIS", "TIMING", "VERIFICATION", "CrossbarSpec", "EncoderSpec", "FixedPoint", "Journal",
    "Network", "NetworkHardware", "NetworkSpec", "NetworkWeights", "Overflow", "Rounding", "design", "load_design",
    "to_verilog", "verilator_environment",
]  # fmt: skip

_PLACES = {
    "sim.fixed_point": ("FixedPoint", "Overflow", "Rounding"),
    "sim.hgcal_encoder.spec": ("EncoderSpec",),
    "sim.lsm_crossbar.spec": ("CrossbarSpec",),
    "sim.network.spec": ("NetworkSpec",),
    "sim.network.weights": ("NetworkWeights",),
    "sim.network.model": ("Network",),
    "hw.common.export": ("to_verilog",),
    "flows.designs.catalogue": ("design", "load_design"),
    "flows.common.journal": ("Journal",),
    "flows.steps.synthesis": ("SYNTHESIS",),
    "flows.steps.placement": ("PLACEMENT",),
    "flows.steps.timing": ("TIMING",),
    "flows.steps.power": ("POWER",),
    "flows.steps.verification": ("VERIFICATION",),
    "flows.tools.verilator": ("verilator_environment",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "NetworkHardware":
        return import_module("hw.network.network").Network
    if name not in _MODULES:
        raise AttributeError(f"module 'liquidcal' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
