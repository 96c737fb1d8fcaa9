"""Specs of every chip read the same kinds of bad text in the same way."""

import pytest

from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.association.spec import AssociationSpec
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.network.spec import NetworkSpec

ALL = (EncoderSpec, ConcentratorSpec, CrossbarSpec, AssociationSpec, AstrocyteSpec, NetworkSpec)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("text", "message"),
    [("name =", "not a TOML file"), (f"name = {'[' * 5000}", "not a TOML file: nested too deep")],
)
def test_what_is_no_toml_is_said(kind: type, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind.from_toml(text)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not NetworkSpec])
def test_unknown_fields_are_named(kind: type) -> None:
    with pytest.raises(ValueError, match=r"unknown fields colour; expected .*name"):
        kind.from_toml('name = "A"\ncolour = 3\n')  # type: ignore[attr-defined]
