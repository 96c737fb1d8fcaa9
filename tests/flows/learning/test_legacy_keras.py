"""The adapter to legacy Keras: it changes what hls4ml and QKeras see, and nothing that outlives it."""

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from flows.learning.conversion import (
    Hls4mlNetwork,
    compare,
    qkeras_model,
    qkeras_weights,
    sample_pixels,
    trace_qkeras,
)
from flows.learning.legacy_keras import import_hls4ml, import_qkeras, import_tensorflow, legacy_keras
from sim.hgcal_encoder.spec import ECON_T_EXACT
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need
from tests.specs import SMALL

VARIABLE = "TF_USE_LEGACY_KERAS"

try:
    import hls4ml
    import qkeras
    import tf_keras
except ImportError:
    hls4ml = qkeras = tf_keras = None


def module(name: str, **content: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(content)
    return made


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """TensorFlow on legacy Keras beside Keras 3, in names only: these tests need nothing installed."""
    before = {name: found for name, found in sys.modules.items() if name.partition(".")[0] == "keras"}
    layers = SimpleNamespace(Layer=type("Layer", (), {}))
    made = {
        "keras": module("keras", __version__="3.15.1", layers=SimpleNamespace(Layer=type("Layer", (), {}))),
        "keras.layers": module("keras.layers"),
        "tf_keras": module("tf_keras", __version__="2.21.0", layers=layers, __path__=[]),
        "tensorflow.keras": module("tensorflow.keras", layers=layers),
        "tensorflow": module("tensorflow", keras=SimpleNamespace(layers=layers)),
    }
    for name in before:
        monkeypatch.delitem(sys.modules, name)
    for name, fake in made.items():
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.delenv(VARIABLE, raising=False)
    return made


def keras_names() -> dict[str, ModuleType]:
    return {name: found for name, found in sys.modules.items() if name.partition(".")[0] == "keras"}


def test_the_name_is_bound_within_and_restored_after(fakes: dict[str, ModuleType]) -> None:
    with legacy_keras() as legacy:
        assert legacy is fakes["tf_keras"]
        assert importlib.import_module("keras") is legacy
        with legacy_keras():
            assert sys.modules["keras"] is legacy
        assert sys.modules["keras"] is legacy
        # what is imported meanwhile as a part of `keras` is a part of tf_keras
        sys.modules["keras.models"] = module("keras.models")
        del sys.modules["keras.layers"]
    assert keras_names() == {name: fakes[name] for name in ("keras", "keras.layers")}
    assert os.environ[VARIABLE] == "1"


def test_a_keras_that_was_not_imported_is_not_there_afterwards(fakes: dict[str, ModuleType]) -> None:
    del sys.modules["keras"], sys.modules["keras.layers"]
    with legacy_keras():
        assert sys.modules["keras"] is fakes["tf_keras"]
    assert keras_names() == {}


def test_an_exception_restores_too(fakes: dict[str, ModuleType]) -> None:
    with pytest.raises(KeyError, match="inside"), legacy_keras():
        raise KeyError("inside")
    assert keras_names() == {name: fakes[name] for name in ("keras", "keras.layers")}


@pytest.mark.parametrize("variable", [None, "0"])
@pytest.mark.parametrize("missing", ["tensorflow", "tf_keras"])
def test_what_is_missing_is_named_and_nothing_changes(
    fakes: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, missing: str, variable: str | None
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    if variable is not None:
        monkeypatch.setenv(VARIABLE, variable)
    with (
        pytest.raises(ImportError, match=rf"^{missing} is missing: conversion needs liquidcal\[train\]$"),
        legacy_keras(),
    ):
        pytest.fail("entered without it")
    assert keras_names() == {name: fakes[name] for name in ("keras", "keras.layers")}
    assert os.environ.get(VARIABLE) == variable


@pytest.mark.parametrize(("call", "name"), [(import_qkeras, "qkeras"), (import_hls4ml, "hls4ml")])
def test_a_missing_need_of_a_package_is_told_apart(
    fakes: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: object, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"^{name} is missing: "):
        call()
    monkeypatch.delitem(sys.modules, name)
    (tmp_path / f"{name}.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=rf"^surely_not_installed is missing \({name} imports it\): "):
        call()


@pytest.mark.parametrize("content", ["", "from qkeras.quantizers import only_qkeras_has_it"])
def test_files_of_hgq2_in_the_place_of_qkeras_are_recognised(
    fakes: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    """Both orders of installation: HGQ2's `__init__` over QKeras', or QKeras' beside HGQ2's folders."""
    (tmp_path / "qkeras" / "quantizers").mkdir(parents=True)
    (tmp_path / "qkeras" / "quantizers" / "__init__.py").touch()
    (tmp_path / "qkeras" / "__init__.py").write_text(content)
    for name in [name for name in sys.modules if name.partition(".")[0] == "qkeras"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="is not QKeras 0.9: HGQ2 puts files of its own into it"):
        import_qkeras()
    for name in [name for name in sys.modules if name.partition(".")[0] == "qkeras"]:
        del sys.modules[name]


def test_tensorflow_that_took_keras_3_before_is_refused(fakes: dict[str, ModuleType]) -> None:
    fakes["tensorflow"].keras = fakes["keras"]
    with pytest.raises(RuntimeError, match=r"expected tf.keras of Keras 2, got 3.15.1: .* TF_USE_LEGACY_KERAS=1"):
        import_tensorflow()
    assert VARIABLE not in os.environ


# ------------------------------------------------------------------------------------------ with the true packages
def test_a_trained_qkeras_model_equals_hls4ml_in_every_code(tmp_path: Path) -> None:
    """Training on legacy Keras, conversion, C++: as a user's own model goes through."""
    need(hls4ml is not None, "hls4ml and QKeras with TensorFlow (extra `train`)")
    spec = replace(
        SMALL,
        name="SMALL_TRAINED",
        conv_product_fraction=ECON_T_EXACT.conv_product_fraction,
        dense_product_fraction=ECON_T_EXACT.dense_product_fraction,
        activation=ECON_T_EXACT.activation,
        latent=ECON_T_EXACT.latent,
    )
    rng = np.random.default_rng(12)
    start = Weights.random(spec, rng)
    model = qkeras_model(start)
    assert isinstance(model, tf_keras.Model)
    tf_keras.utils.set_random_seed(12)
    model.compile(optimizer=tf_keras.optimizers.Adam(0.01), loss="mse")
    inputs = rng.random((256, *spec.grid)).astype(np.float32)
    model.fit(inputs, rng.random((256, spec.latents)), epochs=2, verbose=0)
    trained = qkeras_weights(model, spec)
    assert trained != start
    pixels = sample_pixels(spec, rng, 300)
    before = keras_names()
    found = Hls4mlNetwork(trained, tmp_path, trace=True).trace(pixels)
    assert keras_names() == before
    assert compare(trace_qkeras(model, spec, pixels), found).equal
    assert importlib.import_module("keras").__version__.startswith("3.")


def test_the_order_of_imports_is_checked_in_tensorflow_itself() -> None:
    need(tf_keras is not None, "tf_keras with TensorFlow (extra `train`)")
    code = (
        "import tensorflow\n"
        "from flows.learning.legacy_keras import import_tensorflow\n"
        "try:\n"
        "    import_tensorflow()\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.startswith("expected tf.keras of Keras 2, got 3.")
