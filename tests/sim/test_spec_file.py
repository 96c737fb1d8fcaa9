"""Specs of both chips from TOML: every field against every kind of value, and names that Verilog takes."""

import re
from dataclasses import fields, replace

import pytest

from sim.hgcal_encoder.spec import ECON_T, EncoderSpec
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec, DeviceParameters
from sim.spec_file import check_name

NONSENSE = {
    "long text": f'"{"x" * 9999}"',
    "nan": "nan", "infinity": "inf", "minus infinity": "-inf", "truth": "true", "text": '"20"',
    "list": "[1, 2]", "empty": "[]", "nested": "[[[1]]]", "table": "{a = 1}", "date": "1979-05-27",
    "digits": "9" * 400, "minus": "-7", "fraction": "1.5",
}  # fmt: skip
LEGAL = {
    # lists of integers, positive fractions, and words that mean something
    "leak": {"list", "minus"}, "device": {"table"},
}  # fmt: skip
REAL = {
    "g_max_us", "read_voltage_v", "column_current_limit_ua", "gain_spread", "offset_spread", "clock_period_ns",
    *(field.name for field in fields(DeviceParameters)),
}  # fmt: skip


def crossbar_text(name: str, value: str) -> str:
    """The preset with one field replaced."""
    text = N_MNIST.to_toml()
    line = re.compile(rf"^{name} = .*$", re.MULTILINE)
    if line.search(text):
        return line.sub(lambda _: f"{name} = {value}", text)
    return f"{name} = {value}\n{text}"


@pytest.mark.parametrize("name", [f.name for kind in (CrossbarSpec, DeviceParameters) for f in fields(kind)])
def test_every_field_of_a_crossbar_against_every_kind_of_value(name: str) -> None:
    for kind, value in NONSENSE.items():
        if (
            (kind == "fraction" and name in REAL and not name.startswith("stuck"))
            or (kind in ("text", "long text") and name == "name")
            or kind in LEGAL.get(name, ())
            or (kind == "minus" and name == "log_mean")
        ):
            continue
        text = crossbar_text(name, value)
        if name == "device":
            text = "device = " + value + "\n" + N_MNIST.to_toml().partition("[device]")[0]
        with pytest.raises(ValueError, match=name if name != "drift_exponent_sigma" else "drift_exponent") as error:
            CrossbarSpec.from_toml(text)
        assert len(str(error.value)) < 500, (kind, error.value)
        assert "\n" not in str(error.value)
    assert CrossbarSpec.from_toml(crossbar_text("g_max_us", "20")) == replace(N_MNIST, g_max_us=20)


@pytest.mark.parametrize("name", [field.name for field in fields(EncoderSpec)])
def test_no_field_of_an_encoder_ends_in_anything_but_one_line(name: str) -> None:
    text = ECON_T.to_toml()
    lines: dict[str, str] = {}
    for kind, value in NONSENSE.items():
        changed = re.sub(rf"^{name} = (\[[^\]]*\]|.*)$", lambda _, v=value: f"{name} = {v}", text, flags=re.MULTILINE)
        if changed == text:
            changed = f"{name} = {value}\n{text}"
        try:
            spec = EncoderSpec.from_toml(changed)
        except ValueError as error:
            lines[kind] = str(error)
            continue
        # what is taken is legal as it stands: it survives being written and read
        assert EncoderSpec.from_toml(spec.to_toml()) == spec, kind
    assert {"nan", "infinity", "truth", "table", "digits"} <= set(lines)
    assert {kind: line for kind, line in lines.items() if len(line) > 800 or "\n" in line} == {}


@pytest.mark.parametrize(
    "name", ["module", "reg", "logic", "endmodule", "1st", "a-b", "", "é", "x" * 65, 5, None, "a\n"]
)
def test_names_that_no_module_can_have(name: object) -> None:
    with pytest.raises(ValueError, match="name"):
        check_name(name)
    for spec in (N_MNIST, ECON_T):
        with pytest.raises(ValueError, match="name"):
            replace(spec, name=name)  # type: ignore[arg-type]


def test_names_that_are_fine() -> None:
    for name in ("N_MNIST", "module_1", "_x", "Module", "x" * 64):
        assert check_name(name) == name
