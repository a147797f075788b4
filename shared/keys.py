"""Every Redis key, channel and lifetime that Puna uses, with its reason. No other module spells one.

RQ's own keys (`rq:job:*`, `rq:queue:*`, `rq:wip:*`, …) are RQ's to name; the few that Lua scripts need are
listed at the end.
"""

from typing import Final

RESERVATION_MS: Final = 5_000
"""Life of an admission that was not followed by its submit (ms). The two are one round trip apart; a function
that dies between them gives its place back after this."""

EXECUTION_TTL_S: Final = 90
"""RQ's own bookkeeping of a running job lapses after this (s): far past our lease, so that our reaper acts first
and RQ's registry clean-up, which `rq info` triggers, never sees a live job as abandoned."""

CANCEL_FLAG_TTL_S: Final = 900
"""How long a cancellation stays readable for a worker that missed its message (s): longer than any lease."""

LOG_MAX_FRAMES: Final = 65_536
"""Bound of one replay log (frames): ten minutes at the writer's fastest pace of one frame per 10 ms."""


def frame_log(job_id: str) -> str:
    """Stream: the replay log of one job. Entry ids are `attempt-seq`, so a stale writer's XADD is refused."""
    return f"puna:log:{job_id}"


def frame_channel(job_id: str) -> str:
    """Pub/sub: the live frames of one job."""
    return f"puna:frames:{job_id}"


def cancel_flag(job_id: str) -> str:
    """String: set when a running job was asked to stop; a renewal of its lease reads it."""
    return f"puna:cancel:{job_id}"


def image(sha256: str) -> str:
    """String: an image that jobs refer to, for the life of the last of them. Named by its content, so never changed."""
    return f"puna:image:{sha256}"


def admitted(queue: str) -> str:
    """Sorted set: admissions not submitted yet, job id → when the reservation lapses (ms)."""
    return f"puna:admitted:{queue}"


def serving(queue: str) -> str:
    """Sorted set: workers that serve a queue, worker name → when its word lapses (ms)."""
    return f"puna:serving:{queue}"


def wanted(queue: str, model: str) -> str:
    """Member of WANTED. `model` is a name of the queue's model."""
    return f"{queue} {model}"


def pace(queue: str) -> str:
    """Hash: `service_ms` (moving mean of a job's time in a slot) and `slots`, for Retry-After and for help."""
    return f"puna:pace:{queue}"


def worker(name: str) -> str:
    """String: what one worker says of itself (JSON), alive as long as its heartbeat."""
    return f"puna:worker:{name}"


def state(member: str) -> str:
    """Hash: something stored, while it is hot. `member` is its key in the object store, which names its owner."""
    return f"puna:state:{member}"


def state_order(member: str) -> str:
    """Sorted set: ids of a conversation's items, in their order."""
    return f"puna:state:{member}:order"


STATE_PENDING: Final = "puna:state-pending"
"""Sorted set: what the object store does not hold as Redis does, member → since when (ms). What is in it does not
expire from Redis, so that nothing is lost while the object store is away."""

KEEPER_LOCK: Final = "puna:lock:keeper"
"""String: one keeper at a time looks for what another has left pending."""

EXPIRY_LOCK: Final = "puna:lock:expiry"
"""String: one worker at a time looks for files that are too old, and not often."""

CATALOG_QUEUE: Final = "catalog"
"""The queue of work on the catalog, which every worker serves."""

SEEKERS: Final = "puna:seekers"
"""Sorted set: workers that serve what nobody else does, name → when its word lapses (ms)."""

WANTED: Final = "puna:wanted"
"""Sorted set: queues that such workers should look at, `queue model` → until when (ms)."""

WANTED_MS: Final = 900_000
"""How long one that nobody serves is looked at after its last admission (ms): longer than any lease."""

HELP_MS: Final = 5_000
"""Those who serve a queue should be helped when the jobs that wait would wait longer than this for the last of them
(ms): about what it takes to load a model."""

WANTED_CHANNEL: Final = "puna:wanted"
"""Pub/sub: the member of WANTED of a queue that is about to receive a job and that nobody serves."""

LEASES: Final = "puna:leases"
"""Sorted set: claimed jobs, job id → when the lease lapses (ms, by Redis' clock)."""

WORKERS: Final = "puna:workers"
"""Sorted set: live workers, name → when its word lapses (ms)."""

REAPER_LOCK: Final = "puna:lock:reaper"
"""String: one reaper at a time looks for lapsed leases."""

WAKE_CHANNEL: Final = "puna:wake"
"""Pub/sub: the name of a queue that has just received a job."""

CANCEL_CHANNEL: Final = "puna:cancel"
"""Pub/sub: the id of a running job that must stop."""

UNLOAD_CHANNEL: Final = "puna:unload"
"""Pub/sub: the name of a queue whose model is to leave memory once nothing runs or waits for it."""

API_CHANNEL: Final = "puna:api"
"""Pub/sub: never published to. Holds the subscription connection of an API process open between streams."""

RQ_JOB_PREFIX: Final = "rq:job:"
RQ_EXECUTION_PREFIX: Final = "rq:execution:"
RQ_STARTED_PREFIX: Final = "rq:wip:"
RQ_EXECUTIONS_PREFIX: Final = "rq:executions:"
RQ_RESULTS_PREFIX: Final = "rq:results:"


def rq_job(job_id: str) -> str:
    """Hash: RQ's record of a job. `attempt` and `width` in it are ours."""
    return RQ_JOB_PREFIX + job_id


def rq_queue(queue: str) -> str:
    """List: ids of the jobs that wait, oldest first."""
    return f"rq:queue:{queue}"


def rq_intermediate(queue: str) -> str:
    """List: ids of the jobs claimed and not started yet."""
    return f"rq:queue:{queue}:intermediate"
