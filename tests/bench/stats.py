"""Distributions as numbers. Pure."""

from collections.abc import Sequence
from typing import TypeAlias

Summary: TypeAlias = dict[str, float]

_PERCENTILES = (1, 5, 25, 50, 75, 90, 95, 99)


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear between the two nearest ranks (NumPy's default). Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    ranked = sorted(values)
    at = (len(ranked) - 1) * percent / 100
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (at - low)


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def summary(values: Sequence[float], scale: float = 1.0) -> Summary:
    """`n`, `mean`, `min`, `max` and `p1` to `p99`, times `scale`. Only `n` without values."""
    if not values:
        return {"n": 0}
    scaled = [value * scale for value in values]
    return {
        "n": len(scaled),
        "mean": sum(scaled) / len(scaled),
        "min": min(scaled),
        "max": max(scaled),
        **{f"p{percent}": percentile(scaled, percent) for percent in _PERCENTILES},
    }
