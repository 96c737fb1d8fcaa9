"""Front of a concentrator: RTL against its golden model, crossing by crossing, in calm and in rough weather."""

import numpy as np
import pytest

from flows.simulation.native import NativeModel, build_native
from flows.tools.verilog import Port
from flows.verification.links import check_front, random_stimulus
from hw.common.export import to_verilog
from hw.hgcal_encoder.links.front import Front
from sim.hgcal_encoder.link_spec import LINKS_PRODUCTION, LinkSpec

ROWS = 2500


@pytest.fixture(scope="module")
def front() -> tuple[object, tuple[Port, ...]]:
    return build_native(to_verilog(Front(spec=LINKS_PRODUCTION), "front"), "front", clock="clk")


@pytest.mark.parametrize("calm", [True, False], ids=["calm", "rough"])
def test_front_equals_its_model(front: tuple[object, tuple[Port, ...]], calm: bool) -> None:
    """All words in every crossing, all status every seventh: slips, bit errors, wrong headers, random registers."""
    library, ports = front
    stimulus = random_stimulus(np.random.default_rng((22, calm)), LINKS_PRODUCTION, ROWS, calm=calm)
    with NativeModel(library, ports, "clk") as model:  # type: ignore[arg-type]
        tally = check_front(model, LINKS_PRODUCTION, stimulus, status_every=7)
    assert tally.failed == 0, tally.first
    assert tally.compared > 5 * ROWS


def test_the_comparison_sees_another_front(front: tuple[object, tuple[Port, ...]]) -> None:
    """A model that expects the packet a crossing later than the hardware sends it is told apart."""
    library, ports = front
    other = LinkSpec(link_reset_delay=9)
    stimulus = random_stimulus(np.random.default_rng(5), LINKS_PRODUCTION, 1500)
    with NativeModel(library, ports, "clk") as model:  # type: ignore[arg-type]
        tally = check_front(model, other, stimulus, status_every=1500)
    assert tally.failed
    assert "reset_packet" in tally.first
