"""The public Python interface of liquidcal: what programs of others may build on.

Everything here is one of the objects of `sim` (models), `hw` (generators) and `flows` (steps), under a name that stays.
A name is imported when it is first used, so that ``import liquidcal`` costs nothing.

=========================  =================================================================================
`FixedPoint`,              number formats; modes of rounding and overflow
`Rounding`, `Overflow`
`EncoderSpec`,             specifications of the three kinds of chips
`CrossbarSpec`,
`NetworkSpec`
`Dense`, `Convolution`,    nodes of a `NetworkSpec`
`Scale`, `Store`, `Wire`,
`Pool`, `Add`, `ArgMax`
`NetworkWeights`,          weights of a network; its golden model
`Network`
`NetworkHardware`          the hardware of a network, an Amaranth component
`NetworkChip`,             the same behind I2C; its driver; protection, and how it takes weights
`NetworkDriver`,
`Scheme`, `Loading`
`draw`, `Liquid`           one macro from one seed; the golden model of its liquid
`design`, `load_design`    a design by preset, file or spec; the design of a folder of results
`FileOptions`              options of ``design.generate(folder, journal, options)``
`to_verilog`               Verilog of any Amaranth component
`PipelineRegister`,        a register, and the same with three copies and a voter; likewise a byte of storage, and as
`VotedRegister`,           a code word that corrects itself
`StorageCell`,
`SecdedCell`
`prove_single_flips`       proof that no flip of one flip-flop of a component is ever seen
`weight_upsets`            harm of upsets of a network's weights, by one's own data and measure
`Journal`                  where steps report what they do and check
`SYNTHESIS`, `PLACEMENT`,  steps: ``SYNTHESIS(design, folder, journal, options)`` returns metrics
`TIMING`, `POWER`,
`VERIFICATION`
`PowerOptions`,            options of those two steps
`VerificationOptions`
`get_runner`               cocotb's runner on the installed Verilator, for designs of one's own
`run_bench`                a bench of cocotb on Verilog text, builds kept
`verilator_environment`    environment variables under which the installed Verilator builds
=========================  =================================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.campaign.network import weight_upsets
    from flows.common.journal import Journal
    from flows.designs.catalogue import design, load_design
    from flows.designs.generated import FileOptions
    from flows.formal.protection import prove_single_flips
    from flows.simulation.cocotb_bench import get_runner, run_bench
    from flows.steps.placement import PLACEMENT
    from flows.steps.power import POWER, PowerOptions
    from flows.steps.synthesis import SYNTHESIS
    from flows.steps.timing import TIMING
    from flows.steps.verification import VERIFICATION, VerificationOptions
    from flows.tools.verilator import verilator_environment
    from hw.common.export import to_verilog
    from hw.common.pipeline_register import PipelineRegister
    from hw.common.scheme import Scheme
    from hw.common.secded_cell import SecdedCell
    from hw.common.storage_cell import StorageCell
    from hw.common.voted_register import VotedRegister
    from hw.network.network import Network as NetworkHardware
    from hw.network.network_chip import NetworkChip
    from sim.chip_registers import Loading
    from sim.fixed_point import FixedPoint, Overflow, Rounding
    from sim.hgcal_encoder.spec import EncoderSpec
    from sim.lsm_crossbar.liquid import Liquid
    from sim.lsm_crossbar.macro_model.device import draw
    from sim.lsm_crossbar.spec import CrossbarSpec
    from sim.network.driver import NetworkDriver
    from sim.network.model import Network
    from sim.network.nodes import Add, ArgMax, Convolution, Dense, Pool, Scale, Store, Wire
    from sim.network.spec import NetworkSpec
    from sim.network.weights import NetworkWeights

__all__ = [
    "PLACEMENT",
    "POWER",
    "SYNTHESIS",
    "TIMING",
    "VERIFICATION",
    "Add",
    "ArgMax",
    "Convolution",
    "CrossbarSpec",
    "Dense",
    "EncoderSpec",
    "FileOptions",
    "FixedPoint",
    "Journal",
    "Liquid",
    "Loading",
    "Network",
    "NetworkChip",
    "NetworkDriver",
    "NetworkHardware",
    "NetworkSpec",
    "NetworkWeights",
    "Overflow",
    "PipelineRegister",
    "Pool",
    "PowerOptions",
    "Rounding",
    "Scale",
    "Scheme",
    "SecdedCell",
    "StorageCell",
    "Store",
    "VerificationOptions",
    "VotedRegister",
    "Wire",
    "design",
    "draw",
    "get_runner",
    "load_design",
    "prove_single_flips",
    "run_bench",
    "to_verilog",
    "verilator_environment",
    "weight_upsets",
]

_PLACES = {
    "sim.fixed_point": ("FixedPoint", "Overflow", "Rounding"),
    "sim.hgcal_encoder.spec": ("EncoderSpec",),
    "sim.lsm_crossbar.spec": ("CrossbarSpec",),
    "sim.lsm_crossbar.macro_model.device": ("draw",),
    "sim.lsm_crossbar.liquid": ("Liquid",),
    "sim.network.spec": ("NetworkSpec",),
    "sim.network.nodes": ("Add", "ArgMax", "Convolution", "Dense", "Pool", "Scale", "Store", "Wire"),
    "sim.network.weights": ("NetworkWeights",),
    "sim.network.model": ("Network",),
    "sim.network.driver": ("NetworkDriver",),
    "sim.chip_registers": ("Loading",),
    "hw.common.export": ("to_verilog",),
    "hw.common.pipeline_register": ("PipelineRegister",),
    "hw.common.scheme": ("Scheme",),
    "hw.common.secded_cell": ("SecdedCell",),
    "hw.common.storage_cell": ("StorageCell",),
    "hw.common.voted_register": ("VotedRegister",),
    "hw.network.network_chip": ("NetworkChip",),
    "flows.designs.catalogue": ("design", "load_design"),
    "flows.designs.generated": ("FileOptions",),
    "flows.campaign.network": ("weight_upsets",),
    "flows.common.journal": ("Journal",),
    "flows.formal.protection": ("prove_single_flips",),
    "flows.simulation.cocotb_bench": ("get_runner", "run_bench"),
    "flows.steps.synthesis": ("SYNTHESIS",),
    "flows.steps.placement": ("PLACEMENT",),
    "flows.steps.timing": ("TIMING",),
    "flows.steps.power": ("POWER", "PowerOptions"),
    "flows.steps.verification": ("VERIFICATION", "VerificationOptions"),
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
