"""One child, kept alive: started, its output pumped, restarted with growing pauses, stopped by a ladder."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from infra.local.backoff import Backoff
from infra.local.process import ended, kill_group
from infra.local.spawn import ChildSpec, Run, spawn

HASTENED_S = 0.5
"""What is left of a child's time to end (s) once the user has asked a second time."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What a child tells its keeper: a line of its output, a line about it, and that its pid is another."""

    write: Callable[[str, str], None]
    say: Callable[[str], None]
    changed: Callable[[], None]


class Child:
    """A child that is to run until `stop`. `starts` counts its lives."""

    def __init__(self, spec: ChildSpec, effects: Effects, backoff: Backoff | None = None) -> None:
        self.spec = spec
        self.pid: int | None = None
        self.starts = 0
        self._effects = effects
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and keep it. Returns when the first process is there; raises OSError if it cannot be."""
        run = await self._spawn()
        self._keeper = asyncio.create_task(self._keep(run), name=f"keep {self.spec.name}")

    async def stop(self, hasten: asyncio.Event) -> None:
        """SIGTERM, `grace_s` seconds (HASTENED_S once `hasten` is set), SIGKILL. Returns when it is gone."""
        self._stopping.set()
        if self._keeper is None:
            return
        if self.pid is not None:
            self._effects.say(f"stopping {self.spec.name}")
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            await self._ladder(self._keeper, hasten)
        await self._keeper

    async def _ladder(self, keeper: asyncio.Task[None], hasten: asyncio.Event) -> None:
        hurry = asyncio.create_task(hasten.wait())
        try:
            await asyncio.wait({keeper, hurry}, timeout=self.spec.grace_s, return_when="FIRST_COMPLETED")
            if hurry.done():
                await asyncio.wait({keeper}, timeout=HASTENED_S)
        finally:
            hurry.cancel()
        if self.pid is not None:
            self._effects.say(f"{self.spec.name} does not stop; killing it")
            kill_group(self.pid)

    async def _keep(self, run: Run | None) -> None:
        while True:
            how, up_s = "could not be started", 0.0
            if run is not None:
                how = ended(await run.end())
                up_s = time.monotonic() - run.began
                self.pid = None
            if self._stopping.is_set():
                return
            pause = self._backoff.next(up_s)
            self._effects.say(f"{self.spec.name} {how}; starting it again in {pause:g} s")
            if await _set_within(self._stopping, pause):
                return
            run = None
            with suppress(OSError):
                run = await self._spawn()

    async def _spawn(self) -> Run:
        run = await spawn(self.spec, lambda line: self._effects.write(self.spec.name, line))
        self.pid = run.process.pid
        self.starts += 1
        self._effects.changed()
        if self._stopping.is_set():
            # `stop` came while it was being started and has seen no pid to ask.
            kill_group(run.process.pid)
        return run


async def _set_within(event: asyncio.Event, limit_s: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), limit_s)
    return event.is_set()
