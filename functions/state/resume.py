"""The stream of a stored response: from the beginning or from any event on, as often as anyone asks.

The view of the frames is deterministic, so the events have the same numbers on every function instance.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from functions.inference.generate import FIRST_TICK_S
from functions.inference.response_stream import encode, waiting
from functions.inference.sse import Chunks, comment
from functions.services import Services
from functions.state.current import RUNNING, current
from functions.state.lookup import reachable
from functions.state.rebuild import rebuilt, terminal
from shared.errors import JobLost, PunaError
from shared.responses.ids import job_id
from shared.state.record import StoredResponse
from shared.state.recorder import view
from shared.stream.reader import FrameReader


@asynccontextmanager
async def resumed(services: Services, record: StoredResponse, after: int = -1) -> AsyncGenerator[Chunks, None]:
    """Its events with numbers above `after`, up to its end. Whoever leaves stops listening and no more."""
    reader = FrameReader(services.redis, services.subscriptions, job_id(record.head.id))
    try:
        with reachable():
            await reader.open()
        reader.read_again()
        yield _events(services, record, after, reader)
    finally:
        await reader.close()


async def _events(services: Services, record: StoredResponse, after: int, reader: FrameReader) -> Chunks:
    events, silence, seen = view(record.head, services.settings), "queued", -1
    if record.response is None:
        # Of one that is over, the frames may be gone: then it is told in another way, from the beginning.
        said = events.open()
        seen = said[-1]["sequence_number"]
        yield _encoded(said, after) or comment(silence)
    try:
        async for frame in reader.frames(lambda: services.settings.comment_s, FIRST_TICK_S):
            if frame is None:
                yield comment(silence)
                continue
            silence = waiting(frame.events, silence)
            said = events.read(frame.events)
            seen = said[-1]["sequence_number"] if said else seen
            if chunk := _encoded(said, after):
                yield chunk
    except JobLost:
        try:
            yield await _untold(services, record, max(after, seen))
        except PunaError as error:
            yield encode(events.error(error))


async def _untold(services: Services, record: StoredResponse, after: int) -> bytes:
    """What is left to tell of a response whose frames are gone, after an event.

    Raises JobLost for one that still runs: it has made more frames than are kept.
    """
    response = await current(services, record)
    if response["status"] in RUNNING:
        raise JobLost("the beginning of the answer is no longer kept; its end will be in the response")
    if after < 0:
        return encode(rebuilt(response, view(record.head, services.settings)))
    if record.last is not None and after >= record.last:
        return b""
    # Which pieces the caller has not seen cannot be told any more; the last event has everything.
    return encode([terminal(response, after + 1)])


def _encoded(events: Sequence[dict[str, Any]], after: int) -> bytes:
    return encode([event for event in events if event["sequence_number"] > after])
