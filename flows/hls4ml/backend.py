"""The backend that hls4ml calls: its conversion flow, and compile, predict, trace, write and build of a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from hls4ml.backends.backend import Backend
from hls4ml.backends.fpga.fpga_backend import FPGABackend
from hls4ml.model.attributes import ChoiceAttribute, ConfigurableAttribute, TypeAttribute
from hls4ml.model.flow import get_flow, register_flow
from hls4ml.model.layers import (
    Activation,
    BatchNormalization,
    Conv1D,
    Conv2D,
    Dense,
    GlobalPooling1D,
    GlobalPooling2D,
    Layer,
    Pooling1D,
    Pooling2D,
    Softmax,
)
from hls4ml.model.optimizer import layer_optimizer, model_optimizer

from flows.hls4ml.lower import lower
from hw.network.plan import MOST_REUSE
from sim.network.spec import INPUT
from sim.network.weights import NetworkWeights

__all__ = ["NAME", "LiquidcalBackend", "network_of", "reuse_of", "trace"]

NAME = "Liquidcal"
"""What ``backend=`` of hls4ml's converters takes, in any case of letters."""

DROPPED_PASSES = ("merge_linear_activation",)
"""Of hls4ml's own conversion: it drops a quantiser after a layer whose result type is ``auto``."""
_ATTRIBUTE = "liquidcal_network"
_WEIGHTED = (Dense, Conv1D, Conv2D, BatchNormalization)
"""Layers whose multipliers are reused."""


class LiquidcalBackend(Backend):  # type: ignore[misc]
    """Networks as verified hardware on open cell libraries.

    Not an `FPGABackend`: that brings passes which write C++, one of which asserts the names of built-in backends. What
    is the same for every backend (reading precisions, making layer classes) is taken from it.
    """

    convert_precision_string = FPGABackend.convert_precision_string
    _convert_ap_type = FPGABackend._convert_ap_type
    _convert_ac_type = FPGABackend._convert_ac_type
    _convert_auto_type = FPGABackend._convert_auto_type
    _convert_standard_float_type = FPGABackend._convert_standard_float_type
    _convert_ac_float_type = FPGABackend._convert_ac_float_type
    create_layer_class = FPGABackend.create_layer_class

    _SUMMING: ClassVar = (Dense, Conv1D, Conv2D, Pooling1D, Pooling2D, GlobalPooling1D, GlobalPooling2D)

    def __init__(self) -> None:
        super().__init__(NAME)
        self.attribute_map: dict[type, list[Any]] = {layer: [TypeAttribute("accum")] for layer in self._SUMMING}
        for layer in (*self._SUMMING, BatchNormalization, Activation):
            attributes = self.attribute_map.setdefault(layer, [])
            attributes.append(ConfigurableAttribute("reuse_factor", default=1))
        self.attribute_map[Softmax] = [
            ChoiceAttribute("implementation", ["latency", "stable", "argmax", "legacy"], default="stable"),
            ConfigurableAttribute("skip", value_type=bool, default=False),
        ]
        kept = [name for name in get_flow("convert").optimizers if name not in DROPPED_PASSES]
        convert = register_flow("convert", kept, requires=["parse_qonnx"], backend=NAME)
        initialise = register_flow("init_layers", self._get_layer_initializers(), requires=[convert], backend=NAME)
        self._flow = register_flow("lower", [f"{NAME.lower()}:lower_graph"], requires=[initialise], backend=NAME)

    # --- conversion -------------------------------------------------------------------------------------------------

    def create_initial_config(self, clock_period: float | None = 25.0, **_: Any) -> dict[str, Any]:
        """Configuration of a graph before its own is read.

        Parameters
        ----------
        clock_period : float
            Nanoseconds.
        """
        return {"ClockPeriod": clock_period or 25.0, "IOType": "io_parallel", "HLSConfig": {}}

    def get_default_flow(self) -> str:
        """Name of the flow that ends with the network."""
        return str(self._flow)

    @layer_optimizer(Layer)  # type: ignore[untyped-decorator]
    def check_reuse(self, layer: Any) -> None:
        """One factor for all layers with weights: the first says which, `reuse_of`."""
        if not isinstance(layer, _WEIGHTED):
            return
        factor = int(layer.get_attr("reuse_factor", 1) or 1)
        if not 1 <= factor <= MOST_REUSE:
            raise ValueError(f"layer {layer.name}: expected a reuse factor of 1 to {MOST_REUSE}, got {factor}")
        first = next(other for other in layer.model.get_layers() if isinstance(other, _WEIGHTED))
        if factor != (common := int(first.get_attr("reuse_factor", 1) or 1)):
            raise ValueError(
                f"layer {layer.name}: expected one reuse factor for all layers, that of {first.name}, {common}, "
                f"got {factor}"
            )

    @model_optimizer()  # type: ignore[untyped-decorator]
    def lower_graph(self, model: Any) -> None:
        """The graph as a network, refused here if a layer is not exact."""
        setattr(model, _ATTRIBUTE, lower(model))

    # --- what ModelGraph hands over ---------------------------------------------------------------------------------

    def compile(self, model: Any) -> None:
        """The golden model is the compiled network: nothing is built.

        hls4ml opens what is returned as a library, and with None the running program, which does no harm.
        """
        setattr(model, _ATTRIBUTE, lower(model))

    def predict(self, model: Any, x: npt.NDArray[Any]) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
        """Real outputs of real inputs by the golden model, in the shapes of `ModelGraph.predict`.

        Raises
        ------
        ValueError
            If the input has another shape or is not finite.
        """
        from sim.network.model import Network  # numba: not at every import of hls4ml

        network = Network(network_of(model))
        rows = x.reshape(-1, network.spec.tensors[INPUT].size)
        values = network.predict(rows).astype(x.dtype)
        sizes = [network.spec.tensors[name].size for name in network.spec.outputs]
        parts = np.split(values, np.cumsum(sizes)[:-1], axis=1)
        parts = [part[0] for part in parts] if len(rows) == 1 else parts
        return parts if len(parts) > 1 else parts[0]

    def write(self, model: Any) -> None:
        """Everything a chip integrator needs, in the output folder of the configuration; see `flows.hls4ml.writer`."""
        from flows.hls4ml.writer import write

        write(network_of(model), Path(model.config.get_output_dir()), reuse=reuse_of(model))

    def build(self, model: Any, **options: Any) -> dict[str, Any]:
        """Synthesis, timing, power and verification; see `flows.hls4ml.build.build` for options and keys."""
        from flows.hls4ml.build import build

        options.setdefault("reuse", 1 if options.get("frozen") else reuse_of(model))
        return build(network_of(model), Path(model.config.get_output_dir()), **options)


def network_of(model: Any) -> NetworkWeights:
    """Network and weights of a graph that was converted for this backend.

    Raises
    ------
    ValueError
        If the graph is of another backend.
    """
    found = getattr(model, _ATTRIBUTE, None)
    if not isinstance(found, NetworkWeights):
        raise ValueError(
            f"expected a graph that was converted with backend={NAME!r}, got one of {model.config.backend.name}"
        )
    return found


def reuse_of(model: Any) -> int:
    """The reuse factor that all layers with weights of a graph have; 1 without any."""
    layers = [layer for layer in model.get_layers() if isinstance(layer, _WEIGHTED)]
    return int(layers[0].get_attr("reuse_factor", 1) or 1) if layers else 1


def trace(model: Any, x: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
    """Values of every node, by name: what `ModelGraph.trace` cannot hand over.

    Parameters
    ----------
    model : ModelGraph
    x : array_like of float, shape (n, *input_shape)
    """
    from sim.network.model import Network

    network = Network(network_of(model))
    codes = network.trace(network.encode(np.asarray(x, np.float64).reshape(-1, network.spec.tensors[INPUT].size)))
    return {name: network.spec.tensors[name].form.decode(values) for name, values in codes.items()}
