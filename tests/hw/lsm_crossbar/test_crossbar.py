"""Hardware of the crossbar chip around the data path: export, black boxes, register map, one-hot helpers."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.black_box import BlackBox
from hw.common.export import load_memory, ports, to_rtlil, to_verilog
from hw.common.one_hot import any_of, encode, lowest, one_of
from hw.lsm_crossbar.counter import CounterLane
from hw.lsm_crossbar.crossbar import STAGES, Crossbar, Image
from hw.lsm_crossbar.macro import Macro, MacroBox
from hw.lsm_crossbar.neuron import NeuronLane
from hw.lsm_crossbar.neuron_homeostat import NeuronHomeostat
from hw.lsm_crossbar.threshold import ThresholdLane
from sim.lsm_crossbar.example_specs import campaign_spec, regulated_spec, stacked_spec
from sim.lsm_crossbar.registers import (
    address_width,
    register_map,
    register_writes,
    weight_address,
    weight_bytes,
    weight_stride,
)
from sim.lsm_crossbar.spec import PRESETS, CrossbarSpec
from tests.crossbars import random_image
from tests.hw.driving import evaluate

SPEC = campaign_spec()


class _OneHot(Component):
    def __init__(self) -> None:
        super().__init__({"bits": In(6), "first": Out(6), "number": Out(3), "value": Out(5), "all": Out(5)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        values = [Cat(*[(i >> b) & 1 for b in range(5)]) for i in (3, 7, 11, 19, 23, 29)]
        alone = lowest(m, self.bits, "alone")
        m.d.comb += [
            self.first.eq(alone), self.number.eq(encode(alone)), self.value.eq(one_of(values, alone)),
            self.all.eq(any_of([value & bit.replicate(5) for value, bit in zip(values, self.bits, strict=True)])),
        ]  # fmt: skip
        return m


def test_one_hot_helpers() -> None:
    bits = np.arange(64)
    got = evaluate(_OneHot(), bits=bits)
    values = (3, 7, 11, 19, 23, 29)
    for number in range(64):
        places = [i for i in range(6) if number >> i & 1]
        assert got["first"][number] == (1 << places[0] if places else 0)
        assert got["number"][number] == (places[0] if places else 0)
        assert got["value"][number] == (values[places[0]] if places else 0)
        assert got["all"][number] == reduce(or_, (values[i] for i in places), 0)
    with pytest.raises(ValueError, match="at least one"):
        any_of([])


def test_asic_variant_has_black_boxes_and_no_memory() -> None:
    text = to_rtlil(Crossbar(spec=SPEC), "asic")
    boxes = re.findall(r"attribute \\blackbox 1\nmodule \\(\w+)\n((?:  wire .*\n)*)end\n", text)
    assert [name for name, _ in boxes] == ["asic_macro_box", "asic_weight_memory_box"]
    assert "memory" not in re.sub(r"weight_memory\w*", "", text)
    # the pins of the contract are those of the module in the netlist
    pins = {name: int(width) for width, name in re.findall(r"wire width (\d+) \w+ \d+ \\(\w+)", boxes[0][1])}
    assert pins == {name: width for name, _, width in ports(MacroBox(spec=SPEC))}
    assert {f"asic_{stage}" for stage in STAGES if stage != "macro"} <= set(re.findall(r"^module \\(\w+)", text, re.M))


def test_asic_variant_of_a_tile_has_a_box_for_each_macro() -> None:
    spec = stacked_spec()
    text = to_rtlil(Crossbar(spec=spec), "asic")
    assert re.findall(r"cell \\asic_macro_box \\(\w+)", text) == [
        f"macro_{row}_{column}" for row in range(4) for column in range(3)
    ]
    assert {name: width for name, _, width in ports(MacroBox(spec=spec))} == {
        "clk": 1, "rst": 1, "row": 3, "row_set": 1, "row_clear": 1, "sample": 1, "select": 2, "convert": 1,
        "codes": 2 * spec.adc_bits, "codes_valid": 1,
    }  # fmt: skip
    one = to_rtlil(Crossbar(spec=replace(spec, macro_rows=None, macro_columns=None)), "asic")
    assert re.findall(r"cell \\asic_macro_box \\(\w+)", one) == ["macro"]


def test_black_box_cannot_be_simulated() -> None:
    with pytest.raises(TypeError, match="black box"):
        MacroBox(spec=SPEC).elaborate(None)
    assert issubclass(MacroBox, BlackBox)


def test_verilog_loads_the_conductance_file(tmp_path: Path) -> None:
    conductances = random_image(SPEC, np.random.default_rng(1), ideal=False)
    numbers = {"gains": tuple(map(int, conductances.adc_gain)), "offsets": tuple(map(int, conductances.adc_offset))}
    text = to_verilog(Crossbar(spec=SPEC, image=Image(**numbers)), SPEC.name)
    assert "$readmemh" not in text
    assert "initial" not in text
    loaded = load_memory(text, f"{SPEC.name}_macro", conductances.file_name)
    assert loaded.count(f'$readmemh("{conductances.file_name}"') == 1
    with pytest.raises(ValueError, match="no module 'other'"):
        load_memory(text, "other", "a.mem")
    with pytest.raises(ValueError, match="expected one memory, got 0"):
        load_memory(text, f"{SPEC.name}_adc", "a.mem")
    with pytest.raises(ValueError, match="neither quote"):
        load_memory(text, f"{SPEC.name}_macro", 'a".mem')
    # with the words in the text, as a Verilog reader without files needs it
    words = to_verilog(Crossbar(spec=SPEC, image=Image(words=conductances.row_words, **numbers)), SPEC.name)
    digits = -(-SPEC.columns * SPEC.conductance_bits // 4)
    for row in (0, 7, SPEC.rows - 1):
        assert f"{conductances.row_words[row]:0{digits}x};" in words


def test_same_spec_gives_the_same_text() -> None:
    assert to_rtlil(Crossbar(spec=SPEC), "same") == to_rtlil(Crossbar(spec=SPEC), "same")


def test_bad_arguments_are_refused() -> None:
    gains, offsets = (1 << SPEC.gain_fraction,) * SPEC.adcs, (0,) * SPEC.adcs
    with pytest.raises(ValueError, match="expected 32 words, got 1"):
        Macro(spec=SPEC, words=(1,), gains=gains, offsets=offsets)
    with pytest.raises(ValueError, match="gains"):
        Macro(spec=SPEC, words=(), gains=gains[1:], offsets=offsets)
    for lane in (NeuronLane, CounterLane):
        with pytest.raises(ValueError, match="1 to 4 neurons, got 5"):
            lane(spec=SPEC, neurons=5)


@pytest.mark.parametrize("spec", [SPEC, *PRESETS.values()], ids=lambda spec: spec.name)
def test_register_map(spec: CrossbarSpec) -> None:
    taken: dict[int, str] = {}
    for field in register_map(spec):
        for byte in range(field.size):
            assert taken.setdefault(field.address + byte, field.name + str(field.index)) == field.name + str(
                field.index
            )
    low = 1 << (address_width(spec) - 1)
    # settings below, weights above; every word on its own stride and inside the address space
    assert max(taken) < low
    assert weight_address(spec, 0) == low
    assert weight_address(spec, spec.features - 1, weight_bytes(spec) - 1) < 2 * low
    assert weight_bytes(spec) <= weight_stride(spec)
    assert {f.name: f.reset for f in register_map(spec)}["threshold"] == spec.threshold


def test_register_writes_spell_out_values() -> None:
    weights = np.zeros((SPEC.outputs, SPEC.windows, SPEC.neurons), np.int64)
    weights[1, 1, 3] = -1
    weights[2, 1, 3] = 5
    writes = dict(register_writes(SPEC, threshold=300, noise_seed=0x01020304, weights=weights, bias=[0, -1, 2]))
    assert (writes[0x10], writes[0x11]) == (300 & 0xFF, 300 >> 8)
    assert [writes[0x1C + byte] for byte in range(4)] == [4, 3, 2, 1]
    # five bits a weight: output 1 in bits 5 to 9, output 2 in bits 10 to 14; neuron 3 of window 1 is word 13
    word = (0x1F << 5) | (5 << 10)
    base = weight_address(SPEC, 13)
    assert (writes[base], writes[base + 1]) == (word & 0xFF, word >> 8)
    assert sum(value for address, value in writes.items() if address >= weight_address(SPEC, 0)) == (
        (word & 0xFF) + (word >> 8)
    )
    assert register_writes(SPEC) == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"threshold": -1}, "threshold: expected 0"),
        ({"noise_seed": 1 << 31}, "noise seed"),
        ({"bias": [0, 0]}, r"expected the shape \(3,\), got \(2,\)"),
        ({"weights": np.full((3, 2, 10), 16)}, "readout weight: expected -16 to 15, got 16"),
        ({"weights": np.zeros((2, 3, 10), int)}, r"expected the shape \(3, 2, 10\)"),
    ],
)
def test_register_writes_refuse(values: Mapping[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        register_writes(SPEC, **values)


def test_registers_of_the_homeostat() -> None:
    spec = regulated_spec()
    writes = dict(register_writes(spec, homeostat_enable=True, homeostat_ratio=0xABC, homeostat_band=0x123456))
    assert writes == {0x14: 1, 0x16: 0xBC, 0x17: 0xA, 0x19: 0x56, 0x1A: 0x34, 0x1B: 0x12}
    reset = {field.name: field.reset for field in register_map(spec)}
    assert (reset["homeostat_enable"], reset["homeostat_ratio"], reset["homeostat_band"]) == (0, 55, 2)
    with pytest.raises(ValueError, match="has no homeostat"):
        register_writes(SPEC, homeostat_ratio=0)
    with pytest.raises(ValueError, match="homeostat ratio: expected 0 to 4095, got 4096"):
        register_writes(spec, homeostat_ratio=4096)


def test_ratios_of_neurons() -> None:
    spec = regulated_spec("neuron")
    # biases end at 0x38: ratios begin at the next power of two, two bytes each
    writes = dict(register_writes(spec, homeostat_rate=7, homeostat_ratio=0x100 * np.arange(10) + 0x42))
    assert writes == {0x16: 7, **{0x40 + 2 * n: 0x42 for n in range(10)}, **{0x41 + 2 * n: n for n in range(10)}}
    assert {field.name: field.reset for field in register_map(spec)}["homeostat_rate"] == 2
    assert max(writes) < weight_address(spec, 0)
    for wrong, text in (
        ({"homeostat_band": 0}, "has another kind of homeostat: homeostat_band is no register of it"),
        ({"homeostat_ratio": np.arange(9)}, r"expected the shape \(10,\), got \(9,\)"),
        ({"homeostat_ratio": np.full(10, 1 << 16)}, "homeostat ratio: expected 0 to 65535, got 65536"),
    ):
        with pytest.raises(ValueError, match=text):
            register_writes(spec, **wrong)
    boxes = re.findall(r"attribute \\blackbox 1\nmodule \\(\w+)", to_rtlil(Crossbar(spec=spec), "asic"))
    assert boxes == ["asic_macro_box", "asic_weight_memory_box", "asic_threshold_memory_box"]
    with pytest.raises(ValueError, match="1 to 4 neurons, got 5"):
        ThresholdLane(spec=spec, neurons=5)
    with pytest.raises(ValueError, match="has no homeostat with a threshold for each neuron"):
        NeuronHomeostat(spec=regulated_spec())


def test_no_noise_to_set_without_noise() -> None:
    quiet = replace(SPEC, noise_scale=None)
    assert "noise_seed" not in {field.name for field in register_map(quiet)}
    assert "noise_seed" not in {field.name for field in register_map(SPEC, noise=False)}
    with pytest.raises(ValueError, match="no read noise"):
        register_writes(quiet, noise_seed=1)
