"""Protection of the chip on the netlist: every storage bit by name, and the gate on replicas."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from amaranth.lib.wiring import Component

from flows.common.content_cache import (
    ContentCache,
    cache_directory,
    code_hash,
    content_key,
    module_file,
    tool_versions,
)
from flows.common.metrics import GateError, Metric
from flows.tools.rtlil import parse_rtlil
from flows.tools.yosys import run_yosys
from hw.common.export import to_rtlil
from hw.common.hierarchy import Library, flat_ports
from hw.common.registered import described
from hw.common.scheme import Scheme
from hw.hgcal_encoder.calibrate import Calibrate
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.control import ControlLogic
from hw.hgcal_encoder.convolution import Convolution
from hw.hgcal_encoder.decode import Decode
from hw.hgcal_encoder.dense import Dense
from hw.hgcal_encoder.frame import Frame
from hw.hgcal_encoder.multiplex import Multiplex
from hw.hgcal_encoder.normalise import Normalise
from hw.hgcal_encoder.words import Words
from sim.hgcal_encoder.configuration.chip_registers import Loading, image_fields
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = [
    "ShellLibrary",
    "StorageBit",
    "Stratum",
    "chip_bits",
    "chip_shell",
    "flip_flops_of",
    "gate_replicas",
    "storage_bits",
    "unprotected_bits",
]

_STAGES = (Words, Multiplex, Decode, Calibrate, Normalise, Convolution, Dense, Frame)


class Stratum(StrEnum):
    """What a storage bit holds."""

    WEIGHT = "weight"
    SETTING = "setting"
    SHADOW = "shadow"
    """Image that waits to be swapped in, and its parity."""
    DATA_PATH = "data_path"
    CONTROL = "control"
    COUNTER = "counter"
    """Error counters."""


@dataclass(frozen=True, kw_only=True)
class StorageBit:
    """One flip-flop of the design before mapping.

    Attributes
    ----------
    path : str
        Instances from the top down, joined by dots, and the signal that holds the bit.
    bit : int
        Bit of the signal.
    stratum : Stratum
    copy : int
        Number of the copy, 0 to 2 where there are three, else 0.
    protected : str
        The same for all copies of a bit, and for all bits of a code word with check bits in it.
    """

    path: str
    bit: int
    stratum: Stratum
    copy: int
    protected: str


class ShellLibrary(Library):
    """Writes only the ports of components that hold no flip-flop, which take long to elaborate.

    Parameters
    ----------
    prefix : str
        As of `Library`.
    empty : callable
        Whether a component is left empty.
    """

    def __init__(self, prefix: str, empty: Callable[[Component], bool]) -> None:
        super().__init__(prefix)
        self._empty = empty

    def convert(self, component: Component, name: str) -> None:
        if not self._empty(component):
            super().convert(component, name)
            return
        component._MustUse__silence = True
        wires = "".join(
            f"  wire width {len(value)} {direction} {number} \\{port}\n"
            for number, (port, direction, value) in enumerate(flat_ports(component), 1)
        )
        self.modules[name] = f"attribute \\blackbox 1\nmodule \\{name}\n{wires}end\n"
        self._clocked[name] = bool(component.latency)


def chip_shell(spec: EncoderSpec, scheme: Scheme, loading: Loading, top: str) -> str:
    """RTLIL of store, control and pipeline registers of a chip, the stages between them black boxes: all of its
    flip-flops."""
    return to_rtlil(
        Chip(spec=spec, scheme=scheme, loading=loading), top, ShellLibrary(top, lambda part: isinstance(part, _STAGES))
    )


@cache
def _weight_addresses(spec: EncoderSpec) -> frozenset[int]:
    return frozenset(
        field.address + byte for field in image_fields(spec) if field.name == "weights" for byte in range(field.size)
    )


def storage_bits(
    spec: EncoderSpec, scheme: Scheme, loading: Loading, rtlil: str | None = None
) -> tuple[StorageBit, ...]:
    """Every flip-flop of a chip with its name in the hierarchy and its stratum: what a fault campaign draws from.

    Found in the design itself, by following the instances from the top; the names are those of the Verilog.

    Parameters
    ----------
    spec, scheme, loading : EncoderSpec, Scheme, Loading
    rtlil : str, optional
        The chip, or what `chip_shell` gave for it, if either is at hand.
    """
    top = f"{spec.name}_CHIP"
    chip = described(Chip, spec=spec, scheme=scheme, loading=loading)
    counters = described(ControlLogic, **chip.control_parameters()).state_fields.get("counters", range(0))
    return tuple(
        _classified(spec, path, signal, index, counters)
        for path, signal, index in flip_flops_of(rtlil or chip_shell(spec, scheme, loading, top), top)
    )


def flip_flops_of(rtlil: str, top: str) -> list[tuple[tuple[str, ...], str, int]]:
    """Every flip-flop of a design, by following the instances from the top: instances, signal, bit.

    Parameters
    ----------
    rtlil : str
        The design; modules without flip-flops may be black boxes.
    top : str
        Module at the top.
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-bits-") as folder:
        work = Path(folder)
        (work / "chip.il").write_text(rtlil)
        run_yosys(
            f"read_rtlil chip.il\nhierarchy -top {top}\nproc\nopt_clean\nwrite_rtlil bits.il\n",
            directory=work,
            name="bits",
        )
        modules = parse_rtlil((work / "bits.il").read_text())
    found: list[tuple[tuple[str, ...], str, int]] = []

    def walk(module: str, path: tuple[str, ...]) -> None:
        for cell in modules[module].cells:
            name = cell.name.removeprefix("\\")
            if cell.type.startswith("\\"):
                if cell.type.removeprefix("\\") in modules:
                    walk(cell.type.removeprefix("\\"), (*path, name))
            elif "dff" in cell.type:
                for bit in modules[module].bits(cell.connections["Q"]):
                    signal, _, number = bit.removeprefix("\\").partition(" [")
                    found.append((path, signal, int(number.rstrip("]"))))

    walk(top, ())
    return found


def chip_bits(spec: EncoderSpec, scheme: Scheme, loading: Loading, rtlil: str | None = None) -> tuple[StorageBit, ...]:
    """`storage_bits`, kept by content: finding them takes a quarter of a minute where no RTLIL is at hand."""
    cache = ContentCache(cache_directory() / "storage-bits")
    key = content_key(
        spec=spec.to_toml(), scheme=scheme, loading=loading, code=code_hash(module_file(__name__)),
        tools=tool_versions("amaranth", "pyosys"),
    )  # fmt: skip
    found = cache.kept(
        key, lambda: {"bits": [list(asdict(bit).values()) for bit in storage_bits(spec, scheme, loading, rtlil)]}
    )
    return tuple(
        StorageBit(path=path, bit=bit, stratum=Stratum(stratum), copy=copy, protected=protected)
        for path, bit, stratum, copy, protected in found["bits"]
    )


def _classified(spec: EncoderSpec, path: tuple[str, ...], signal: str, index: int, counters: range) -> StorageBit:
    copies = [int(name[-1]) for name in path if re.fullmatch(r"(replica|registers|control)_[012]", name)]
    generic = [re.sub(r"^(replica|registers|control)_[012]$", r"\1", name) for name in path]
    byte = next((int(name[5:9], 16) for name in path if name.startswith("byte_")), None)
    if generic[0] == "control":
        stratum = Stratum.COUNTER if index in counters else Stratum.CONTROL
    elif generic[0] == "shadow":
        stratum = Stratum.SHADOW
    elif generic[0] == "registers":
        weight = byte in _weight_addresses(spec) or any(name.startswith("word_weights") for name in path)
        stratum = Stratum.WEIGHT if weight else Stratum.SETTING
    else:
        stratum = Stratum.DATA_PATH
    coded = (generic[-1] == "replica" and not copies) or generic[-1].startswith("word_")
    return StorageBit(
        path=".".join((*path, signal)), bit=index, stratum=stratum, copy=copies[-1] if copies else 0,
        protected=".".join(generic) + ("" if coded else f".{signal}[{index}]"),
    )  # fmt: skip


def unprotected_bits(bits: Iterable[StorageBit]) -> tuple[str, ...]:
    """Names of bits that are stored fewer than three times, and are not part of a code word."""
    counts = Counter(bit.protected for bit in bits)
    return tuple(name for name, count in counts.items() if count < 3)


def gate_replicas(metrics: Sequence[Metric], bits: Sequence[StorageBit]) -> tuple[Metric, ...]:
    """Gate: the netlist has every flip-flop that the design asks for, all copies of all bits; none was merged.

    Parameters
    ----------
    metrics : sequence of Metric
        What `flows.synthesis.synthesise.synthesise` measured.
    bits : sequence of StorageBit
        Flip-flops of the design.

    Raises
    ------
    GateError
        If one is missing or too many, or a bit has another number of copies than one or three.
    """
    copies = Counter((bit.protected, bit.copy) for bit in bits)
    by_bit: dict[str, set[int]] = {}
    for name, copy in copies:
        by_bit.setdefault(name, set()).add(copy)
    if wrong := sorted(name for name, found in by_bit.items() if found not in ({0}, {0, 1, 2})):
        raise GateError(f"{len(wrong)} bits have neither one nor three copies, the first is {wrong[0]}")
    (flip_flops,) = (m for m in metrics if m.name == "design__instance__count__class:flip_flop")
    if flip_flops.value != len(bits):
        raise GateError(f"flip-flops in the netlist: expected {len(bits)}, got {flip_flops.value}")
    return (flip_flops,)
