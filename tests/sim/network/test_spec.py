"""Specifications and weights of networks: files, refusals, and the image that loads them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.fixed_point import FixedPoint, Overflow
from sim.network.example_specs import campaign_spec, every_kind
from sim.network.nodes import Add, Dense, Pool, Store, Wire, exact_accumulator
from sim.network.spec import JET_TAGGER, PRESETS, SMART_PIXEL, NetworkSpec, load_spec
from sim.network.weights import NetworkWeights, address_bits, weight_rows

FORM = FixedPoint(width=8, fraction=4, signed=True)


@pytest.mark.parametrize("spec", [*PRESETS.values(), every_kind(), campaign_spec()], ids=lambda spec: spec.name)
def test_toml_round_trip(spec: NetworkSpec, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(spec.to_toml())
    assert load_spec(str(tmp_path / "spec.toml")) == spec


def test_presets_have_the_published_shapes() -> None:
    """Multiplications by hand: 14-58-3 and 16-64-32-32-5."""
    assert SMART_PIXEL.multiplies == 14 * 58 + 58 * 3 == 986
    assert JET_TAGGER.multiplies == 16 * 64 + 64 * 32 + 32 * 32 + 32 * 5 == 4256
    assert JET_TAGGER.weight_bits == 6 * (4256 + 64 + 32 + 32 + 5)


def dense(**fields: object) -> Dense:
    form = {"weight": FORM, "bias": FORM, "accumulator": replace(FORM, width=24, fraction=8), "result": FORM}
    return Dense(**({"inputs": ("input",), "units": 2} | form | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "module"}, "name: module is a word of Verilog"),
        ({"input_shape": (4, 0)}, r"input_shape\[1\]: expected 1 to 65536, got 0"),
        ({"input_shape": ()}, "input_shape: expected a list of 1 to 4 integers"),
        ({"clock_period_ns": 0}, "clock_period_ns: expected a positive time in ns"),
        ({"nodes": {}}, "nodes: expected at least one node"),
        ({"outputs": ("other",)}, "outputs: expected names of nodes, got 'other'"),
        ({"nodes": {"input": dense()}, "outputs": ("input",)}, "input: expected another name"),
        ({"nodes": {"a b": dense()}, "outputs": ("a b",)}, "nodes: expected identifiers"),
        ({"nodes": {"fc": dense(inputs=("fc",))}}, "fc: expected inputs that stand before it, got 'fc'"),
        ({"nodes": {"fc": dense(inputs=("input", "input"))}}, "fc: expected 1 inputs, got 2"),
        ({"nodes": {"no": dense(), "fc": dense()}}, "no: expected a node that reads it"),
        ({"nodes": {"fc": dense(units=0)}}, "fc: units: expected 1 to 1048576, got 0"),
        ({"nodes": {"fc": dense(weight=replace(FORM, signed=False))}}, "fc: weight: expected two's complement"),
        ({"nodes": {"fc": dense(bias=replace(FORM, fraction=9))}}, "fc: bias: expected at most the 8 fraction bits"),
        ({"nodes": {"fc": dense(weight=3)}}, "fc: weight: expected a number format, got 3"),
        (
            {"nodes": {"fc": dense(accumulator=replace(FORM, overflow=Overflow.SAT))}},
            "fc: accumulator: SAT depends on the order of the sum",
        ),
        ({"nodes": {"fc": dense(weight=replace(FORM, width=60))}}, "fc: expected products of at most 62 bits, got 68"),
        ({"nodes": {"fc": Store(inputs=("input",), result=FORM, most=3)}}, "fc: most: expected none without relu"),
        ({"nodes": {"fc": Wire(inputs=("input",), sources=(4,))}}, "fc: sources: expected at most 3, got 4"),
        (
            {"nodes": {"fc": Pool(inputs=("input",), windows=((0, 1, 2),), result=FORM, mean=True)}},
            r"fc: windows\[0\]: a mean takes a power of two of elements, got 3",
        ),
        (
            {"nodes": {"a": dense(), "fc": Add(inputs=("a", "input"), result=FORM)}},
            "fc: expected inputs of one size, got 2 and 4",
        ),
    ],
)
def test_refusals_name_the_node_and_the_reason(fields: dict[str, object], message: str) -> None:
    legal = {"name": "NET", "input_shape": (4,), "input": FORM, "nodes": {"fc": dense()}, "outputs": ("fc",)}
    NetworkSpec(**legal)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        NetworkSpec(**(legal | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('kind = "dense"', 'kind = "sparse"', "fc: expected kind dense or convolution"),
        ("units = 2", "units = 2\ndepth = 3", "fc: unknown field 'depth'"),
        ("units = 2", "", "fc: field units is missing"),
        ("width = 5", "width = 99", "width of a number format must be 1 to 62 bits, got 99"),
        ("name = ", "name ", "not a TOML file"),
        ("[nodes.conv]", "[other.conv]", "unknown field 'other'"),
    ],
)
def test_damaged_files_are_refused_in_one_line(before: str, after: str, message: str) -> None:
    text = campaign_spec().to_toml()
    assert before in text
    with pytest.raises(ValueError, match=message) as error:
        NetworkSpec.from_toml(text.replace(before, after, 1))
    assert "\n" not in str(error.value).strip()


def test_no_sum_leaves_an_exact_accumulator() -> None:
    """By brute force over the ends, and one bit less is too few."""
    weight, bias = FixedPoint(width=5, fraction=3, signed=True), FixedPoint(width=4, fraction=6, signed=True)
    for x in (FixedPoint(width=6, fraction=2, signed=True), FixedPoint(width=6, fraction=2, signed=False)):
        form = exact_accumulator(x, weight, bias, 7)
        products = [a * w for a in (x.min_code, x.max_code) for w in (-16, 15)]
        low, high = 7 * min(products) * 2 - 8, 7 * max(products) * 2 + 7
        assert form.fraction == 6
        assert form.min_code <= low <= high <= form.max_code
        assert low < form.min_code // 2 or high > form.max_code // 2


def test_the_image_holds_every_code_once() -> None:
    spec = every_kind()
    weights = NetworkWeights.random(spec, np.random.default_rng(1))
    memory = dict(weights.writes())
    assert len(memory) == len(weights.writes())
    assert max(memory) < 1 << sum(address_bits(spec))
    bits = 0
    for place, row in enumerate(weight_rows(spec)):
        word = sum(memory[(place << address_bits(spec)[1]) + i] << (8 * i) for i in range(row.size))
        node = spec.layers[row.layer]
        for form, codes in ((node.weight, weights.weights[row.layer][list(row.weights)]),
                            (node.bias, weights.biases[row.layer][[row.number]])):  # fmt: skip
            for code in codes:
                assert word & ((1 << form.width) - 1) == int(code) % (1 << form.width)
                word >>= form.width
                bits += form.width
        assert word == 0
    assert bits == spec.weight_bits


def test_weights_are_written_and_read(tmp_path: Path) -> None:
    spec = campaign_spec()
    weights = NetworkWeights.random(spec, np.random.default_rng(1))
    weights.save(tmp_path / "weights.npz")
    assert NetworkWeights.load(tmp_path / "weights.npz", spec) == weights
    with pytest.raises(ValueError, match=r"weights\.npz: expected weights of EVERY_KIND"):
        NetworkWeights.load(tmp_path / "weights.npz", every_kind())
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"other\.npz: expected weights of a network"):
        NetworkWeights.load(tmp_path / "other.npz")
    codes = {name: array.copy() for name, array in weights.weights.items()}
    codes["fc"][3] = 8
    with pytest.raises(ValueError, match=r"weights of fc: expected -8 to 7, got 8 at index \(3,\)"):
        NetworkWeights(spec=spec, weights=codes, biases=weights.biases)
    with pytest.raises(ValueError, match="biases of fc: expected 2 codes, got shape"):
        NetworkWeights(spec=spec, weights=weights.weights, biases=weights.biases | {"fc": np.zeros(3, int)})
    with pytest.raises(ValueError, match="weights: expected the layers conv, fc, not 'extra'"):
        NetworkWeights(spec=spec, weights=weights.weights | {"extra": np.zeros(1, int)}, biases=weights.biases)
