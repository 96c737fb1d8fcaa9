"""The liquid in snnTorch and SpikingJelly, run on request: a program for the environment of the spiking baselines.

``python spiking_network.py LIQUID.npz`` loads the liquid that `benchmarks.liquid_speed` wrote, answers with one line of
JSON, and then runs an engine for every line it reads: ``snntorch`` or ``spikingjelly``, with a blank and a file name
behind it where the spikes are wanted. Each answer is one line of JSON.

Both run the liquid in 32-bit floating point, without gradients, as their tutorials write a recurrent layer: a linear
layer and the library's neurons, step after step, samples in batches. Input currents are computed step by step or for
all steps at once. This choice, threads and batch size are those that are fastest.
"""

import importlib.metadata
import itertools
import json
import os
import sys
import time

import numpy as np
import snntorch
import torch
from spikingjelly.activation_based import functional, neuron


class Liquid(torch.nn.Module):
    """Weights, and the neurons of one of the two libraries."""

    def __init__(self, engine: str, liquid) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.engine = engine
        count = liquid["input_weights"].shape[1]
        self.into = _linear(liquid["input_weights"])
        self.recurrent = _linear(liquid["recurrent_weights"])
        self.count = count
        decay, threshold = float(liquid["decay"]), float(liquid["threshold"])
        if engine == "snntorch":
            # spikes where the potential exceeds the threshold, and resets within the step
            self.neurons = snntorch.RLeaky(
                beta=decay, threshold=threshold, linear_features=count, reset_mechanism="zero", reset_delay=False
            )
            self.neurons.recurrent = self.recurrent
        else:
            # spikes where the potential reaches the threshold; v <- v * (1 - 1/tau) + input
            just_above = np.nextafter(np.float32(threshold), np.float32(np.inf)).item()
            self.neurons = neuron.LIFNode(
                tau=1 / (1 - decay), decay_input=False, v_threshold=just_above, v_reset=0.0, step_mode="s"
            )

    @torch.no_grad()
    def forward(self, inputs: torch.Tensor, at_once: bool) -> torch.Tensor:
        """Spikes of shape (steps, batch, neurons) for inputs of shape (steps, batch, channels)."""
        currents = self.into(inputs) if at_once else None
        spikes = torch.zeros(inputs.shape[1], self.count)
        membrane = torch.zeros_like(spikes)
        recorded = []
        if self.engine == "spikingjelly":
            functional.reset_net(self.neurons)
        for step in range(inputs.shape[0]):
            current = self.into(inputs[step]) if currents is None else currents[step]
            if self.engine == "snntorch":
                spikes, membrane = self.neurons(current, spikes, membrane)
            else:
                spikes = self.neurons(current + self.recurrent(spikes))
            recorded.append(spikes)
        return torch.stack(recorded)


def _linear(weights: np.ndarray) -> torch.nn.Linear:
    layer = torch.nn.Linear(*weights.shape, bias=False)
    layer.weight = torch.nn.Parameter(torch.from_numpy(weights.T.astype(np.float32).copy()), requires_grad=False)
    return layer


def main() -> None:
    """Load, answer, run on request."""
    liquid = np.load(sys.argv[1])
    inputs = torch.from_numpy(liquid["inputs"].astype(np.float32).swapaxes(0, 1).copy())
    engines = {name: Liquid(name, liquid) for name in ("snntorch", "spikingjelly")}
    samples = inputs.shape[1]

    def run(name: str, threads: int, batch: int, at_once: bool) -> torch.Tensor:
        torch.set_num_threads(threads)
        return torch.cat([engines[name](inputs[:, i : i + batch], at_once) for i in range(0, samples, batch)], 1)

    # every baseline runs in the form that suits it best on this machine
    best = {}
    for name in engines:
        run(name, 1, samples, False)
        seconds: dict[tuple[int, int, bool], float] = {}
        batches = {min(batch, samples) for batch in (100, 200, 400, 1000)}
        for form in itertools.product({1, os.cpu_count() or 1}, batches, (False, True)):
            for _ in range(2):
                start = time.perf_counter()
                run(name, *form)
                seconds[form] = min(seconds.get(form, np.inf), time.perf_counter() - start)
        best[name] = min(seconds, key=seconds.__getitem__)
    about = {
        "torch": torch.__version__,
        "snntorch": snntorch.__version__,
        "spikingjelly": importlib.metadata.version("spikingjelly"),
        "threads": {name: threads for name, (threads, _, _) in best.items()},
        "batch": {name: batch for name, (_, batch, _) in best.items()},
        "at_once": {name: at_once for name, (_, _, at_once) in best.items()},
    }
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        name, _, file = line.strip().partition(" ")
        start, processor = time.perf_counter(), time.process_time()
        spikes = run(name, *best[name])
        answer = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - processor}
        if file:
            np.save(file, spikes.numpy().swapaxes(0, 1) > 0)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
