"""A proof without an answer is undecided; one that cannot be set up is an error, whatever it is called."""

import pytest

from flows.formal.solver import Status, prove_equal
from flows.tools.yosys import YosysError

HEADER = "module {}(input [1:0] a, input [1:0] b, output [2:0] y);\n"
PRODUCT = "module {}(input [15:0] a, input [15:0] b, output [31:0] y);\n"


def test_a_broken_claim_is_an_error_even_if_its_name_speaks_of_a_limit() -> None:
    with pytest.raises(YosysError, match="limit"):
        prove_equal("limit", "sum", HEADER.format("gold") + "assign y = a + ;\nendmodule\n", HEADER.format("gate"))


def test_the_solvers_own_limit_is_undecided() -> None:
    """Two ways to write a 16-bit multiplication: far beyond what a SAT solver compares in a second."""
    shifted = " + ".join(f"(b[{bit}] ? {{16'd0, a}} << {bit} : 32'd0)" for bit in reversed(range(16)))
    gold = PRODUCT.format("gold") + "assign y = a * b;\nendmodule\n"
    gate = PRODUCT.format("gate") + f"assign y = {shifted};\nendmodule\n"
    assert prove_equal("product", "shift and add", gold, gate, timeout_s=1).status is Status.UNDECIDED
