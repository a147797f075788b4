"""Numbers of seconds and Go's durations."""

from typing import Any

import pytest

from shared.durations import FOREVER_S, seconds_of


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (300, 300),
        (0.5, 0.5),
        (0, 0),
        ("0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("+2us", 2e-6),
        ("-1s", FOREVER_S),
        (-7, FOREVER_S),
        ("-0s", 0),
    ],
)
def test_times(value: Any, seconds: float) -> None:
    assert seconds_of(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["soon", "5", "", "5 m", "1m-2s", True, None, [], float("inf"), float("nan")])
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        seconds_of(value)
