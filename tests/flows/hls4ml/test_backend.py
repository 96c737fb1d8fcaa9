"""The backend of hls4ml against hls4ml's own C++ (Vitis, compiled with g++) and against QKeras, code for code.

C++ is compiled once for the same sources: the library is kept in the content cache.
"""

import importlib
import json
import re
import tomllib
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.baselines.vitis import compile_once, config_by_name, convert, hls4ml_with_backend
from benchmarks.front_ends import FRONT_ENDS, available, codes_off
from flows.hls4ml.plugin import register
from flows.learning.legacy_keras import import_qkeras, import_tensorflow, legacy_keras
from sim.fixed_point import FixedPoint
from sim.network.model import Network
from sim.network.weights import NetworkWeights
from tests.conftest import REPOSITORY, need, need_module
from tests.sim.test_fixed_point import exact_store

NAME = "Liquidcal"
"""What users write: ``backend="Liquidcal"``."""


@pytest.fixture(scope="module")
def hls4ml() -> Any:
    for name in ("tensorflow", "qkeras", "hls4ml"):
        need_module(name, "train")
    return hls4ml_with_backend()


def quantised(name: str) -> Any:
    """A small QKeras model: convolutions, a signed quantiser, residual sum, pooling, dense."""
    q, keras = import_qkeras(), import_tensorflow().keras
    bits = lambda width, integer: q.quantized_bits(width, integer, alpha=1)  # noqa: E731
    layers = keras.layers
    x = image = layers.Input((6, 6, 2), name="image")
    x = q.QConv2D(4, 3, padding="same", kernel_quantizer=bits(5, 0), bias_quantizer=bits(5, 0), name="conv")(x)
    x = first = q.QActivation(q.quantized_relu(6, 2), name="act")(x)
    x = q.QConv2D(4, 3, padding="same", kernel_quantizer=bits(5, 0), bias_quantizer=bits(5, 0), name="more")(x)
    x = q.QActivation(bits(7, 3), name="signed")(x)
    x = layers.Add(name="sum")([x, first])
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    x = q.QDense(3, kernel_quantizer=bits(6, 0), bias_quantizer=bits(6, 0), name="out")(x)
    x = q.QActivation(bits(8, 3), name="result")(x)
    model = keras.Model(image, x, name=name)
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def differing(hls4ml: Any, model: Any, config: dict[str, Any], folder: Path, samples: np.ndarray) -> tuple[int, Any]:
    """Codes on which Vitis' C++ and our golden model differ, and our graph."""
    with legacy_keras():
        vitis = convert(model, config, "Vitis", folder / "vitis")
        ours = convert(model, config, NAME, folder / "ours")
    compile_once(vitis)
    expected = vitis.predict(samples)
    found = ours.predict(samples)
    assert expected.size == found.size > 0
    assert len(np.unique(expected)) > 50
    return int((expected.reshape(found.shape) != found).sum()), ours


def test_the_entry_point_is_ours(hls4ml: Any) -> None:
    """As it is declared; an environment that was installed before it has to be installed again."""
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]["hls4ml.backends"]
    module, _, name = declared["liquidcal"].partition(":")
    assert getattr(importlib.import_module(module), name) is register
    registered: dict[str, Any] = {}
    register(registered.__setitem__, registered.__setitem__)
    assert list(registered) == [NAME]


def test_codes_of_qkeras_with_every_quantiser_kept(hls4ml: Any, tmp_path: Path) -> None:
    """Formats that hls4ml infers: its own flow drops the quantiser behind a layer, ours keeps it."""
    from flows.hls4ml.backend import network_of, trace

    model = quantised("kept")
    config = config_by_name(model, "fixed<24,12>", auto=True)
    config["LayerName"]["image"]["Precision"]["result"] = "fixed<8,4>"
    codes = np.random.default_rng(2).integers(-128, 128, (400, 6, 6, 2))
    samples = (codes / 16).astype(np.float32)
    with legacy_keras():
        graph = convert(model, config, NAME, tmp_path)
    assert np.array_equal(graph.predict(samples), model.predict(samples, verbose=0))
    values = trace(graph, samples)
    keras = import_tensorflow().keras
    inner = keras.Model(model.inputs, model.get_layer("signed").output).predict(samples, verbose=0)
    assert np.array_equal(values["signed"].reshape(inner.shape), inner)
    assert isinstance(network_of(graph), NetworkWeights)
    with pytest.raises(ValueError, match="converted with backend='Liquidcal', got one of Vitis"), legacy_keras():
        network_of(convert(model, config, "Vitis", tmp_path / "vitis"))


@pytest.mark.parametrize("name", ["qkeras_3layer", "KERAS_3layer_batch_norm"])
def test_public_models(hls4ml: Any, tmp_path: Path, shared_data: Path, name: str) -> None:
    """Jet taggers of hls4ml's example models."""
    folder = shared_data / "models"
    need((folder / f"{name}.json").is_file(), f"public model {name} below LIQUIDCAL_DATA/models")
    model = import_qkeras().utils.quantized_model_from_json((folder / f"{name}.json").read_text())
    model.load_weights(str(folder / f"{name}_weights.h5"))
    samples = np.random.default_rng(3).normal(0, 1.5, (1000, 16)).astype(np.float32)
    wrong, _ = differing(hls4ml, model, config_by_name(model, "fixed<16,6>"), tmp_path, samples)
    assert wrong == 0


def test_layers_that_are_not_exact_are_refused_by_name(hls4ml: Any, tmp_path: Path) -> None:
    keras = import_tensorflow().keras
    layers = keras.layers

    def refusal(*stack: Any, edit: Any = None) -> str:
        model = keras.Sequential([layers.Input((6,), name="x"), *stack])
        config = config_by_name(model, "fixed<16,6>")
        if edit is not None:
            edit(config)
        try:
            with legacy_keras():
                convert(model, config, NAME, tmp_path)
        except ValueError as error:
            return str(error)
        return "no refusal"

    def tables(config: dict[str, Any]) -> None:
        for layer in config["LayerName"].values():
            layer.pop("Skip", None)

    dense = layers.Dense(4, name="fc")
    assert "layer soft (Softmax): a softmax by tables" in refusal(dense, layers.Softmax(name="soft"), edit=tables)
    assert "layer act (Activation): expected the activation linear, relu" in refusal(
        layers.Dense(4, name="fc"), layers.Activation("tanh", name="act")
    )

    def saturating(config: dict[str, Any]) -> None:
        config["LayerName"]["fc"]["Precision"]["accum"] = "fixed<8,4,TRN,SAT>"

    assert "layer fc (Dense): accumulator: SAT depends on the order of the sum" in refusal(
        layers.Dense(4, name="fc"), edit=saturating
    )

    def reused(config: dict[str, Any]) -> None:
        config["LayerName"]["more"]["ReuseFactor"] = 2

    assert "layer more: expected one reuse factor for all layers, that of fc, 1, got 2" in refusal(
        layers.Dense(4, name="fc"), layers.Dense(3, name="more"), edit=reused
    )


def test_the_session_of_the_guide(hls4ml: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's own lines, with fewer units and samples: written, built, reported."""
    session, *_ = re.findall(r"^```py\n(.*?)^```", (REPOSITORY / "docs/guide/hls4ml.md").read_text(), re.M | re.S)
    for full, small in (
        ("(16,)", "(3,)"), ("(200, 16)", "(40, 3)"), ("(64, 32, 32)", "(3,)"), ("QDense(5,", "QDense(2,"),
        ("=1000", "=400"),
    ):  # fmt: skip
        assert full in session
        session = session.replace(full, small)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "session"}
    exec(compile(session, "docs/guide/hls4ml.md", "exec"), names)
    graph, report, folder = names["graph"], names["report"], tmp_path / "jet_tagger"
    found = report["AsicReport"]["upsets"]
    bits = network_of_graph(graph).spec.weight_bits
    assert found["bits"] == bits < 500
    assert 0 <= found["mean_harm"] <= 1
    # of a flip-flop: cross-section of ECON-D times the highest flux in HGCAL times a day
    assert found["per_day"] == pytest.approx(bits * 2.3e-14 * 2e7 * 86400)
    assert {"myproject.v", "writes.csv", "vectors.csv", "test_myproject.py"} <= {
        path.name for path in (folder / "rtl").iterdir()
    }
    schedule, asic = report["CSynthesisReport"], report["AsicReport"]
    assert set(schedule) == {
        "TargetClockPeriod", "EstimatedClockPeriod", "BestLatency", "WorstLatency", "IntervalMin", "IntervalMax", "FF",
    }  # fmt: skip
    assert schedule["TargetClockPeriod"] == "25.00"
    assert schedule["BestLatency"] == "3"  # inputs, two layers
    # weights and biases, inputs, activations; of the results, whose inferred type is wide, equal sign bits become one
    kept = 6 * (9 + 3 + 6 + 2) + 3 * 8 + 3 * 6
    assert kept < int(schedule["FF"]) <= kept + 2 * network_width(graph)
    assert asic["passed"]
    assert asic["samples_compared"] == 400
    assert asic["codes_compared"] == 64 * (24 - 3) * 2
    assert asic["area_um2"] == pytest.approx(asic["kge"] * 798, rel=1e-6)  # NAND2_X1 has 0.798 um2
    assert asic["energy_per_sample_pj"] == pytest.approx(asic["power_mw"] * 25, rel=1e-6)
    assert json.loads((folder / "asic" / "myproject" / "report.json").read_text()) == report


def test_formats_of_single_elements(hls4ml: Any) -> None:
    """A quantiser of HGQ2 in a graph that only answers, against `ap_fixed` in rationals; one element has no bit."""
    from flows.hls4ml.lower import lower

    def precision(width: int, integer: int) -> Any:
        return hls4ml.model.types.FixedPrecisionType(width, integer, True)

    def layer(kind: str, inputs: list[str], form: Any, **more: Any) -> Any:
        variable = SimpleNamespace(type=SimpleNamespace(precision=form), shape=[4])
        name = kind.lower()
        return SimpleNamespace(
            class_name=kind,
            name=name,
            inputs=inputs,
            outputs=[f"{name}_out"],
            get_output_variable=lambda: variable,
            **more,
        )

    masks = np.array([[1, 0, 1, 1]]), np.array([[4, 3, 0, 4]]), np.array([[2, 1, 0, 2]])
    quantiser = layer("FixedPointQuantizer", ["input_out"], precision(9, 4), mask_kbi=masks, RND="RND_CONV", SAT="SAT")
    config = SimpleNamespace(get_project_name=lambda: "net", get_config_value=lambda _, default: default)
    graph = SimpleNamespace(
        get_layers=lambda: [layer("Input", [], precision(8, 4)), quantiser], outputs=["fixedpointquantizer_out"],
        config=config,
    )  # fmt: skip
    network = Network(lower(graph))
    codes = np.random.default_rng(1).integers(-128, 128, (300, 4))
    found = network.predict(codes / 16)
    for place, (signed, width, integer) in enumerate(zip(*(mask[0] for mask in masks), strict=True)):
        if not width:
            assert not found[:, place].any()
            continue
        form = FixedPoint(
            width=int(width), fraction=int(width - integer), signed=bool(signed), rounding="RND_CONV", overflow="SAT"
        )
        expected = [exact_store(Fraction(int(code), 16), form) * form.lsb for code in codes[:, place]]
        assert found[:, place].tolist() == expected
        assert len(set(expected)) > 5


@pytest.mark.parametrize("name", ["hgq2", "qonnx", "pytorch"])
def test_front_ends_beside_keras(tmp_path: Path, name: str) -> None:
    """Codes are those of the trained model by its own library. PyTorch is in no environment of the project."""
    front_end = FRONT_ENDS[name]
    need(available(front_end), f"library {front_end.module}", optional=name == "pytorch")
    assert codes_off(front_end, tmp_path, count=100) == (0, 300)


def network_of_graph(graph: Any) -> NetworkWeights:
    from flows.hls4ml.backend import network_of

    return network_of(graph)


def network_width(graph: Any) -> int:
    spec = network_of_graph(graph).spec
    return spec.tensors[spec.outputs[0]].form.width
