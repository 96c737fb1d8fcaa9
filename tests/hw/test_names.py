"""Names of signals are the same on every Python, and so is the Verilog.

Amaranth reads a signal's name from the bytecode after the call. Python 3.13 stores both results of
``a, b = Signal(), Signal()`` with one instruction that Amaranth 0.5 does not know: `b` would lose the name that it has
on 3.11.
"""

import ast

from tests.conftest import REPOSITORY


def test_the_last_of_several_signals_in_one_statement_is_named() -> None:
    found = 0
    for path in sorted((REPOSITORY / "hw").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)):
                continue
            target, value = node.targets[0].elts[-1], node.value
            last = value.elts[-1] if isinstance(value, ast.Tuple) else None
            if isinstance(last, ast.Call) and isinstance(last.func, ast.Name) and last.func.id == "Signal":
                where = f"{path.relative_to(REPOSITORY)}, line {node.lineno}"
                assert any(keyword.arg == "name" for keyword in last.keywords), (
                    f"{where}: {ast.unparse(target)} needs name="
                )
                found += 1
    assert found >= 7
