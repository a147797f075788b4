"""What live workers say of themselves."""

import time
from collections.abc import Mapping
from typing import Any

import orjson

from functions.services import Services
from shared import keys
from shared.errors import ServiceUnavailable
from shared.redis import UNREACHABLE


async def records(services: Services, workers: str = keys.WORKERS) -> list[Mapping[str, Any]]:
    """The records of the workers in a sorted set of names, by name; of all of them by default.

    Raises ServiceUnavailable.
    """
    try:
        names: Any = await services.redis.zrangebyscore(workers, time.time() * 1000, "+inf")
        words = await services.redis.mget([keys.worker(name.decode()) for name in sorted(names)]) if names else []
    except UNREACHABLE:
        raise ServiceUnavailable("the queue cannot be reached; try again", retry_after_s=2) from None
    return [orjson.loads(word) for word in words if word]
