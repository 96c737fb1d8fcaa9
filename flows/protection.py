"""Protection of the chip on the netlist: every storage bit by name, the gate on replicas, the price of each scheme.

Run as ``python -m flows.protection`` it measures the area of ECON_T for every scheme and way of loading, and writes
benchmarks/results/protection.json.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component

from flows.cells import CellLibrary, cell_library
from flows.metrics import GateError, Metric, now, read_metrics, write_metrics
from flows.rtlil import parse_rtlil
from flows.synthesis import SynthesisResult, synthesise
from flows.yosys import run_yosys
from hw.common.export import to_rtlil
from hw.common.hierarchy import Library, flat_ports
from hw.common.parity_cell import ParityCell
from hw.common.pipeline_register import PipelineRegister
from hw.common.register_file import RegisterFile, Role
from hw.common.registered import Registered, described
from hw.common.registered_replica import RegisteredReplica
from hw.common.replica import KEPT
from hw.common.scheme import Scheme
from hw.common.voted_register import VotedRegister
from hw.hgcal_encoder.calibrate import Calibrate
from hw.hgcal_encoder.chip import CELLS, Chip
from hw.hgcal_encoder.control import ControlLogic
from hw.hgcal_encoder.convolution import Convolution
from hw.hgcal_encoder.decode import Decode
from hw.hgcal_encoder.dense import Dense
from hw.hgcal_encoder.encoder import STAGES
from hw.hgcal_encoder.frame import Frame
from hw.hgcal_encoder.multiplex import Multiplex
from hw.hgcal_encoder.normalise import Normalise
from hw.hgcal_encoder.words import Words
from sim.hgcal_encoder.chip_registers import Loading, image_fields
from sim.hgcal_encoder.spec import PRESETS, EncoderSpec

__all__ = [
    "StorageBit", "Stratum", "chip_shell", "gate_replicas", "price_of_words", "price_table", "storage_bits",
    "synthesise_shell", "unprotected_bits",
]  # fmt: skip


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


class _ShellLibrary(Library):
    """Writes only the ports of the stages of the data path: they hold no flip-flop, and take long to elaborate."""

    def convert(self, component: Component, name: str) -> None:
        if not isinstance(component, _STAGES):
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
    return to_rtlil(Chip(spec=spec, scheme=scheme, loading=loading), top, _ShellLibrary(top))


@cache
def _weight_addresses(spec: EncoderSpec) -> frozenset[int]:
    return frozenset(
        field.address + byte for field in image_fields(spec) if field.name == "weights" for byte in range(field.size)
    )


def storage_bits(
    spec: EncoderSpec, scheme: Scheme, loading: Loading, shell: str | None = None
) -> tuple[StorageBit, ...]:
    """Every flip-flop of a chip with its name in the hierarchy and its stratum: what a fault campaign draws from.

    Found in the design itself, by following the instances from the top; the names are those of the Verilog.

    Parameters
    ----------
    spec, scheme, loading : EncoderSpec, Scheme, Loading
    shell : str, optional
        What `chip_shell` gave for them, if it is at hand.
    """
    top = f"{spec.name}_CHIP"
    with tempfile.TemporaryDirectory(prefix="liquidcal-bits-") as folder:
        work = Path(folder)
        (work / "chip.il").write_text(shell or chip_shell(spec, scheme, loading, top))
        run_yosys(
            f"read_rtlil chip.il\nhierarchy -top {top}\nproc\nopt_clean\nwrite_rtlil bits.il\n",
            directory=work,
            name="bits",
        )
        modules = parse_rtlil((work / "bits.il").read_text())
    found: list[StorageBit] = []
    chip = described(Chip, spec=spec, scheme=scheme, loading=loading)
    counters = described(ControlLogic, **chip.control_parameters()).state_fields.get("counters", range(0))

    def walk(module: str, path: tuple[str, ...]) -> None:
        for cell in modules[module].cells:
            name = cell.name.removeprefix("\\")
            if cell.type.startswith("\\"):
                if cell.type.removeprefix("\\") in modules:
                    walk(cell.type.removeprefix("\\"), (*path, name))
            elif "dff" in cell.type:
                for bit in modules[module].bits(cell.connections["Q"]):
                    signal, _, number = bit.removeprefix("\\").partition(" [")
                    index = int(number.rstrip("]"))
                    found.append(_classified(spec, path, signal, index, counters))

    walk(top, ())
    return tuple(found)


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
        What `flows.synthesis.synthesise` measured.
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


def synthesise_shell(
    spec: EncoderSpec, scheme: Scheme, loading: Loading, library: CellLibrary, out_dir: Path, timeout_s: float = 900.0
) -> SynthesisResult:
    """Synthesise store, control and pipeline registers of a chip, with clock gates.

    Raises
    ------
    GateError
        If a flip-flop is missing: see `gate_replicas`.
    """
    top = f"{spec.name}_CHIP"
    shell = chip_shell(spec, scheme, loading, top)
    result = synthesise(
        shell, top=top, library=library, out_dir=out_dir, keep=(KEPT,), clock_gating=True, timeout_s=timeout_s,
        command="python -m flows.protection",
    )  # fmt: skip
    gate_replicas(result.metrics, storage_bits(spec, scheme, loading, shell))
    return result


class _Pieces:
    """Areas of pieces of a chip, each synthesised on its own and once, with clock gates."""

    def __init__(self, library: CellLibrary, timeout_s: float = 600.0) -> None:
        self._library, self._timeout_s = library, timeout_s
        self._known: dict[object, tuple[float, int]] = {}
        self.origin: Metric | None = None

    def measure(self, part: Callable[..., Component], **parameters: Any) -> tuple[float, int]:
        """Area in square micrometres, and flip-flops."""
        key = (part, tuple(sorted(parameters.items(), key=lambda item: item[0])))
        if key not in self._known:
            with tempfile.TemporaryDirectory(prefix="liquidcal-piece-") as folder:
                result = synthesise(
                    to_rtlil(part(**parameters), "piece"), top="piece", library=self._library,
                    out_dir=Path(folder) / "out", keep=(KEPT,), clock_gating=True, timeout_s=self._timeout_s,
                )  # fmt: skip
            self.origin = result.metrics[0]
            self._known[key] = (result.area_um2, result.flip_flops)
        return self._known[key]


_REGISTER_WIDTH = 64
"""Bits of the pipeline register that stands for all: registers are as many of one bit."""


def price_table(spec: EncoderSpec, library: CellLibrary, data_path_um2: float) -> list[Metric]:
    """Area and flip-flops of every scheme and way of loading, from pieces.

    Synthesised are one block of the weight image, the control, and a pipeline register, each for every scheme; the
    block counts for the store in proportion to its bits, the register in proportion to the bits of the data path. That
    spares the synthesis of thirteen times as much; `synthesise_shell` does it as a whole. Bytes stand behind clock
    gates, which their cells are made for: without gates an enable is a multiplexer per flip-flop.

    Parameters
    ----------
    spec : EncoderSpec
    library : CellLibrary
    data_path_um2 : float
        Area of the stages of the data path, which no scheme changes.
    """
    pieces = _Pieces(library)
    fields = image_fields(spec)
    block = tuple(field for field in fields if field.name == "weights" and field.index == 0)
    times = sum(field.width for field in fields) / sum(field.width for field in block)
    plain = storage_bits(spec, Scheme.NONE, Loading.DIRECT)
    pipeline_bits = sum(bit.stratum is Stratum.DATA_PATH for bit in plain)
    found = []
    for scheme, cell in CELLS.items():
        register = PipelineRegister if scheme is Scheme.NONE else VotedRegister
        triple = scheme is Scheme.TMR_MODULE
        for loading in Loading:
            role = Role.ACTIVE if loading is Loading.GUARDED else Role.STORE
            store = [
                pieces.measure(RegisterFile, fields=block, cell=cell, role=role, readable=copy == 0)
                for copy in range(3 if triple else 1)
            ]
            if loading is Loading.GUARDED:
                store.append(
                    pieces.measure(RegisterFile, fields=block, cell=ParityCell, role=Role.SHADOW, readable=True)
                )
            parameters = described(Chip, spec=spec, scheme=scheme, loading=loading).control_parameters()
            if triple:
                control = [pieces.measure(RegisteredReplica, logic=ControlLogic, **parameters)] * 3
            else:
                control = [pieces.measure(Registered, logic=ControlLogic, register=register, **parameters)]
            step = pieces.measure(register, width=_REGISTER_WIDTH)
            store_um2 = times * sum(area for area, _ in store)
            control_um2 = sum(area for area, _ in control)
            pipeline_um2 = step[0] * pipeline_bits / _REGISTER_WIDTH
            total = data_path_um2 + store_um2 + control_um2 + pipeline_um2
            flip_flops = sum(count for _, count in control) + round(
                times * sum(count for _, count in store) + step[1] * pipeline_bits / _REGISTER_WIDTH
            )
            origin = pieces.origin
            assert origin is not None
            scaled = "one block of the weight image synthesised with clock gates, in proportion to its bits"
            for name, value, unit, method in (
                ("design__instance__area", total, "um2", "pieces, clock gated, and stages of the data path, added"),
                ("design__instance__area__gate_equivalent", library.gate_equivalents(total), "GE", "area over NAND2"),
                ("store__area", store_um2, "um2", scaled),
                ("control__area", control_um2, "um2", "synthesised"),
                ("pipeline_registers__area", pipeline_um2, "um2", "64 bits synthesised, in proportion to the bits"),
                ("design__flip_flop__count", flip_flops, "", "of the pieces, in the same proportions"),
            ):
                found.append(
                    Metric(
                        name=f"{name}__case:{scheme}_{loading}",
                        value=value,
                        unit=unit,
                        tool=origin.tool,
                        tool_version=origin.tool_version,
                        library=library.name,
                        library_sha256=library.sha256,
                        method=method,
                        command="python -m flows.protection",
                        date=now(),
                    )
                )
    return found


def price_of_words(spec: EncoderSpec, library: CellLibrary, timeout_s: float = 1500.0) -> list[Metric]:
    """Area and flip-flops of a chip with long code words, synthesised as a whole, with clock gates.

    Its store, its network and its registers belong together: `Scheme.SECDED_WORDS` needs a reuse factor, keeps fewer
    registers, and corrects within the neurons. The recipe is that of the pieces of `price_table`.

    Raises
    ------
    GateError
        If a flip-flop is missing: see `gate_replicas`.
    """
    top, scheme, loading = f"{spec.name}_CHIP", Scheme.SECDED_WORDS, Loading.DIRECT
    with tempfile.TemporaryDirectory(prefix="liquidcal-words-") as folder:
        result = synthesise(
            to_rtlil(Chip(spec=spec, scheme=scheme, loading=loading), top), top=top, library=library,
            out_dir=Path(folder) / "out", keep=(KEPT,), clock_period_ns=25.0 / spec.reuse, clock_gating=True,
            timeout_s=timeout_s,
        )  # fmt: skip
    gate_replicas(result.metrics, storage_bits(spec, scheme, loading))
    origin = result.metrics[0]

    def area(*instances: str) -> float:
        return sum(stage.area_um2 for stage in result.stages if stage.instances and stage.instances[0] in instances)

    pipeline = sum(stage.area_um2 for stage in result.stages if "_voted_register_" in stage.module)
    whole = f"whole chip at reuse {spec.reuse}, clock gated, synthesised"
    return [
        Metric(
            name=f"{name}__case:{scheme}_{loading}_reuse_{spec.reuse}", value=value, unit=unit, tool=origin.tool,
            tool_version=origin.tool_version, library=library.name, library_sha256=library.sha256, method=method,
            command=f"python -m flows.protection --words {spec.reuse}", date=now(),
        )
        for name, value, unit, method in (
            ("design__instance__area", result.area_um2, "um2", whole),
            ("design__instance__area__gate_equivalent", result.gate_equivalents, "GE", "area over NAND2"),
            ("store__area", area("registers"), "um2", whole),
            ("control__area", area("control"), "um2", whole),
            ("pipeline_registers__area", pipeline, "um2", f"{whole}; without those inside the network"),
            ("design__flip_flop__count", result.flip_flops, "", "of the netlist"),
        )
    ]  # fmt: skip


def main() -> None:
    """Write the price table of ECON_T; with SCHEME-LOADING synthesise the shell of one case as a whole and tell.

    With --words FACTOR measure the chip with long code words at this reuse factor, and replace its rows in the table.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("whole", nargs="?", help="scheme-loading, for example tmr_module-guarded")
    parser.add_argument("--words", type=int, help="reuse factor of a chip with long code words")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    spec, library = PRESETS["ECON_T"], cell_library("nangate45")
    if arguments.whole:
        scheme, _, loading = arguments.whole.partition("-")
        with tempfile.TemporaryDirectory(prefix="liquidcal-shell-") as folder:
            result = synthesise_shell(spec, Scheme(scheme), Loading(loading), library, Path(folder) / "out")
        print(
            f"{arguments.whole}: shell {result.area_um2:,.0f} um2, {result.flip_flops:,} flip-flops, all copies there"
        )
        return
    table = arguments.results / "protection.json"
    words = [m for m in read_metrics(table) if f"case:{Scheme.SECDED_WORDS}" in m.name] if table.is_file() else []
    if arguments.words:
        new = price_of_words(replace(spec, reuse=arguments.words), library)
        names = {metric.name for metric in new}
        write_metrics(table, [*(m for m in read_metrics(table) if m.name not in names), *new])
        return
    pattern = re.compile(rf"design__instance__area__module:{spec.name}_({'|'.join(STAGES)})")
    stages = [m for m in read_metrics(arguments.results / f"area_{spec.name}.json") if pattern.fullmatch(m.name)]
    if len(stages) != len(STAGES):
        raise SystemExit(f"expected the areas of {len(STAGES)} stages, found {len(stages)}")
    write_metrics(table, [*price_table(spec, library, sum(float(m.value) for m in stages)), *words])


if __name__ == "__main__":
    main()
