"""One life of a child: a process in its own session, a pipe that is its lifeline, a pump of its output."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from infra.local.output import Lines
from infra.local.process import kill_group

PUMP_S = 1.0
"""How long the output of a dead child is waited for (s): what it started may still hold the pipe."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. `environ` is its whole environment; `grace_s` its time from SIGTERM to SIGKILL (s)."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    grace_s: float
    fds: tuple[int, ...] = ()


class Run:
    """A process that was started, until it has ended."""

    def __init__(
        self, process: asyncio.subprocess.Process, lifeline: int, pump: asyncio.BaseTransport, lines: Lines
    ) -> None:
        self.process = process
        self._lifeline = lifeline
        self._pump = pump
        self._lines = lines
        self.began = time.monotonic()

    async def end(self) -> int:
        """Wait until it is gone, with all that it had started. Returns its exit code, or minus the signal."""
        code = await self.process.wait()
        kill_group(self.process.pid)
        os.close(self._lifeline)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lines.closed.wait(), PUMP_S)
        self._pump.close()
        return code


async def spawn(spec: ChildSpec, write: Callable[[str], None]) -> Run:
    """Start the process in a session of its own, so that the terminal's Ctrl-C reaches only the parent.

    The pipes are ours and not asyncio's: `Process.wait` must not wait for a grandchild that holds one.
    Raises OSError.
    """
    loop = asyncio.get_running_loop()
    stdin, lifeline = os.pipe()
    output, stdout = os.pipe()
    try:
        pump, lines = await loop.connect_read_pipe(lambda: Lines(write), os.fdopen(output, "rb", 0))
        try:
            # Nothing is awaited after this: a cancelled start must not leave a process behind.
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                env=dict(spec.environ),
                stdin=stdin,
                stdout=stdout,
                stderr=stdout,
                pass_fds=spec.fds,
                start_new_session=True,
            )
        except BaseException:
            pump.close()
            raise
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(stdin)
        os.close(stdout)
    return Run(process, lifeline, pump, lines)
