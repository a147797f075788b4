"""What a stored response is now. One that has no end yet is what its job and its frames say it is."""

import time
from typing import Any, Final

from functions.services import Services
from functions.state.lookup import reachable, unknown_response
from shared.errors import DeadlineExceeded, JobLost, PunaError
from shared.frames import Frame
from shared.responses.ids import job_id
from shared.state.record import StoredResponse
from shared.state.recorder import view
from shared.stream.reader import last_frame, read_log

RUNNING: Final = ("queued", "in_progress")
"""States that a response leaves."""


async def current(services: Services, record: StoredResponse) -> dict[str, Any]:
    """The response object. Raises ServiceUnavailable, or NotFound when it has been deleted meanwhile."""
    if record.response is not None:
        return record.response
    with reachable():
        return await _running(services, record) or await _settled(services, record)


async def _settled(services: Services, record: StoredResponse) -> dict[str, Any]:
    """The final object of a response whose job is over. If nobody could write it (the queue was lost, or the job
    waited until its time was up), it failed, and that is written now."""
    found = await services.responses.look(record.head.owner, record.head.id)
    if found is None:
        raise unknown_response(record.head.id)
    if found.response is not None:
        return found.response
    events = view(record.head, services.settings)
    last = -1
    for frame in await read_log(services.redis, job_id(record.head.id)):
        for event in events.read(frame.events):
            last = event["sequence_number"]
    for event in events.fail(_lost(record)):
        last = event["sequence_number"]
    await services.responses.end(record, events.response, last)
    found = await services.responses.look(record.head.owner, record.head.id)
    return found.response if found is not None and found.response is not None else events.response


async def _running(services: Services, record: StoredResponse) -> dict[str, Any] | None:
    """The object of a response that waits or runs; None when its job is over."""
    job = job_id(record.head.id)
    frame: Frame | None
    frame, alive = await last_frame(services.redis, job)
    if not alive or (frame is not None and frame.terminal):
        return None
    return record.head.response("queued" if frame is None and record.head.background else "in_progress")


def _lost(record: StoredResponse) -> PunaError:
    if time.time() > record.deadline:
        return DeadlineExceeded("the request did not finish within its deadline")
    return JobLost("the request was lost: neither its job nor its answer is in the queue any more")
