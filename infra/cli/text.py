"""Sizes, times and tables as Ollama prints them."""

from collections.abc import Sequence

_AGES = (
    (31_536_000, "year"),
    (2_592_000, "month"),
    (604_800, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
)

_UNITS = ("B", "KB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Bytes in decimal units, two digits or more: `397 MB`, `1.2 GB`."""
    power = min(len(str(count)) - 1, 14) // 3
    amount = count / 1000**power
    return f"{amount:.1f} {_UNITS[power]}" if power and amount < 10 else f"{amount:.0f} {_UNITS[power]}"


def duration(seconds: float) -> str:
    """A time in its largest unit: `3 days`, `1 hour`, `12 seconds`."""
    for length, name in _AGES:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {name}{'s' if count > 1 else ''}"
    count = max(0, int(seconds))
    return f"{count} second{'s' if count != 1 else ''}"


def ago(seconds: float) -> str:
    return "just now" if seconds < 2 else f"{duration(seconds)} ago"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns four spaces apart, as wide as their longest cell, no rules: made to be read and to be cut."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "    ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
