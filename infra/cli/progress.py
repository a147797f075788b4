"""Lines of progress on a terminal: a bar with rate and remaining time for each transfer, a line for each other step."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from infra.cli.text import size


class _Rate(ProgressColumn):
    """Bytes per second, once they are known."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{size(int(speed))}/s" if speed else "", style="progress.data.speed")


def follow(lines: Iterable[Mapping[str, Any]], console: Console | None = None) -> None:
    """Show lines as they come. Where nobody watches, each step is a plain line, once."""
    console = console or Console(file=sys.stderr)
    if not console.is_terminal:
        _plain(lines, console)
        return
    with Progress(*_columns(), console=console, expand=True) as bars:
        tasks: dict[str, TaskID] = {}
        for line in lines:
            digest = line.get("digest")
            if not digest or not line.get("total"):
                _settle(bars, tasks)
                bars.console.print(line.get("status", ""), highlight=False)
                continue
            if digest not in tasks:
                tasks[digest] = bars.add_task(str(line["status"]), total=line["total"])
            bars.update(tasks[digest], completed=line.get("completed", 0), total=line["total"])


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        TaskProgressColumn(),
        BarColumn(bar_width=None),
        DownloadColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )


def _settle(bars: Progress, tasks: dict[str, TaskID]) -> None:
    """Leave the bars so far as they are, above what comes next."""
    if not tasks:
        return
    left = bars.make_tasks_table(bars.tasks)
    for task in tasks.values():
        bars.remove_task(task)
    tasks.clear()
    bars.refresh()
    bars.console.print(left)


def _plain(lines: Iterable[Mapping[str, Any]], console: Console) -> None:
    last = ""
    for line in lines:
        status = str(line.get("status", ""))
        if status != last:
            console.print(status, highlight=False, soft_wrap=True)
        last = status
