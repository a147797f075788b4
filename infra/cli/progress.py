"""Lines of progress on a terminal: a bar with rate and remaining time for each transfer, a line for each other step."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


def follow(lines: Iterable[Mapping[str, Any]], console: Console | None = None) -> None:
    """Show lines as they come. Where nobody watches, each step is a plain line, once."""
    console = console or Console(file=sys.stderr)
    if not console.is_terminal:
        _plain(lines, console)
        return
    columns = (
        TextColumn("{task.description}"),
        TaskProgressColumn(),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}
        for line in lines:
            digest = line.get("digest")
            if not digest or not line.get("total"):
                bars.console.print(line.get("status", ""), highlight=False)
                continue
            if digest not in tasks:
                tasks[digest] = bars.add_task(str(line["status"]), total=line["total"])
            bars.update(tasks[digest], completed=line.get("completed", 0), total=line["total"])


def _plain(lines: Iterable[Mapping[str, Any]], console: Console) -> None:
    last = ""
    for line in lines:
        status = str(line.get("status", ""))
        if status != last:
            console.print(status, highlight=False, soft_wrap=True)
        last = status
