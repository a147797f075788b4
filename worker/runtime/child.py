"""One run of an engine process: spawn, log, address, stop."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence

from worker.runtime.engine_log import read_line, url_in

log = logging.getLogger("puna.engine")

LINE_MAX = 8192
"""Bytes kept of one log line."""

LOG_END_S = 1.0
"""Wait for the last log lines after the exit; a grandchild may hold the pipe open for longer."""


class Child:
    """A running process in a session of its own, so that a terminal's Ctrl-C reaches the worker only.

    `url` is a future: the address its log announces, cancelled if the process ends before that.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._log = asyncio.create_task(self._pump(), name=f"engine-log-{process.pid}")

    @classmethod
    async def spawn(cls, argv: Sequence[str]) -> "Child":
        """Start `argv` with a pipe as input, which stays open while this process lives. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the exit; its code, negative for a signal."""
        return await self._process.wait()

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, `grace_s` seconds, SIGKILL for the whole group. Returns when the process is gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
            except TimeoutError:
                log.warning("engine %d ignores SIGTERM, killing it", self.pid)
        self._kill_group()
        await self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait([self._log], timeout=LOG_END_S)
        self._log.cancel()
        self.url.cancel()

    def _kill_group(self) -> None:
        """Also what the process started itself, and left behind. Nothing left is the normal case."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: macOS, for a zombie
            os.killpg(self.pid, signal.SIGKILL)

    async def _pump(self) -> None:
        """Log every line until the output ends."""
        assert self._process.stdout is not None
        tail = b""
        while chunk := await self._process.stdout.read(65536):
            *lines, tail = (tail + chunk).split(b"\n")
            tail = tail[:LINE_MAX]
            for line in lines:
                self._take(line)
        if tail:
            self._take(tail)

    def _take(self, raw: bytes) -> None:
        line = raw[:LINE_MAX].decode(errors="replace").rstrip()
        if not self.url.done() and (url := url_in(line)):
            self.url.set_result(url)
        if line and (entry := read_line(line, listening=self.url.done())):
            log.log(entry.level, "[%d] %s", self.pid, entry.text)
