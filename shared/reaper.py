"""The reaper: jobs whose worker stopped renewing its lease run again, or end with a clear error. None is lost."""

import logging
import math
from typing import Any

from redis.asyncio import Redis
from rq.executions import Execution
from rq.job import Job

from shared import keys
from shared.errors import JobLost
from shared.frames import Failed
from shared.ledger import Ledger, UnknownJob, load, spec_of
from shared.redis import Scripts, connect_sync
from shared.settings import Settings
from shared.state.recorder import Recorder, log_ttl_s
from shared.stream.reader import read_log
from shared.stream.writer import Fenced, FrameWriter

log = logging.getLogger("puna.reaper")

_BATCH = 64
"""Jobs taken over at once; the next round, or the next reaper, takes the rest."""


class Reaper:
    """Runs in every worker, one at a time under a lock, and can run anywhere else that reaches Redis."""

    def __init__(self, redis: "Redis", scripts: Scripts, settings: Settings, name: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._settings = settings
        self._name = name
        self._sync = connect_sync(settings.redis_url)
        self._ledger = Ledger(settings.redis_url, None, math.ceil(settings.failure_ttl_s))

    async def run_once(self) -> int:
        """One round, unless another reaper has just had one. Gives the number of jobs taken over."""
        lock_ms = math.ceil(self._settings.reap_s * 900)
        if not await self._redis.set(keys.REAPER_LOCK, self._name, nx=True, px=lock_ms):
            return 0
        taken = await self._scripts.run(
            "reap",
            [keys.LEASES],
            [
                _BATCH,
                math.ceil(self._settings.lease_s * 1000),
                keys.RQ_JOB_PREFIX,
                keys.RQ_EXECUTIONS_PREFIX,
                keys.frame_log(""),
            ],
        )
        for job_id, attempt, flat, execution_ids, seen in taken:
            job = load(job_id.decode(), flat, self._sync)
            executions = [self._execution(job, execution_id.decode()) for execution_id in execution_ids]
            await self._decide(job, attempt, executions, seen=bool(seen))
        return len(taken)

    def _execution(self, job: Job, execution_id: str) -> Execution:
        return Execution(execution_id, job.id, self._sync, worker_name=job.worker_name or "")

    async def _decide(self, job: Job, attempt: int, executions: list[Execution], *, seen: bool) -> None:
        error = self._hopeless(job, seen=seen)
        if error is None:
            log.warning("job %s: its worker is gone; queued again", job.id)
            async with self._redis.pipeline(transaction=True) as pipe:
                self._ledger.retry(pipe, job, executions)
                await pipe.execute()
            return
        log.error("job %s: its worker is gone; failed: %s", job.id, error.message)
        last = Failed.of(error)
        ttl_s, recorder = await self._recorder(job, last)
        writer = FrameWriter(self._redis, job.id, attempt, run_ttl_s=ttl_s, log_ttl_s=ttl_s)

        def also(pipe: Any) -> None:
            self._ledger.fail(pipe, job, executions, error.message)
            if recorder is not None:
                recorder.buffer(pipe, attempt)

        try:
            await writer.send([last], also)
        except Fenced:
            log.warning("job %s: another reaper has taken it over", job.id)

    async def _recorder(self, job: Job, last: Failed) -> tuple[int, Recorder | None]:
        """Life of the frames, and the end of a response: with what its worker had said of it."""
        try:
            spec = spec_of(job)
        except UnknownJob:
            return math.ceil(self._settings.log_ttl_s), None
        recorder = Recorder.of(spec, self._settings)
        if recorder is not None:
            for frame in await read_log(self._redis, job.id):
                recorder.read(frame.events)
            recorder.read([last])
        return log_ttl_s(spec, self._settings), recorder

    @staticmethod
    def _hopeless(job: Job, *, seen: bool) -> JobLost | None:
        """Why the job cannot run again; None when it can."""
        try:
            spec = spec_of(job)
        except UnknownJob as error:
            return JobLost(str(error))
        if seen and spec.stream:
            return JobLost("the worker died in the middle of the answer")
        if not job.should_retry:
            return JobLost("the worker died, and the retries are used up")
        return None
