"""Export: legal, deterministic text; equal components become one module; every flip-flop has an asynchronous reset."""

import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.export import ports, rtlil_to_verilog, to_rtlil, to_verilog
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.hgcal_encoder.encoder import STAGES, Encoder
from hw.hgcal_encoder.frame import Frame
from tests.hw.driving import ODD
from tests.specs import SMALL


class Chain(Component):
    """Registers of the widths given, one behind the other, in an array with names that Verilog would escape."""

    clocked = True

    def __init__(self, widths=(4, 4, 3, 4), domain="sync"):
        self._widths = widths
        self._domain = domain
        super().__init__({"i": In(ArrayLayout(2, 2)), "o": Out(ArrayLayout(2, 2))})

    def elaborate(self, platform):
        m = Module()
        value = self.i.as_value()
        for index, width in enumerate(self._widths):
            step = place(m, platform, f"step_{index}", PipelineRegister, width=width)
            m.d.comb += step.i.eq(value)
            value = step.o
        last = Signal(4, name="last[0].of", init=5)
        m.d[self._domain] += last.eq(value)
        m.d.comb += self.o.eq(last)
        return m


@pytest.fixture(scope="module")
def encoder_rtlil():
    return to_rtlil(Encoder(spec=SMALL), "tiny")


@pytest.fixture(scope="module")
def encoder_verilog(encoder_rtlil):
    return rtlil_to_verilog(encoder_rtlil)


def modules(verilog):
    return re.findall(r"^module (\S+)\(", verilog, re.M)


def test_equal_components_are_one_module_with_many_instances():
    verilog = to_verilog(Chain(), "chain")
    assert sorted(modules(verilog)) == ["chain", "chain_pipeline_register_3", "chain_pipeline_register_4"]
    assert len(re.findall(r"^ +chain_pipeline_register_4 step_", verilog, re.M)) == 3


def test_unequal_parameters_never_share_a_module():
    verilog = to_verilog(Chain(widths=(1, 2, 3)), "chain")
    assert [f"chain_pipeline_register_{width}" in modules(verilog) for width in (1, 2, 3)] == [True] * 3


def test_the_same_component_gives_the_same_text(encoder_rtlil):
    assert to_rtlil(Encoder(spec=SMALL), "tiny") == encoder_rtlil
    assert to_verilog(Chain(), "chain") == to_verilog(Chain(), "chain")


def test_text_holds_no_path_of_this_machine(encoder_rtlil, encoder_verilog):
    for text in (encoder_rtlil, encoder_verilog):
        assert "/" not in re.sub(r"//.*|/\*.*?\*/", "", text).replace(" / ", "")


def test_names_need_no_escape(encoder_verilog):
    assert "\\" not in encoder_verilog
    assert "\\" not in to_verilog(Chain(), "chain")


def test_names_are_those_of_the_components(encoder_verilog):
    assert {"tiny", "tiny_neuron_dense_8", "tiny_storage_cell_8_0", *(f"tiny_{s}" for s in STAGES)} <= set(
        modules(encoder_verilog)
    )


def test_ports_are_listed_as_written(encoder_verilog):
    for component, verilog, name in (
        (Encoder(spec=SMALL), encoder_verilog, "tiny"),
        (Frame(spec=ODD), to_verilog(Frame(spec=ODD), "frame"), "frame"),
        (Chain(), to_verilog(Chain(), "chain"), "chain"),
    ):
        body = verilog.partition(f"module {name}(")[2].partition("endmodule")[0]
        found = re.findall(r"^  (input|output) (?:signed )?(?:\[(\d+):0\] )?(\w+);", body, re.M)
        written = {(port, way, int(high or 0) + 1) for way, high, port in found}
        assert set(ports(component)) == written
        assert len(ports(component)) == len(written)


def flip_flops(rtlil):
    """Kinds of all cells that hold state, with their widths and reset values."""
    cells = re.findall(r"^  cell (\$\S*(?:dff|dlatch|sr|mem)\S*) .*?^  end$", rtlil, re.M | re.S)
    bodies = re.findall(r"^  cell \$adff .*?^  end$", rtlil, re.M | re.S)
    return cells, bodies


def test_every_flip_flop_has_an_asynchronous_reset(encoder_rtlil):
    cells, bodies = flip_flops(encoder_rtlil)
    assert len(cells) > 30
    assert set(cells) == {"$adff"}, "state without asynchronous reset"
    for body in bodies:
        assert re.search(r"connect \\ARST \\rst\b", body)
        assert re.search(r"connect \\CLK \\clk\b", body)
        assert re.search(r"parameter \\ARST_POLARITY 1$", body, re.M)
    assert not re.search(r"^ +sync (?!always)", encoder_rtlil, re.M), "a process holds state"


def test_the_walk_sees_a_flip_flop_without_reset():
    class Bare(Component):
        o: Out(1)

        def elaborate(self, _platform):
            m = Module()
            state = Signal(reset_less=True)
            m.d.sync += state.eq(~state)
            m.d.comb += self.o.eq(state)
            return m

    assert flip_flops(to_rtlil(Bare(), "bare"))[0] == ["$dff"]


def test_no_initial_values_that_a_chip_would_not_have(encoder_rtlil, encoder_verilog):
    assert "\\init" not in encoder_rtlil
    assert not re.search(r"^ *(reg .*=|initial)", encoder_verilog, re.M)


def test_a_second_clock_domain_is_refused():
    with pytest.raises(ValueError, match="clock domain sync only, got slow"):
        to_rtlil(Chain(domain="slow"), "chain")


@pytest.mark.parametrize("name", ["", "2fast", "a b", "a.b", "a-b"])
def test_the_name_of_a_design_is_an_identifier(name):
    component = Chain()
    with pytest.raises(ValueError, match="identifier"):
        to_rtlil(component, name)


"""Two of four positions see nothing but padding."""
