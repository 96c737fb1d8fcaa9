"""Public networks through the backend of hls4ml: ``python -m benchmarks.networks``.

Each network is converted twice, for Vitis and for us. Three equalities come first: our golden model against hls4ml's
C++ (compiled with g++, every type given), against QKeras where the model is QKeras' (types inferred, inputs on the
grid), and the RTL against the golden model. Then area with loaded and with frozen weights, and slack at 40 MHz, onto
NanGate 45 without wires. Networks that are not asked for stay in the results.

Models of hls4ml's example collection are read below ``$LIQUIDCAL_DATA/models``; of others only shape and widths are
published, and their weights are random (normal, deviation 0.4), which costs frozen hardware more than trained ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines.vitis import compile_once, config_by_name, convert
from benchmarks.measured import REPOSITORY, RESULTS, Rows, kept
from flows.common.metrics import package_version, write_metrics
from flows.learning.legacy_keras import import_qkeras, import_tensorflow, legacy_keras
from flows.simulation.network import NetworkBench
from flows.verification.network import check_volume
from sim.network.weights import NetworkWeights

RESULT = RESULTS / "networks.json"
SPEED_RESULT = RESULTS / "networks_speed.json"
LIBRARY = "nangate45"
COMMAND = "python -m benchmarks.networks --models"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network.

    Attributes
    ----------
    model : callable
        Makes a Keras model, or names its two files.
    about : str
        Where it is from.
    precision : str
        Default type, of everything in the comparison with C++.
    input : str
        Type of the inputs of a QKeras model; empty: the model has no quantisers.
    hardware : bool
        Synthesise it; otherwise its arithmetic is compared only.
    """

    model: Callable[[], Any]
    about: str
    precision: str = "fixed<16,6>"
    input: str = ""
    hardware: bool = True


def published(name: str) -> Callable[[], tuple[Path, Path]]:
    """Files of hls4ml's example models."""
    folder = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data")) / "models"
    return lambda: (folder / f"{name}.json", folder / f"{name}_weights.h5")


def qkeras_file(name: str) -> Any:
    """A published QKeras model without its softmax, which no hardware needs to find the largest score."""
    files = published(name)()
    model = import_qkeras().utils.quantized_model_from_json(files[0].read_text())
    model.load_weights(str(files[1]))
    keras = import_tensorflow().keras
    return keras.Model(model.inputs, model.layers[-2].output)


def with_random_weights(model: Any) -> Any:
    """Weights and biases normal with deviation 0.4, clipped by the quantisers."""
    rng = np.random.default_rng(20261129)
    model.set_weights([rng.normal(0, 0.4, values.shape).astype(np.float32) for values in model.get_weights()])
    return model


def dense_stack(inputs: int, units: tuple[int, ...], *, weight: int, hidden: int) -> Any:
    """Quantised dense layers with rectifiers between them."""
    q, keras = import_qkeras(), import_tensorflow().keras
    bits = q.quantized_bits(weight, 0, alpha=1)
    model = keras.Sequential([keras.layers.Input((inputs,), name="x")])
    for number, count in enumerate(units):
        model.add(q.QDense(count, kernel_quantizer=bits, bias_quantizer=bits, name=f"fc{number}"))
        if number < len(units) - 1:
            model.add(q.QActivation(q.quantized_relu(hidden, 0), name=f"relu{number}"))
    return with_random_weights(model)


def encoder(filters: int, latents: int, *, signed: bool) -> Any:
    """The shape of ECON-T's encoder; signed activations in place of rectifiers are those of the conditional one."""
    q, keras = import_qkeras(), import_tensorflow().keras
    bits = q.quantized_bits(6, 0, alpha=1)

    def activation(name: str) -> Any:
        return q.QActivation(q.quantized_bits(8, 1, alpha=1) if signed else q.quantized_relu(8, 1), name=name)

    x = image = keras.layers.Input((8, 8, 1), name="x")
    x = q.QConv2D(
        filters, 3, strides=2, padding="same", kernel_quantizer=bits, bias_quantizer=bits, name="conv"
    )(x)  # fmt: skip
    x = keras.layers.Flatten(name="flat")(activation("act")(x))
    x = q.QDense(latents, kernel_quantizer=bits, bias_quantizer=bits, name="latent")(x)
    return with_random_weights(keras.Model(image, activation("result")(x)))


CASES = {
    "smart_pixel": Case(
        model=lambda: dense_stack(14, (58, 3), weight=6, hidden=8), input="ufixed<8,0>", precision="fixed<18,8>",
        about="filter on the sensor, 14-58-3 (J. Yoo et al., 2024), random weights",
    ),
    "KERAS_conv2d_model": Case(
        model=published("KERAS_conv2d_model"), precision="fixed<12,5>", about="hls4ml example, float, 8x8 image"
    ),
    "axol1tl_like": Case(
        model=lambda: dense_stack(57, (32, 16, 8), weight=6, hidden=8), input="fixed<8,3>", precision="fixed<18,8>",
        about="encoder of an anomaly trigger, 57-32-16-8, random weights",
    ),
    "econ_qae_signed": Case(
        model=lambda: encoder(8, 16, signed=True), input="ufixed<8,1>", precision="fixed<20,8>",
        about="ECON-T's shape with signed activations and no rectifier, as the conditional autoencoder, random weights",
    ),
    "pareto_encoder": Case(
        model=lambda: encoder(4, 12, signed=False), input="ufixed<8,1>", precision="fixed<20,8>",
        about="a smaller encoder (4 filters, 12 latents), as on FKeras' Pareto front, random weights",
    ),
    "cicada_student": Case(
        model=lambda: dense_stack(252, (16, 1), weight=6, hidden=8), input="ufixed<8,8>", precision="fixed<28,16>",
        about="student of CICADA, 252-16-1, random weights",
    ),
    "qkeras_3layer": Case(
        model=lambda: qkeras_file("qkeras_3layer"), input="fixed<8,4>", about="hls4ml example, jet tagger in 6 bits"
    ),
    "KERAS_3layer_binarydense": Case(
        model=published("KERAS_3layer_binarydense_relu_max"), precision="fixed<16,9>",
        about="hls4ml example, jet tagger with binary weights",
    ),
    "KERAS_3layer": Case(
        model=published("KERAS_3layer"), precision="fixed<8,4>", about="hls4ml example, float jet tagger in 8 bits",
    ),
    "KERAS_3layer_batch_norm": Case(
        model=published("KERAS_3layer_batch_norm"), hardware=False, about="hls4ml example, batch normalisation"
    ),
    "jetTagger_Conv2D_Small": Case(
        model=published("jetTagger_Conv2D_Small"), hardware=False, about="hls4ml example, 25x25 jet image",
    ),
    "mnist_dense": Case(
        model=lambda: dense_stack(196, (56, 56, 26, 10), weight=6, hidden=8), input="ufixed<8,0>", hardware=False,
        precision="fixed<20,8>", about="dense digits of about 15,900 multiplications, random weights",
    ),
}  # fmt: skip


def samples_of(shape: tuple[int, ...], form: Any, count: int, *, grid: bool) -> np.ndarray:
    """Inputs: codes equally likely, or normal reals, a quarter of them far out."""
    rng = np.random.default_rng(3)
    if grid:
        return form.decode(rng.integers(form.min_code, form.max_code + 1, (count, *shape))).astype(np.float32)
    reals = rng.normal(0, 1.5, (count, *shape))
    reals[::4] *= 8
    return reals.astype(np.float32)


def float_config(case: Case) -> dict[str, Any]:
    """One type for everything; scores in place of a softmax."""
    return {
        "Model": {"Precision": case.precision, "ReuseFactor": 1, "Strategy": "Latency"},
        "LayerType": {"Softmax": {"Skip": True, "Implementation": "stable"}},
    }


def inferred(case: Case, model: Any, folder: Path) -> Any:
    """A QKeras model as our graph, types inferred."""
    with legacy_keras():
        config = config_by_name(model, case.precision, auto=True)
        source = "x" if "x" in config["LayerName"] else next(iter(config["LayerName"]))
        config["LayerName"][source]["Precision"]["result"] = case.input
        return convert(model, config, "Liquidcal", folder)


def converted(name: str, folder: Path) -> NetworkWeights:
    """A network as our hardware has it: types inferred where the model has quantisers, else one type for everything."""
    from flows.hls4ml.backend import network_of

    case = CASES[name]
    model = case.model()
    if case.input:
        return network_of(inferred(case, model, folder / "hls"))
    with legacy_keras():
        return network_of(convert(model, float_config(case), "Liquidcal", folder / "hls"))


def measure(name: str, case: Case, rows: Rows, options: argparse.Namespace, folder: Path) -> None:
    """All figures of one network.

    Raises
    ------
    SystemExit
        If a code differs.
    """
    from flows.hls4ml.backend import network_of

    tool, version = "hls4ml", package_version("hls4ml")

    def add(what: str, value: float, unit: str, method: str) -> None:
        rows.add(f"{what}__case:{name}", value, unit, f"{case.about}: {method}")

    model = case.model()
    with legacy_keras():
        config = config_by_name(model, case.precision) if case.input else float_config(case)
        vitis = convert(model, config, "Vitis", folder / "vitis")
        ours = convert(model, config, "Liquidcal", folder / "ours")
    compile_once(vitis)
    spec = network_of(ours).spec
    inputs = samples_of(spec.input_shape, spec.input, options.samples, grid=False)
    expected, found = vitis.predict(inputs), ours.predict(inputs)
    wrong = int((expected.reshape(found.shape) != found).sum())
    if len(np.unique(expected)) < 50:
        raise SystemExit(f"{name}: expected at least 50 different results, got {len(np.unique(expected))}")
    rows.add(
        f"network__codes_off_vitis__case:{name}", wrong, "codes",
        f"{case.about}: of {found.size} codes against hls4ml's C++ (Vitis), every type {case.precision}", tool, version,
    )  # fmt: skip
    add("network__codes_compared_with_vitis", found.size, "codes", "outputs compared with hls4ml's C++ (Vitis)")
    if case.input:
        ours = inferred(case, model, folder / "inferred")
        spec = network_of(ours).spec
        inputs = samples_of(spec.input_shape, spec.input, options.samples, grid=True)
        expected, found = model.predict(inputs, verbose=0), ours.predict(inputs)
        off = int((expected.reshape(found.shape) != found).sum())
        add("network__codes_off_qkeras", off, "codes", f"of {found.size} codes, types inferred, inputs {case.input}")
        wrong += off
    if wrong:
        raise SystemExit(f"{name}: {wrong} codes differ")
    add("network__layers", len(spec.layers), "", "layers with weights")
    add("network__multiplies", spec.multiplies, "", "multiplications per sample, those of padding left out")
    if case.hardware:
        for how in options.weights:
            implement(name, case, ours, how, rows, options, folder)


def implement(
    name: str, case: Case, graph: Any, how: str, rows: Rows, options: argparse.Namespace, folder: Path
) -> None:
    """Area, slack and equality of the RTL with the golden model, as ``build`` of the graph reports them.

    Raises
    ------
    SystemExit
        If a check of it failed.
    """
    report = graph.build(
        library=LIBRARY, samples=options.rtl_samples, power=False, frozen=how == "frozen"
    )["AsicReport"]  # fmt: skip
    if not report["passed"]:
        raise SystemExit(f"{name}: RTL with {how} weights differs from the golden model, see {folder}")
    area, case_ = report["kge"] * 1000, f"__case:{name}"
    for what, value, unit, method in (
        (f"network__area_{how}", round(report["kge"], 1), "kGE", "synthesis alone, no wires"),
        (f"network__area_per_multiply_{how}", round(area / report["multiplies"]), "GE", "whole network, all registers"),
        (f"network__slack_{how}", round(report["setup_slack_ns"], 2), "ns", "of 25 ns, OpenSTA, typical, no wires"),
        (f"network__synthesis_time_{how}", round(report["seconds_of_synthesis"]), "s", "of yosys, machine shared"),
        (f"network__rtl_samples_{how}", report["samples_compared"], "samples", "RTL equals golden model, 0 differ"),
    ):
        rows.add(what + case_, value, unit, f"{case.about}: {how} weights, {LIBRARY}: {method}")


def simulate(name: str, how: str, rows: Rows, samples: int, folder: Path) -> None:
    """The RTL against the golden model alone.

    Raises
    ------
    SystemExit
        If a sample differs.
    """
    weights, case = converted(name, folder), CASES[name]
    bench = NetworkBench(weights.spec, weights if how == "frozen" else None)
    check = check_volume(bench, weights, samples, seed=1)
    if not check.passed:
        raise SystemExit(f"{name}: {check.detail}")
    rows.add(
        f"network__rtl_samples_{how}__case:{name}", check.compared, "samples",
        f"{case.about}: {how} weights: RTL equals golden model in native simulation, 0 differ",
    )  # fmt: skip


def explicit(graph: Any, config: dict[str, Any], source: str) -> dict[str, Any]:
    """A configuration with the types that were inferred, which hls4ml's own flow then keeps, too."""
    from flows.hls4ml.backend import network_of

    def words(form: Any) -> str:
        sign = "" if form.signed else "u"
        return f"{sign}fixed<{form.width},{form.integer},{form.rounding},{form.overflow}>"

    spec = network_of(graph).spec
    config["LayerName"][source]["Precision"]["result"] = words(spec.input)
    for name, node in spec.nodes.items():
        if name in config["LayerName"]:
            roles = config["LayerName"][name]["Precision"]
            roles["result"] = words(node.result)
            if name in spec.layers:
                roles |= {"accum": words(node.accumulator), "weight": words(node.weight), "bias": words(node.bias)}
    return config


def speed(rows: Rows, folder: Path, count: int) -> None:
    """Samples a second of the golden model and of hls4ml's C++ at full optimisation, one arithmetic, one thread each.

    Raises
    ------
    SystemExit
        If a code differs.
    """
    case = CASES["qkeras_3layer"]
    model = case.model()
    source = model.layers[0].name
    graph = inferred(case, model, folder / "inferred")
    with legacy_keras():
        config = explicit(graph, config_by_name(model, case.precision, auto=True), source)
        vitis = convert(model, config, "Vitis", folder / "vitis")
        ours = convert(model, config, "Liquidcal", folder / "ours")
    compile_once(vitis, "-O3")
    form = next(iter(ours.get_input_variables())).type.precision
    grid = np.random.default_rng(4).integers(0, 1 << form.width, (count, 16)) - (1 << (form.width - 1))
    inputs = np.ldexp(grid, form.integer - form.width).astype(np.float32)
    ours.predict(inputs[:1000])  # compiles
    rates: dict[str, list[float]] = {"vitis": [], "liquidcal": []}
    results = {}
    for _ in range(5):
        for name, graph, rows_ in (("vitis", vitis, inputs[: count // 20]), ("liquidcal", ours, inputs)):
            begin = time.process_time()  # one thread each: what other jobs take does not count
            results[name] = graph.predict(rows_)
            rates[name].append(len(rows_) / (time.process_time() - begin))
    wrong = int((results["vitis"] != results["liquidcal"][: count // 20]).sum())
    if wrong:
        raise SystemExit(f"speed: {wrong} codes differ")
    fastest = {name: max(values) for name, values in rates.items()}
    what = "jet tagger in 6 bits, inferred types, predict() on float32 inputs, processor time of one thread, best of 5"
    hls4ml = ("hls4ml", package_version("hls4ml"))
    rows.add("model__throughput__case:vitis", round(fastest["vitis"]), "inferences/s", f"{what}; g++ -O3", *hls4ml)
    rows.add("model__throughput__case:liquidcal", round(fastest["liquidcal"]), "inferences/s", what)
    rows.add("model__speedup__case:liquidcal", round(fastest["liquidcal"] / fastest["vitis"], 1), "x", what)


def main() -> None:
    """Measure and write; networks that are not asked for stay in the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--weights", nargs="*", choices=("frozen", "loaded"), default=["frozen", "loaded"])
    parser.add_argument("--samples", type=int, default=2000, help="compared with C++ and QKeras")
    parser.add_argument("--rtl-samples", type=int, default=100_000)
    parser.add_argument("--rtl", action="store_true", help="only the RTL against the golden model; the rest stays")
    parser.add_argument("--speed", action="store_true", help="only the speed of the golden model beside C++")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    if options.speed:
        rows = Rows("OMP_NUM_THREADS=1 python -m benchmarks.networks --speed")
        with tempfile.TemporaryDirectory(prefix="liquidcal-networks-") as scratch:
            speed(rows, Path(scratch), 100_000)
        write_metrics(options.out or SPEED_RESULT, rows)
        return
    options.out = options.out or RESULT
    for name in options.models:
        rows = Rows(f"{COMMAND} {name}" + (" --rtl" if options.rtl else ""))
        with tempfile.TemporaryDirectory(prefix="liquidcal-networks-") as scratch:
            if options.rtl:
                for how in options.weights:
                    simulate(name, how, rows, options.rtl_samples, Path(scratch))
            else:
                measure(name, CASES[name], rows, options, Path(scratch))
        mine = {metric.name for metric in rows}
        old = kept(options.out, lambda metric, mine=mine: metric.name in mine)
        write_metrics(options.out, [*old, *rows])


if __name__ == "__main__":
    main()
