"""What the parts say: each line with its part's name to the terminal, and to a rotated file per part."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

FILE_BYTES = 10_000_000
FILES_KEPT = 3
LINE_MAX = 16_384
"""Longer lines are cut in pieces (bytes), so that a part cannot fill our memory with one."""

STYLES = {"puna": "bold", "api": "cyan", "worker": "green", "queue": "magenta"}


class _File(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not stop the stack, nor fill the terminal."""


class Output:
    """One per stack. Not safe for several threads: everything is said from the loop."""

    def __init__(self, logs: Path, stream: TextIO | None = None) -> None:
        self._logs = logs
        # Colour is Rich's decision: a terminal that can, and no NO_COLOR.
        self._console = Console(file=stream, soft_wrap=True, highlight=False, markup=False, emoji=False)
        self._files: dict[str, _File] = {}

    def line(self, name: str, text: str, *, shown: bool = True) -> None:
        """Write one line of the part `name`; with `shown` False to its file only."""
        self._file(name).handle(logging.makeLogRecord({"msg": text}))
        if shown:
            style = STYLES.get(name.partition("-")[0], "dim")
            self._print(Text.assemble((f"{name:<6} |", style), " ", text))

    def plain(self, text: str) -> None:
        """Write to the terminal as it is, and to no file."""
        self._print(Text(text))

    def close(self) -> None:
        for handler in self._files.values():
            handler.close()
        self._files.clear()

    def _print(self, text: Text) -> None:
        # A terminal that is gone must not stop the stack.
        with suppress(OSError, ValueError):
            self._console.print(text)

    def _file(self, name: str) -> _File:
        if name not in self._files:
            path = self._logs / f"{name}.log"
            handler = _File(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8")
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
            self._files[name] = handler
        return self._files[name]


class Lines(asyncio.Protocol):
    """Bytes of a pipe, handed on as lines. `closed` is set at end of file; invalid UTF-8 becomes U+FFFD."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._rest = b""
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LINE_MAX:
            whole.append(self._rest[:LINE_MAX])
            self._rest = self._rest[LINE_MAX:]
        for line in whole:
            self._write(line.decode("utf-8", "replace").rstrip())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self.data_received(b"\n")
        self.closed.set()
