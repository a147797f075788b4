"""Times as Ollama takes them: a number of seconds, or one of Go's durations."""

import re
from typing import Any

_DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
"""Go's durations: `5m`, `1h30m`, `-1s`, `0`."""

_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

FOREVER_S = -1.0
"""Every negative time means the same."""


def seconds_of(value: Any) -> float:
    """Seconds, or FOREVER_S. Raises ValueError for what is neither a finite number nor a duration."""
    if type(value) in (int, float):
        seconds = float(value)
    elif isinstance(value, str) and _DURATION.fullmatch(value):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
        seconds = -seconds if value.startswith("-") else seconds
    else:
        raise ValueError("expected a number of seconds or a duration like '5m'")
    if not abs(seconds) < float("inf"):
        raise ValueError("expected a finite time")
    return FOREVER_S if seconds < 0 else seconds
