"""Summaries in constant memory against those of all values at once."""

import numpy as np
import pytest

from sim.hgcal_encoder.learning.metric import BINS, ETA_BINS, FINE_BINS, QUANTITIES, Comparison
from sim.hgcal_encoder.learning.streamed_metric import StreamedComparison


def _comparison(rows: int, seed: int) -> Comparison:
    """Values over many powers of two, with exact zeros and undefined ones."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.lognormal(-1.0, 1.5, rows) * (rng.random(rows) < 0.9) for name in QUANTITIES}
    columns["response"][rng.random(rows) < 0.1] = np.nan
    columns["energies"] = rng.lognormal(4.0, 1.0, rows)
    return Comparison(occupancies=rng.integers(0, 49, rows), etas=rng.uniform(1.4, 3.2, rows), **columns)


def _parts(whole: Comparison, rows: int) -> StreamedComparison:
    streamed = StreamedComparison(exact_rows=rows)
    for start in range(0, len(whole.occupancies), 3000):
        here = slice(start, start + 3000)
        columns = {name: getattr(whole, name)[here] for name in ("occupancies", "etas", "energies", *QUANTITIES)}
        streamed.add(Comparison(**columns))
    return streamed


@pytest.mark.parametrize("by_eta", [False, True])
def test_pieces_summarise_as_the_whole(by_eta: bool) -> None:
    """Below the limit every figure is the same; beyond it means are, and quantiles within 0.1 %."""
    whole = _comparison(40_000, 1)
    for rows, tolerance in ((40_000, 0.0), (10_000, 1e-3)):
        streamed = _parts(whole, rows)
        assert streamed.exact is (tolerance == 0.0)
        for bins in (BINS,) if by_eta else (BINS, FINE_BINS):
            expected, found = whole.summarise(bins, by_eta=by_eta), streamed.summarise(bins, by_eta=by_eta)
            for name in QUANTITIES:
                assert len(found[name]) == len(bins) * (len(ETA_BINS) if by_eta else 1)
                for one, other in zip(found[name], expected[name], strict=True):
                    assert (one.lowest, one.highest, one.eta_lowest, one.count) == (
                        other.lowest, other.highest, other.eta_lowest, other.count,
                    )  # fmt: skip
                    assert one.mean == pytest.approx(other.mean, rel=1e-12)
                    assert one.weighted_mean == pytest.approx(other.weighted_mean, rel=1e-12)
                    assert one.median == pytest.approx(other.median, rel=tolerance, abs=0.0)
                    assert one.width == pytest.approx(other.width, rel=2 * tolerance, abs=0.0)


def test_nothing_and_zeros() -> None:
    """A bin without images has no figures, one of perfect images the median 0; beyond the limit as below it."""
    rows = 10
    zeros = np.zeros(rows)
    part = Comparison(
        occupancies=np.full(rows, 2),
        etas=None,
        energies=zeros + 5.0,
        emd=zeros,
        telescoping=zeros,
        response=zeros + 1.0,
        shift_mm=zeros,
    )
    for limit in (100, 5):
        streamed = StreamedComparison(exact_rows=limit)
        streamed.add(part)
        assert not streamed.with_etas
        few, some, many = streamed.summarise(BINS)["emd"]
        assert (few.count, few.median, few.mean) == (rows, 0.0, 0.0)
        assert (some.count, many.count) == (0, 0)
        assert np.isnan(some.median)
        assert streamed.summarise(BINS)["response"][0].median == pytest.approx(1.0, rel=1e-3)
