"""Inferences per second of the golden model and of its baselines, in one run: ``python -m benchmarks.models``.

Engines take turns, round by round, because other processes disturb a shared machine; each figure is the median over
the rounds, each ratio the median of the rounds' ratios. Before anything is timed, every engine computes the same images
and its codes are compared: a baseline whose arithmetic can be told to equal the chip's must agree on every code, or the
run fails.

Baselines, all with the same random weights on the same images:

* hls4ml, C simulation: the C++ of its Vitis back end, compiled with g++, through ``hls_model.predict``.
* da4ml: its compiled interpreter on all cores, once with each product floored as on the chip, once with whole products,
  which is what it is made for. It runs in an environment of its own (`scripts/bench.sh`), left out with ``--no-da4ml``.
* Keras: the network in floating point, as a user would train it; fast, and not the chip's results.

hls4ml, da4ml and Keras start from normalised pixels; the golden model also normalises, which its figures include.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numba
import numpy as np

from benchmarks.baselines.da4ml_arrays import network_arrays
from benchmarks.baselines.keras_network import keras_model
from benchmarks.measured import LIQUIDCAL, RESULTS, Baseline, Rows, baseline_python
from flows.common.metrics import package_version, write_metrics
from flows.learning.conversion import Hls4mlNetwork
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.normalise import normalise
from sim.hgcal_encoder.spec import CELLS, ECON_T, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import pack

RESULT = RESULTS / "models.json"


@dataclass
class Engine:
    """Something that computes `count` inferences per call.

    Attributes
    ----------
    name : str
        Modifiers of its metric.
    method : str
        What one call does.
    run : callable
        One call; returns seconds that passed, seconds of processor time (None where another process works).
    """

    name: str
    tool: str
    version: str
    count: int
    method: str
    run: Callable[[], tuple[float, float | None]]
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Time one call."""
        wall, processor = self.run()
        self.wall.append(self.count / wall)
        if processor is not None:
            self.processor.append(self.count / processor)


def timed(call: Callable[[], Any]) -> Callable[[], tuple[float, float | None]]:
    """A call as `Engine.run`."""

    def run() -> tuple[float, float | None]:
        wall, processor = time.perf_counter(), time.process_time()
        call()
        return time.perf_counter() - wall, time.process_time() - processor

    return run


def with_threads(threads: int, call: Callable[[], Any]) -> Callable[[], Any]:
    """The call with that many threads of numba."""

    def run() -> Any:
        numba.set_num_threads(threads)
        return call()

    return run


class Da4ml:
    """The baseline process in its own environment; see `baselines/da4ml_network.py`."""

    def __init__(self, python: Path, weights: Weights, pixels: np.ndarray, folder: Path) -> None:
        network = folder / "network.npz"
        np.savez(network, **network_arrays(weights, pixels))
        self.folder = folder
        self.process = Baseline(python, "da4ml_network.py", network)
        self.about = self.process.about

    def latents(self, engine: str) -> np.ndarray:
        """Codes that an engine computes."""
        file = self.folder / f"{engine}.npy"
        self.process.ask(f"{engine} {file}")
        return np.load(file)

    def timed(self, engine: str) -> Callable[[], tuple[float, float | None]]:
        """One call of an engine, timed inside its process."""
        return lambda: (self.process.ask(engine)["seconds"], None)


def exact_products(spec: EncoderSpec) -> EncoderSpec:
    """The same network with products kept whole."""
    return replace(
        spec,
        name=f"{spec.name}_exact",
        conv_product_fraction=spec.pixel.fraction + spec.weight.fraction,
        dense_product_fraction=spec.activation.fraction + spec.weight.fraction,
    )


def random_words(count: int, rng: np.random.Generator) -> np.ndarray:
    """eRx words with one cell in three above zero, charges spread evenly over the 4E3M codes."""
    codes = np.where(rng.random((count, CELLS)) < 1 / 3, rng.integers(1, 128, (count, CELLS)), 0)
    return pack(codes, ECON_T.word_order)


def main() -> None:
    """Build, compare, time, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-da4ml", action="store_true", help="leave da4ml out")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    python = None if options.no_da4ml else baseline_python("baselines")
    rng = np.random.default_rng(20260101)
    spec = ECON_T
    weights = Weights.random(spec, rng)
    exact = exact_products(spec)
    load_before = os.getloadavg()
    print("load average at the start: {:.2f} {:.2f} {:.2f}".format(*load_before))

    many = random_words(131_072, rng)
    fast, plain = Encoder(spec, weights, engine="numba"), Encoder(spec, weights)
    charges = np.concatenate([plain.trace(part).charges for part in np.array_split(many, 32)])
    few, some = many[:2_048], charges[:2_048]
    images = charges[:4_096]
    pixels = normalise(images, spec.pixel)[1]
    expected = plain.latents(images)
    whole = Encoder(exact, Weights.from_codes(weights.to_codes(), exact)).latents(images)
    compared: dict[str, int] = {}

    def same(name: str, found: np.ndarray, wanted: np.ndarray) -> None:
        wrong = int((found != wanted).sum())
        compared[name] = wanted.size
        print(f"{name}: {wanted.size:,} codes, {wrong} differ")
        if wrong or found.shape != wanted.shape:
            sys.exit(f"benchmarks.models: {name} does not compute what the golden model computes")

    same("numba, latents", fast.latents(images), expected)
    same("numba, frames", fast.frames(few), plain.frames(few))
    words, latents = "words_to_frames", "charges_to_latents"
    engines = [
        *(
            Engine(f"engine:numba__threads:{n}__path:{latents}", "liquidcal", LIQUIDCAL, len(charges),
                   f"golden model, compiled, {n} thread{'s' * (n > 1)}: charges to latents",
                   timed(with_threads(n, lambda: fast.latents(charges))))
            for n in (1, 2)
        ),
        Engine(f"engine:numba__threads:2__path:{words}", "liquidcal", LIQUIDCAL, len(many),
               "golden model, compiled, 2 threads: eRx words to eTx words",
               timed(with_threads(2, lambda: fast.frames(many)))),
        Engine(f"engine:numpy__path:{latents}", "liquidcal", LIQUIDCAL, len(some),
               "golden model, plain NumPy: charges to latents", timed(lambda: plain.latents(some))),
        Engine(f"engine:numpy__path:{words}", "liquidcal", LIQUIDCAL, len(few),
               "golden model, plain NumPy: eRx words to eTx words", timed(lambda: plain.frames(few))),
    ]  # fmt: skip

    with tempfile.TemporaryDirectory(prefix="liquidcal-bench-") as scratch:
        folder = Path(scratch)
        hls = Hls4mlNetwork(weights, folder / "hls4ml")
        same("hls4ml", hls.latents(to_grid(pixels, spec)), expected)
        reals = hls.pixels(to_grid(pixels, spec))
        engines.append(
            Engine("engine:hls4ml__path:pixels_to_latents", "hls4ml", package_version("hls4ml"), len(reals),
                   "hls4ml C simulation (g++ -O3), chip arithmetic, 1 thread: pixels to latents",
                   timed(lambda: hls.predict(reals)))
        )  # fmt: skip
        import tensorflow as tf

        network = tf.function(keras_model(weights), jit_compile=False)
        batch = tf.constant(np.repeat(reals, 4, axis=0))
        network(batch)
        engines.append(
            Engine("engine:keras__path:pixels_to_latents", "TensorFlow", package_version("tensorflow"),
                   len(batch), "Keras in float32 (not the chip's results), all cores: pixels to latents",
                   timed(lambda: network(batch).numpy()))
        )  # fmt: skip
        da4ml = None
        if python is not None:
            da4ml = Da4ml(python, weights, pixels, folder)
            threads = da4ml.about["threads"]
            for kind, products, wanted in (("chip", "chip arithmetic", expected), ("exact", "whole products", whole)):
                same(f"da4ml, {products}", da4ml.latents(kind), wanted)
                engines.append(
                    Engine(f"engine:da4ml__products:{kind}__path:pixels_to_latents", "da4ml", da4ml.about["version"],
                           len(pixels), f"da4ml interpreter, {products}, {threads} threads: pixels to latents",
                           da4ml.timed(kind))
                )  # fmt: skip
        for engine in engines:
            engine.run()
        for _ in range(options.rounds):
            for engine in engines:
                engine.measure()
        if da4ml is not None:
            da4ml.process.close()
    load_after = os.getloadavg()
    print("load average at the end: {:.2f} {:.2f} {:.2f}".format(*load_after))

    write(options.out, engines, sum(compared.values()), float((whole != expected).mean()), load_before, load_after)
    print(f"wrote {os.path.relpath(options.out)}")


def write(
    out: Path,
    engines: list[Engine],
    compared: int,
    changed: float,
    load_before: tuple[float, ...],
    load_after: tuple[float, ...],
) -> None:
    """Print the figures and write them as metrics."""
    rows = Rows("make bench", version=LIQUIDCAL)
    add = rows.add

    by_name = {engine.name: engine for engine in engines}
    two, one = (by_name[f"engine:numba__threads:{n}__path:charges_to_latents"] for n in (2, 1))
    hls4ml = by_name["engine:hls4ml__path:pixels_to_latents"]
    baselines = [engine for engine in engines if engine.tool != "liquidcal"]
    for engine in engines:
        rate = round(statistics.median(engine.wall))
        add(f"model__throughput__{engine.name}", rate, "inferences/s", engine.method, engine.tool, engine.version)
    for engine in baselines:
        ratio = round(statistics.median(a / b for a, b in zip(two.wall, engine.wall, strict=True)), 2)
        what = engine.method.partition(":")[0]
        add(f"model__speedup__{engine.name}", ratio, "x", f"golden model, compiled, 2 threads, over {what}")
    for engine in (one, two, hls4ml):
        rate = round(statistics.median(engine.processor))
        method = f"{engine.method}; per second of processor time, which other jobs disturb less"
        add(
            f"model__throughput__clock:processor__{engine.name}",
            rate,
            "inferences/s",
            method,
            engine.tool,
            engine.version,
        )
    ratio = round(statistics.median(a / b for a, b in zip(one.processor, hls4ml.processor, strict=True)), 2)
    method = "golden model, compiled, 1 thread, over hls4ml C simulation; by processor time"
    add("model__speedup__clock:processor__engine:hls4ml", ratio, "x", method)
    method = "codes of the engines above except Keras that were compared in the same run; all equal the golden model's"
    add("model__codes_compared", compared, "codes", method)
    method = "latent codes that change if products are kept whole instead of floored one by one (random weights)"
    add("model__product_rule__codes_changed", round(100 * changed, 2), "%", method)
    for when, load in (("start", load_before), ("end", load_after)):
        rows.add_load(f"machine__load_average__{when}", load[0], when)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_metrics(out, rows)


if __name__ == "__main__":
    main()
