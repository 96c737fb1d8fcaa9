"""hls4ml's own C++ of a network (backend Vitis), compiled with g++: what our golden model answers to."""

from __future__ import annotations

import copy
import ctypes
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from flows.common.content_cache import cache_directory
from flows.learning.legacy_keras import import_hls4ml, legacy_keras

__all__ = ["compile_once", "config_by_name", "convert", "hls4ml_with_backend", "with_backend"]

PROJECT = "net"


def hls4ml_with_backend() -> Any:
    """hls4ml beside QKeras, which knows our backend also where liquidcal was installed before it had one."""
    return with_backend(import_hls4ml())


def with_backend(hls4ml: Any) -> Any:
    """An imported hls4ml that knows our backend."""
    from flows.hls4ml.backend import NAME
    from flows.hls4ml.plugin import register

    if NAME.lower() not in hls4ml.backends.get_available_backends():
        from hls4ml.backends import register_backend
        from hls4ml.writer.writers import register_writer

        register(register_backend, register_writer)
    return hls4ml


def config_by_name(model: Any, precision: str, *, auto: bool = False) -> dict[str, Any]:
    """Configuration of a model layer by layer, softmax left out.

    Parameters
    ----------
    model : Keras model
    precision : str
        Default type.
    auto : bool
        Keep types that hls4ml infers; otherwise each of them is the default type. hls4ml's own flow drops a quantiser
        behind a layer of an inferred type, so its C++ has one arithmetic with ours only where none is inferred.
    """
    with legacy_keras():
        config: dict[str, Any] = import_hls4ml().utils.config_from_keras_model(
            model, granularity="name", default_precision=precision, backend="Vitis"
        )
    config["Model"]["Strategy"] = "Latency"
    for layer in config["LayerName"].values():
        layer.pop("Strategy", None)
        if "Implementation" in layer:
            layer["Skip"] = True
        for role, found in layer["Precision"].items() if isinstance(layer.get("Precision"), dict) else ():
            if found == "auto" and not auto:
                layer["Precision"][role] = precision
    return config


def convert(model: Any, config: dict[str, Any], backend: str, folder: Path) -> Any:
    """A model, or a pair of files (architecture as JSON, weights as HDF5), as a graph of a backend."""
    hls4ml = hls4ml_with_backend()
    more = {"io_type": "io_parallel", "write_weights_txt": False} if backend == "Vitis" else {}
    if not isinstance(model, tuple):
        return hls4ml.converters.convert_from_keras_model(
            model, hls_config=copy.deepcopy(config), backend=backend, output_dir=str(folder), project_name=PROJECT,
            **more,
        )  # fmt: skip
    from hls4ml.converters.keras_v2_to_hls import keras_v2_to_hls
    from hls4ml.utils.config import create_config

    made = create_config(output_dir=str(folder), project_name=PROJECT, backend=backend, **more)
    made |= {"KerasJson": str(model[0]), "KerasH5": str(model[1]), "HLSConfig": copy.deepcopy(config)}
    return keras_v2_to_hls(made)


def compile_once(graph: Any, optimise: str = "-O1") -> None:
    """Compile the C++ of a graph, or open the library that the same sources gave before.

    Parameters
    ----------
    graph : ModelGraph
        Of the backend Vitis.
    optimise : str
        Of g++, in place of hls4ml's ``-O3``, which takes minutes where weights are thousands.
    """
    graph.write()
    folder = Path(graph.config.get_output_dir())
    stamp = graph.config.get_config_value("Stamp")
    script = folder / "build_lib.sh"
    script.write_text(script.read_text().replace("-O3", optimise))
    sources = [path for path in sorted((folder / "firmware").rglob("*")) if path.suffix in (".cpp", ".h")]
    text = b"".join(
        path.read_bytes() for path in [*sources, folder / f"{PROJECT}_bridge.cpp"] if "nnet" not in path.name
    )
    key = sha256(text.replace(stamp.encode(), b"") + optimise.encode()).hexdigest()
    kept = cache_directory() / "hls4ml" / f"{key}.so"
    if not kept.is_file():
        library = graph.config.backend.compile(graph)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, kept)
    graph._top_function_lib = ctypes.cdll.LoadLibrary(str(kept))
