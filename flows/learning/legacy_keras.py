"""Legacy Keras (Keras 2, the package ``tf_keras``) for QKeras and hls4ml, beside the Keras 3 of current TensorFlow.

QKeras 0.9 is made of Keras 2 layers, and hls4ml 1.3 reads models of either Keras. Three choices have to be made for
them, and each is made in one place here:

* TensorFlow gives ``tf.keras`` to Keras 3 unless ``TF_USE_LEGACY_KERAS=1`` is set. It reads the variable when it is
  imported and again when ``tf.keras`` is first used, so `import_tensorflow` sets it before both. The variable stays
  set: TensorFlow cannot change its choice within a process, and child processes are to make the same one.
* hls4ml does not look at the model: it asks the installed ``keras`` for its version, finds 3 and takes the parser that
  fails on QKeras layers. Within `legacy_keras` the name ``keras`` is ``tf_keras``; afterwards it is what it was.
* hls4ml's import registers its handlers of Keras 3 layers with the true ``keras``, so `import_hls4ml` runs outside of
  `legacy_keras`.

Keras 3 is installed beside all this and works in the same process. So does HGQ2 (0.2), whose models are Keras 3's, but
its wheel also brings a package ``qkeras`` that overwrites files of QKeras: beside QKeras it goes into a folder of its
own (``pip install --no-deps --target FOLDER HGQ2``, then ``rm -r FOLDER/qkeras``; ``PYTHONPATH=FOLDER``).
`import_qkeras` says so where it meets the mixture.

TensorFlow, Keras, QKeras and hls4ml (extra ``train``) are imported when used, never by this module's import.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["import_hls4ml", "import_qkeras", "import_tensorflow", "legacy_keras"]

_VARIABLE = "TF_USE_LEGACY_KERAS"
_OVERWRITTEN = (
    "the installed package qkeras is not QKeras 0.9: HGQ2 puts files of its own into it. "
    "Install QKeras again, and HGQ2 into a folder without its `qkeras`"
)
# names of modules belong to the whole process: one thread at a time may change what `keras` is
_LOCK = threading.RLock()


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = error.name or name
        if missing.startswith("qkeras."):
            raise ImportError(_OVERWRITTEN, name="qkeras") from error
        needed_by = "" if missing.partition(".")[0] == name else f" ({name} imports it)"
        raise ImportError(f"{missing} is missing{needed_by}: conversion needs liquidcal[train]", name=missing) from None


def import_tensorflow() -> ModuleType:
    """TensorFlow with ``tf.keras`` of Keras 2.

    Raises
    ------
    ImportError
        If TensorFlow or ``tf_keras`` is missing. Nothing is changed then.
    RuntimeError
        If this process uses ``tf.keras`` of Keras 3 already.
    """
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    # TensorFlow greets on standard error, where progress is shown
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        tensorflow = _imported("tensorflow")
        legacy = _imported("tf_keras")
        # two ways that TensorFlow resolves on its own: an attribute, and the import that QKeras uses
        for found in (tensorflow.keras, importlib.import_module("tensorflow.keras")):
            if found.layers.Layer is not legacy.layers.Layer:
                raise RuntimeError(
                    f"expected tf.keras of Keras 2, got {found.__version__}: TensorFlow was imported before, with "
                    f"Keras 3. Set {_VARIABLE}=1 before TensorFlow is imported, or use QKeras in a process of its own"
                )
    except BaseException:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before
        raise
    return tensorflow


def import_qkeras() -> ModuleType:
    """QKeras, on legacy Keras.

    Raises
    ------
    ImportError
        If QKeras, TensorFlow or ``tf_keras`` is missing.
    RuntimeError
        See `import_tensorflow`.
    """
    import_tensorflow()
    found = _imported("qkeras")
    if not hasattr(found, "QActivation"):
        raise ImportError(_OVERWRITTEN, name="qkeras")
    return found


def import_hls4ml() -> ModuleType:
    """hls4ml. What it does to a QKeras model belongs into `legacy_keras`.

    Raises
    ------
    ImportError
        If hls4ml, TensorFlow or ``tf_keras`` is missing.
    RuntimeError
        See `import_tensorflow`.
    """
    import_tensorflow()
    return _imported("hls4ml")


@contextmanager
def legacy_keras() -> Iterator[ModuleType]:
    """Within, the name ``keras`` is ``tf_keras``: for hls4ml's conversion, compilation and traces of QKeras models.

    Afterwards ``keras`` and its submodules are what they were, also if they had not been imported, and after an
    exception. It may be nested; other threads wait.

    Yields
    ------
    module
        ``tf_keras``.

    Raises
    ------
    ImportError
        If TensorFlow or ``tf_keras`` is missing.
    RuntimeError
        See `import_tensorflow`.
    """
    with _LOCK:
        import_tensorflow()
        legacy = importlib.import_module("tf_keras")
        before = _keras_modules()
        sys.modules["keras"] = legacy
        try:
            yield legacy
        finally:
            # what was imported as `keras.x` meanwhile came out of tf_keras: it must not stay under that name
            for name in _keras_modules():
                del sys.modules[name]
            sys.modules.update(before)


def _keras_modules() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name == "keras" or name.startswith("keras.")}
