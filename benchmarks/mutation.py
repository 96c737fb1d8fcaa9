"""Would the tests fail if the Python around the chips were wrong? ``python -m benchmarks.mutation [GROUP ...]``.

A mutant is a module with one small fault: a comparison, a number, an operator of arithmetic or logic, a returned value
or a branch (R. A. DeMillo, R. J. Lipton and F. G. Sayward, "Hints on test data selection: help for the practicing
programmer", Computer 11 (1978) 34). The tests of the module's group run on it, only those that reach the changed line,
quick ones first, until one fails: then the mutant is killed. Mutants that no test can kill, because the module computes
the same, stand in ``mutation_equivalents.toml``, each with its reason, and do not count; nor do they hide in a number.

Generated hardware has a campaign of its own (`flows.verification.mutation`). The working tree is never touched: mutants
are written into a copy of what git tracks. A process that has imported everything that does not depend on the module
forks for each mutant, so that a mutant costs what its tests cost.

Sources of the operators: M. Papadakis et al., "Mutation testing advances: an analysis and survey", Advances in
Computers 112 (2019) 275, section 4.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, NoReturn, Self

import hypothesis
import pytest

from benchmarks.measured import REPOSITORY, RESULTS, kept, record
from flows.common.content_cache import _module_file, imported, source_hash
from flows.common.metrics import Metric, read_metrics, write_metrics

__all__ = ["GROUPS", "Group", "Mutant", "copied", "equivalents", "find_mutants"]

COMMAND = "python -m benchmarks.mutation"
EQUIVALENTS = Path(__file__).with_name("mutation_equivalents.toml")
RESULT = RESULTS / "mutation_python.json"
Line = tuple[str, int]
"""Module and number."""
Name = tuple[str, str, str, str, int]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Modules that one score is given for, and the tests that are to kill their mutants.

    Attributes
    ----------
    title : str
    modules : tuple of str
        Files below the repository.
    tests : tuple of str
        Files or folders of tests.
    """

    title: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


GROUPS = {
    "power": Group(
        title="power of cells, its sum, the clock tree",
        modules=("flows/power/cell_power.py", "flows/power/summary.py", "flows/power/clock_tree.py"),
        tests=(
            "tests/flows/power/test_cell_power.py",
            "tests/flows/power/test_summary.py",
            "tests/flows/power/test_power.py",
            "tests/flows/power/test_any_netlist.py",
        ),
    ),
    "activity": Group(
        title="activity of nets, recordings (VCD), wires (SPEF)",
        modules=("flows/power/activity.py", "flows/power/vcd.py", "flows/power/spef.py"),
        tests=(
            "tests/flows/power/test_activity.py",
            "tests/flows/power/test_vcd.py",
            "tests/flows/power/test_any_netlist.py",
            "tests/flows/power/test_power.py",
        ),
    ),
    "timing": Group(
        title="static timing, delays and loads of nets",
        modules=("flows/physical/timing.py", "flows/netlist/delays.py"),
        tests=(
            "tests/flows/physical/test_timing.py",
            "tests/flows/physical/test_two_clocks.py",
            "tests/flows/power/test_power.py",
        ),
    ),
    "repair": Group(
        title="repair of transition times: buffers and sizes",
        modules=("flows/physical/repair.py",),
        tests=("tests/flows/physical/test_repair.py",),
    ),
    "metrics": Group(
        title="metrics and their files",
        modules=("flows/common/metrics.py", "flows/common/units.py"),
        tests=("tests/flows/common/test_metrics.py", "tests/flows/common/test_units.py"),
    ),
    "caches": Group(
        title="keys of caches, kept results and steps",
        modules=("flows/common/content_cache.py", "flows/common/step_cache.py"),
        tests=("tests/flows/common/test_content_cache.py", "tests/flows/common/test_step_cache.py"),
    ),
    "campaign": Group(
        title="fault campaign: classes of outcomes, statistics, ledger",
        modules=("flows/campaign/outcome.py", "flows/campaign/statistics.py", "flows/campaign/ledger.py"),
        tests=(
            "tests/flows/campaign/test_outcome.py",
            "tests/flows/campaign/test_statistics.py",
            "tests/flows/campaign/test_ledger.py",
        ),
    ),
    "numbers": Group(
        title="number formats, floating-point codes",
        modules=("sim/fixed_point.py", "sim/hgcal_encoder/float_code.py"),
        tests=(
            "tests/sim/test_fixed_point.py",
            "tests/sim/hgcal_encoder/test_encoder.py",
            "tests/sim/hgcal_encoder/algorithms/test_algorithms.py",
        ),
    ),
    "formatter": Group(
        title="frame and output buffer of the encoder",
        modules=("sim/hgcal_encoder/frame.py", "sim/hgcal_encoder/algorithms/output_buffer.py"),
        tests=("tests/sim/hgcal_encoder/test_encoder.py", "tests/sim/hgcal_encoder/algorithms/test_algorithms.py"),
    ),
    "distance": Group(
        title="Earth Mover's Distance of charges",
        modules=("sim/hgcal_encoder/learning/metric.py",),
        tests=("tests/sim/hgcal_encoder/learning/test_metric.py",),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault in one place.

    Attributes
    ----------
    module : str
        File below the repository.
    line : int
        Line of the change, from 1.
    kind : str
        comparison, arithmetic, constant, boolean, return or branch.
    start, end : int
        Bytes of the file that are replaced.
    was, now : str
        The text there before and after.
    text : str
        First of the changed lines, without space around it.
    place : int
        Which of the equal changes of that line, from 1.
    """

    module: str
    line: int
    kind: str
    start: int
    end: int
    was: str
    now: str
    text: str
    place: int = 1

    @property
    def name(self) -> Name:
        """What stays when lines above it move: module, line, text before and after, place."""
        return self.module, self.text, " ".join(self.was.split()), " ".join(self.now.split()), self.place

    def apply(self, source: bytes) -> bytes:
        """The mutated file."""
        return source[: self.start] + self.now.encode() + source[self.end :]


# ---- places ----------------------------------------------------------------------------------------------------------

_COMPARISONS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip


class _Finder(ast.NodeVisitor):
    """All places of a module; no messages, annotations, decorators, docstrings."""

    def __init__(self, module: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._module, self._source = module, source
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def _add(self, kind: str, node: ast.expr, now: ast.expr | str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        self._keep(kind, node.lineno, start, end, now if isinstance(now, str) else f"({_text(now)})")

    def _keep(self, kind: str, line: int, start: int, end: int, now: str) -> None:
        mutant = Mutant(
            module=self._module, line=line, kind=kind, start=start, end=end, was=self._source[start:end].decode(),
            now=now, text=self._lines[line - 1].decode().strip(),
        )  # fmt: skip
        self.found.append(mutant)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Messages are text."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Messages are text."""

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "TypeVar", "NewType", "cast"):
            return
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, operator in enumerate(node.ops):
            ops = [*node.ops]
            ops[place] = _COMPARISONS[type(operator)]()
            self._add("comparison", node, ast.Compare(node.left, ops, node.comparators))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        text = any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (node.left, node.right))
        if type(node.op) in _ARITHMETIC and not text:
            self._add("arithmetic", node, ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add("boolean", node, node.operand)
        elif isinstance(node.op, ast.USub | ast.Invert):
            self._add("arithmetic", node, node.operand)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add("boolean", node, ast.BoolOp(other, node.values))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._add("constant", node, str(not value))
        elif isinstance(value, int):
            self._add("constant", node, str(value + 1))
        elif isinstance(value, float):
            self._add("constant", node, repr(value * 1.1 if value else 1.0))

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._add("return", node.value, "None")
            self.visit(node.value)

    def _branch(self, test: ast.expr) -> None:
        # of a comparison this is the comparison's own mutant
        if not isinstance(test, ast.Compare) and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            self._add("branch", test, ast.UnaryOp(ast.Not(), test))

    def visit_If(self, node: ast.If) -> None:
        self._branch(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._branch(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._branch(test)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in _ARITHMETIC and not isinstance(node.value, ast.List | ast.JoinedStr):
            start = self._starts[node.lineno - 1] + node.col_offset
            end = self._starts[node.value.lineno - 1] + node.value.col_offset
            now = ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), ast.Name("_"))
            self._keep("arithmetic", node.lineno, start, end, _text(now)[:-1])
        self.visit(node.value)


def _text(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def find_mutants(module: str, source: bytes) -> list[Mutant]:
    """All mutants of a module in the order of its text; each is a module that parses and differs.

    Parameters
    ----------
    module : str
        File below the repository.
    source : bytes
        Its content.
    """
    finder = _Finder(module, source)
    finder.visit(ast.parse(source))
    seen: Counter[tuple[int, str, str]] = Counter()
    numbered = []
    for mutant in sorted(finder.found, key=lambda mutant: (mutant.start, mutant.end, mutant.now)):
        seen[change := (mutant.line, mutant.was, mutant.now)] += 1
        numbered.append(replace(mutant, place=seen[change]))
    return numbered


def equivalents(path: Path = EQUIVALENTS) -> dict[Name, str]:
    """Why they compute the same, by `Mutant.name`.

    Raises
    ------
    ValueError
        If one has no reason.
    """
    table: dict[Name, str] = {}
    for row in tomllib.loads(path.read_text()).get("equivalent", []):
        if len(row["reason"].split()) < 3:
            raise ValueError(f"{path}: {row['module']}: {row['was']}: expected a reason, got {row['reason']!r}")
        table[row["module"], row["line"], row["was"], row["now"], row.get("place", 1)] = row["reason"]
    return table


# ---- the process that forks ------------------------------------------------------------------------------------------


class _Reach:
    """Plugin of pytest: which test reaches which lines of some files, and how long it takes.

    Parameters
    ----------
    files : mapping of str to str
        Path to the name under which its lines are kept.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self.seconds: Counter[str] = Counter()
        self.failed: list[str] = []
        self.at_import: set[Line] = set()
        self._files = files
        self._hit = self.at_import
        self._own: dict[str, set[Line]] = {}
        self._fixtures: dict[str, set[Line]] = {}
        self._uses: dict[str, list[str]] = {}
        monitoring = sys.monitoring
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "reach")
        monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, self._line)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)

    @property
    def lines(self) -> dict[str, set[Line]]:
        """Lines of each test: its own, and those that set up what it shares with others."""
        return {
            test: own.union(*(self._fixtures.get(name, set()) for name in self._uses[test]))
            for test, own in self._own.items()
        }

    def _line(self, code: CodeType, line: int) -> object:
        if (name := self._files.get(code.co_filename)) is not None:
            self._hit.add((name, line))
        return sys.monitoring.DISABLE

    def pytest_runtest_protocol(self, item: Any) -> None:
        self._hit = self._own[item.nodeid] = set()
        self._uses[item.nodeid] = list(item.fixturenames)
        sys.monitoring.restart_events()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        before, self._hit = self._hit, self._fixtures.setdefault(fixturedef.argname, set())
        sys.monitoring.restart_events()
        try:
            return (yield)
        finally:
            self._hit = before

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)


def _tests(arguments: Sequence[str], plugins: Sequence[object]) -> int:
    # a slow machine is no fault, and no mutant is killed by chance
    hypothesis.settings.register_profile("mutation", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("mutation")
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    return int(pytest.main([*options, *arguments], plugins=list(plugins)))


def _serve() -> None:
    """Answer requests on standard input, lines of JSON; runs in the copy of the repository."""
    first = json.loads(sys.stdin.readline())
    changing = set(first["changing"])

    def depends(name: str) -> bool:
        file = _module_file(name, Path.cwd())
        return file is not None and not changing.isdisjoint(imported(file))

    for name in first["preload"]:
        if depends(name):
            continue
        try:
            importlib.import_module(name)
        except Exception:  # a module that cannot be imported here is imported by the test, or not at all
            continue
    # this program itself needs modules that may depend on the one that changes: the fork has to import them again
    for name in list(sys.modules):
        itself = getattr(sys.modules[name], "__file__", None) in {str(Path.cwd() / module) for module in changing}
        if itself or depends(name):
            package, _, own = name.rpartition(".")
            sys.modules.pop(name)
            if own in vars(sys.modules.get(package, object)):
                delattr(sys.modules[package], own)
    sys.dont_write_bytecode = bool(first["preload"])
    # keys of caches are made anew in the fork: the module has another text there
    for function in (imported, source_hash, _module_file):
        function.cache_clear()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _run_in_fork(request)
        print(json.dumps({"code": _waited(child, request["timeout_s"])}), flush=True)


def _run_in_fork(request: Mapping[str, Any]) -> NoReturn:
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    code = 70
    try:
        if request.get("reach"):
            reach = _Reach({str(Path.cwd() / name): name for name in request["modules"]})
            code = _tests(request["tests"], [reach])
            found = {
                "lines": reach.lines, "at_import": reach.at_import, "seconds": dict(reach.seconds),
                "failed": reach.failed, "modules": sorted(sys.modules),
            }  # fmt: skip
            Path(request["reach"]).write_bytes(pickle.dumps(found))
        else:
            code = _tests(request["tests"], [])
    finally:
        os._exit(code)


def _waited(child: int, timeout_s: float) -> int:
    """Exit code of a child; -1 if it was ended because it took too long.

    That is processor time, its own and of programs that it ran: on a busy machine a test that waits does not run on for
    ever. One that sleeps for ever gets twenty times as long.
    """
    until = time.monotonic() + 20 * timeout_s
    while time.monotonic() < until and _processor_s(child) < timeout_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def _processor_s(process: int) -> float:
    """Processor time of a process that was not waited for, and of its children that ended (proc(5), stat 14 to 17)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class _Process:
    """A process in a copy of the repository that forks for each run of tests.

    Parameters
    ----------
    folder : Path
        Where the copy is.
    changing : sequence of str
        Files below the repository that a fork has to import anew.
    preload : sequence of str
        Modules to import before the first fork, but for those that depend on `changing`.
    """

    def __init__(self, folder: Path, changing: Sequence[str], preload: Sequence[str]) -> None:
        environment = os.environ | {"PYTHONPATH": str(folder), "LIQUIDCAL_CACHE": str(folder / "build" / "cache")}
        program = "import sys; sys.argv = ['mutation']; from benchmarks.mutation import _serve; _serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._send(changing=list(changing), preload=list(preload))

    def _send(self, **request: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.strip() == "ready":
                return 0
            if line.startswith("{"):
                return int(json.loads(line)["code"])
        raise RuntimeError(f"the process that forks ended with code {self._process.wait()}")

    def run(self, tests: Sequence[str], timeout_s: float, **more: Any) -> int:
        """Exit code of pytest, -1 where it took too long."""
        return self._send(tests=list(tests), timeout_s=timeout_s, **more)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


@dataclass(frozen=True, kw_only=True)
class _Reached:
    """What the tests of a group reach: lines of each test, lines that an import runs, seconds, modules."""

    lines: Mapping[str, set[Line]]
    at_import: set[Line]
    seconds: Mapping[str, float]
    modules: Sequence[str]

    @classmethod
    def measure(cls, folder: Path, group: Group) -> Self:
        """Run the tests once.

        Raises
        ------
        SystemExit
            If one fails, or there is none.
        """
        path = folder / "build" / "reach.pickle"
        path.parent.mkdir(exist_ok=True)
        with _Process(folder, group.modules, []) as process:
            process.run(group.tests, 1800, reach=str(path), modules=group.modules)
        found = pickle.loads(path.read_bytes())
        if found["failed"] or not found["lines"]:
            raise SystemExit(f"{', '.join(found['failed'] or group.tests)}: fails without any mutant")
        return cls(**{name: found[name] for name in ("lines", "at_import", "seconds", "modules")})

    def tests(self, module: str, lines: Iterable[int]) -> list[str]:
        """Tests that reach one of these lines, quick ones first."""
        wanted = {(module, line) for line in lines}
        everywhere = bool(wanted & self.at_import)
        tests = [test for test, lines in self.lines.items() if everywhere or wanted & lines]
        return sorted(tests, key=lambda test: float(self.seconds.get(test, 0.0)))


def _seen_by(source: bytes, first: int, last: int) -> set[int]:
    """Lines whose run says that these are reached: of a compiled function, which no interpreter runs, its callers'."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    compiled = {f.name: f for f in functions if any("njit" in ast.unparse(d) for d in f.decorator_list)}

    def lines(function: ast.FunctionDef, on_the_way: tuple[str, ...]) -> set[int]:
        assert function.end_lineno is not None
        if function.name not in compiled:
            return set(range(function.body[0].lineno, function.end_lineno + 1))
        return {
            line
            for other in functions
            if other.name not in on_the_way
            and any(isinstance(node, ast.Name) and node.id == function.name for node in ast.walk(other))
            for line in lines(other, (*on_the_way, function.name, other.name))
        }

    for function in compiled.values():
        if function.lineno <= first <= (function.end_lineno or 0):
            return lines(function, (function.name,))
    return set(range(first, last + 1))


class _Target:
    """A module in the copy, as it is or mutated."""

    def __init__(self, folder: Path, module: str) -> None:
        self._file = folder / module
        self.source = self._file.read_bytes()
        self._turn = 1
        os.utime(self._file, (1, 1))

    def killed(self, mutant: Mutant, reached: _Reached, process: _Process) -> bool:
        """Whether a test fails on the mutant, or runs on for ever."""
        last = mutant.line + self.source[mutant.start : mutant.end].count(b"\n")
        # of a statement of several lines only some are reached
        tests = reached.tests(mutant.module, _seen_by(self.source, mutant.line, last))
        tests = tests or reached.tests(mutant.module, range(mutant.line - 3, last + 1))
        if not tests:
            return False
        seconds = sum(reached.seconds.get(test, 0.0) for test in tests)
        self._file.write_bytes(mutant.apply(self.source))
        # compiled code is known by size and second of its source
        self._turn += 1
        os.utime(self._file, (self._turn, self._turn))
        try:
            code = process.run(tests, 20 + 5 * seconds)
        finally:
            self._file.write_bytes(self.source)
            os.utime(self._file, (1, 1))
        if code == 5:
            raise RuntimeError(f"pytest finds no test among {', '.join(tests[:3])}")
        return bool(code)


# ---- the campaign ----------------------------------------------------------------------------------------------------


def copied(folder: Path) -> None:
    """Files that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)


def _sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """A part of the mutants, the same for the same seed; all of them if there are no more."""
    if len(mutants) <= count:
        return list(mutants)
    return sorted(random.Random(seed).sample(mutants, count), key=lambda mutant: mutant.start)


def _printed(mutant: Mutant) -> str:
    """A mutant as the campaign prints one that survives, and as `_survived` finds it."""
    where = f"{mutant.module}:{mutant.line}" + (f" ({mutant.place})" if mutant.place > 1 else "")
    return f"{where}: {mutant.kind}: {' '.join(mutant.was.split())}  ->  {mutant.now}"


def _survived(log: Path, mutants: Sequence[Mutant]) -> list[Mutant]:
    """Those of a module that an earlier run printed; of equal changes in a line all, where it did not say which.

    Raises
    ------
    ValueError
        If it printed one that there is not: the module is another now, and has to be tried as a whole.
    """
    lines = {" ".join(line.split()) for line in log.read_text().splitlines()}
    chosen = [m for m in mutants if " ".join(_printed(m).split()) in lines]
    module = mutants[0].module
    mine = {line for line in lines if line.startswith(f"{module}:")}
    if missing := mine - {" ".join(_printed(mutant).split()) for mutant in chosen}:
        raise ValueError(f"{log}: {sorted(missing)[0]}: no such mutant in {module} as it is now")
    return chosen


def _campaign(name: str, folder: Path, sample: int, seed: int, again: Path | None = None) -> list[Metric]:
    """Try the mutants of a group; with `again` those that survived an earlier run, whose other counts are kept."""
    group, known = GROUPS[name], equivalents()
    reached = _Reached.measure(folder, group)
    preload = [name for name in reached.modules if not name.startswith(("tests.", "test_", "__main__"))]
    counts: Counter[str] = Counter()
    if again is not None:
        values = {metric.name: int(float(metric.value)) for metric in read_metrics(RESULT)}
        counts.update({what: values[f"{what}__case:{name}"] for what in ("killed", "equivalent")})
    there = 0
    for module in group.modules:
        target = _Target(folder, module)
        mutants = find_mutants(module, target.source)
        there += len(mutants)
        chosen = _sample(mutants, sample, seed) if again is None else _survived(again, mutants)
        with _Process(folder, [module], preload) as process:
            for mutant in chosen:
                if mutant.name in known:
                    counts["equivalent"] += 1
                elif target.killed(mutant, reached, process):
                    counts["killed"] += 1
                else:
                    counts["survived"] += 1
                    print(_printed(mutant), flush=True)
    decided = counts["killed"] + counts["survived"]
    score = 100 * counts["killed"] / decided if decided else 0.0
    print(f"{name}: {dict(counts)} of {there}: {score:.1f} %", flush=True)
    rows = [
        ("score", round(score, 1), "%", "killed of those that are not equivalent"),
        ("mutants", there, "mutants", "in the modules"),
        ("sample", sum(counts.values()), "mutants", f"tried, at most {sample} a module, seed {seed}"),
        ("killed", counts["killed"], "mutants", "a test fails, or does not end"),
        ("survived", counts["survived"], "mutants", "every test passes"),
        ("equivalent", counts["equivalent"], "mutants", "no test can fail: reasons in mutation_equivalents.toml"),
    ]
    return [
        record(f"{quantity}__case:{name}", value, unit, f"{group.title}: {method}", command=COMMAND)
        for quantity, value, unit, method in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="all if left out")
    parser.add_argument("--sample", type=int, default=50, help="mutants of a module at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--again", type=Path, metavar="LOG",
        help="what an earlier run of this command printed: after tests were added, try only what survived it",
    )  # fmt: skip
    parser.add_argument("--no-result", action="store_true", help="print only")
    options = parser.parse_args()
    if not hasattr(sys, "monitoring"):
        parser.error(f"expected Python 3.12 or later, which tells the lines that a test reaches, got {sys.version}")
    chosen = options.groups or list(GROUPS)
    with tempfile.TemporaryDirectory(prefix="liquidcal-mutants-") as name:
        copied(Path(name))
        for group in chosen:
            began = time.monotonic()
            rows = _campaign(group, Path(name), options.sample, options.seed, options.again)
            print(f"{group}: {time.monotonic() - began:.0f} s", flush=True)
            if not options.no_result:
                others = kept(RESULT, lambda metric, group=group: metric.name.endswith(f"__case:{group}"))
                write_metrics(RESULT, [*others, *rows])


if __name__ == "__main__":
    main()
