"""Area of the network with constant weights beside da4ml's: ``python -m benchmarks.frozen``.

Pixels to latents of one trained model, combinational, onto NanGate 45 by one recipe, in two arithmetics: each product
floored as on the chip, and whole products, which is what da4ml is made for. Every mapped netlist, the baseline's too,
is simulated gate by gate and has to give the golden model's latents. da4ml runs in an environment of its own
(`scripts/bench.sh` makes it). Arithmetics that are not asked for stay in the results.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.baselines.da4ml_arrays import network_arrays
from benchmarks.measured import RESULTS, Baseline, baseline_python, kept
from flows.common.metrics import Metric, write_metrics
from flows.designs.frozen import KEEP
from flows.learning.conversion import sample_pixels, trace_model
from flows.library.catalogue import cell_library
from flows.library.library import CellLibrary
from flows.library.power_library import read_power_library
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.netlist.netlist import read_netlist
from flows.synthesis.result import SynthesisResult
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil
from hw.hgcal_encoder.frozen_network import FrozenNetwork, FrozenWeights
from sim.hgcal_encoder.learning.decoder import shipped_models
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec
from sim.hgcal_encoder.weights import Weights

RESULT = RESULTS / "frozen.json"
IMAGES = 8192
ARITHMETICS = ("chip", "exact")


def arithmetic(name: str) -> EncoderSpec:
    """The chip's, or whole products whose sums are truncated and saturated as the chip's."""
    if name == "chip":
        return ECON_T
    fraction = ECON_T.activation.fraction + ECON_T.weight.fraction
    return replace(ECON_T, name="ECON_T_WHOLE", conv_product_fraction=fraction, dense_product_fraction=fraction)


def wrong_latents(
    result: SynthesisResult, library: CellLibrary, pixels: npt.NDArray[np.int64], weights: Weights
) -> int:
    """Latents of a mapped netlist that are not the golden model's; ports are one word in, one word out, or by name."""
    netlist = read_netlist(result.netlist_verilog, liberty=library.liberty)
    spec = weights.spec
    wanted = trace_model(weights, pixels).latents
    words = len(pixels) // 64
    simulator = GateSimulator(netlist, read_power_library(library.liberty), words=words)
    source, sink = ("model_inp", "model_out") if "model_inp" in netlist.ports else ("pixels", "latents")
    bits = (pixels[:, :, None] >> np.arange(spec.pixel.width) & 1).reshape(len(pixels), -1).T
    simulator.set_port(source, from_lanes(bits))
    simulator.settle()
    got = to_lanes(simulator.values[netlist.ports[sink].nets]).astype(np.int64)
    latents = np.tensordot(got.reshape(spec.latents, spec.latent.width, -1), 1 << np.arange(spec.latent.width), (1, 0))
    return int((wanted != latents.T).sum())


def measure(name: str, case: str, source: str, top: str, weights: Weights, note: str) -> list[Metric]:
    """Synthesise, simulate, report."""
    library = cell_library("nangate45")
    with tempfile.TemporaryDirectory(prefix="liquidcal-frozen-") as scratch:
        result = synthesise(
            source, top=top, library=library, out_dir=Path(scratch, "out"),
            command=f"python -m benchmarks.frozen --arithmetics {name}",
            # the baseline's adders are modules: flattened, or nothing would be shared over their borders
            flatten=("*",) if case.startswith("da4ml") else (), keep=KEEP,
        )  # fmt: skip
        return report(case, result, library, weights, note)


def report(case: str, result: SynthesisResult, library: CellLibrary, weights: Weights, note: str) -> list[Metric]:
    """Figures of a netlist, once it has given the golden model's latents."""
    pixels = sample_pixels(weights.spec, np.random.default_rng(20261123), IMAGES)
    if wrong := wrong_latents(result, library, pixels, weights):
        raise SystemExit(f"{case}: {wrong} of {IMAGES * weights.spec.latents} latents differ from the golden model's")
    area = next(metric for metric in result.metrics if metric.name == "design__instance__area")
    values: list[tuple[str, int | float, str]] = [
        ("design__instance__area", round(result.area_um2), "um2"),
        ("design__instance__area__gate_equivalent", round(result.gate_equivalents / 1000, 1), "kGE"),
        ("full_adders", int(result.values["design__instance__count__class:full_adder"]), ""),
        ("design__instance__count", int(result.values["design__instance__count"]), ""),
        ("latents_compared", IMAGES * weights.spec.latents, ""),
    ]
    method = f"{note}; recipe area; netlist simulated on {IMAGES} images, all latents equal the golden model's"
    return [
        replace(area, name=f"{what}__case:{case}", value=value, unit=unit, method=method)
        for what, value, unit in values
    ]


def baselines(python: Path, weights: Weights, folder: Path) -> dict[str, Any]:
    """Write da4ml's Verilog into a folder."""
    np.savez(folder / "network.npz", **network_arrays(weights, np.zeros((1, 48), np.int64)))
    with Baseline(python, "da4ml_verilog.py", folder / "network.npz", folder) as process:
        return process.about


def main() -> None:
    """Measure and write; cases that are not asked for stay in the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="econ_t_5elinks")
    parser.add_argument("--arithmetics", nargs="+", choices=ARITHMETICS, default=list(ARITHMETICS))
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    python = baseline_python("baselines")
    trained = Weights.load(shipped_models()[options.model], ECON_T)
    rows = {metric.name: metric for metric in kept(options.out, lambda _: False)}
    with tempfile.TemporaryDirectory(prefix="liquidcal-frozen-") as scratch:
        folder = Path(scratch)
        about = baselines(python, trained, folder)
        for name in options.arithmetics:
            spec = arithmetic(name)
            weights = Weights.from_codes(trained.to_codes(), spec)
            network = FrozenNetwork(spec=spec, weights=FrozenWeights.of(weights))
            ours = to_rtlil(network, "frozen_network")
            verilog = (folder / f"{name}.v").read_text()
            words = "each product floored" if name == "chip" else "whole products"
            for case, source, top, note in (
                (f"da4ml_{words.replace(' ', '_')}", verilog, "da4ml_network", f"da4ml {about['version']}, {words}"),
                (f"liquidcal_{words.replace(' ', '_')}", ours, "frozen_network", f"liquidcal, {words}"),
            ):
                new = measure(name, case, source, top, weights, note)
                rows |= {metric.name: metric for metric in new}
                print(case, *(f"{m.value} {m.unit}" for m in new), flush=True)
                if case.startswith("liquidcal"):
                    baseline = rows[new[0].name.replace("liquidcal", "da4ml")]
                    ratio = round(float(new[0].value) / float(baseline.value), 3)
                    ratio_name = f"area_over_da4ml__case:{case}"
                    rows[ratio_name] = replace(new[0], name=ratio_name, value=ratio, unit="")
                write_metrics(options.out, list(rows.values()))


if __name__ == "__main__":
    main()
