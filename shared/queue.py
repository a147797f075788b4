"""The queue: submit and cancel, over RQ's job format.

RQ builds the job and its commands; they travel in one pipeline of ours. Jobs are serialised as JSON, never pickled.
The description names the job only, because RQ prints and stores it.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from redis.asyncio import Redis
from rq import Queue, Retry
from rq.serializers import JSONSerializer

from shared import keys
from shared.frames import CancelledEvent, encode_events
from shared.job import GENERATE, JobSpec
from shared.redis import Scripts, connect_sync
from shared.settings import Settings

VALKEY_SPEAKS = (7, 2, 4)
"""The server version RQ is told. Asking would cost a round trip per function instance; RQ needs 6.2 at least."""


@lru_cache(maxsize=256)
def rq_queue(name: str, url: str) -> Queue:
    """RQ's queue object, to buffer commands with. Its own connection is never opened."""
    queue = Queue(name, connection=connect_sync(url), serializer=JSONSerializer)
    queue.redis_server_version = VALKEY_SPEAKS
    return queue


class JobQueue:
    """Puts jobs in and takes them back out, for the functions."""

    def __init__(self, redis: "Redis", scripts: Scripts, settings: Settings) -> None:
        self._redis = redis
        self._scripts = scripts
        self._settings = settings

    async def submit(self, spec: JobSpec, blobs: Mapping[str, bytes] | None = None) -> None:
        """Queue an admitted job and wake a worker: one round trip, all or nothing. May be repeated safely.

        `blobs` are the images that the job refers to, by their sha256 in hex.
        """
        life_s = max(self._settings.request_timeout_s, spec.deadline - spec.created)
        ttl_s = math.ceil(life_s + self._settings.lease_s)
        pipe = self._redis.pipeline(transaction=True)
        for digest, blob in (blobs or {}).items():
            pipe.set(keys.image(digest), blob, ex=ttl_s)
        data = Queue.prepare_data(
            GENERATE,
            args=[spec.encode()],
            job_id=spec.id,
            description=f"{GENERATE} {spec.id}",
            timeout=math.ceil(life_s),
            ttl=ttl_s,
            result_ttl=0,
            failure_ttl=math.ceil(self._settings.failure_ttl_s),
            retry=Retry(max=self._settings.retries, enqueue_at_front=True) if self._settings.retries else None,
        )
        rq_queue(spec.queue, self._settings.redis_url).enqueue_many([data], pipeline=cast(Any, pipe))
        pipe.zrem(keys.admitted(spec.queue), spec.id)
        pipe.publish(keys.WAKE_CHANNEL, spec.queue)
        await pipe.execute()

    async def cancel(self, job_id: str, queue: str, reason: str) -> str:
        """Stop a job: `queued` (it never ran), `running` (its worker has been told) or `unknown` (it is over)."""
        verdict: bytes = await self._scripts.run(
            "cancel",
            [
                keys.rq_queue(queue),
                keys.rq_job(job_id),
                keys.LEASES,
                keys.frame_log(job_id),
                keys.frame_channel(job_id),
                keys.cancel_flag(job_id),
                keys.CANCEL_CHANNEL,
            ],
            [
                job_id,
                encode_events([CancelledEvent(reason)]),
                math.ceil(self._settings.log_ttl_s),
                keys.CANCEL_FLAG_TTL_S,
            ],
        )
        return verdict.decode()
