"""Faults in the generated Verilog of the whole chip, in native simulation.

Every flip-flop gets a hook in the text: what it takes at a clock edge is inverted where `<name>_flip` has a 1. That is
an upset at the start of a crossing: the flip-flop holds the wrong value from the edge on, whatever it would have held,
and what follows is the chip's own doing. The hooks also keep copies apart, which a simulator would merge as a
synthesiser does. The outputs of control have hooks as well, for transients. The image is put into the store through
the hooks of its flip-flops, in one clock; what the run without fault then does shows whether it is the right one.

A store that is written over the bus only, and by its own correction, keeps its values in all other clocks. It has a
clock of its own in the simulation, which ticks when control enables a write, when the store is upset, and after
either in every clock if the store corrects itself; so logic that depends on stored values alone is evaluated
then only. The run without fault is simulated with every tick, and its states have to be those without them.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from flows.campaign.engine import RESET, WATCHED, ChipEngine, EngineError, check_bus, check_crossing, watched
from flows.campaign.faults import Fault, Kind, Target
from flows.campaign.outcome import Outcome, judged
from flows.campaign.store import reset_image, stored_values
from flows.campaign.workload import Workload
from flows.common.content_cache import (
    ContentCache,
    cache_directory,
    code_hash,
    content_key,
    module_file,
    tool_versions,
)
from flows.designs.storage_bits import StorageBit, Stratum, chip_bits
from flows.simulation.native import FastClock, NativeModel, build_native, divided_read_port
from flows.tools.verilog import Port, separate_clock, split_modules
from hw.common.export import rtlil_to_verilog, to_rtlil
from hw.common.scheme import Scheme
from hw.hgcal_encoder.chip import Chip
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["RtlEngine", "add_hooks", "chip_verilog"]

DEPENDS_ON = ("faults.cpp",)
_HARNESS = Path(__file__).with_name("faults.cpp")
_NETS = ("address", "write_data", "write_enable", "merge", "value", "swap", "run", "mark", "sda_low", "scrub_row")
"""Outputs of control that have hooks."""
_ENABLES = ("write_enable", "merge", "swap", "run")
"""Those of them that get transients: write enables of the store, byte by byte or by code words, and the others."""
_STORE_CLOCK = "store_clk"
_INJECTION = np.dtype([("clock", "<i8"), ("window", "<i8"), ("patience", "<i8"), ("first", "<i4"), ("events", "<i4")])
_EVENT = np.dtype([("delay", "<i4"), ("hook", "<i4"), ("bit", "<i4")])
_RESULT = np.dtype(
    [("watched", "<i8"), ("first_wrong", "<i8"), ("last_wrong", "<i8"), ("wrong", "<i4"), ("bus_wrong", "<i4"),
     ("stopped", "<i4"), ("counted", "<i4"), ("persistent", "<i4"), ("unused", "<i4")]
)  # fmt: skip

_FLIP_FLOP = re.compile(
    r"^  always @\(posedge (\w+), posedge rst\)\n    if \(rst\) (\w+) <= ([^;]+);\n"
    r"    else(?: if \(([^;\n]+)\))? ?\2 <= ([^;]+);\n",
    re.MULTILINE,
)


def chip_verilog(spec: EncoderSpec, scheme: Scheme, loading: Loading) -> str:
    """Verilog of the chip, module ``<name>_CHIP``."""
    return rtlil_to_verilog(_chip_rtlil(spec, scheme, loading))


def _chip_rtlil(spec: EncoderSpec, scheme: Scheme, loading: Loading) -> str:
    return to_rtlil(Chip(spec=spec, scheme=scheme, loading=loading), f"{spec.name}_CHIP")


def has_store_clock(scheme: Scheme, loading: Loading) -> bool:
    """Whether nothing but writes over the bus and its own correction change the store."""
    return loading is Loading.DIRECT and scheme is not Scheme.SECDED_WORDS


def hooked_chip(spec: EncoderSpec, scheme: Scheme, loading: Loading) -> str:
    """`add_hooks` of `chip_verilog`, kept by content: the Verilog of a whole chip takes half a minute to write.

    Flip-flops of the chip are found meanwhile and kept, too: see `flows.designs.storage_bits.chip_bits`.
    """
    cache = ContentCache(cache_directory() / "hooked-chips")
    key = content_key(
        spec=spec.to_toml(), scheme=scheme, loading=loading, sources=code_hash(module_file("flows.campaign.rtl")),
        tools=tool_versions("amaranth", "pyosys"),
    )  # fmt: skip

    def hooked() -> dict[str, str]:
        rtlil = _chip_rtlil(spec, scheme, loading)
        with ThreadPoolExecutor(1) as aside:
            bits = aside.submit(chip_bits, spec, scheme, loading, rtlil)
            text = rtlil_to_verilog(rtlil)
            bits.result()
        return {"verilog": add_hooks(text, f"{spec.name}_CHIP", has_store_clock(scheme, loading))}

    return str(cache.kept(key, hooked)["verilog"])


def add_hooks(verilog: str, top: str, store_clock: bool = False) -> str:
    """Verilog text with a hook at every flip-flop and at the outputs of control.

    Parameters
    ----------
    verilog : str
    top : str
        Module of the chip.
    store_clock : bool
        Give the store a clock input of its own, ``store_clk``.

    Raises
    ------
    ValueError
        If a flip-flop is written in another way than expected: none is left out silently; if there is no store.
    """
    modules = split_modules(verilog)
    for name, text in modules.items():
        modules[name] = _hook_flip_flops(name, text)
    modules[top] = _hook_nets(modules[top])
    if store_clock:
        modules[top], found = separate_clock(
            modules[top], top, instances=r"registers(?:_\d)?", clock="clk", new=_STORE_CLOCK
        )
        if not found:
            raise ValueError(f"module {top} has no store")
    return divided_read_port("".join(modules.values()))


def _hook_flip_flops(name: str, text: str) -> str:
    expected = text.count("always @(posedge") + text.count("always_ff")
    hooked: list[tuple[str, int]] = []

    def hook(found: re.Match[str]) -> str:
        clock, signal, reset, enable, value = found.groups()
        declared = re.search(rf"^  reg (?:\[(\d+):0\] )?{signal};$", text, re.MULTILINE)
        if declared is None:
            raise ValueError(f"module {name}: no declaration of the flip-flop {signal}")
        hooked.append((signal, int(declared[1]) + 1 if declared[1] else 1))
        taken = f"(({enable}) ? ({value}) : {signal})" if enable else f"({value})"
        return (
            f"  always @(posedge {clock}, posedge rst)\n    if (rst) {signal}_held <= {reset};\n"
            f"    else {signal}_held <= {taken} ^ {signal}_flip;\n"
        )

    text = _FLIP_FLOP.sub(hook, text)
    if len(hooked) != expected:
        raise ValueError(f"module {name}: {expected} processes at a clock edge, {len(hooked)} of the form expected")
    for signal, width in hooked:
        dimension = f"[{width - 1}:0] " if width > 1 else ""
        text = re.sub(
            rf"^  reg (?:\[\d+:0\] )?{signal};$",
            f"  wire {dimension}{signal};\n  assign {signal} = {signal}_held;\n"
            f"  reg {dimension}{signal}_held /*verilator public_flat_rd*/;\n"
            f"  reg {dimension}{signal}_flip /*verilator public_flat_rw*/ = 0;",
            text,
            flags=re.MULTILINE,
        )
    return text


def _hook_nets(text: str) -> str:
    """Hooks `hook__<instance>__<port>` between control and everything else."""
    added: list[str] = []

    def instance(found: re.Match[str]) -> str:
        control, body = found[2], found[3]

        def net(port: re.Match[str]) -> str:
            name, driven = port[1], port[2]
            declared = re.search(rf"^  (?:wire|output) (?:\[(\d+):0\] )?{re.escape(driven)};$", text, re.MULTILINE)
            if name not in _NETS or declared is None:
                return port[0]
            dimension = f"[{declared[1]}:0] " if declared[1] else ""
            hook = f"hook__{control}__{name}"
            seen = " /*verilator public_flat_rd*/" if name == "write_enable" else ""
            added.append(
                f"  wire {dimension}{hook}__driven{seen};\n  reg {dimension}{hook}__now{seen} = 0;\n"
                f"  reg {dimension}{hook} /*verilator public_flat_rw*/ = 0;\n"
                f"  always @(posedge clk) {hook}__now <= {hook};\n"
                f"  assign {driven} = {hook}__driven ^ {hook}__now;\n"
            )
            return f".{name}({hook}__driven)"

        return found[1] + re.sub(r"\.(\w+)\((\w+)\)", net, body) + found[4]

    text = re.sub(r"(^  \S+ (control(?:_\d)?) \()(.*?)(^  \);)", instance, text, flags=re.MULTILINE | re.DOTALL)
    return text.replace("endmodule", "".join(added) + "endmodule", 1)


class RtlEngine(ChipEngine):
    """Engine on the generated Verilog. Use as a context manager, or `close` it.

    Parameters
    ----------
    workload, scheme, bits
        See `ChipEngine`.
    verilog : str, optional
        Text of the chip, where it is not the generated one (to show that a broken one is found out).
    built : Built, optional
        The simulator, where `build_chip` has made it already.
    seed : int
        Seed of variables without initial value.
    optimise : str
        As for `flows.simulation.native.build_native`: less for a chip that is simulated for seconds only.
    timeout_s : float
        Limit of the build in seconds.

    Attributes
    ----------
    hooks : dict of str to int
        Number of each hook by the path of its flip-flop, or by its own name at outputs of control.
    enables : list of str
        Variables with which the clock of the store ticks: `tick_store_with`.
    nets : tuple of Target
        Targets of transients: write enable, swap and run of each copy of control, and the reset.

    Raises
    ------
    EngineError
        If the chip without fault does not do what the golden model says.
    """

    name = "rtl"

    def __init__(
        self,
        workload: Workload,
        scheme: Scheme,
        *,
        verilog: str | None = None,
        built: Built | None = None,
        bits: Sequence[StorageBit] | None = None,
        seed: int = 1,
        optimise: str = "-O1",
        timeout_s: float = 1800.0,
    ) -> None:
        super().__init__(workload, scheme, bits)
        spec, loading = workload.spec, workload.loading
        self.top = f"{spec.name}_CHIP"
        self._parts = max(self.shell.parts) + 1 if loading is Loading.GUARDED else 0
        self._store_clock = has_store_clock(scheme, loading)
        if built is None:
            hooked = (
                hooked_chip(spec, scheme, loading)
                if verilog is None
                else add_hooks(verilog, self.top, self._store_clock)
            )
            built = build_chip(spec, hooked, optimise=optimise, timeout_s=timeout_s)
        text, self.library, self.ports = built.verilog, built.library, built.ports
        self.hooks: dict[str, int] = {}
        self._hook_lines: list[str] = []
        for path in dict.fromkeys(bit.path for bit in self.bits):
            scope, _, signal = path.rpartition(".")
            self._hook(path, f"TOP.harness.dut{'.' if scope else ''}{scope} {signal}_flip")
        for name, width in re.findall(r"^  reg (?:\[(?:\d+):0\] )?(hook__\w+)( )/\*verilator", text, re.MULTILINE):
            self._hook(name, f"TOP.harness.dut {name}{width}".rstrip())
        enables = re.findall(r"^  wire (hook__\w+__write_enable)__driven /\*verilator", text, re.MULTILINE)
        self.enables = [f"TOP.harness.dut {name}{part}" for name in enables for part in ("__driven", "__now")]
        self._open(seed)
        self._load()
        self.check()

    def _hook(self, name: str, line: str) -> None:
        self.hooks[name] = len(self.hooks)
        self._hook_lines.append(line)

    def _open(self, seed: int) -> None:
        code = ctypes.CDLL(str(self.library))
        code.faults_open.restype = ctypes.c_void_p
        code.faults_open.argtypes = [ctypes.c_int]
        for function in (code.faults_bind_hooks, code.faults_bind_enables, code.faults_bind_state):
            function.restype = ctypes.c_int64
            function.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        for function in (code.faults_close, code.faults_keep, code.faults_restart):
            function.argtypes = [ctypes.c_void_p]
        code.faults_store.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        code.faults_rows.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        code.faults_inject.restype = ctypes.c_int64
        code.faults_inject.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p,
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int64,
            ctypes.c_void_p,
        ]  # fmt: skip
        self._code = code
        self._handle: int | None = code.faults_open(seed)
        for bind, lines in (
            (code.faults_bind_hooks, self._hook_lines),
            (code.faults_bind_state, self._state_lines()),
        ):
            self._bind(bind, lines)
        self.tick_store_with(self.enables)
        inside = np.array([path.startswith("registers") for path in self.hooks], np.uint8)
        # a store without correction stands still even after an upset
        code.faults_store(self._handle, inside.ctypes.data, int(self.scheme is not Scheme.NONE))
        self._packer = _Packer(self.ports)

    def _bind(self, bind: Callable[[int | None, bytes], int], lines: Sequence[str]) -> None:
        missing = bind(self._handle, "".join(f"{line}\n" for line in lines).encode())
        if missing >= 0:
            raise ValueError(f"the simulated chip has no variable {lines[missing]!r}")

    def tick_store_with(self, enables: Sequence[str]) -> None:
        """Let the clock of the store tick when one of these variables is not 0; `enables` after a build.

        Parameters
        ----------
        enables : sequence of str
            Scope and name of each, with a blank between them.
        """
        self._bind(self._code.faults_bind_enables, enables)

    def _state_lines(self) -> list[str]:
        """Parts of flip-flop variables for the comparison of states, error counters apart."""
        by_path: dict[str, list[StorageBit]] = {}
        for bit in self.bits:
            by_path.setdefault(bit.path, []).append(bit)
        lines = []
        for path, bits in by_path.items():
            scope, _, signal = path.rpartition(".")
            width = max(bit.bit for bit in bits) + 1
            counters = {bit.bit for bit in bits if bit.stratum is Stratum.COUNTER}
            for start in range(0, width, 64):
                size = min(8, -(-(width - start) // 8))
                every = (1 << min(64, width - start)) - 1
                result = sum(1 << (bit - start) for bit in counters if start <= bit < start + 64)
                where = f"TOP.harness.dut{'.' if scope else ''}{scope} {signal}_held {start // 8} {size}"
                if every & ~result:
                    # unused bits of a byte are 0: it may be compared as a whole
                    mask = 0xFF if size == 1 and not result else every & ~result
                    lines.append(f"{where} {mask:x} 0")
                if result:
                    lines.append(f"{where} {result:x} 1")
        return lines

    def close(self) -> None:
        """Free the model; allowed twice."""
        if self._handle is not None:
            self._code.faults_close(self._handle)
            self._handle = None

    def __enter__(self) -> RtlEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def nets(self) -> tuple[Target, ...]:
        """Nets that transients may be injected into."""
        found = [
            (name, bit)
            for name in self.hooks
            if (port := name.rpartition("__")[2]) in _ENABLES and name.startswith("hook__")
            for bit in range(self._parts if port == "swap" else 1)
        ]
        return (*found, RESET)

    @property
    def samples(self) -> dict[str, tuple[Target, ...]]:
        """No further nets: the simulated text has hooks at flip-flops and at outputs of control alone."""
        return {}

    def _events(self, found: list[tuple[int, str, int]]) -> npt.NDArray[np.void]:
        events = np.zeros(len(found), _EVENT)
        for i, (delay, name, bit) in enumerate(sorted(found, key=lambda event: event[0])):
            events[i] = (delay, self.hooks[name], bit)
        return events

    def _rows(
        self,
        stimulus: npt.NDArray[np.uint32],
        found: list[tuple[int, str, int]] | None = None,
        hashes: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]] | None = None,
    ) -> npt.NDArray[np.uint32]:
        events = self._events(found or [])
        response = np.zeros((len(stimulus), self._packer.output_words), np.uint32)
        self._code.faults_rows(
            self._handle, stimulus.ctypes.data, response.ctypes.data, len(stimulus), events.ctypes.data, len(events),
            *(array.ctypes.data for array in hashes) if hashes else (None, None),
        )  # fmt: skip
        return response

    def _load(self) -> None:
        """Reset; put the image into the store and `run` to 1; bring the scrubber to its first row.

        Flip-flops that differ from their value after reset are inverted in one clock, check bits among them.
        """
        w = self.workload
        parameters = (w.spec, self.scheme, w.loading)
        before = stored_values(*parameters, reset_image(w.spec), self.bits)
        after = stored_values(*parameters, w.image, self.bits)
        row = 4
        events = [(row, path, bit) for (path, bit), value in after.items() if value != before[path, bit]]
        for path in dict.fromkeys(bit.path for bit in self.bits if bit.path.startswith("control")):
            events.append((row, path, self.run_bit))
        # the pipeline is filled with empty crossings, and a scrubber starts at its first row with the reset
        walk = self.schedule.rows or 1
        rows = -(-(row + 2 * self.latency) // walk) * walk
        stimulus = self._packer.pack({"scl": 1, "sda": 1}, rows + 3)
        stimulus[:3] |= self._packer.pack({"rst": 1}, 3)
        self._rows(stimulus[:3])
        self._rows(stimulus[3:], events)
        self._code.faults_keep(self._handle)

    def check(self) -> None:
        """Run without fault: frames of the golden model, answers of the register map, and states to compare with."""
        w = self.workload
        self._stimulus = self._packer.pack({"words": w.words, "scl": w.scl, "sda": w.sda}, w.crossings)
        self._states = np.zeros(w.crossings, np.uint64)
        self._counts = np.zeros(w.crossings, np.uint64)
        response = self._rows(self._stimulus, None, (self._states, self._counts))
        seen = self._packer.unpack(response)
        frames = seen["frames"][self.latency :].astype(np.uint32)
        expected = w.frames[: len(frames)]
        if (wrong := np.flatnonzero((frames != expected).any(axis=1))).size:
            raise EngineError(
                f"{self.top} without fault: {wrong.size} of {len(frames)} frames differ from the golden model, "
                f"the first at crossing {wrong[0]}"
            )
        levels = w.sda & (1 - seen["sda_low"])
        check_bus(self.top, w, levels)
        # frames of the golden model at the pins, and the bus where the controller looks
        pins = np.zeros((w.crossings, w.frames.shape[1]), np.uint32)
        pins[self.latency :] = expected
        self._expected = self._packer.pack_outputs({"frames": pins, "sda_low": seen["sda_low"]}, w.crossings)
        self._frame_care = self._packer.pack_outputs({"frames": np.full((1, pins.shape[1]), 0xFFFF_FFFF)}, 1)[0]
        self._bus_care = self._packer.pack_outputs({"sda_low": 1}, 1)[0]
        self.compared = len(frames)
        # the workload begins anew for the faults
        self.restart()

    def restart(self) -> None:
        """Stand at crossing 0 again, the image loaded."""
        self._code.faults_restart(self._handle)

    def _injections(self, faults: Sequence[Fault]) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
        injections = np.zeros(len(faults), _INJECTION)
        listed: list[tuple[int, int, int]] = []
        for number, fault in enumerate(faults):
            window = self.window(fault)
            check_crossing(number, fault, self.workload, self.latency)
            start = len(listed)
            for target, delay in zip(fault.targets, fault.delays, strict=True):
                path, bit = target
                if target == RESET:
                    hook = -1
                elif path in self.hooks:
                    hook = self.hooks[path]
                else:
                    raise ValueError(f"fault {number}: the chip has no signal {path!r}")
                for more in range(fault.width if fault.kind is Kind.TRANSIENT else 1):
                    listed.append((delay + more, hook, bit))
            injections[number] = (fault.clock, window, self._patience(fault), start, len(listed) - start)
        events = np.zeros(len(listed), _EVENT)
        events[:] = listed
        return injections, events

    def window(self, fault: Fault) -> int:
        """Crossings that a fault is watched at most: `watched`, control to the end of the conversation."""
        return watched(fault, self.schedule, self.latency, longest=self.workload.crossings)

    def _patience(self, fault: Fault) -> int:
        """Crossings before which states are not compared: a store without correction keeps its upset."""
        kept = self.scheme is Scheme.NONE and fault.stratum in (Stratum.WEIGHT, Stratum.SETTING)
        return self.window(fault) if kept and fault.kind is not Kind.TRANSIENT else 0

    def run(self, faults: Sequence[Fault]) -> Sequence[Outcome]:
        """One outcome for each fault, in order.

        Raises EngineError if the chip without fault is not in the states of the run that was compared with the golden
        model.
        """
        if self._handle is None:
            raise ValueError("the engine is closed")
        injections, events = self._injections(faults)
        order = np.argsort(injections["clock"], kind="stable")
        ordered = np.ascontiguousarray(injections[order])
        results = np.zeros(len(faults), _RESULT)
        other = self._code.faults_inject(
            self._handle, self._stimulus.ctypes.data, self._expected.ctypes.data, len(self._stimulus),
            self._frame_care.ctypes.data, self._bus_care.ctypes.data, self._states.ctypes.data,
            self._counts.ctypes.data, ordered.ctypes.data, len(faults), events.ctypes.data, WATCHED,
            results.ctypes.data,
        )  # fmt: skip
        self.restart()
        if other >= 0:
            raise EngineError(f"{self.top} without fault: other states at crossing {other} than when every clock ticks")
        outcomes: list[Outcome | None] = [None] * len(faults)
        for place, number in enumerate(order):
            outcomes[number] = self._outcome(int(number), results[place])
        return [outcome for outcome in outcomes if outcome is not None]

    def _outcome(self, number: int, result: npt.NDArray[np.void]) -> Outcome:
        return judged(
            number, latency=self.latency, wrong=int(result["wrong"]), first_wrong=int(result["first_wrong"]),
            last_wrong=int(result["last_wrong"]), bus_wrong=bool(result["bus_wrong"]), stopped=bool(result["stopped"]),
            counted=bool(result["counted"]), persistent=bool(result["persistent"]), watched=int(result["watched"]),
        )  # fmt: skip


class _Packer(NativeModel):
    """Rows of ports as `NativeModel` packs them, without a model."""

    def __init__(self, ports: Sequence[Port]) -> None:
        self.inputs = tuple(p for p in ports if not p.output and p.name != "clk")
        self.outputs = tuple(p for p in ports if p.output)
        self.input_words = max(sum(p.words for p in self.inputs), 3)
        self.output_words = max(sum(p.words for p in self.outputs), 3)

    def pack_outputs(self, values: dict[str, npt.ArrayLike], rows: int) -> npt.NDArray[np.uint32]:
        """As `pack`, of outputs."""
        other = _Packer([Port(name=p.name, width=p.width, output=not p.output) for p in (*self.inputs, *self.outputs)])
        return other.pack(values, rows)


@dataclass(frozen=True, kw_only=True)
class Built:
    """The simulator of a hooked chip: its text, library and ports."""

    verilog: str
    library: Path
    ports: tuple[Port, ...]


def build_chip(spec: EncoderSpec, hooked: str, *, optimise: str = "-O1", timeout_s: float = 1800.0) -> Built:
    """Compile a chip with the hooks of `add_hooks`, or find it in the cache; parameters as of `RtlEngine`."""
    from flows.tools.verilog import read_ports

    top, bit, places = f"{spec.name}_CHIP", 0, {}
    for port in read_ports(hooked, top):
        if not port.output and port.name not in ("clk", "fast_clk"):
            places[port.name] = bit
            bit += 32 * port.words
    fast = FastClock(port="fast_clk", ratio=spec.reuse) if spec.reuse > 1 else None
    library, ports = build_native(
        hooked, top, clock="clk", fast=fast, optimise=optimise, harness=_HARNESS,
        defines=(f"-DRESET_BIT={places['rst']}", f"-DSTORE_BIT={places.get(_STORE_CLOCK, -1)}"), timeout_s=timeout_s,
    )  # fmt: skip
    return Built(verilog=hooked, library=library, ports=ports)
