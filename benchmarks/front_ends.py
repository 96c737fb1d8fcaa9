"""Front ends of hls4ml through our backend: ``python -m benchmarks.front_ends``.

A small network of each front end is converted with ``backend="Liquidcal"``, and its golden model has to give the codes
of the trained model as its own library computes them: HGQ2's quantised layers, QONNX's executor, PyTorch in double
precision, each exact where every type keeps all bits. hls4ml's example in ONNX, in float, is compared with the C++ of
its backend Vitis. Front ends whose library is missing are named and left out; their rows stay in the results.

Keras and QKeras are in `benchmarks.networks`. HGQ2 and QONNX lie in a folder of their own, `FOLDER`, since HGQ2's wheel
overwrites QKeras; `scripts/setup.sh` installs both. PyTorch needs nothing of TensorFlow: an environment of its own
serves, ``pip install liquidcal hls4ml torch``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.baselines.vitis import compile_once, hls4ml_with_backend, with_backend
from benchmarks.measured import REPOSITORY, RESULTS, Rows, kept
from flows.common.metrics import package_version, write_metrics
from sim.fixed_point import FixedPoint

RESULT = RESULTS / "front_ends.json"
FOLDER = Path(sys.prefix) / "front-ends"
"""Where HGQ2 and QONNX are installed, at the end of the path: whatever else they need is the environment's."""
NAME = "Liquidcal"
LEAST_DIFFERENT = 50
"""Results that differ from each other, at least: a network that saturates everywhere would agree with anything."""

Compared = tuple[Any, npt.NDArray[Any], npt.NDArray[Any]]
"""A graph of our backend, samples, and what it has to give for them."""


@dataclass(frozen=True, kw_only=True)
class FrontEnd:
    """A front end.

    Attributes
    ----------
    module, distribution : str
        What it is imported as, and installed as.
    about : str
        Network, and what it is compared with.
    samples : int
        That are compared.
    compare : callable
        Converts it into a folder, and computes as many samples.
    """

    module: str
    distribution: str
    about: str
    samples: int
    compare: Callable[[Path, int], Compared]


def hgq(folder: Path, count: int) -> Compared:
    """Two layers of Keras 3 with a format for each activation and weight."""
    hls4ml = hls4ml_with_backend()
    import keras
    from hgq.config import LayerConfigScope, QuantizerConfigScope
    from hgq.layers import QDense
    from hgq.utils import trace_minmax

    with (
        QuantizerConfigScope(place="all", default_q_type="kbi", overflow_mode="SAT_SYM"),
        QuantizerConfigScope(place="datalane", default_q_type="kif", overflow_mode="WRAP", heterogeneous_axis=(1,)),
        LayerConfigScope(enable_ebops=True, beta0=1e-5),
    ):
        model = keras.Sequential([keras.layers.Input((6,)), QDense(8, activation="relu"), QDense(3)])
    samples = np.random.default_rng(1).normal(0, 1, (count, 6)).astype(np.float32)
    model(samples[:10])
    trace_minmax(model, samples)
    graph = hls4ml.converters.convert_from_keras_model(
        model, backend=NAME, output_dir=str(folder), project_name="net",
        hls_config={"Model": {"Precision": "fixed<1,0>", "ReuseFactor": 1}},
    )  # fmt: skip
    return graph, samples, np.asarray(model(samples))


def qonnx(folder: Path, count: int) -> Compared:
    """Two layers whose inputs, weights and activations stand behind QONNX's node `Quant`, by the nodes alone."""
    from onnx import TensorProto, helper, numpy_helper
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.basic import qonnx_make_model
    from qonnx.util.cleanup import cleanup_model

    rng = np.random.default_rng(7)
    constants: dict[str, npt.NDArray[np.float32]] = {}
    nodes: list[Any] = []

    def quantised(source: str, form: FixedPoint) -> str:
        name = f"{source}_q"
        for part, value in (("scale", form.lsb), ("zero", 0.0), ("bits", float(form.width))):
            constants[f"{name}_{part}"] = np.float32(value)
        parameters = [f"{name}_{part}" for part in ("scale", "zero", "bits")]
        node = helper.make_node(
            "Quant", [source, *parameters], [name], domain="qonnx.custom_op.general", signed=int(form.signed),
            narrow=0, rounding_mode="ROUND",
        )  # fmt: skip
        nodes.append(node)
        return name

    def layer(source: str, name: str, shape: tuple[int, int]) -> str:
        constants[name] = rng.normal(0, 0.4, shape).astype(np.float32)
        weights = quantised(name, FixedPoint(width=6, fraction=5, signed=True))
        nodes.append(helper.make_node("MatMul", [source, weights], [f"{name}_sum"]))
        return f"{name}_sum"

    form = FixedPoint(width=8, fraction=4, signed=True)
    values = layer(quantised("x", form), "first", (6, 8))
    nodes.append(helper.make_node("Relu", [values], ["relu"]))
    values = layer(quantised("relu", FixedPoint(width=7, fraction=4, signed=False)), "second", (8, 3))
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name, size in (("x", 6), (values, 3))
    ]
    graph = helper.make_graph(
        nodes, "net", shapes[:1], shapes[1:],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = cleanup_model(ModelWrapper(qonnx_make_model(graph)))
    hls4ml = hls4ml_with_backend()
    config = hls4ml.utils.config_from_onnx_model(
        model, granularity="name", default_precision="fixed<24,12>", backend=NAME
    )
    ours = hls4ml.converters.convert_from_onnx_model(
        model, hls_config=config, backend=NAME, output_dir=str(folder), project_name="net"
    )
    samples = form.decode(rng.integers(form.min_code, form.max_code + 1, (count, 6))).astype(np.float32)
    source, result = model.graph.input[0].name, model.graph.output[0].name
    expected = [execute_onnx(model, {source: row[None]})[result] for row in samples]
    return ours, samples, np.concatenate(expected)


def onnx(folder: Path, count: int) -> Compared:
    """hls4ml's example, cleaned as its documentation says, every type given; results of Vitis' C++."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    data = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data"))
    model = ModelWrapper(str(data / "models" / "three_layer_keras.onnx"))
    model = cleanup_model(cleanup_model(model).transform(GemmToMatMul()))
    hls4ml = hls4ml_with_backend()
    config = hls4ml.utils.config_from_onnx_model(
        model, granularity="name", default_precision="fixed<16,6>", backend="Vitis"
    )
    for name, layer in config["LayerName"].items():
        layer |= {"Skip": True} if "Softmax" in name else {}
        for role, found in layer["Precision"].items():
            layer["Precision"][role] = "fixed<16,6>" if found == "auto" else found
    ours, vitis = (
        hls4ml.converters.convert_from_onnx_model(
            model, hls_config=config, backend=backend, output_dir=str(folder / backend), project_name="net", **more
        )
        for backend, more in ((NAME, {}), ("Vitis", {"io_type": "io_parallel"}))
    )
    compile_once(vitis)
    samples = np.random.default_rng(3).normal(0, 1.5, (count, 16)).astype(np.float32)
    return ours, samples, vitis.predict(samples)


def pytorch(folder: Path, count: int) -> Compared:
    """A convolution, pooling, two dense layers, channels first; weights and inputs on a grid, so that all is exact."""
    import hls4ml
    import torch

    with_backend(hls4ml)
    layers = torch.nn
    model = layers.Sequential(
        layers.Conv2d(2, 4, 3, padding=1), layers.ReLU(), layers.MaxPool2d(2), layers.Flatten(),
        layers.Linear(36, 8), layers.ReLU(), layers.Linear(8, 3),
    ).double()  # fmt: skip
    rng = np.random.default_rng(11)
    weight, form = FixedPoint(width=6, fraction=4, signed=True), FixedPoint(width=8, fraction=4, signed=True)
    with torch.no_grad():
        for values in model.parameters():
            values.copy_(torch.from_numpy(weight.decode(weight.encode(rng.normal(0, 0.4, tuple(values.shape))))))
    config = hls4ml.utils.config_from_pytorch_model(
        model.eval(), (2, 6, 6), granularity="name", default_precision="fixed<24,12>", backend=NAME
    )
    source, *others = config["LayerName"].values()
    source["Precision"]["result"] = "fixed<8,4>"
    for layer in others:
        roles = layer["Precision"]
        roles |= dict.fromkeys({"weight", "bias"} & roles.keys(), "fixed<6,2>")
    graph = hls4ml.converters.convert_from_pytorch_model(
        model, hls_config=config, backend=NAME, output_dir=str(folder), project_name="net"
    )
    samples = form.decode(rng.integers(form.min_code, form.max_code + 1, (count, 2, 6, 6)))
    with torch.no_grad():
        return graph, samples, model(torch.from_numpy(samples)).numpy()


FRONT_ENDS = {
    "hgq2": FrontEnd(
        module="hgq", distribution="HGQ2", compare=hgq, samples=500,
        about="two dense layers of Keras 3, a format for each element, against HGQ2's own layers",
    ),
    "qonnx": FrontEnd(
        module="qonnx", distribution="qonnx", compare=qonnx, samples=200,
        about="two dense layers of nodes Quant, MatMul, Relu, against QONNX's executor",
    ),
    "onnx": FrontEnd(
        module="qonnx", distribution="qonnx", compare=onnx, samples=1000,
        about="hls4ml's three_layer_keras.onnx in fixed<16,6>, against C++ of hls4ml's backend Vitis",
    ),
    "pytorch": FrontEnd(
        module="torch", distribution="torch", compare=pytorch, samples=500,
        about="convolution, ReLU, max pooling, two dense layers, against PyTorch in double precision",
    ),
}  # fmt: skip


def available(front_end: FrontEnd) -> bool:
    """Whether its library is there; the folder of front ends is on the path afterwards."""
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.util.find_spec(front_end.module) is not None


def codes_off(front_end: FrontEnd, folder: Path, count: int = 0) -> tuple[int, int]:
    """Codes that differ, and how many were compared, of its samples or of fewer.

    Raises
    ------
    ValueError
        If the expected results say too little.
    """
    graph, samples, expected = front_end.compare(folder, count or front_end.samples)
    different = len(np.unique(expected))
    if different < LEAST_DIFFERENT:
        raise ValueError(f"{front_end.module}: expected at least {LEAST_DIFFERENT} different results, got {different}")
    found = graph.predict(samples)
    return int((expected.reshape(found.shape) != found).sum()), found.size


def main() -> None:
    """Compare and write.

    Raises
    ------
    SystemExit
        If a code differs.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--front-ends", nargs="+", choices=FRONT_ENDS, default=list(FRONT_ENDS))
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    for name in options.front_ends:
        front_end = FRONT_ENDS[name]
        if not available(front_end):
            print(f"{name}: library {front_end.module} is missing", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="liquidcal-front-ends-") as scratch:
            wrong, compared = codes_off(front_end, Path(scratch))
        version = package_version(front_end.distribution)
        rows = Rows(f"python -m benchmarks.front_ends --front-ends {name}", front_end.distribution, version)
        rows.add(f"front_end__codes_compared__case:{name}", compared, "codes", front_end.about)
        rows.add(f"front_end__codes_off__case:{name}", wrong, "codes", front_end.about)
        if wrong:
            raise SystemExit(f"{name}: {wrong} codes differ")
        mine = {metric.name for metric in rows}
        write_metrics(options.out, [*kept(options.out, lambda metric, mine=mine: metric.name in mine), *rows])


if __name__ == "__main__":
    main()
