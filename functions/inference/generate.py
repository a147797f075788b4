"""One generation, as every endpoint runs it: admit, subscribe, submit, follow, and cancel if the caller leaves."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from functions.services import Services
from shared import keys
from shared.errors import Cancelled, DeadlineExceeded, ServiceUnavailable
from shared.frames import CancelledEvent, Event, Failed, Progress
from shared.job import JobSpec
from shared.limits import Tenant, admit
from shared.redis import UNREACHABLE
from shared.responses.head import Head
from shared.stream.reader import FrameReader

Events: TypeAlias = AsyncGenerator[tuple[Event, ...], None]
"""Batches of events that travelled together; an empty batch is a tick: nothing has come for a while."""

FIRST_TICK_S = 1.0
"""A stream that has nothing to say yet opens its answer after this (s); until then a failure can still become the
status of the answer."""

_LATE_S = 1.0
"""The worker keeps the deadline; when it has said nothing this long after it (s), the function does."""


@asynccontextmanager
async def generation(
    services: Services,
    spec: JobSpec,
    tenant: Tenant,
    blobs: Mapping[str, bytes] | None = None,
    also: Callable[[Any], None] | None = None,
) -> AsyncGenerator[Events, None]:
    """Queue a job and follow it. Leaving before its terminal frame cancels it.

    `blobs` are the images that it refers to; `also` adds commands to the transaction that submits it.

    Raises QueueFull, ModelUnavailable or ServiceUnavailable before anything is queued.
    """
    reader = FrameReader(services.redis, services.subscriptions, spec.id)
    follower = Follower(services, spec, reader)
    try:
        await _submit(services, spec, tenant, reader, blobs, also)
        follower.over = False
        events = follower.events()
        try:
            yield events
        finally:
            await events.aclose()
    finally:
        await asyncio.shield(follower.leave())


async def _submit(
    services: Services,
    spec: JobSpec,
    tenant: Tenant,
    reader: FrameReader,
    blobs: Mapping[str, bytes] | None,
    also: Callable[[Any], None] | None,
) -> None:
    subscribing = asyncio.create_task(reader.open())
    try:
        await submit(services, spec, tenant, blobs, also, subscribing)
    finally:
        subscribing.cancel()


async def submit(
    services: Services,
    spec: JobSpec,
    tenant: Tenant,
    blobs: Mapping[str, bytes] | None = None,
    also: Callable[[Any], None] | None = None,
    subscribing: "asyncio.Task[None] | None" = None,
) -> None:
    """Admit a job and queue it, once `subscribing` is done. For a job that nobody follows here there is nothing more.

    Raises QueueFull, ModelUnavailable or ServiceUnavailable before anything is queued.
    """
    try:
        async with asyncio.timeout(services.settings.comment_s):
            await admit(
                services.scripts,
                job_id=spec.id,
                queue=spec.queue,
                model=spec.model,
                tenant=tenant,
                queue_max=services.settings.queue_max,
            )
            if subscribing is not None:
                await subscribing
            await services.queue.submit(spec, blobs, also)
    except (*UNREACHABLE, TimeoutError):
        raise ServiceUnavailable("the queue cannot be reached; try again", retry_after_s=2) from None


class Follower:
    """Follows a job's frames and knows, when the caller leaves, whether it must be cancelled."""

    def __init__(self, services: Services, spec: JobSpec, reader: FrameReader) -> None:
        self._services = services
        self._spec = spec
        self._reader = reader
        self.over = True
        """Nothing of the job waits or runs: not submitted yet, or its terminal frame has come."""
        self._begun = False

    async def events(self) -> Events:
        """Batches up to and with the terminal event, which is Done. Raises the error that a job failed with."""
        async for frame in self._reader.frames(self._tick, FIRST_TICK_S):
            if frame is None:
                self._check_deadline()
                if not self._begun and (stage := await self._queued()):
                    yield (Progress(stage),)
                yield ()
                continue
            self._begun = True
            self.over = frame.terminal
            last = frame.events[-1]
            if isinstance(last, CancelledEvent):
                raise Cancelled(f"the request was cancelled: {last.reason}")
            if not isinstance(last, Failed):
                yield frame.events
                continue
            if len(frame.events) > 1:
                yield frame.events[:-1]
            raise last.error()

    async def leave(self) -> None:
        """Stop listening, and cancel what still waits or runs."""
        try:
            await self._reader.close()
            if not self.over:
                response = None if self._spec.response is None else Head.decode(self._spec.response)
                await self._services.queue.cancel(self._spec.id, self._spec.queue, "the client disconnected", response)
        except UNREACHABLE:
            pass  # the job's deadline ends it

    async def _queued(self) -> str:
        """What a job waits for that has not begun, in words; empty when it is about to begin, or nobody knows."""
        spec = self._spec
        try:
            before, doing = await self._services.scripts.run(
                "wait", [keys.rq_queue(spec.queue), keys.serving(spec.queue)], [spec.id, keys.worker("")]
            )
        except UNREACHABLE:
            return ""
        if doing or before < 0:
            return str(doing.decode())
        return f"queued, {before} before it" if before else "queued"

    def _tick(self) -> float:
        late_at = self._spec.deadline + _LATE_S
        return max(0.05, min(self._services.settings.comment_s, late_at - time.time()))

    def _check_deadline(self) -> None:
        if time.time() > self._spec.deadline + _LATE_S:
            raise DeadlineExceeded(
                f"the request did not finish within its deadline of {self._spec.deadline - self._spec.created:g} s"
            )
