"""Sizes, times and tables as Ollama prints them."""

from collections.abc import Sequence

_UNITS = ("B", "KB", "MB", "GB", "TB")

_HOUR_S = 3600
_DAY_H, _YEAR_H = 24, 24 * 365
_FOREVER_H = 20 * _YEAR_H
"""What ends later than this, and a year more, never does."""


def size(count: int) -> str:
    """Bytes in decimal units, cut and not rounded, one place below ten: `396 MB`, `1.2 GB`, `2 KB`."""
    power = min(len(str(count)) - 1, 14) // 3
    whole, rest = divmod(count, 1000**power)
    if whole < 10 and rest:
        return f"{count / 1000**power:.1f} {_UNITS[power]}"
    return f"{whole} {_UNITS[power]}"


def duration(seconds: float) -> str:
    """A time in words: `Less than a second`, `12 seconds`, `About an hour`, `3 days`."""
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return f"{int(seconds)} second{'s' if seconds >= 2 else ''}"
    minutes = int(seconds // 60)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / _HOUR_S + 0.5)
    if hours < 2 * _DAY_H:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for bound, length, name in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if hours < bound * _DAY_H:
            return f"{hours // _DAY_H // length} {name}"
    return f"{int(seconds / _HOUR_S) // _YEAR_H} years"


def ago(seconds: float) -> str:
    """When something was, or with a negative number will be."""
    if -seconds / _HOUR_S >= _FOREVER_H + _YEAR_H:
        return "Forever"
    return f"{duration(-seconds)} from now" if seconds < 0 else f"{duration(seconds)} ago"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns four spaces apart, as wide as their longest cell, no rules: made to be read and to be cut."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "    ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
