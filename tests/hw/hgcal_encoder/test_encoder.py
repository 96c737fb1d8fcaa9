"""The whole encoder, compiled natively from its Verilog, against the golden model and the published vectors."""

import pytest

from hw.common.export import to_verilog
from hw.common.pipeline_register import PipelineRegister
from hw.hgcal_encoder.encoder import STAGES, Encoder
from tests.specs import SMALL


def test_latency_is_the_number_of_registers():
    encoders = [
        Encoder(spec=SMALL),
        Encoder(spec=SMALL, registers_after=()),
        Encoder(spec=SMALL, registers_after=STAGES),
        Encoder(spec=SMALL, registers_after=("dense",)),
    ]
    assert [(encoder.latency, encoder.network_latency) for encoder in encoders] == [(5, 2), (0, 0), (8, 2), (1, 1)]
    assert encoders[0].registers_after == ("words", "normalise", "convolution", "dense", "frame")


def test_unknown_places_for_registers_are_refused():
    with pytest.raises(ValueError, match=r"expected stages among words, .*, got grid"):
        Encoder(spec=SMALL, registers_after=("grid",))


def test_another_register_takes_the_place_of_the_plain_one():
    widths = []

    class Counted(PipelineRegister):
        def __init__(self, **parameters):
            widths.append(parameters["width"])
            super().__init__(**parameters)

    to_rtlil_text = to_verilog(Encoder(spec=SMALL, register=Counted), "counted")
    assert "counted_counted_336" in to_rtlil_text
    assert 48 * SMALL.pixel.width in widths
