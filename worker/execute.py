"""One job from its claim to its terminal frame. Owns the deadline, the silences and the cancellation.

    claim → Started → (Progress: loading) → Progress, Delta … → Finish → Done        the normal end
                                                              → Failed               refused, crashed, silent, late
                                                              → Cancelled            the caller is gone
                                                              → back to the queue    crash or drain, nothing seen

Every path but the last ends in exactly one terminal frame, written in one transaction with RQ's bookkeeping.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from rq.job import Job

from shared.errors import DeadlineExceeded, EngineFailed, JobLost, PunaError
from shared.frames import CancelledEvent, Done, Event, Failed, Progress, Started
from shared.ledger import Ledger
from shared.settings import Settings
from shared.state.recorder import Recorder, log_ttl_s
from shared.stream.wire import Wire
from shared.stream.writer import PACE_COLLECTED_S, PACE_S, Fenced, FrameWriter
from worker.claim import Claim, Stop
from worker.images import with_images
from worker.leases import Leases
from worker.runtime.engine import Engine, EngineState

log = logging.getLogger("puna.worker")


class Executor:
    """Runs claims on one engine."""

    def __init__(
        self,
        redis: "Redis",
        engine: Engine,
        ledger: Ledger,
        leases: Leases,
        settings: Settings,
        name: str,
        stored: Callable[[str], None] = lambda place: None,
    ) -> None:
        self._redis = redis
        self._engine = engine
        self._ledger = ledger
        self._leases = leases
        self._settings = settings
        self._name = name
        self._stored = stored
        """Told of each thing whose change the object store does not know yet."""
        self.wire = Wire(redis)
        self.frames = 0
        """Frames written for jobs that are over: round trips that are not bookkeeping."""

    async def run(self, claim: Claim) -> None:
        """Run one claim to its end. Never raises for what goes wrong with the job itself."""
        began = time.monotonic()
        writer = self._writer(claim)
        ended = "lost"
        try:
            ended = await self._run(claim, writer)
        except Fenced:
            log.warning("job %s: taken over by another worker; dropped", claim.id)
        finally:
            self.frames += writer.frames
            log.info(
                "job %s: %s after %.2f s, attempt %d, %d frames",
                claim.id,
                ended,
                time.monotonic() - began,
                claim.attempt,
                writer.frames,
            )

    async def refuse(self, job: Job, attempt: int, reason: str) -> None:
        """End a job that this worker cannot read: its caller is told, and it stays among the failed ones."""
        ttl_s = math.ceil(self._settings.log_ttl_s)
        writer = FrameWriter(self._redis, job.id, attempt, run_ttl_s=ttl_s, log_ttl_s=ttl_s)
        error = PunaError(f"the worker cannot read the request: {reason}")
        await writer.send([Failed.of(error)], also=lambda pipe: self._ledger.fail(pipe, job, [], reason))

    async def _run(self, claim: Claim, writer: FrameWriter) -> str:
        claim.task = asyncio.current_task()
        claim.recorder = Recorder.of(claim.spec, self._settings)
        try:
            if claim.stopped is not None:
                return await self._stopped(claim, writer)
            last = await self._generate(claim, writer)
        except asyncio.CancelledError:
            if claim.stopped is None:
                raise
            claim.task.uncancel()  # type: ignore[union-attr]
            return await self._stopped(claim, writer)
        except EngineFailed as error:
            if claim.job.should_retry and not self._seen(claim, writer):
                log.warning("job %s: %s; queued again", claim.id, error.message)
                await self._return(claim, writer, self._ledger.retry)
                return "retried"
            return await self._fail(claim, writer, error)
        except PunaError as error:
            return await self._fail(claim, writer, error)
        except Fenced:
            raise
        except Exception:
            log.exception("job %s: internal error", claim.id)
            return await self._fail(claim, writer, PunaError("internal error"))
        await self._end(claim, writer, last, self._ledger.succeed)
        return "done"

    async def _generate(self, claim: Claim, writer: FrameWriter) -> list[Event]:
        """Start the job, feed the writer, and give the last events, Done at their end, not yet written."""
        left = claim.spec.deadline - time.time()
        try:
            async with asyncio.timeout(left) as deadline:
                await self._start(claim, writer)
                return await self._relay(claim, writer)
        except TimeoutError:
            if not deadline.expired():
                raise EngineFailed("the engine went silent in the middle of the answer") from None
            raise DeadlineExceeded(
                f"the request did not finish within its deadline of {claim.spec.deadline - claim.spec.created:g} s"
            ) from None

    async def _start(self, claim: Claim, writer: FrameWriter) -> None:
        loading = self._engine.state is not EngineState.READY
        events: list[Event] = [Started(self._name, self._engine.fingerprint)]
        if loading:
            events.append(Progress("loading"))
        claim.note(events)

        def also(pipe: "Pipeline") -> None:
            claim.execution = self._ledger.start(pipe, claim.job, self._name)

        if not loading:
            # The engine need not wait for the bookkeeping: its first token follows in a later frame anyway.
            writer.put(events, also)
            return
        await writer.send(events, also)
        await self._engine.ready(self._settings.load_timeout_s)
        writer.put([Progress("prefill")])

    async def _relay(self, claim: Claim, writer: FrameWriter) -> list[Event]:
        batches = self._engine.run(claim.spec.kind, await with_images(self._redis, claim.spec.request))
        silence = self._settings.first_token_timeout_s
        try:
            while True:
                async with asyncio.timeout(silence):
                    events = await anext(batches, None)
                if events is None:
                    raise EngineFailed("the engine stopped in the middle of the answer")
                if isinstance(done := events[-1], Done):
                    return [*events[:-1], replace(done, at=int(time.time()))]
                claim.note(events)
                writer.put(events)
                if silence != self._settings.token_timeout_s and _has_text(events):
                    silence = self._settings.token_timeout_s
        finally:
            await _close(batches)

    def _writer(self, claim: Claim) -> FrameWriter:
        ttl_s = log_ttl_s(claim.spec, self._settings)
        return FrameWriter(
            self._redis,
            claim.id,
            claim.attempt,
            run_ttl_s=math.ceil(max(claim.spec.deadline - time.time(), 0)) + ttl_s,
            log_ttl_s=ttl_s,
            wire=self.wire,
            pace_s=PACE_S if claim.spec.stream else PACE_COLLECTED_S,
        )

    @staticmethod
    def _seen(claim: Claim, writer: FrameWriter) -> bool:
        """Whether the caller may have seen text, so that running the job again would repeat it."""
        return claim.spec.stream and writer.text_sent

    async def _stopped(self, claim: Claim, writer: FrameWriter) -> str:
        if claim.stopped is Stop.LOST:
            raise Fenced(claim.id)
        if claim.stopped is Stop.CANCELLED:
            await self._end(claim, writer, [CancelledEvent("cancelled")], self._ledger.drop)
            return "cancelled"
        if self._seen(claim, writer):
            return await self._fail(claim, writer, JobLost("the worker was stopped in the middle of the answer"))
        await self._return(claim, writer, self._ledger.give_back)
        return "given back"

    async def _fail(self, claim: Claim, writer: FrameWriter, error: PunaError) -> str:
        def record(pipe: "Pipeline", *_: object) -> None:
            if error.status < 500:
                self._ledger.drop(pipe, claim.job, claim.executions)
            else:
                self._ledger.fail(pipe, claim.job, claim.executions, error.code or "internal_error")

        await self._end(claim, writer, [Failed.of(error)], record)
        return f"failed ({error.code})"

    async def _end(self, claim: Claim, writer: FrameWriter, last: list[Event], record: Callable[..., None]) -> None:
        claim.ending = True
        claim.note(last)

        def also(pipe: "Pipeline") -> None:
            record(pipe, claim.job, claim.executions)
            if claim.recorder is not None:
                claim.recorder.buffer(pipe, claim.attempt, writer.joined)

        await writer.send(last, also, guard=lambda: self._leases.ensure(claim))
        for place in claim.recorder.places if claim.recorder is not None else ():
            self._stored(place)

    async def _return(self, claim: Claim, writer: FrameWriter, record: Callable[..., None]) -> None:
        claim.ending = True
        await writer.discard()
        await self._leases.ensure(claim)
        async with self._redis.pipeline(transaction=True) as pipe:
            record(pipe, claim.job, claim.executions)
            await pipe.execute()


def _has_text(events: list[Event]) -> bool:
    return any(not isinstance(event, Progress) for event in events)


async def _close(batches: AsyncGenerator[list[Event], None]) -> None:
    """Abort the generation, if it still runs. What that raises was either seen already or does not matter."""
    try:
        await batches.aclose()
    except (PunaError, OSError) as error:
        log.debug("closing the engine's stream: %s", error)
