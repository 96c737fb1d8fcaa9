"""A network behind I2C in native simulation: samples stream while the bus works."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flows.simulation.i2c_bus import SimulatedBus
from flows.simulation.native import NativeModel, build_native
from flows.simulation.network import packed, unpacked
from hw.common.export import to_verilog
from hw.common.scheme import Scheme
from hw.network.network import output_port
from hw.network.network_chip import NetworkChip, error_counters
from sim.chip_registers import Loading
from sim.fixed_point import IntArray
from sim.network.driver import NetworkDriver
from sim.network.spec import NetworkSpec

__all__ = ["NetworkChipBench", "NetworkChipModel"]


class NetworkChipModel(SimulatedBus):
    """A simulated chip with its bus; one output, a sample in every clock.

    Parameters
    ----------
    model : NativeModel
    bench : NetworkChipBench
    samples : ndarray of int64, shape (n, elements)
        Come in turn, again and again.

    Attributes
    ----------
    fed, seen : list of ndarray of int64
        Numbers of the samples that went in, and codes that the pins showed in the same clocks.
    """

    def __init__(self, model: NativeModel, bench: NetworkChipBench, samples: IntArray) -> None:
        super().__init__(model)
        self.bench = bench
        self._rows = packed(samples, bench.spec.input)
        self.fed: list[IntArray] = []
        self.seen: list[IntArray] = []

    @property
    def clocks(self) -> int:
        """Clocks so far."""
        return sum(map(len, self.fed))

    def run(self, scl: npt.ArrayLike, sda: npt.ArrayLike) -> npt.NDArray[np.int64]:
        numbers = np.arange(self.clocks, self.clocks + np.size(scl)) % len(self._rows)
        response = self.model.run({"x": self._rows[numbers], "scl": np.asarray(scl), "sda": np.asarray(sda)})
        (name,) = self.bench.spec.outputs
        tensor = self.bench.spec.tensors[name]
        values = response[output_port(self.bench.spec, name)]
        if values.ndim == 1:  # up to 62 bits
            values = np.stack([values & 0xFFFF_FFFF, values >> 32], axis=1)
        self.fed.append(numbers)
        self.seen.append(unpacked(values, tensor.form, tensor.size))
        return response["sda_low"]

    def driver(self, burst: int = 32) -> NetworkDriver:
        """Driver of this chip."""
        bench = self.bench
        return NetworkDriver(self, bench.spec, bench.loading, counters=error_counters(bench.scheme), burst=burst)

    def streamed(self) -> tuple[IntArray, IntArray]:
        """Numbers of the samples so far and their codes, the latency taken out."""
        late = self.bench.latency
        return np.concatenate(self.fed)[:-late], np.concatenate(self.seen)[late:]


class NetworkChipBench:
    """A chip, compiled once.

    Parameters
    ----------
    spec : NetworkSpec
        With one output.
    scheme : Scheme
    loading : Loading
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, spec: NetworkSpec, scheme: Scheme, loading: Loading, timeout_s: float = 900.0) -> None:
        if len(spec.outputs) > 1:
            raise ValueError(f"{spec.name}: expected one output, got {len(spec.outputs)}")
        chip = NetworkChip(spec=spec, scheme=scheme, loading=loading)
        self.spec, self.scheme, self.loading, self.latency = spec, scheme, loading, chip.latency
        self.library, self.ports = build_native(
            to_verilog(chip, spec.name), spec.name, clock="clk", timeout_s=timeout_s
        )

    def model(self, samples: IntArray, seed: int = 1) -> NetworkChipModel:
        """A fresh chip after its reset."""
        return NetworkChipModel(NativeModel(self.library, self.ports, "clk", seed), self, samples)
