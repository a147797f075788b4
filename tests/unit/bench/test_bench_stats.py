"""Percentiles and summaries."""

import pytest

from tests.bench.stats import median, percentile, summary


def test_percentiles_lie_between_the_nearest_ranks() -> None:
    values = [4.0, 1.0, 3.0, 2.0]
    assert [percentile(values, p) for p in (0, 50, 75, 100)] == [1.0, 2.5, 3.25, 4.0]
    assert median([7.0]) == percentile([7.0], 99) == 7.0


def test_nothing_has_no_percentile_but_a_summary() -> None:
    assert summary([]) == {"n": 0}
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_a_summary_is_scaled() -> None:
    found = summary([0.001, 0.002, 0.003], 1e3)
    assert found["n"] == 3
    assert found["mean"] == found["p50"] == pytest.approx(2)
    assert (found["min"], found["max"]) == pytest.approx((1, 3))
