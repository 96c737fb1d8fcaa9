"""The encoder's network in da4ml, run on request: a program for the environment of the baselines.

``python da4ml_network.py NETWORK.npz`` traces the network that `benchmarks.models` wrote, answers with one line of
JSON, and then runs da4ml's interpreter for every line it reads: ``chip`` or ``exact``, with a blank and a file name
behind it where the latents are wanted. Each answer is one line of JSON.

Two networks are traced from the same weights. *chip* floors each product as the chip does, so da4ml may share only
products of equal weights. *exact* keeps products whole, which lets da4ml do what it is made for: a matrix of
constants as a common graph of shifts and additions (distributed arithmetic).
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from da4ml import __version__
from da4ml.trace import FixedVariable, FixedVariableArray, HWConfig, comb_trace

HARDWARE = HWConfig(1, -1, -1)


def trace(network, exact: bool):  # type: ignore[no-untyped-def]
    """Combinational logic from 48 pixels to the latents.

    Parameters
    ----------
    network : mapping
        ``positions``, ``taps`` (rows of position, cell, kernel tap), ``kernel`` (tap, filter), ``kernel_bias``,
        ``dense`` (activation, latent), ``dense_bias`` as integer codes; ``weight_fraction``; ``pixel``, ``activation``
        and ``latent`` as (integer bits, fraction bits); ``product_fraction`` (convolution, dense). Results are
        stored by truncation and clipped to their range.
    exact : bool
        Keep products whole.
    """
    scale = 2.0 ** -float(network["weight_fraction"])
    kernel, kernel_bias = network["kernel"] * scale, network["kernel_bias"] * scale
    dense, dense_bias = network["dense"] * scale, network["dense_bias"] * scale
    conv_fraction, dense_fraction = (int(v) for v in network["product_fraction"])
    cells = np.full(48, int(network["pixel"][0])), np.full(48, int(network["pixel"][1]))
    pixels = FixedVariableArray.from_kif(np.zeros(48, int), *cells, HARDWARE)
    inputs = pixels.quantize(0, *cells)
    layers = []
    taps = network["taps"]
    for position in range(int(network["positions"])):
        _, seen, tap = taps[taps[:, 0] == position].T
        layers.append(_layer(inputs[seen], kernel[tap], kernel_bias, None if exact else conv_fraction))
    sums = np.concatenate(layers)
    activations = _rectify(sums, *(int(v) for v in network["activation"]))
    result = _layer(activations, dense, dense_bias, None if exact else dense_fraction)
    return comb_trace(pixels, _rectify(result, *(int(v) for v in network["latent"])))


def _layer(values, matrix, bias, fraction):  # type: ignore[no-untyped-def]
    """Matrix product and bias; with a fraction each product is floored to it."""
    if len(values) == 0:
        constants = [FixedVariable.from_const(float(b), HARDWARE, 1) for b in bias]
        return FixedVariableArray(np.array(constants, object))
    if fraction is None:
        return values @ matrix + bias
    columns = [[FixedVariable.from_const(float(b), HARDWARE, 1)] for b in bias]
    for value, row in zip(values, matrix, strict=True):
        products = {w: (value * w).quantize(1, 4, fraction) for w in set(row.tolist()) if w}
        for column, w in zip(columns, row.tolist(), strict=True):
            if w:
                column.append(products[w])
    return FixedVariableArray(np.array([np.sum(FixedVariableArray(np.array(c, object))) for c in columns], object))


def _rectify(sums, integer: int, fraction: int):  # type: ignore[no-untyped-def]
    return sums.relu().quantize(0, integer, fraction, "SAT", "TRN")


def main() -> None:
    """Trace, build, then serve requests until the input ends."""
    network = np.load(Path(sys.argv[1]))
    pixels = network["pixels"] * 2.0 ** -float(network["pixel"][1])
    threads = len(os.sched_getaffinity(0))
    report: dict[str, object] = {"version": __version__, "threads": threads}
    logics = {}
    for name in ("chip", "exact"):
        start = time.perf_counter()
        logics[name] = trace(network, name == "exact")
        report[name] = {"operations": len(logics[name].ops), "trace_s": time.perf_counter() - start}
    print(json.dumps(report), flush=True)
    for line in sys.stdin:
        name, _, file = line.strip().partition(" ")
        start = time.perf_counter()
        latents = logics[name].predict(pixels, threads)
        seconds = time.perf_counter() - start
        if file:
            np.save(file, latents * 2.0 ** float(network["latent"][1]))
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
