"""Activity of a netlist from a VCD file (IEEE 1364-2001, chapter 18).

The header is read token by token, the value changes by a compiled loop over the bytes. Any white space separates
tokens. A file that is cut or malformed ends in an `ActivityError` that names the line.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numba import njit

from flows.common.units import time_ns
from flows.library.power_library import PowerLibrary
from flows.netlist.gate_simulation import from_lanes
from flows.netlist.netlist import Netlist
from flows.power.activity import Activity, ActivityError, clock_nets

__all__ = ["read_vcd"]

Words = npt.NDArray[np.uint64]
_CHUNK = 1 << 24
"""Bytes that are read at a time, and the longest token or stretch of white space."""
_HEADER_CHUNK = 1 << 20
_WIDEST = 1 << 20
"""Bits of one variable."""
_LAST_TIME = 1 << 60


def read_vcd(
    path: Path,
    netlist: Netlist,
    library: PowerLibrary,
    *,
    scope: str | None = None,
    clock: str | None = None,
    period_ns: float | None = None,
    max_pairs: int = 256,
) -> Activity:
    """Activity of a netlist from a VCD file (``.gz`` too).

    Values are the nine of ``std_logic`` in either case; H and L count as 1 and 0, all but those and 1 and 0 as unknown.

    Parameters
    ----------
    path : Path
    netlist : Netlist
    library : PowerLibrary
    scope : str, optional
        Scope of the netlist's top module, levels separated by ``.`` or ``/``; else the scope that knows most ports.
    clock : str, optional
        Clock port: states are kept before its rising edges. Without one, at every instant.
    period_ns : float, optional
        Clock period; measured from the recording where left out.
    max_pairs : int
        State pairs to keep.

    Returns
    -------
    Activity
        Nets that the file does not name keep ``annotated`` False. They get the mean rate of all others; those of the
        clock, through buffers and inverters, get two toggles in each clock.

    Raises
    ------
    ActivityError
        No VCD file, one that is cut or malformed (the message names the line), no variable of the netlist in it, or
        nothing recorded.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no VCD file {path}")
    try:
        with _open(path) as file:
            tokens = _Tokens(file, path)
            header = _read_header(tokens, path)
            changes = _Changes(path, netlist, _lookup(header, netlist, scope, path), clock, max_pairs)
            changes.read(file, tokens.rest, tokens.line)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ActivityError(f"{path}: damaged gzip file: {error}") from None
    return changes.activity(library, header.scale_ns, period_ns)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


# --- header -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Variable:
    """A ``$var``: scope, name without range, lowest bit, width, identifier code."""

    scope: tuple[str, ...]
    name: str
    low: int
    width: int
    code: bytes


@dataclass(frozen=True)
class _Header:
    scale_ns: float
    variables: list[_Variable]


class _Tokens:
    """Tokens of the beginning of a file, one after the other."""

    _TOKEN = re.compile(rb"\S+(?=\s)")

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._data, self._at = b"", 0
        self.line = 1

    def next(self) -> str:
        """The next token, which begins in line `line`; empty at the end of the file."""
        while (found := self._TOKEN.search(self._data, self._at)) is None:
            self._data, self._at = self._data[self._at :], 0
            if len(self._data) > _CHUNK:
                raise ActivityError(f"{self._path}, line {self.line}: no end of a word within {_CHUNK >> 20} MiB")
            more = self._file.read(_HEADER_CHUNK)
            if not more and not self._data.strip():
                return ""
            self._data += more or b"\n"
        self.line += self._data.count(b"\n", self._at, found.start())
        self._at = found.end()
        return found[0].decode("latin-1")

    @property
    def rest(self) -> bytes:
        """What was read beyond the last token."""
        return self._data[self._at :]


def _shown(text: str) -> str:
    """A token in a message."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _read_header(tokens: _Tokens, path: Path) -> _Header:
    """Everything up to ``$enddefinitions $end``."""
    scope: list[str] = []
    scale_ns: float | None = None
    variables: list[_Variable] = []
    while word := tokens.next():
        where = f"{path}, line {tokens.line}"
        if not word.startswith("$"):
            raise ActivityError(
                f"{path} is no VCD file: line {tokens.line}: expected a declaration, got {_shown(word)}"
            )
        arguments: list[str] = []
        while (argument := tokens.next()) != "$end":
            if not argument:
                raise ActivityError(f"{where}: the file ends inside of {_shown(word)}, before $end")
            if word in ("$scope", "$timescale", "$var"):
                arguments.append(argument)
        match word:
            case "$scope":
                if len(arguments) != 2:
                    raise ActivityError(f"{where}: expected $scope TYPE NAME, got {_shown(' '.join(arguments))}")
                scope.append(arguments[1].lstrip("\\"))
            case "$upscope":
                if not scope:
                    raise ActivityError(f"{where}: $upscope outside of any scope")
                scope.pop()
            case "$timescale":
                found = re.fullmatch(r"(\d+)([a-z]+)", "".join(arguments), re.ASCII)
                try:
                    scale_ns = time_ns(*found.groups()) if found else time_ns("", "s")
                except ValueError:
                    raise ActivityError(
                        f"{where}: timescale {_shown(' '.join(arguments))} is not understood, expected e.g. 1 ns"
                    ) from None
            case "$var":
                variables.append(_variable(tuple(scope), arguments, where))
            case "$enddefinitions":
                if scale_ns is None:
                    raise ActivityError(f"{where}: no $timescale before the end of the declarations: what is #1?")
                return _Header(scale_ns, variables)
            case _:  # $date, $version, $comment and what tools add say nothing about values
                pass
    raise ActivityError(f"{path} is no VCD file: it has no $enddefinitions")


def _variable(scope: tuple[str, ...], arguments: list[str], where: str) -> _Variable:
    """A variable; ``x[3]`` of width 1 is one bit, ``x[7:0]`` the whole."""
    if len(arguments) < 4:
        raise ActivityError(f"{where}: expected $var TYPE WIDTH CODE NAME, got {_shown(' '.join(arguments))}")
    if not re.fullmatch(r"[0-9]{1,8}", arguments[1]) or not 1 <= int(arguments[1]) <= _WIDEST:
        raise ActivityError(f"{where}: expected a width from 1 to {_WIDEST:,}, got {_shown(arguments[1])}")
    name, low = "".join(arguments[3:]).lstrip("\\"), 0
    if ranged := re.fullmatch(r"(.*?)\[(-?[0-9]{1,9})(?::(-?[0-9]{1,9}))?\]", name):
        name, low = ranged[1], int(ranged[3] if ranged[3] is not None else ranged[2])
        if ranged[3] is not None and int(ranged[2]) < low:
            raise ActivityError(f"{where}: ascending range {_shown(''.join(arguments[3:]))} is not supported")
    return _Variable(scope=scope, name=name, low=low, width=int(arguments[1]), code=arguments[2].encode("latin-1"))


# --- which net is which variable --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Table:
    """Variables of all scopes by identifier code, ascending: width, and their nets from ``nets[first]`` on.

    Bits that are no net are -1; bits beyond the last that is one are left out.
    """

    codes: Words
    widths: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    nets: npt.NDArray[np.int64]


def _lookup(header: _Header, netlist: Netlist, scope: str | None, path: Path) -> _Table:
    root = _root(header, netlist, scope, path)
    wires: dict[tuple[str, ...], Mapping[str, Any]] = {i.path: i.names for i in netlist.instances}
    bits_of: dict[bytes, list[int]] = {}
    widths: dict[bytes, int] = {}
    for variable in header.variables:
        # the same code may name one wire at several levels
        bits = bits_of.setdefault(variable.code, [])
        widths[variable.code] = max(widths.get(variable.code, 0), variable.width)
        names = wires.get(variable.scope[len(root) :]) if variable.scope[: len(root)] == root else None
        for bit, net in enumerate(() if names is None else _nets(variable, names)):
            if bit == len(bits):
                bits.append(net)
            elif bits[bit] < 0:
                bits[bit] = net
    if not any(variable.scope[: len(root)] == root for variable in header.variables):
        raise ActivityError(f"{path}: scope {'.'.join(root)} holds no variables")
    numbers = {_number(code): code for code in bits_of}
    if len(numbers) != len(bits_of):
        raise ActivityError(f"{path}: two of its {len(bits_of):,} identifier codes have the same hash")
    order = [numbers[number] for number in sorted(numbers)]
    counts = np.array([len(bits_of[code]) for code in order], np.int64)
    nets = np.array([net for code in order for net in bits_of[code]], np.int64)
    return _Table(
        codes=np.array(sorted(numbers), np.uint64), widths=np.array([widths[code] for code in order], np.int64),
        first=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64), counts=counts,
        nets=np.where(nets >= 2, nets, -1),
    )  # fmt: skip


def _root(header: _Header, netlist: Netlist, scope: str | None, path: Path) -> tuple[str, ...]:
    """Scope of the top module."""
    scopes = {variable.scope for variable in header.variables}
    if scope is not None:
        root = tuple(re.split(r"[./]", scope))
        if root not in scopes:
            known = ", ".join(sorted(".".join(s) for s in scopes)[:6])
            raise ActivityError(f"{path} has no scope {scope!r}; scopes: {known}")
        return root
    ports: dict[tuple[str, ...], set[str]] = {s: set() for s in scopes}
    wires: dict[tuple[str, ...], int] = dict.fromkeys(scopes, 0)
    own = netlist.instances[0].names
    for variable in header.variables:
        if variable.name in netlist.ports:
            ports[variable.scope].add(variable.name)
        wires[variable.scope] += variable.name in own
    # a testbench may have a wire for each port: the netlist has its inner wires beside them, or stands below
    root = max(sorted(scopes), key=lambda s: (len(ports[s]), wires[s], len(s)), default=())
    if not ports.get(root):
        raise ActivityError(f"{path}: no scope holds a port of {netlist.top}; name the scope")
    return root


def _nets(variable: _Variable, names: Mapping[str, Any]) -> list[int]:
    """Net of each bit of a variable, -1 where there is none."""
    target = names.get(variable.name)
    if target is not None:
        present = range(variable.low, min(variable.low + variable.width, len(target)))
        return [int(target[bit]) if bit >= 0 else -1 for bit in present]
    single = names.get(f"{variable.name}[{variable.low}]") if variable.width == 1 else None
    return [] if single is None else [int(single[0])]


def _number(code: bytes) -> int:
    """An identifier code as the compiled loop reads it: a number in base 95, modulo 2^64."""
    value = 0
    for byte in code:
        value = (value * 95 + byte - 32) & 0xFFFF_FFFF_FFFF_FFFF
    return value


# --- value changes ----------------------------------------------------------------------------------------------------

_TIME, _START, _BEGUN, _EDGES, _STATUS, _COMMENT, _INSTANTS, _MOVED, _TOUCHED = range(9)
"""Places in `info` of the compiled loop: this instant, the first one, whether there was one yet, rising clock edges,
why it returned, whether it is in a comment, instants at which nets changed, whether one did at this instant, how many
nets `touched` holds."""
_MOST_INSTANTS = 6
"""Instants with changes in a clock, of a recording without delays: both edges, inputs before and after each."""
_DONE, _SAVE, _CUT, _WORD, _UNKNOWN_CODE, _BAD_TIME, _BACK, _BAD_VECTOR, _TOO_LONG = range(9)
"""Why it returned: all read, a state is wanted, more bytes are needed, or one of these errors."""
_ERRORS = {
    _WORD: "expected a value change, got {}",
    _UNKNOWN_CODE: "no $var declares the identifier code of {}",
    _BAD_TIME: "expected # and a time below 2^60, got {}",
    _BACK: "time {} goes back",
    _BAD_VECTOR: "expected a vector of 0, 1, x and z, got {}",
    _TOO_LONG: "value {} has more bits than its variable",
}
_END, _DUMPVARS, _DUMPALL, _DUMPON, _DUMPOFF, _REMARK = (
    np.uint64(_number(word)) for word in (b"$end", b"$dumpvars", b"$dumpall", b"$dumpon", b"$dumpoff", b"$comment")
)
_SKIP = 3
_SYMBOLS = np.full(256, _SKIP, np.uint8)
"""Value of each symbol: 0, 1, 2 for unknown, `_SKIP` for what is no symbol."""
for _symbols, _value in ((b"0lL", 0), (b"1hH", 1), (b"xXzZuUwW-", 2)):
    _SYMBOLS[list(_symbols)] = _value


@njit(cache=True)
def _word_end(data, position):  # type: ignore[no-untyped-def]
    """End of the token that begins here; the end of the data where it is not complete."""
    while position < len(data) and data[position] > 32:
        position += 1
    return position


@njit(cache=True)
def _word_start(data, position):  # type: ignore[no-untyped-def]
    """First byte that is no white space."""
    while position < len(data) and (data[position] == 32 or 9 <= data[position] <= 13):
        position += 1
    return position


@njit(cache=True)
def _code(data, begin, end):  # type: ignore[no-untyped-def]
    value = np.uint64(0)
    for k in range(begin, end):
        value = value * np.uint64(95) + np.uint64(data[k]) - np.uint64(32)
    return value


@njit(cache=True)
def _time(data, begin, end):  # type: ignore[no-untyped-def]
    """The decimal number between these bytes; -1 if it is none, or `_LAST_TIME` or more."""
    time = 0
    for k in range(begin, end):
        if not 48 <= data[k] <= 57 or time >= _LAST_TIME // 10:
            return -1
        time = time * 10 + (data[k] - 48)
    return time if end > begin else -1


@njit(cache=True)
def _begin_instant(time, state, since, saved, touched, info):  # type: ignore[no-untyped-def]
    """Go on to a time, the state of the last instant kept; what is wrong with it, or `_DONE`."""
    if time < 0:
        return _BAD_TIME
    if not info[_BEGUN]:
        info[_BEGUN] = 1
        since[:] = time
        info[_START] = info[_TIME] = time
        saved[:] = state
        return _DONE
    if time < info[_TIME]:
        return _BACK
    if time == info[_TIME]:
        return _DONE
    # what the last instant left is settled: keep it before anything of this instant is applied
    if info[_TIME] == info[_START]:
        saved[:] = state
    for k in range(info[_TOUCHED]):
        saved[touched[k]] = state[touched[k]]
    info[_TOUCHED] = info[_MOVED] = 0
    info[_TIME] = time
    return _DONE


@njit(cache=True)
def _is_vector(data, low, top, symbols):  # type: ignore[no-untyped-def]
    """Whether there are symbols, and nothing else."""
    for k in range(low, top):
        if symbols[data[k]] == _SKIP:
            return False
    return low < top


@njit(cache=True)
def _change(data, low, top, symbols, targets, state, since, toggles, high, unknown, clock, touched, info):  # type: ignore[no-untyped-def]
    """Give the nets of a variable a new value, lowest bit first; whether its clock rose."""
    length = top - low
    rose = False
    for bit in range(len(targets)):
        net = targets[bit]
        if net < 0:
            continue
        new = symbols[data[top - 1 - bit]] if bit < length else symbols[data[low]]
        if bit >= length and new == 1:
            new = np.uint8(0)  # a shorter vector is extended by 0 unless unknown
        old = state[net]
        if new == old:
            continue
        if since[net] != info[_TIME]:  # else it changed at this instant before
            touched[info[_TOUCHED]] = net
            info[_TOUCHED] += 1
        if old < 2 and new < 2 and not info[_MOVED]:
            info[_MOVED] = 1
            info[_INSTANTS] += 1
        span = info[_TIME] - since[net]
        if old == 1:
            high[net] += span
        elif old == 2:
            unknown[net] += span
        if old < 2 and new < 2:
            toggles[net] += 1
        since[net] = info[_TIME]
        state[net] = new
        if net == clock and new == 1 and old == 0:
            info[_EDGES] += 1
            rose = True
    return rose


@njit(cache=True)
def _scan(data, position, symbols, codes, widths, first, counts, nets, state, since, toggles, high, unknown, clock,  # type: ignore[no-untyped-def]
          saved, touched, save_at, info):  # fmt: skip
    """Apply the value changes of ``data[position:]``; stops after a clock edge of which the state is wanted.

    `saved` receives the settled state. Returns the position reached: the beginning of the first token or pair of tokens
    that is not complete, or of an error; `info` says why.
    """
    while True:
        info[_STATUS] = _DONE
        begin = _word_start(data, position)
        if begin >= len(data):
            return begin
        end = _word_end(data, begin)
        info[_STATUS] = _CUT
        if end == len(data):
            return begin
        position = end
        kind = data[begin]
        if info[_COMMENT]:
            if _code(data, begin, end) == _END:
                info[_COMMENT] = 0
            continue
        if kind == 36:  # '$'
            word = _code(data, begin, end)
            if word == _REMARK:
                info[_COMMENT] = 1
            elif word not in (_END, _DUMPVARS, _DUMPALL, _DUMPON, _DUMPOFF):
                info[_STATUS] = _WORD
                return begin
            continue
        if kind == 35:  # '#'
            wrong = _begin_instant(_time(data, begin + 1, end), state, since, saved, touched, info)
            if wrong != _DONE:
                info[_STATUS] = wrong
                return begin
            continue
        number = kind in (114, 82, 115, 83)  # 'r' and 's', in both cases: a real number, a string
        vector = kind == 98 or kind == 66  # 'b'
        low, top = begin, begin + 1  # the value's symbols
        if vector or number:
            low, top = begin + 1, end
        elif symbols[kind] == _SKIP:
            info[_STATUS] = _WORD
            return begin
        if vector and not _is_vector(data, low, top, symbols):
            info[_STATUS] = _BAD_VECTOR
            return begin
        code_begin, code_end = begin + 1, end
        if vector or number or end == begin + 1:
            code_begin = _word_start(data, end)
            code_end = _word_end(data, code_begin)
            if code_end == len(data):
                return begin
        code = _code(data, code_begin, code_end)
        k = np.searchsorted(codes, code)
        if k >= len(codes) or codes[k] != code:
            info[_STATUS] = _UNKNOWN_CODE
            return begin
        position = code_end
        if number:
            continue
        if top - low > widths[k]:
            info[_STATUS] = _TOO_LONG
            return begin
        targets = nets[first[k] : first[k] + counts[k]]
        rose = _change(data, low, top, symbols, targets, state, since, toggles, high, unknown, clock, touched, info)
        if rose and info[_EDGES] >= save_at:
            info[_STATUS] = _SAVE
            return position


class _Changes:
    """What the value changes of a file come to.

    Parameters
    ----------
    path : Path
        For messages.
    netlist : Netlist
    table : _Table
    clock : str or None
        Clock port.
    max_pairs : int
    """

    def __init__(self, path: Path, netlist: Netlist, table: _Table, clock: str | None, max_pairs: int) -> None:
        self._path, self._netlist, self._table, self._max_pairs = path, netlist, table, max_pairs
        self._clock = clock
        self._clock_net = -1 if clock is None else int(netlist.ports[clock].nets[0])
        count = netlist.nets
        self._state, self._saved = np.full(count, 2, np.uint8), np.full(count, 2, np.uint8)
        self._since, self._toggles, self._high, self._unknown = (np.zeros(count, np.int64) for _ in range(4))
        self._touched = np.zeros(count, np.int64)
        self._info = np.zeros(9, np.int64)
        self._states: list[tuple[int, npt.NDArray[np.uint8]]] = []
        self._stride = self._wanted = 1

    def read(self, file: IO[bytes], rest: bytes, line: int) -> None:
        """All value changes: `rest`, which begins in `line`, then the file."""
        chunk: bytes | None = rest
        data = b""
        while chunk is not None:
            data += chunk
            done = self._apply(data, line)
            line += data.count(b"\n", 0, done)
            data = data[done:]
            if len(data) > _CHUNK:
                raise ActivityError(f"{self._path}, line {line}: no end of a value change in {_CHUNK >> 20} MiB")
            chunk = file.read(_CHUNK) or None
        # white space at the end completes a last word that has none
        data += b"\n"
        done = self._apply(data, line)
        line += data.count(b"\n", 0, min(done, len(data) - 1))
        if self._info[_STATUS] == _CUT or self._info[_COMMENT]:
            raise ActivityError(
                f"{self._path}, line {line}: the file ends inside of a value change or comment: it was cut"
            )

    def _apply(self, data: bytes, line: int) -> int:
        """Apply what is complete; how far that is."""
        table, position = self._table, 0
        buffer = np.frombuffer(data, np.uint8)
        while True:
            position = _scan(
                buffer, position, _SYMBOLS, table.codes, table.widths, table.first, table.counts, table.nets,
                self._state, self._since, self._toggles, self._high, self._unknown, self._clock_net, self._saved,
                self._touched, self._wanted if self._clock_net >= 0 else 1 << 62, self._info,
            )  # fmt: skip
            status = int(self._info[_STATUS])
            if status in _ERRORS:
                found = re.match(rb"\S+(\s+\S+)?" if data[position : position + 1] in b"bBrRsS" else rb"\S+",
                                 data[position:])  # fmt: skip
                assert found is not None
                where = line + data.count(b"\n", 0, position)
                raise ActivityError(
                    f"{self._path}, line {where}: {_ERRORS[status].format(_shown(found[0].decode('latin-1')))}"
                )
            if status != _SAVE:
                return int(position)
            self._keep_state()

    def _keep_state(self) -> None:
        """Keep the state before this edge; of many, pairs of consecutive ones at growing distance."""
        self._states.append((int(self._info[_EDGES]), self._saved.copy()))
        if len(self._states) > 2 * self._max_pairs:
            self._stride *= 2
            kept = [s for s in self._states if (s[0] - 1) % self._stride in (0, 1)]
            self._states = kept[: 2 * self._max_pairs]
        edge = int(self._info[_EDGES]) + 1
        while self._stride > 2 and (edge - 1) % self._stride not in (0, 1):
            edge += 1
        self._wanted = edge

    def activity(self, library: PowerLibrary, scale_ns: float, period_ns: float | None) -> Activity:
        """Rates and states of all nets."""
        netlist, now, start = self._netlist, int(self._info[_TIME]), int(self._info[_START])
        if not self._info[_BEGUN] or now <= start:
            raise ActivityError(f"{self._path} records no time: instants of value changes (#...) are missing")
        span = now - start
        self._high += np.where(self._state == 1, now - self._since, 0)
        self._unknown += np.where(self._state == 2, now - self._since, 0)
        annotated = np.zeros(netlist.nets, np.bool_)
        annotated[np.unique(self._table.nets[self._table.nets >= 0])] = True
        annotated &= self._unknown < span
        known = np.maximum(span - self._unknown, 1)
        rate, duty = self._toggles / (known * scale_ns), self._high / known
        used = netlist.used_nets
        if not annotated[used].any():
            raise ActivityError(f"{self._path} says nothing about any net of {netlist.top}")
        tree = clock_nets(netlist, library, self._clock)
        quiet, others = used & ~annotated, used & annotated
        others[list(tree)] = False
        rate[quiet] = rate[others].mean() if others.any() else 0.0
        duty[quiet] = 0.5
        edges, duration_ns = int(self._info[_EDGES]), span * scale_ns
        if period_ns is None:
            if self._clock is None or edges < 2:
                raise ActivityError(
                    f"{self._path}: the clock period is not evident: name a clock that toggles, or give the period"
                )
            period_ns = duration_ns / edges
        for net in tree:
            if not annotated[net]:
                # each clock is a rise and a fall
                rate[net], duty[net] = 2 * edges / duration_ns, 0.5
        before, after, mask = self._pairs(annotated)
        notes = []
        with_delays = edges > 0 and int(self._info[_INSTANTS]) > _MOST_INSTANTS * (edges + 1)
        if with_delays:
            each = int(self._info[_INSTANTS]) / edges
            notes.append(f"the recording has delays (changes at {each:.0f} instants in each clock), and its glitches")
        return Activity(
            toggles_per_ns=rate, duty=duty, annotated=annotated, before=before, after=after, mask=mask,
            clock=None if self._clock_net < 0 else self._clock_net, period_ns=period_ns, clocks=edges,
            duration_ns=duration_ns, source=f"VCD {self._path.name}", notes=tuple(notes), with_delays=with_delays,
        )  # fmt: skip

    def _pairs(self, annotated: npt.NDArray[np.bool_]) -> tuple[Words, Words, Words]:
        """States of consecutive edges, one pair in each bit, and which bits hold one; else the final state twice.

        States in which a net is unknown are left out: before a reset nothing is settled.
        """
        known = {edge: state == 1 for edge, state in self._states if not (state[annotated] == 2).any()}
        chosen = [(known[edge], known[edge + 1]) for edge in known if edge + 1 in known]
        if not chosen and self._clock_net >= 0 and len(self._states) > 1:
            raise ActivityError(
                f"{self._path}: no two consecutive clocks without unknown values: record beyond the reset"
            )
        if not chosen:
            chosen = [(self._state == 1, self._state == 1)]
        lanes = -(-len(chosen) // 64) * 64
        bits = np.zeros((2, len(self._state), lanes), np.bool_)
        for lane, (old, new) in enumerate(chosen):
            bits[0, :, lane], bits[1, :, lane] = old, new
        return from_lanes(bits[0]), from_lanes(bits[1]), from_lanes(np.arange(lanes) < len(chosen))
