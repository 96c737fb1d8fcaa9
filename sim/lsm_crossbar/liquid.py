"""The recurrent liquid: input spikes to the liquid's spikes and their counts, on one of two engines that agree."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.engine import Engine
from sim.fixed_point import IntArray, check_range
from sim.lsm_crossbar.homeostat import Homeostat, NeuronHomeostat
from sim.lsm_crossbar.macro import Macro
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.neuron import BoolArray, fire
from sim.lsm_crossbar.row_driver import active_rows, batches
from sim.lsm_crossbar.spec import CrossbarSpec

if TYPE_CHECKING:
    from sim.lsm_crossbar.kernel import Tables


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Every intermediate result of one sample; `reads` reads, in order.

    Attributes
    ----------
    read_step : ndarray, shape (reads,)
        Step that the read belongs to.
    read_rows : list of ndarray
        Active rows of each read, ascending.
    sums, noise, codes : ndarray, shape (reads, columns)
        Column sums and read noise in conductance codes; ADC codes.
    differential : ndarray, shape (reads, neurons)
        Plus code minus minus code.
    membrane : ndarray, shape (steps, neurons)
        Potential after the last read of the step, before firing.
    spikes : ndarray of bool, shape (steps, neurons)
    stored : ndarray, shape (steps, neurons)
        Potential after reset or leak.
    refractory : ndarray, shape (steps, neurons)
        Refractory counters after the step.
    counts : ndarray, shape (windows, neurons)
    """

    read_step: IntArray
    read_rows: list[IntArray]
    sums: IntArray
    noise: IntArray
    codes: IntArray
    differential: IntArray
    membrane: IntArray
    spikes: BoolArray
    stored: IntArray
    refractory: IntArray
    counts: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What the liquid did for n samples.

    Attributes
    ----------
    spikes : ndarray of bool, shape (n, steps, all neurons)
    counts : ndarray of int64, shape (n, windows, all neurons)
    reads : ndarray of int64, shape (n,)
        Reads of all macros.
    row_activations : ndarray of int64, shape (n, rows of the conductance image)
        How often each row was active.
    """

    spikes: BoolArray
    counts: IntArray
    reads: IntArray
    row_activations: IntArray


class Liquid:
    """Golden model of the macros with their neurons.

    Parameters
    ----------
    spec : CrossbarSpec
    conductances : Conductances
        An image for `spec`.
    engine : Engine
        ``numpy`` or ``numba``.
    threshold : int or ndarray of int64, shape (all neurons,), optional
        Firing threshold instead of the spec's: of all neurons, or of each.
    noise_seed : int or None
        Seed of the read noise, 31 bits; None: no noise. Without `spec.noise_scale` there is none either.

    Raises
    ------
    ValueError
        If the image is not one for `spec`, or threshold or seed are out of range.
    """

    def __init__(
        self,
        spec: CrossbarSpec,
        conductances: Conductances,
        engine: Engine | str = Engine.NUMBA,
        *,
        threshold: int | IntArray | None = None,
        noise_seed: int | None = 0,
    ) -> None:
        self.spec = spec
        self.conductances = conductances.check(spec)
        self.engine = Engine(engine)
        self.threshold = spec.threshold if threshold is None else threshold
        check_range(self.threshold, 0, spec.threshold_max, "threshold")
        if np.shape(self.threshold) not in ((), (spec.all_neurons,)):
            raise ValueError(
                f"threshold: expected one, or {spec.all_neurons}, got the shape {np.shape(self.threshold)}"
            )
        self.noise_seed = None if spec.noise_scale is None else noise_seed
        thresholds = np.broadcast_to(self.threshold, spec.all_neurons).reshape(spec.macros, spec.neurons)
        self._each = [
            Liquid(spec.one_macro, conductances.macro(number), engine, threshold=thresholds[number])
            for number in range(spec.macros if spec.macros > 1 else 0)
        ]
        self._macro = Macro(spec.one_macro, conductances.macro(0), noise_seed)
        self._tables: Tables | None = None

    def run(self, spikes: npt.ArrayLike, first_sample: int = 0) -> Activity:
        """Spikes of the liquid, their counts, and what it took.

        Parameters
        ----------
        spikes : array_like of 0 and 1, shape (n, steps, inputs)
            Input spikes. Each sample starts from a silent liquid at rest.
        first_sample : int
            Samples since the noise seed was set; matters with read noise only.

        Raises
        ------
        TypeError
            If the spikes are neither booleans nor integers.
        ValueError
            If the shape is wrong or a value is neither 0 nor 1; the message names its index.
        """
        checked = self._check(spikes)
        if self._each:
            parts = [liquid.run(checked) for liquid in self._each]
            return Activity(
                spikes=np.concatenate([part.spikes for part in parts], axis=2),
                counts=np.concatenate([part.counts for part in parts], axis=2),
                reads=np.sum([part.reads for part in parts], axis=0, dtype=np.int64),
                row_activations=np.concatenate([part.row_activations for part in parts], axis=1),
            )
        if self.engine is Engine.NUMBA:
            # compiled on first use; importing numba costs a second that the NumPy engine does not need
            from sim.lsm_crossbar import kernel

            if self._tables is None:
                self._tables = kernel.Tables.of(self.spec, self.conductances)
            return Activity(
                **kernel.run(
                    self.spec,
                    self._tables,
                    checked,
                    threshold=self.threshold,
                    noise_seed=self.noise_seed,
                    first_sample=first_sample,
                )
            )
        n, spec = len(checked), self.spec
        result = Activity(
            spikes=np.zeros((n, spec.steps, spec.neurons), bool),
            counts=np.zeros((n, spec.windows, spec.neurons), np.int64),
            reads=np.zeros(n, np.int64),
            row_activations=np.zeros((n, spec.rows), np.int64),
        )
        for index, sample in enumerate(checked):
            trace = self._trace(sample, first_sample + index)
            result.spikes[index] = trace.spikes
            result.counts[index] = trace.counts
            result.reads[index] = len(trace.read_rows)
            for rows in trace.read_rows:
                result.row_activations[index, rows] += 1
        return result

    def regulated(
        self, spikes: npt.ArrayLike, homeostat: Homeostat | NeuronHomeostat, first_sample: int = 0
    ) -> tuple[Activity, IntArray]:
        """As `run`, with a homeostat that moves the threshold between samples; it goes on from where it stands.

        Returns
        -------
        Activity
        ndarray of int64, shape (n,) or (n, neurons)
            Threshold of each sample, or thresholds of its neurons.
        """
        checked = self._check(spikes)
        own = self.threshold
        thresholds = np.zeros((len(checked), *np.shape(homeostat.threshold)), np.int64)
        if not len(checked):
            return self.run(checked), thresholds
        inputs = checked.reshape(len(checked), self.spec.windows, -1).sum(axis=2, dtype=np.int64)
        parts: list[Activity] = []
        done = 0
        try:
            while done < len(checked):
                part = slice(done, min(done + homeostat.left, len(checked)))
                self.threshold = homeostat.threshold
                thresholds[part] = homeostat.threshold
                parts.append(self.run(checked[part], first_sample + done))
                homeostat.observe(parts[-1].counts, inputs[part])
                done = part.stop
        finally:
            self.threshold = own
        joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Activity)}
        return Activity(**joined), thresholds

    def counts(self, spikes: npt.ArrayLike, first_sample: int = 0) -> IntArray:
        """Spike counts of shape (n, windows, neurons); parameters and errors as `run`."""
        return self.run(spikes, first_sample).counts

    def trace(self, spikes: npt.ArrayLike, sample: int = 0) -> Trace:
        """Run one sample, keeping all results (always the NumPy engine).

        Parameters
        ----------
        spikes : array_like of 0 and 1, shape (steps, inputs)
        sample : int
            Samples since the noise seed was set.

        Raises
        ------
        ValueError
            A chip with several macros: trace each (`CrossbarSpec.one_macro`, `Conductances.macro`).
        """
        if self._each:
            raise ValueError(f"{self.spec.name} has {self.spec.macros} macros: expected one to trace")
        return self._trace(self._check(np.asarray(spikes)[None])[0], sample)

    def _check(self, spikes: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        values, spec = np.asarray(spikes), self.spec
        if values.ndim != 3 or values.shape[1:] != (spec.steps, spec.inputs):
            raise ValueError(f"input spikes: expected the shape (n, {spec.steps}, {spec.inputs}), got {values.shape}")
        if values.dtype == np.bool_:
            return values.view(np.uint8)
        if values.size and values.dtype.kind not in "iu":
            raise TypeError(f"input spikes: expected 0 and 1, got {values.dtype}")
        bad = (values != 0) & (values != 1)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(f"input spikes: expected 0 or 1, got {values[index]} at index {index}")
        return values.astype(np.uint8)

    def _trace(self, inputs: npt.NDArray[np.uint8], sample: int) -> Trace:
        spec, macro = self.spec, self._macro
        macro.start(sample)
        membrane = np.zeros(spec.neurons, np.int64)
        refractory = np.zeros(spec.neurons, np.int64)
        spikes = np.zeros(spec.neurons, bool)
        counts = np.zeros((spec.windows, spec.neurons), np.int64)
        read_step, read_rows, reads, differentials, steps = [], [], [], [], []
        for step in range(spec.steps):
            for rows in batches(active_rows(inputs[step], spikes, spec), spec):
                read = macro.read(rows)
                differential = (read.codes[0::2] - read.codes[1::2])[: spec.neurons]
                membrane = membrane + differential
                read_step.append(step)
                read_rows.append(rows)
                reads.append(read)
                differentials.append(differential)
            fired = fire(membrane, refractory, self.threshold, spec)
            steps.append((membrane, fired))
            spikes, membrane, refractory = fired.spikes, fired.membrane, fired.refractory
            counts[step // spec.window_length] += spikes
        wide, narrow = (len(reads), spec.columns), (len(reads), spec.neurons)
        return Trace(
            read_step=np.array(read_step, np.int64),
            read_rows=read_rows,
            sums=np.array([read.sums for read in reads], np.int64).reshape(wide),
            noise=np.array([read.noise for read in reads], np.int64).reshape(wide),
            codes=np.array([read.codes for read in reads], np.int64).reshape(wide),
            differential=np.array(differentials, np.int64).reshape(narrow),
            membrane=np.array([before for before, _ in steps]),
            spikes=np.array([fired.spikes for _, fired in steps]),
            stored=np.array([fired.membrane for _, fired in steps]),
            refractory=np.array([fired.refractory for _, fired in steps]),
            counts=counts,
        )
