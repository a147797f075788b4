"""Admission: whether a request may wait in a queue, decided in one round trip, before anything is queued."""

import math
from dataclasses import dataclass

from shared import keys
from shared.errors import ModelUnavailable, QueueFull
from shared.redis import Scripts

_RETRY_AFTER_MAX_S = 60


ANONYMOUS = "anonymous"
"""The owner of what is stored without a key."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whom a request is counted for; its own limits belong here. `owner` is who owns what it stores."""

    id: str
    owner: str = ANONYMOUS


async def admit(scripts: Scripts, *, job_id: str, queue: str, model: str, tenant: Tenant, queue_max: int) -> None:
    """Reserve a place for a job, until its submit takes it.

    Raises QueueFull with `Retry-After`, or ModelUnavailable when no worker serves the queue.
    """
    verdict, waiting, service_ms, slots = await scripts.run(
        "admit",
        [
            keys.rq_queue(queue),
            keys.admitted(queue),
            keys.serving(queue),
            keys.pace(queue),
            keys.SEEKERS,
            keys.WANTED,
        ],
        [
            job_id,
            queue_max,
            keys.RESERVATION_MS,
            keys.wanted(queue, model),
            keys.WANTED_MS,
            keys.WANTED_CHANNEL,
            keys.HELP_MS,
        ],
    )
    if verdict == b"unserved":
        raise ModelUnavailable(
            f"no worker serves the model '{model}' at the moment",
            param="model",
            retry_after_s=_RETRY_AFTER_MAX_S,
        )
    if verdict == b"full":
        raise QueueFull(
            f"the queue for '{model}' is full: {waiting} requests wait, {queue_max} may",
            retry_after_s=retry_after(waiting, service_ms, slots),
        )


def retry_after(waiting: int, service_ms: int, slots: int) -> int:
    """Seconds until about half of `waiting` jobs have left, at `slots` at once of `service_ms` each; 1 to 60.

    Half, because the place that a caller needs is free long before the queue is empty.
    """
    seconds = waiting * service_ms / 1000 / max(slots, 1) / 2
    return max(1, min(_RETRY_AFTER_MAX_S, math.ceil(seconds)))
