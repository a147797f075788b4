"""EngineProcess: keeps one engine child running and says what state it is in.

    from      event                                        to
    STOPPED   start()                                      LOADING
    LOADING   first healthy answer                         READY
    LOADING   exit, or no healthy answer in `load_s`       BACKOFF
    READY     exit, or `failures` health checks in a row   BACKOFF
    BACKOFF   the pause is over                            LOADING
    any       stop()                                       STOPPED

A child that dies, or is killed because it is sick, takes its sockets with it: the requests in flight see
their connection close and fail at once, without a word from here.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from shared.errors import EngineFailed
from worker.runtime.backoff import Backoff
from worker.runtime.child import Child
from worker.runtime.engine import EngineState

log = logging.getLogger("puna.engine")

Probe = Callable[[str], Awaitable[bool]]
"""Whether the engine at a base URL is healthy. May be slow, and may raise OSError."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, and the number of failures that make an engine sick."""

    load_s: float = 300.0
    load_poll_s: float = 0.1
    health_s: float = 5.0
    probe_s: float = 5.0
    failures: int = 3
    stop_s: float = 5.0
    settle_s: float = 0.2
    backoff: Callable[[], Backoff] = field(default=Backoff)


class EngineProcess:
    """Supervisor of one engine; one task owns the child and every state change."""

    def __init__(self, name: str, argv: Sequence[str], probe: Probe, timing: Timing | None = None) -> None:
        self._name = name
        self._argv = tuple(argv)
        self._probe = probe
        self._timing = timing or Timing()
        self._backoff = self._timing.backoff()
        self._state = EngineState.STOPPED
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[EngineState], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._reason = ""
        self._ready_at: float | None = None
        self.url: str | None = None
        """Base URL, while READY."""
        self.pid: int | None = None
        """The child, while there is one."""
        self.restarts = 0

    @property
    def state(self) -> EngineState:
        return self._state

    def on_state(self, listener: Callable[[EngineState], None]) -> None:
        """Call `listener` with each new state, in the event loop. It must not raise."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Begin to supervise. Returns at once, or after a stop under way; does nothing if it has begun."""
        async with self._lock:
            if self._state is not EngineState.STOPPED:
                return
            if self._task is not None:  # a stop that was given up on
                await asyncio.wait([self._task])
            self._set(EngineState.LOADING)
            self._task = asyncio.create_task(self._supervise(), name=f"engine-{self._name}")

    async def ready(self, timeout_s: float) -> None:
        """Wait for READY. Raises EngineFailed after `timeout_s` seconds, or when it is stopped."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._state is not EngineState.READY:
                    if self._state is EngineState.STOPPED:
                        raise EngineFailed("the engine is stopped")
                    await self._changed.wait()
        except TimeoutError:
            why = f": {self._reason}" if self._reason else ""
            raise EngineFailed(f"the engine was not ready within {timeout_s:g} s{why}") from None

    async def stop(self) -> None:
        """Stop the child and wait until it is gone. It takes no more requests from the first moment."""
        self._set(EngineState.STOPPED)
        self.url = None
        async with self._lock:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
                self._task = None

    async def settle(self) -> None:
        """After a connection broke: wait until a child that died is seen to have died, at most `settle_s`.

        The socket's end is often noticed before the process'; a retry must not meet the state of before.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.settle_s):
                while self._state is EngineState.READY:
                    await self._changed.wait()

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._ready_at = None
            self._reason = await self._run()
            healthy_s = 0.0 if self._ready_at is None else loop.time() - self._ready_at
            pause = self._backoff.pause(healthy_s)
            self._set(EngineState.BACKOFF)
            self.restarts += 1
            log.warning("engine %s: %s; starting it again in %.1f s", self._name, self._reason, pause)
            await asyncio.sleep(pause)
            self._set(EngineState.LOADING)

    async def _run(self) -> str:
        """One child, from spawn to its end; why it ended."""
        try:
            child = await Child.spawn(self._argv)
        except OSError as error:
            return f"it cannot be started ({error.strerror})"
        self.pid = child.pid
        died = asyncio.create_task(child.wait())
        watched = asyncio.create_task(self._watch(child))
        try:
            await asyncio.wait([died, watched], return_when=asyncio.FIRST_COMPLETED)
            return f"it exited with code {died.result()}" if died.done() else watched.result()
        finally:
            self.url = None
            watched.cancel()
            await _through(asyncio.create_task(child.stop(self._timing.stop_s)))
            self.pid = None
            await asyncio.wait([died, watched])

    async def _watch(self, child: Child) -> str:
        """Follow one child's health; why it has to be replaced."""
        timing = self._timing
        try:
            async with asyncio.timeout(timing.load_s):
                url = await child.url
                while not await self._healthy(url):  # noqa: ASYNC110 - another process decides
                    await asyncio.sleep(timing.load_poll_s)
        except TimeoutError:
            return f"it did not load within {timing.load_s:g} s"
        self.url = url
        self._ready_at = asyncio.get_running_loop().time()
        self._set(EngineState.READY)
        failures = 0
        while failures < timing.failures:
            await asyncio.sleep(timing.health_s)
            failures = 0 if await self._healthy(url) else failures + 1
        return f"it failed {failures} health checks in a row"

    async def _healthy(self, url: str) -> bool:
        try:
            async with asyncio.timeout(self._timing.probe_s):
                return await self._probe(url)
        except (TimeoutError, OSError):
            return False

    def _set(self, state: EngineState) -> None:
        if state is self._state or (self._state is EngineState.STOPPED and state is not EngineState.LOADING):
            return  # only `start` leaves STOPPED
        self._state = state
        log.info("engine %s: %s", self._name, state.value)
        self._changed.set()
        self._changed = asyncio.Event()
        for listener in self._listeners:
            listener(state)


async def _through(task: asyncio.Task[None]) -> None:
    """Wait for `task` to its end, and only then give way to a cancellation."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
