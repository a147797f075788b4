"""Stored responses: written with their job, ended with its last frame, read back by whoever owns them."""

import math
import time
from collections.abc import Sequence
from typing import Any

import orjson
from redis.asyncio import Redis

from shared import keys
from shared.redis import Scripts, buffer
from shared.settings import Settings
from shared.state import places
from shared.state.durable import Durable
from shared.state.record import FIELDS, StoredResponse

_LOOK = ("job", "head", "response", "last")
"""A response without its context."""


class Responses:
    """Reads and writes the records of responses, for the functions."""

    def __init__(self, redis: "Redis", scripts: Scripts, durable: Durable, settings: Settings) -> None:
        self._redis = redis
        self._scripts = scripts
        self._durable = durable
        self._settings = settings

    def open(self, pipe: Any, record: StoredResponse) -> None:
        """Add the record of a response that is queued to the transaction that submits its job.

        It has no final object yet, and lapses if nobody ever ends it.
        """
        key = keys.state(_place(record))
        pipe.hset(key, mapping={**record.fields(), "version": 0})
        left_s = record.deadline - time.time() + self._settings.background_log_ttl_s + self._settings.state_hot_s
        pipe.expire(key, math.ceil(max(left_s, self._settings.state_hot_s)))

    async def get(self, owner: str, id: str) -> StoredResponse | None:
        """A response with its context; None when this owner has none of that id. One read, two when it is not hot.

        Raises ServiceUnavailable.
        """
        return await self._read(owner, id, FIELDS)

    async def look(self, owner: str, id: str) -> StoredResponse | None:
        """The same without the context, where that saves anything."""
        return await self._read(owner, id, _LOOK)

    async def end(self, record: StoredResponse, response: dict[str, Any], last: int) -> None:
        """Give a response its final object, unless it has one or is deleted."""
        place = _place(record)
        await self._scripts.run("record", _keys(place, record.head.id), _end(place, response, last, ""))

    async def delete(self, owner: str, id: str) -> None:
        """Forget a response that is there. The object store follows."""
        place = places.response(owner, id)
        if place is not None:
            await self._scripts.run("forget", [keys.state(place), keys.state_order(place), keys.STATE_PENDING], [place])

    async def _read(self, owner: str, id: str, wanted: Sequence[str]) -> StoredResponse | None:
        place = places.response(owner, id)
        if place is None:
            return None
        names = [*wanted, "deleted"]
        found: Any = self._redis.hmget(keys.state(place), names)
        fields = dict(zip(names, await found, strict=True))
        if fields.pop("deleted") is not None:
            return None
        if fields["job"] is not None:
            return StoredResponse.of_fields(fields)
        data = await self._durable.get(place)
        return None if data is None else StoredResponse.of_object(data)


def buffer_end(pipe: Any, record: tuple[str, str], response: dict[str, Any], last: int, attempt: int) -> None:
    """Add the end of a stored response to the transaction of its last frame. `record` is its owner and id.

    Nothing happens when that frame is not of this attempt, or the response has an end already.
    """
    owner, id = record
    place = places.response(owner, id)
    assert place is not None, "an id of ours"
    buffer(pipe, "record", _keys(place, id), _end(place, response, last, str(attempt)))


def cancel_arguments(owner: str, id: str, response: dict[str, Any], last: int) -> tuple[list[str], list[Any]]:
    """What `cancel.lua` needs besides to end a stored response: keys and arguments."""
    place = places.response(owner, id)
    assert place is not None, "an id of ours"
    return [keys.state(place), keys.STATE_PENDING], _end(place, response, last, "")[:3]


def _place(record: StoredResponse) -> str:
    place = places.response(record.head.owner, record.head.id)
    assert place is not None, "an id of ours"
    return place


def _keys(place: str, id: str) -> list[str]:
    from shared.responses.ids import job_id

    return [keys.state(place), keys.STATE_PENDING, keys.frame_log(job_id(id))]


def _end(place: str, response: dict[str, Any], last: int, attempt: str) -> list[Any]:
    return [orjson.dumps(response), last, place, attempt]
