"""A network of one's own: from a trained matrix of numbers to RTL that equals its golden model.

Points in the plane lie on one of three rings. Eight planes and rectifiers make features of it, and
least squares finds the weights that tell the rings apart: training in ten lines of NumPy. Keras users let hls4ml do
this part (docs/guide/hls4ml.md).
"""

from pathlib import Path

import numpy as np

import liquidcal
from liquidcal import Dense, FixedPoint, NetworkSpec, NetworkWeights, Store

POINT = FixedPoint(width=7, fraction=4, signed=True, overflow="SAT")
WEIGHT = FixedPoint(width=6, fraction=4, signed=True, rounding="RND", overflow="SAT")
WHOLE = FixedPoint(width=18, fraction=8, signed=True)
FEATURE = FixedPoint(width=6, fraction=3, signed=False, rounding="RND", overflow="SAT")

SPEC = NetworkSpec(
    name="RINGS",
    input_shape=(2,),
    input=POINT,
    nodes={
        "hidden": Dense(inputs=("input",), units=8, weight=WEIGHT, bias=WEIGHT, accumulator=WHOLE, result=WHOLE),
        "feature": Store(inputs=("hidden",), result=FEATURE, relu=True),
        "score": Dense(inputs=("feature",), units=3, weight=WEIGHT, bias=WEIGHT, accumulator=WHOLE, result=WHOLE),
    },
    outputs=("score",),
)


def rings(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points, shape (count, 2), and the number of the ring that each is on."""
    ring = rng.integers(0, 3, count)
    angle, radius = rng.uniform(0, 2 * np.pi, count), 0.6 + 1.2 * ring + rng.normal(0, 0.2, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), ring


def train(rng: np.random.Generator) -> NetworkWeights:
    """Weights as codes: planes all around, then least squares on what the chip makes of them."""
    points, ring = rings(4000, rng)
    turn = np.arange(8) * np.pi / 4
    planes = WEIGHT.encode(np.stack([np.cos(turn), np.sin(turn)]))
    offsets = WEIGHT.encode(np.where(np.arange(8) % 2, -1.2, 0.0))
    zeros = {"score": np.zeros(24, int)}, {"score": np.zeros(3, int)}
    untrained = NetworkWeights(
        spec=SPEC, weights={"hidden": planes.ravel()} | zeros[0], biases={"hidden": offsets} | zeros[1]
    )
    network = liquidcal.Network(untrained)
    features = FEATURE.decode(network.trace(network.encode(points))["feature"])
    wanted = np.where(ring[:, None] == np.arange(3), 1.0, -1.0)
    design = np.column_stack([features, np.ones(len(features))])
    # a little damping keeps weights within six bits
    solved = np.linalg.solve(design.T @ design + 20 * np.eye(9), design.T @ wanted)
    return NetworkWeights(
        spec=SPEC,
        weights={"hidden": planes.ravel(), "score": WEIGHT.encode(solved[:-1]).ravel()},
        biases={"hidden": offsets, "score": WEIGHT.encode(solved[-1])},
    )


def main(folder: Path) -> float:
    """Train, measure, generate, verify; the share of points that the chip puts on the right ring."""
    rng = np.random.default_rng(1)
    weights = train(rng)
    points, ring = rings(2000, rng)
    right = float((liquidcal.Network(weights).predict(points).argmax(axis=1) == ring).mean())
    print(f"{100 * right:.1f} % of 2,000 new points on the right ring, in the arithmetic of the chip")
    folder.mkdir(exist_ok=True)
    weights.save(folder / "trained.npz")
    design = liquidcal.design(SPEC)
    files = design.generate(folder / "rtl", liquidcal.Journal(), liquidcal.FileOptions(weights=folder / "trained.npz"))
    print(f"{files.lines:,} lines of Verilog, results after {files.latency} clocks: {files.directory}")
    journal = liquidcal.Journal()
    options = liquidcal.VerificationOptions(crossings=2000, mutants=0, proofs=False, weights=folder / "trained.npz")
    liquidcal.VERIFICATION(design, folder / design.name, journal, options)
    if not journal.passed:
        raise SystemExit("the RTL differs from the golden model")
    return right


if __name__ == "__main__":
    main(Path("own_network"))
