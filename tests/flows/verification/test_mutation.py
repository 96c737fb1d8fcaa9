"""Mutation engine: kills, survivors, proved equivalents, and a campaign that a blind bench fails."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from flows.simulation.native import NativeModel
from flows.tools.rtlil import Cell, RtlilModule, constant, parse_rtlil, sigspec
from flows.verification.mutation import (
    Kind,
    Mutant,
    Outcome,
    elaborate,
    find_mutants,
    module_equivalent,
    module_equivalent_from_reset,
    run_campaign,
    stages,
    without_unread,
)
from hw.common.export import to_rtlil
from hw.hgcal_encoder.counter import Counter
from hw.hgcal_encoder.normalise import Normalise, SumCode
from hw.lsm_crossbar.sequencer import Sequencer
from sim.hgcal_encoder.spec import ECON_T
from sim.lsm_crossbar.example_specs import campaign_spec

SUMS = np.array(
    [*range(64), *((1 << m) + d for m in range(6, 28) for d in (-1, 0, 1, 5 << max(m - 5, 0))), (1 << 28) - 1]
)


def expected_codes() -> list[tuple[int, int]]:
    """5E4M code and shift from Python integers, not from the model."""
    result = []
    for value in SUMS.tolist():
        m = max(value.bit_length() - 1, 0)
        code = value if m <= 3 else ((m - 3) << 4) | (value >> (m - 4)) & 15
        result.append((code, min(m, 21)))
    return result


def check(model: NativeModel) -> bool:
    out = model.run({"module_sum": SUMS})
    return list(zip(out["sum_code"].tolist(), out["shift"].tolist(), strict=True)) == expected_codes()


def test_thorough_check_kills_what_is_not_equivalent() -> None:
    rtlil = to_rtlil(SumCode(), "sum_code")
    result = run_campaign(rtlil, "sum_code", check, count=60, rng=np.random.default_rng(5))
    assert len(result.mutants) == 60
    assert {mutant.kind for mutant in result.mutants} == set(Kind)
    assert result.kill_rate >= 0.95, "\n".join(map(str, result.survivors))
    assert 0 < result.count(Outcome.EQUIVALENT) < 25
    assert sum(sum(row.values()) for row in result.table(lambda mutant: mutant.kind).values()) == 60


def test_blind_check_leaves_survivors() -> None:
    def blind(model: NativeModel) -> bool:
        return model.run({"module_sum": [0, 1]})["sum_code"].tolist() == [0, 1]

    result = run_campaign(to_rtlil(SumCode(), "sum_code"), "sum_code", blind, count=60, rng=np.random.default_rng(5))
    assert result.kill_rate < 0.7
    assert all(mutant.module == "sum_code" and mutant.cell in str(mutant) for mutant in result.survivors)


def test_failing_check_is_refused() -> None:
    with pytest.raises(ValueError, match="fails on the design without mutants"):
        run_campaign(
            to_rtlil(SumCode(), "sum_code"), "sum_code", lambda _: False, count=5, rng=np.random.default_rng(5)
        )


def test_equivalence_is_proved_for_some_and_not_for_killed_ones() -> None:
    rtlil = to_rtlil(SumCode(), "sum_code")
    modules = elaborate(rtlil)
    mutants = find_mutants(modules, "sum_code", 60, np.random.default_rng(5))
    result = run_campaign(rtlil, "sum_code", check, count=60, rng=np.random.default_rng(5))
    assert result.mutants == mutants
    killed = [mutant for mutant in mutants if result.outcomes[mutant.number] is Outcome.KILLED]
    for mutant in killed[:4]:
        assert not module_equivalent(modules, mutant)


def counter_mutants(kind: Kind) -> tuple[dict[str, RtlilModule], list[Mutant]]:
    modules = elaborate(to_rtlil(Counter(), "counter"))
    return modules, [m for m in find_mutants(modules, "counter", 40, np.random.default_rng(2)) if m.kind is kind]


def test_equivalence_with_state() -> None:
    modules, mutants = counter_mutants(Kind.WIDTH)
    # bit 4 of number + 1 is never stored
    unused = [m for m in mutants if m.cell_type == "$mux" and m.bit == 4]
    used = [m for m in mutants if m.bit < 4]
    assert unused
    assert used
    assert all(module_equivalent(modules, mutant) for mutant in unused)
    assert not any(module_equivalent(modules, mutant) for mutant in used)


def test_equivalence_from_reset() -> None:
    """A reset value that is multiplied by 0 in the state after reset does not matter; one that leaves does."""
    text = """module \\top
  wire input 1 \\clk
  wire input 2 \\rst
  wire input 3 \\d
  wire output 4 \\y
  wire \\hidden
  wire \\open
  wire \\gated
  cell $and $1
    parameter \\A_SIGNED 0
    parameter \\B_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\B_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A \\hidden
    connect \\B \\open
    connect \\Y \\gated
  end
"""
    for name, data, out in (("$2", "\\d", "\\hidden"), ("$3", "\\d", "\\open"), ("$4", "\\gated", "\\y")):
        text += (
            f"  cell $adff {name}\n    parameter \\WIDTH 1\n    parameter \\CLK_POLARITY 1\n"
            "    parameter \\ARST_POLARITY 1\n    parameter \\ARST_VALUE 1'0\n    connect \\CLK \\clk\n"
            f"    connect \\ARST \\rst\n    connect \\D {data}\n    connect \\Q {out}\n  end\n"
        )
    modules = parse_rtlil(text + "end\n")
    found = {}
    for number, cell in enumerate(("$2", "$4"), 1):
        mutant = Mutant(
            number=number, kind=Kind.CONSTANT, stage="top", module="top", cell=cell, cell_type="$adff",
            port="ARST_VALUE",
        )  # fmt: skip
        assert not module_equivalent(modules, mutant)
        found[cell] = module_equivalent(modules, mutant, at_reset=True)
    assert found == {"$2": True, "$4": False}


@pytest.mark.parametrize(("steps", "same"), [(6, True), (8, False)])
def test_equivalence_of_another_code_for_the_same_count(steps: int, same: bool) -> None:
    """With bit 1 of place + 1 inverted a window of three steps goes 0, 3, 2 instead of 0, 1, 2; one of four is cut."""
    spec = replace(campaign_spec(), steps=steps, windows=2)
    modules = elaborate(to_rtlil(Sequencer(spec=spec), "sequencer"))
    (add,) = (c.name for c in modules["sequencer"].cells if c.type == "$add" and c.connections["A"] == "\\place")
    mutant = Mutant(
        number=1, kind=Kind.INVERTED, stage="sequencer", module="sequencer", cell=add, cell_type="$add", port="Y",
        bit=1,
    )  # fmt: skip
    assert not module_equivalent(modules, mutant)
    assert module_equivalent_from_reset(modules, mutant) is same


def test_no_equivalence_from_reset_for_killed_ones() -> None:
    modules, mutants = counter_mutants(Kind.WIDTH)
    used = [mutant for mutant in mutants if mutant.bit < 4]
    assert not any(module_equivalent_from_reset(modules, mutant, steps=8) for mutant in used[:4])
    assert not module_equivalent_from_reset(modules, used[0], reset="none")


def test_mutants_spread_over_stages_and_repeat_with_the_seed() -> None:
    modules = elaborate(to_rtlil(Normalise(spec=ECON_T), "top"))
    found = find_mutants(modules, "top", 30, np.random.default_rng(1))
    assert found == find_mutants(modules, "top", 30, np.random.default_rng(1))
    assert found != find_mutants(modules, "top", 30, np.random.default_rng(2))
    assert len({mutant.stage for mutant in found}) >= 3
    assert set(stages(modules, "top")) == set(modules)


def test_rtlil_bits() -> None:
    module = parse_rtlil(
        "module \\m\n  wire width 4 input 1 \\a\n  wire width 8 output 2 \\y\n"
        "  connect \\y { 2'10 \\a [3:1] \\a [0] 2'01 }\nend\n"
    )["m"]
    bits = module.bits(module.connections[0][1])
    assert bits == ["1", "0", "\\a [0]", "\\a [1]", "\\a [2]", "\\a [3]", "0", "1"]
    assert module.bits(sigspec(bits)) == bits
    assert [constant(bit) for bit in bits].count(True) == 4
    with pytest.raises(ValueError, match="unknown wire"):
        module.bits("\\b")
    with pytest.raises(ValueError, match="not understood"):
        parse_rtlil("module \\m\n  process $p\n")


_UNREAD = r"""autoidx 10
module \child
  wire input 1 \a
  wire output 2 \shown
  wire output 3 \unread
  cell $not $1
    parameter \A_SIGNED 0
    parameter \A_WIDTH 1
    parameter \Y_WIDTH 1
    connect \A \a
    connect \Y \shown
  end
  cell $not $2
    parameter \A_SIGNED 0
    parameter \A_WIDTH 1
    parameter \Y_WIDTH 1
    connect \A \a
    connect \Y \unread
  end
end
module \top
  wire input 1 \a
  wire output 2 \y
  wire \z
  cell \child \part
    connect \a \a
    connect \shown \y
    connect \unread \z
  end
end
"""


def test_what_nothing_above_reads_is_no_difference() -> None:
    modules = parse_rtlil(_UNREAD)
    inverted = {
        m.cell: m for m in find_mutants(modules, "top", 99, np.random.default_rng(1)) if m.kind is Kind.INVERTED
    }
    shown = without_unread(modules, "top")
    assert module_equivalent(shown, inverted["$2"])
    assert not module_equivalent(shown, inverted["$1"])
    assert not module_equivalent(modules, inverted["$2"]), "alone the module shows it"


class _Late(Component):
    """A number that counts in the clock after `start` alone, and goes on by itself otherwise."""

    clocked = True

    def __init__(self) -> None:
        super().__init__({"start": In(1), "data": In(4), "shown": Out(4)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        valid = Signal()
        value = Signal(4)
        m.d.sync += [value.eq(Mux(self.start, self.data, value + 1)), valid.eq(self.start)]
        m.d.comb += self.shown.eq(value & valid.replicate(4))
        return m


class _Offered(Component):
    """A sum that means something with `valid` alone."""

    def __init__(self) -> None:
        super().__init__({"go": In(1), "data": In(4), "valid": Out(1), "sum": Out(4)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += [self.valid.eq(self.go & self.data[0]), self.sum.eq(Mux(self.data[0], self.data + 1, 0))]
        return m


def test_an_output_is_compared_only_while_it_means_something() -> None:
    """What rests without need is no difference; what is wrong with `valid`, or `valid` itself, is."""
    modules = elaborate(to_rtlil(_Offered(), "top"))

    def stuck(kind: str, bit: int = 0) -> Mutant:
        (cell,) = (cell for cell in modules["top"].cells if cell.type == kind)
        return Mutant(
            number=1, kind=Kind.OPERATOR if kind == "$mux" else Kind.INVERTED, stage="top", module="top",
            cell=cell.name, cell_type=kind, bit=bit,
        )  # fmt: skip

    (mux,) = (cell for cell in modules["top"].cells if cell.type == "$mux")
    # the other operand of the multiplexer, which `data[0]` = 0 chooses, is a constant
    idle = Mutant(number=1, kind=Kind.CONSTANT, stage="top", module="top", cell=mux.name, cell_type="$mux", port="A")
    meant = {"sum": ("valid",)}
    assert not module_equivalent(modules, idle)
    assert module_equivalent(modules, idle, meant=meant)
    for other in (stuck("$add"), stuck("$mux"), stuck("$and")):
        assert not module_equivalent(modules, other, meant=meant)
    # of two ports both have to be 1
    assert module_equivalent(modules, idle, meant={"sum": ("go", "valid")})
    assert not module_equivalent(modules, idle, meant={"sum": ("go",)})


def test_a_register_is_compared_only_while_it_counts() -> None:
    """What an idle register goes on to is no difference; what it loads is, and so is a register that nobody named."""
    modules = elaborate(to_rtlil(_Late(), "top"))

    def inverted(kind: str) -> Mutant:
        (cell,) = (cell for cell in modules["top"].cells if cell.type == kind)
        return Mutant(
            number=1, kind=Kind.INVERTED, stage="top", module="top", cell=cell.name, cell_type=kind, bit=2
        )  # fmt: skip

    idle, loaded = inverted("$add"), inverted("$mux")
    assert not module_equivalent(modules, idle)
    assert module_equivalent(modules, idle, counts={"value": "valid"})
    assert not module_equivalent(modules, loaded, counts={"value": "valid"})
    assert not module_equivalent(modules, idle, counts={"other": "valid"})
    assert not module_equivalent(modules, idle, counts={"value": "other"})


class _Pause(Component):
    """Adds `data` up in the clock after `start`; then its state rests at 0."""

    clocked = True

    def __init__(self) -> None:
        super().__init__({"start": In(1), "ask": In(1), "data": In(16), "shown": Out(16)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        state = Signal(2)
        value = Signal(16)
        with m.If(self.start):
            m.d.sync += state.eq(1)
        with m.Elif(state[0]):
            m.d.sync += state.eq(0)
        with m.Elif(state != 0):
            m.d.sync += state.eq(state + 1)
        with m.If(state == 1):
            m.d.sync += value.eq(value + self.data)
        m.d.comb += self.shown.eq(value & self.ask.replicate(16))
        return m


def test_equivalence_of_states_that_rest_alike() -> None:
    """States 2 and 3 rest as 0 does, whatever the sum beside them, which shows when it is asked for alone."""
    modules = elaborate(to_rtlil(_Pause(), "top"))
    (rest,) = (cell for cell in modules["top"].cells if cell.type == "$mux" and cell.connections["B"] == "2'00")
    (adds,) = (cell for cell in modules["top"].cells if cell.type == "$eq")

    def mutant(cell: Cell, bit: int) -> Mutant:
        return Mutant(
            number=1, kind=Kind.CONSTANT, stage="top", module="top", cell=cell.name, cell_type=cell.type, port="B",
            bit=bit,
        )  # fmt: skip

    # 1, 2, 3, 2, 3 ... instead of 1, 0, 0, 0
    twice = mutant(rest, 1)
    assert not module_equivalent(modules, twice)
    assert not module_equivalent_from_reset(modules, twice, steps=8), "the sums may differ, and nobody asks"
    assert module_equivalent_from_reset(modules, twice, steps=8, register="state")
    assert not module_equivalent_from_reset(modules, twice, steps=8, register="value")
    assert not module_equivalent_from_reset(modules, twice, steps=8, register="none")
    assert not module_equivalent_from_reset(modules, mutant(rest, 0), steps=8, register="state")
    assert not module_equivalent_from_reset(modules, mutant(adds, 0), steps=8, register="state")
