"""What a person sees of a long transfer: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

LINE_S: Final = 5.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a transfer of `total` bytes of which `done` are there; tell the result what is there now."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(label, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda there: bar.update(task, completed=there)


def _lines(label: str, total: int) -> Callable[[int], None]:
    spoken = float("-inf")

    def tell(there: int) -> None:
        nonlocal spoken
        if there >= total or time.monotonic() - spoken >= LINE_S:
            spoken = time.monotonic()
            sys.stderr.write(f"{label}: {there / 1e6:.0f} of {total / 1e6:.0f} MB\n")

    return tell
