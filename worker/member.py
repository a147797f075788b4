"""One model of a worker, loaded or not: the engine and the gate of its consumer."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.errors import EngineFailed, PunaError
from shared.frames import Event
from worker.residency import State
from worker.runtime.engine import Engine, EngineState

if TYPE_CHECKING:
    from worker.fleet import Fleet

OnState: TypeAlias = Callable[[EngineState], None]

OnBytes: TypeAlias = Callable[[int, int], None]
"""Told how many bytes of the weights are here, and their total; in any thread."""

Make: TypeAlias = Callable[[OnState, OnBytes], Awaitable[Engine]]
"""Bring the weights here and make an engine, not started, that tells of its states. Raises PunaError."""


Free: TypeAlias = Callable[[], Awaitable[None]]
"""Let go of what an engine that is gone needed."""


class Member:
    """One model, loaded or not: the `Engine` and the `Gate` of its consumer."""

    def __init__(
        self, fleet: "Fleet", queue: str, model: str, slots: int, make: Make, free: Free, context: int = 0
    ) -> None:
        self.queue = queue
        self.model = model
        self.slots = slots
        self.context = context
        self.make = make
        self.free = free
        self.engine: Engine | None = None
        self.trouble: PunaError | None = None
        """Why it cannot be loaded: its jobs are taken and fail with this."""
        self.changed: Callable[[], None] = lambda: None
        """Called when jobs may be taken, or when what is loaded has changed."""
        self.fetched: tuple[int, int] | None = None
        """While its weights are brought here: bytes that are here, and their total."""
        self._fleet = fleet
        self._residency = fleet.residency

    # The engine

    @property
    def state(self) -> EngineState:
        return EngineState.STOPPED if self.engine is None else self.engine.state

    @property
    def fingerprint(self) -> str:
        return "" if self.engine is None else self.engine.fingerprint

    async def start(self) -> None:
        """See `Engine.start`. Loads the model at once, and returns when its engine has begun."""
        await self._fleet.preload(self)

    async def ready(self, timeout_s: float) -> None:
        """See `Engine.ready`. Raises ModelUnavailable, or what kept the model from being loaded."""
        if self.engine is None:
            raise self.trouble or EngineFailed("the engine is stopped")
        await self.engine.ready(timeout_s)

    async def stop(self) -> None:
        """See `Engine.stop`."""
        if self.engine is not None:
            await self.engine.stop()

    async def run(self, kind: str, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
        """See `Engine.run`."""
        if self.engine is None:
            raise EngineFailed("the engine is stopped")
        batches = self.engine.run(kind, request)
        try:
            async for events in batches:
                yield events
        finally:
            await batches.aclose()

    # The gate

    def open(self) -> bool:
        """See `Gate.open`; the same for what follows."""
        if self.trouble is not None:
            return True
        loaded = self.state in (EngineState.READY, EngineState.LOADING)
        return loaded and self._residency.takes(self.queue)

    def waits(self, some: bool) -> None:
        self._residency.waits(self.queue, self._fleet.now(), some=some)
        self._fleet.look()

    def hold(self) -> None:
        self._residency.hold(self.queue)

    def release(self) -> None:
        self._residency.release(self.queue)
        self._fleet.look()

    def used(self, keep_s: float | None) -> None:
        self._residency.used(self.queue, self._fleet.now(), keep_s)

    def expire(self) -> None:
        self._residency.expire(self.queue)
        self._fleet.look()

    def resting(self) -> bool:
        return self.engine is None

    def record(self) -> dict[str, Any]:
        resident = self._residency.residents.get(self.queue)
        if resident is None:
            return {"models": [], "doing": "" if self.open() else "waiting for memory"}
        kept = resident.keep_s >= 0
        until = time.time() + resident.until - self._fleet.now() if kept else None
        what = {"name": self.model, "queue": self.queue, "size": resident.size, "until": until}
        told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)) if until is not None else None
        return {
            "models": [{**what, "state": resident.state.value}],
            "doing": self._doing(resident.state),
            "size": resident.size,
            "context": self.context,
            "expires_at": told,
        }

    def _doing(self, state: State) -> str:
        """What its jobs wait for; empty when they need not."""
        if state is State.STOPPING:
            return "waiting for memory"
        if state is State.READY:
            return ""
        if self.fetched is None:
            return "loading"
        there, total = self.fetched
        return f"downloading, {there * 100 // max(total, 1)} % of {total / 1e9:.1f} GB"


async def nothing() -> None:
    """An engine that needs nothing of others."""
