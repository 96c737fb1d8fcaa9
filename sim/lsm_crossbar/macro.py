"""The macro with its ADCs: active rows in, ADC codes of all columns out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.fixed_point import IntArray
from sim.lsm_crossbar import noise
from sim.lsm_crossbar.adc import adc_of_column, convert, select_of_column
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """One read of the macro.

    Attributes
    ----------
    sums, noise, codes : ndarray of int64, shape (columns,)
        Column sums and read noise in conductance codes, and ADC codes.
    """

    sums: IntArray
    noise: IntArray
    codes: IntArray


class Macro:
    """One macro; holds the state of the read-noise generators.

    Parameters
    ----------
    spec : CrossbarSpec
    conductances : Conductances
        An image for `spec`.
    noise_seed : int or None
        Seed of the read noise; None: no noise. Without `spec.noise_scale` there is none either.

    Raises
    ------
    ValueError
        If the image is not one for `spec`, or the seed does not fit its register.
    """

    def __init__(self, spec: CrossbarSpec, conductances: Conductances, noise_seed: int | None = 0) -> None:
        conductances.check(spec)
        self.spec = spec
        self._codes = conductances.codes.astype(np.int64)
        adc = adc_of_column(spec)
        self._adc, self._select = adc, select_of_column(spec)
        self._gain, self._offset = conductances.adc_gain[adc], conductances.adc_offset[adc]
        self._noise_seed = None if spec.noise_scale is None else noise_seed
        self.start(0)

    def start(self, sample: int) -> None:
        """Load the read-noise generators as at the start of the `sample`-th sample since the seed was set."""
        if self._noise_seed is not None:
            self._states = noise.start_states(self._noise_seed, sample, self.spec.adcs)

    def read(self, rows: IntArray) -> Read:
        """Read with these rows active: column sums, then one conversion per `select`.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Distinct active rows, at most `rows_per_read`.
        """
        sums = self._codes[rows].sum(axis=0)
        drawn = self._noise()
        return Read(sums=sums, noise=drawn, codes=convert(sums, drawn, self._gain, self._offset, self.spec))

    def _noise(self) -> IntArray:
        spec = self.spec
        if self._noise_seed is None or spec.noise_scale is None:
            return np.zeros(spec.columns, np.int64)
        by_select = []
        for _ in range(spec.columns_per_adc):
            self._states = noise.advance(self._states)
            by_select.append(noise.draw(self._states, spec.noise_scale))
        return np.stack(by_select)[self._select, self._adc]
