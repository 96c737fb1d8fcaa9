"""Files of a crossbar that other tools take."""

import re

from flows.designs.crossbar_files import black_boxes
from hw.common.export import ports
from hw.lsm_crossbar.macro import MacroBox
from sim.lsm_crossbar.example_specs import campaign_spec


def test_the_stub_of_the_macro_has_the_pins_of_its_black_box() -> None:
    spec = campaign_spec()
    stub = black_boxes(spec).partition("endmodule")[0]
    found = re.findall(r"(input|output) (?:\[(\d+):0\] )?(\w+)", stub)
    assert [(name, way, int(high or 0) + 1) for way, high, name in found] == list(ports(MacroBox(spec=spec)))
