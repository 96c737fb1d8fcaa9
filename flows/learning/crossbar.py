"""Accuracy of a trained crossbar on recordings, as tables and as JSON.

What ``liquidcal evaluate lsm_crossbar`` does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.learning.recorded_parts import View, warn_of_late
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.learning.readout_training import confusion_matrix
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.audio import Clip, read_wav
from sim.lsm_crossbar.recordings.events import NMNIST_SENSOR, Events, labelled_recordings
from sim.lsm_crossbar.recordings.speech import find_speech

__all__ = ["ASSUMED_DRIFT", "changed_macro", "evaluate_crossbar"]

BLOCK = 500
"""Recordings that are held in memory together."""


ASSUMED_DRIFT = {"drift_exponent": 0.02, "drift_exponent_sigma": 0.01}
"""Mean and spread of the exponent of drift where a spec has none: assumed, none has been published for these cells."""


def changed_macro(model: TrainedCrossbar, *, drift_s: float | None = None, current: float = 1.0) -> Conductances:
    """The macro of a model as it is later, or at another read voltage or temperature.

    Parameters
    ----------
    model : TrainedCrossbar
    drift_s : float, optional
        Time since the readout was trained, s; the exponents are the spec's, or `ASSUMED_DRIFT`.
    current : float
        All currents over those in training; gains of the ADCs stand for it.

    Raises
    ------
    ValueError
        If a measured macro is to drift, which has no seed for it, or a gain leaves its range.
    """
    image = model.conductances
    if drift_s is not None:
        if model.seed is None:
            raise ValueError("drift: expected a macro that was drawn from a seed, got a measured one")
        device = model.spec.device
        assumed = ASSUMED_DRIFT if device.drift_exponent is None else {}
        image = draw(replace(model.spec, device=replace(device, **assumed, drift_time_s=drift_s)), model.seed)
    gain = np.rint(current * image.adc_gain).astype(np.int64)
    return replace(image, adc_gain=gain)


def evaluate_crossbar(
    model: TrainedCrossbar,
    events: Path,
    labels: Path | None,
    *,
    from_first_event: bool = False,
    sensor: tuple[int, int] = NMNIST_SENSOR,
    homeostat: bool = False,
) -> dict[str, Any]:
    """Score a model on recordings, in exact chip arithmetic.

    Parameters
    ----------
    model : TrainedCrossbar
    events : Path
        Folder of recordings named by index, ``k.bin`` and others that `read_recording` reads; of a model
        that hears, WAV files as `find_speech` takes them.
    labels : Path or None
        Lines ``index label``. It says what is scored; recordings that it does not name are left out, and counted. None
        of a model that hears: names of files say the label, and their order the index.
    from_first_event : bool, optional
        Time counts from the first event of each recording, as streams of a running camera need; else from the zero of
        the recording's own clock. Recordings that begin after the
        end of a sample get a warning.
    sensor : tuple of int, optional
        Columns and rows of the recordings' sensor.
    homeostat : bool, optional
        The model's homeostat moves the threshold, recordings ascending by index.

    Returns
    -------
    dict
        Ready for JSON, with these keys, which stay: ``spec`` (its name), ``seed`` (null: measured),
        ``conductances_sha256``, ``readout_sha256``, ``encoding``, ``step_us``; ``recordings`` scored,
        ``without_label`` left out; ``correct``,
        ``accuracy`` and ``accuracy_error`` (binomial standard deviation); ``per_class``, a list with ``label``,
        ``recordings``, ``correct``, ``accuracy`` (null without recordings); ``confusion`` (row: label, column: class);
        ``wrong``, a list of index, label and class; ``input_spikes``, ``liquid_spikes`` and macro ``reads``, means
        per recording; ``threshold``, that of the neurons after the last recording, a list where each
        has its own.

    Raises
    ------
    FileNotFoundError
        No such folder or file, or no recording of an index that has a label.
    ValueError
        A recording or label file that cannot be read, or a label that is no class of the model.
    """
    spec = model.spec
    if model.hears and (labels is not None or from_first_event):
        raise ValueError(
            f"{spec.name} hears: the names of WAV files say their labels (no --labels, --from-first-event)"
        )
    if model.hears:
        files = find_speech(events)
        table = {index: file.label for index, file in enumerate(files)}
        paths = {index: file.path for index, file in enumerate(files)}
    else:
        paths, table = labelled_recordings(events, labels)
    for index, label in table.items():
        if label >= spec.outputs:
            raise ValueError(f"{labels or events}: index {index}: expected a label below {spec.outputs}, got {label}")
    view = View(from_first_event=from_first_event, sensor=sensor)
    liquid = Liquid(spec, model.conductances)
    regulation = model.homeostat() if homeostat else None
    indices = sorted(table)
    classes = np.zeros(len(indices), np.int64)
    totals = np.zeros(3)
    late: list[tuple[Path, int]] = []
    sample_us = spec.steps * model.step_us

    def read(index: int) -> Events | Clip:
        if model.hears:
            return read_wav(paths[index])
        recording = view.read(paths[index])
        if len(recording) and recording.t_us[0] >= sample_us:
            late.append((paths[index], int(recording.t_us[0])))
        return recording

    for first in range(0, len(indices), BLOCK):
        block = indices[first : first + BLOCK]
        spikes = model.spikes(read(index) for index in block)
        if regulation is None:
            activity = liquid.run(spikes, first)
        else:
            activity, _ = liquid.regulated(spikes, regulation, first)
        classes[first : first + BLOCK] = model.readout.classify(activity.counts)
        totals += spikes.sum(), activity.spikes.sum(), activity.reads.sum()
    warn_of_late(late, len(indices), sample_us)
    truth = np.array([table[index] for index in indices])
    matrix = confusion_matrix(truth, classes, spec.outputs)
    n, correct = len(indices), int((classes == truth).sum())
    share = correct / n
    inputs, spikes_out, reads = (float(total) / n for total in totals)
    return {
        "spec": spec.name,
        "seed": model.seed,
        "conductances_sha256": model.conductances_sha256,
        "readout_sha256": model.sha256,
        "encoding": model.encoding.name,
        "step_us": model.step_us,
        "recordings": n,
        "without_label": sum(index not in table for index in paths),
        "correct": correct,
        "accuracy": share,
        "accuracy_error": float(np.sqrt(share * (1 - share) / n)),
        "per_class": [
            {
                "label": label,
                "recordings": int(row.sum()),
                "correct": int(row[label]),
                "accuracy": float(row[label] / row.sum()) if row.sum() else None,
            }
            for label, row in enumerate(matrix)
        ],
        "confusion": matrix.tolist(),
        "wrong": [
            {"index": index, "label": int(label), "class": int(found)}
            for index, label, found in zip(indices, truth, classes, strict=True)
            if label != found
        ],
        "input_spikes": inputs,
        "liquid_spikes": spikes_out,
        "reads": reads,
        "threshold": spec.threshold if regulation is None else np.asarray(regulation.threshold).tolist(),
    }
