"""Leases: what this worker has claimed stays its own only as long as it keeps saying so."""

import math
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared import keys
from shared.redis import Scripts
from shared.settings import Settings
from shared.stream.writer import Fenced
from worker.claim import Claim, Stop

_FRESH = 0.6
"""Share of a lease's life within which it counts as held without asking. What is left covers the round trip that
acts on it."""


class Taken(NamedTuple):
    """A job just claimed, with RQ's flat hash of it."""

    id: str
    attempt: int
    flat: list[bytes]


class Leases:
    """Claims jobs and renews them, a round trip for all of them together."""

    def __init__(self, scripts: Scripts, settings: Settings) -> None:
        self._scripts = scripts
        self._lease_s = settings.lease_s

    async def claim(self, queues: Sequence[str], free: int, slots: int) -> tuple[list[Taken], bool]:
        """Jobs from `queues`, in order, for `free` of an engine's `slots`; and whether more wait. One round trip."""
        lists = [key for queue in queues for key in (keys.rq_queue(queue), keys.rq_intermediate(queue))]
        taken, more = await self._scripts.run(
            "claim", [keys.LEASES, *lists], [free, math.ceil(self._lease_s * 1000), keys.RQ_JOB_PREFIX, slots]
        )
        return [Taken(job_id.decode(), attempt, flat) for job_id, attempt, flat in taken], bool(more)

    async def renew(self, claims: Iterable[Claim]) -> None:
        """Renew all; stop those that are lost or whose cancellation went unheard."""
        held = {claim.id: claim for claim in claims}
        if not held:
            return
        asked_at = time.monotonic()
        triples = [value for claim in held.values() for value in (claim.id, claim.attempt, claim.execution_id)]
        lost, cancelled = await self._scripts.run(
            "renew",
            [keys.LEASES],
            [
                math.ceil(self._lease_s * 1000),
                keys.EXECUTION_TTL_S,
                keys.RQ_JOB_PREFIX,
                keys.cancel_flag(""),
                keys.RQ_EXECUTION_PREFIX,
                keys.RQ_EXECUTIONS_PREFIX,
                keys.RQ_STARTED_PREFIX,
                *triples,
            ],
        )
        gone = {job_id.decode() for job_id in lost}
        for claim in held.values():
            if claim.id in gone:
                claim.stop(Stop.LOST)
            else:
                claim.renewed_at = asked_at
        for job_id in cancelled:
            held[job_id.decode()].stop(Stop.CANCELLED)

    async def ensure(self, claim: Claim) -> None:
        """Raise Fenced unless the job is certainly still this worker's. Costs a round trip only when in doubt."""
        if time.monotonic() - claim.renewed_at > self._lease_s * _FRESH:
            await self.renew([claim])
        if claim.stopped is Stop.LOST:
            raise Fenced(claim.id)
