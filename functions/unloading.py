"""Models out of the memory of workers, when somebody asks for it or when they are removed."""

import asyncio
import time
from typing import Final

from functions.services import Services
from functions.workers import records
from shared import keys
from shared.errors import ServiceUnavailable
from shared.redis import UNREACHABLE

_LONGEST_S: Final = 5.0
"""An answer waits no longer for a model that is busy: it goes after its last request, whoever waits."""

_REPEAT_S: Final = 1.0
"""A worker that was just reconnecting did not hear it: it is told again."""

_LOOK_S: Final = 0.03


async def unload(services: Services, queue: str) -> None:
    """Have every worker unload the model of a queue once nothing runs or waits for it. Returns when it is gone, after
    five seconds at the latest. Raises ServiceUnavailable."""
    end, again = time.monotonic() + _LONGEST_S, 0.0
    while await _is_loaded(services, queue) and time.monotonic() < end:
        if time.monotonic() >= again:
            await tell(services, queue)
            again = time.monotonic() + _REPEAT_S
        await asyncio.sleep(_LOOK_S)


async def tell(services: Services, queue: str) -> None:
    """The same, without a look at what becomes of it."""
    try:
        await services.redis.publish(keys.UNLOAD_CHANNEL, queue)
    except UNREACHABLE:
        raise ServiceUnavailable("the queue cannot be reached; try again", retry_after_s=2) from None


async def _is_loaded(services: Services, queue: str) -> bool:
    """Whether a worker that serves a queue has its model in memory."""
    return any(record.get("models") for record in await records(services, keys.serving(queue)))
