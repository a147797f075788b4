"""A response's events as server-sent events: `event: <type>`, its data, and comment lines while nothing comes."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson

from functions.inference.generate import Events
from functions.inference.sse import comment
from shared.errors import Cancelled, PunaError
from shared.frames import OUTPUT, Done, Event, Finish, Progress, Started
from shared.responses.events import ResponseEvents

_SAYS = (*OUTPUT, Finish, Done)
"""Events that open the stream: before them a failure can still be the status of the answer."""


def encode(events: Sequence[dict[str, Any]]) -> bytes:
    """Each with its name; there is no `[DONE]`."""
    return b"".join([b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events])


async def relay(view: ResponseEvents, events: Events) -> AsyncGenerator[bytes, None]:
    """A response whose caller waits for it. An error after the first bytes is the response's end; before them it is
    raised."""
    held, begun, waiting_for = b"", False, "queued"
    try:
        async for batch in events:
            held += encode(view.read(batch))
            waiting_for = waiting(batch, waiting_for)
            if not batch:
                held += comment(waiting_for)
            elif not begun and not any(isinstance(event, _SAYS) for event in batch):
                continue
            if held:
                begun = True
                yield held
                held = b""
    except Cancelled:
        if not begun:
            raise
        yield encode(view.cancelled())
    except PunaError as error:
        if not begun:
            raise
        yield held + encode(view.fail(error))


def waiting(batch: Sequence[Event], before: str) -> str:
    """What a silence means after a batch, in the words of the comment lines."""
    for event in batch:
        match event:
            case Started():
                before = "prefill"
            case Progress(stage):
                before = stage
            case _ if isinstance(event, OUTPUT):
                before = "generating"
    return before
