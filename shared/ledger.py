"""RQ's bookkeeping of a job in a worker's hands, buffered on the caller's pipeline.

RQ has no worker that runs many jobs at once; its bookkeeping, however, only adds commands to the pipeline it is
given. So one `BaseWorker` lends its name, registration and counters, and the calls below are what RQ's own worker
would have sent, in one round trip each. A test compares the keys with those of RQ's `SimpleWorker`.

States, RQ's names: queued → started → (gone | failed | queued again). A job that ends well or is cancelled leaves
nothing behind; a failed one stays for a while, without its prompt.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import orjson
from redis import Redis as SyncRedis
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now

from shared import keys
from shared.job import GENERATE, JobSpec
from shared.queue import rq_queue

Buffer: TypeAlias = Any
"""An asyncio pipeline. RQ is written for the blocking one, but only adds commands to it, which both do alike."""


class UnknownJob(Exception):
    """The job names a function that is not in the table, or carries a spec that cannot be read."""


class Counters(Protocol):
    """What the ledger needs of an RQ worker."""

    name: str

    def increment_successful_job_count(self, pipeline: Any) -> None: ...
    def increment_failed_job_count(self, pipeline: Any) -> None: ...
    def increment_total_working_time(self, job_execution_time: Any, pipeline: Any) -> None: ...


def load(job_id: str, flat: Sequence[bytes], connection: "SyncRedis") -> Job:
    """RQ's Job from the flat hash that a script returned. Nothing is asked of Redis."""
    job = Job(job_id, connection=connection, serializer=JSONSerializer)
    job.restore(dict(zip(flat[::2], flat[1::2], strict=True)))
    return job


def spec_of(job: Job) -> JobSpec:
    """The JobSpec in a job. Raises UnknownJob; nothing named in the job is ever imported or called."""
    try:
        if job.func_name != GENERATE:
            raise UnknownJob(f"no such function: {job.func_name!r}")
        return JobSpec.decode(job.args[0])
    except UnknownJob:
        raise
    except Exception as error:
        raise UnknownJob(f"unreadable job: {type(error).__name__}") from None


class Ledger:
    """Writes what happens to jobs. `counters` is the RQ worker they are counted for, if any."""

    def __init__(self, url: str, counters: Counters | None, failure_ttl_s: int) -> None:
        self._url = url
        self._counters = counters
        self._failure_ttl_s = failure_ttl_s

    def start(self, pipe: Buffer, job: Job, worker: str) -> Execution:
        """queued → started."""
        execution = Execution.create(job, keys.EXECUTION_TTL_S, pipeline=pipe, worker_name=worker)
        job.heartbeat(now(), keys.EXECUTION_TTL_S, pipeline=pipe)
        job.prepare_for_execution(worker, pipeline=pipe)
        pipe.persist(job.key)
        pipe.lrem(keys.rq_intermediate(job.origin), 1, job.id)
        return execution

    def succeed(self, pipe: Buffer, job: Job, executions: Sequence[Execution]) -> None:
        """started → gone, counted as a success."""
        if self._counters is not None:
            self._counters.increment_successful_job_count(pipeline=pipe)
        self._forget(pipe, job, executions)

    def drop(self, pipe: Buffer, job: Job, executions: Sequence[Execution]) -> None:
        """Cancelled: any state → gone."""
        self._forget(pipe, job, executions)

    def fail(self, pipe: Buffer, job: Job, executions: Sequence[Execution], reason: str) -> None:
        """any state → failed, for `failure_ttl_s`, with the prompt removed. `reason` must not quote it."""
        if self._counters is not None:
            self._counters.increment_failed_job_count(pipeline=pipe)
        self._release(pipe, job, executions)
        job.data = orjson.dumps([GENERATE, None, [_redacted(job)], {}])
        job.failure_ttl = self._failure_ttl_s
        job.ended_at = now()
        job.set_status(JobStatus.FAILED, pipeline=pipe)
        job._handle_failure(
            reason,
            pipeline=pipe,
            worker_name=self._counters.name if self._counters else "",
            execution_id=executions[0].id if executions else None,
            execution_started_at=executions[0].created_at if executions else None,
            execution_ended_at=job.ended_at,
        )

    def retry(self, pipe: Buffer, job: Job, executions: Sequence[Execution]) -> None:
        """started → queued, at the front, one retry fewer."""
        job.retries_left = (job.retries_left or 1) - 1
        self.give_back(pipe, job, executions)

    def give_back(self, pipe: Buffer, job: Job, executions: Sequence[Execution]) -> None:
        """started → queued, at the front, as if it had not been claimed."""
        self._release(pipe, job, executions)
        job.started_at = None
        job.worker_name = None
        rq_queue(job.origin, self._url)._enqueue_job(job, pipeline=pipe, at_front=True)
        pipe.publish(keys.WAKE_CHANNEL, job.origin)

    def _release(self, pipe: Buffer, job: Job, executions: Sequence[Execution]) -> None:
        pipe.zrem(keys.LEASES, job.id)
        pipe.lrem(keys.rq_intermediate(job.origin), 1, job.id)
        pipe.delete(keys.cancel_flag(job.id))
        for execution in executions:
            execution.delete(job=job, pipeline=pipe)
            if self._counters is not None and job.started_at:
                self._counters.increment_total_working_time(now() - job.started_at, pipe)

    def _forget(self, pipe: Buffer, job: Job, executions: Sequence[Execution]) -> None:
        self._release(pipe, job, executions)
        pipe.delete(
            job.key,
            job.dependents_key,
            job.dependencies_key,
            f"{keys.RQ_RESULTS_PREFIX}{job.id}",
            keys.RQ_EXECUTIONS_PREFIX + job.id,
        )


def _redacted(job: Job) -> dict[str, Any]:
    try:
        return spec_of(job).redacted()
    except UnknownJob:
        return {}
