"""Conversations: items in their order, and a few fields. Changed in Redis, where a script makes each change whole.

One that is no longer hot is warmed up from the object store before it is read or changed.
"""

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis

from shared import keys
from shared.ids import new_id
from shared.redis import Scripts, buffer
from shared.settings import Settings
from shared.state import places
from shared.state.conversation import GONE, NO_ITEM, UNKNOWN, Conversation, Page
from shared.state.durable import Durable
from shared.state.record import Items, pairs


class Conversations:
    """Conversations of all owners. What another owner has is as unknown as what nobody has: None."""

    def __init__(self, redis: "Redis", scripts: Scripts, durable: Durable, settings: Settings) -> None:
        self._redis = redis
        self._scripts = scripts
        self._durable = durable
        self._settings = settings

    async def create(self, owner: str, metadata: dict[str, str], items: Items) -> Conversation:
        """A new one. The items have ids."""
        made = Conversation(f"conv_{new_id()}", int(time.time()), metadata)
        place = _place(owner, made.id)
        await self._scripts.run("warm", _keys(place), [place, 1, "", made.encode(), *pairs(items)])
        return made

    async def get(self, owner: str, id: str) -> Conversation | None:
        """One conversation without its items. Raises ServiceUnavailable."""
        place = places.conversation(owner, id)
        for _ in range(2):
            if place is None:
                return None
            found: Any = self._redis.hmget(keys.state(place), ["meta", "deleted"])
            meta, deleted = await found
            if deleted is not None:
                return None
            if meta is not None:
                return Conversation.decode(meta)
            if not await self._warm(place):
                return None
        return None

    async def items(self, owner: str, id: str) -> Items | None:
        """All items, the oldest first, in one read. Raises ServiceUnavailable."""
        place = places.conversation(owner, id)
        for _ in range(2):
            if place is None:
                return None
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(keys.state(place))
            pipe.zrange(keys.state_order(place), 0, -1)
            fields, order = await pipe.execute()
            if b"deleted" in fields:
                return None
            if b"meta" in fields:
                return [orjson.loads(fields[b"i:" + item]) for item in order]
            if not await self._warm(place):
                return None
        return None

    async def item(self, owner: str, id: str, item: str) -> dict[str, Any] | bytes:
        """One item; GONE or NO_ITEM."""

        async def read(place: str) -> Any:
            found: Any = self._redis.hmget(keys.state(place), ["meta", "deleted", f"i:{item}"])
            meta, deleted, data = await found
            if meta is None:
                return GONE if deleted else UNKNOWN
            return NO_ITEM if data is None else orjson.loads(data)

        answer: dict[str, Any] | bytes = await self._warmed(owner, id, read)
        return answer

    async def page(self, owner: str, id: str, *, after: str, limit: int, order: str) -> Page | bytes:
        """Items after one of them, or from the first; GONE or NO_ITEM."""

        async def read(place: str) -> Any:
            verdict, *found = await self._scripts.run("page", _keys(place)[:2], [after, limit, order])
            return found[0] if found else verdict

        answer = await self._warmed(owner, id, read)
        if isinstance(answer, bytes):
            return answer
        return Page([orjson.loads(item) for item in answer[:limit]], len(answer) > limit)

    async def append(self, owner: str, id: str, items: Items) -> bool:
        """Add items at the end. False when there is no such conversation. Raises ServiceUnavailable."""
        return await self._changed(owner, id, "append", ["", *pairs(items)]) == b"ok"

    async def update(self, owner: str, id: str, metadata: dict[str, str]) -> Conversation | None:
        """With new metadata. Raises ServiceUnavailable."""
        found = await self.get(owner, id)
        if found is None:
            return None
        changed = Conversation(found.id, found.created_at, metadata)
        return changed if await self._changed(owner, id, "amend", [changed.encode(), ""]) == b"ok" else None

    async def remove(self, owner: str, id: str, item: str) -> bytes:
        """Take an item out: `ok`, GONE or NO_ITEM. Raises ServiceUnavailable."""
        return await self._changed(owner, id, "amend", ["", item])

    async def delete(self, owner: str, id: str) -> bool:
        """Forget it with its items. False when there is none. Raises ServiceUnavailable."""
        if await self.get(owner, id) is None:
            return False
        place = _place(owner, id)
        await self._scripts.run("forget", _keys(place), [place])
        return True

    def hold(self, pipe: Any, owner: str, id: str, seconds: float) -> None:
        """Add to a transaction that the conversation stays hot for so long at least: an answer will be added to it."""
        place = _place(owner, id)
        for key in (keys.state(place), keys.state_order(place)):
            pipe.expire(key, math.ceil(seconds + self._settings.state_hot_s), gt=True)

    async def _changed(self, owner: str, id: str, script: str, arguments: Sequence[Any]) -> bytes:
        async def change(place: str) -> Any:
            return await self._scripts.run(script, _keys(place), [place, *arguments])

        verdict: bytes = await self._warmed(owner, id, change)
        return verdict

    async def _warmed(self, owner: str, id: str, ask: Callable[[str], Awaitable[Any]]) -> Any:
        """What `ask` gives, once it is hot; GONE when there is none."""
        place = places.conversation(owner, id)
        for _ in range(2):
            if place is None:
                break
            answer = await ask(place)
            if answer != UNKNOWN:
                return answer
            if not await self._warm(place):
                break
        return GONE

    async def _warm(self, place: str) -> bool:
        """From the object store into Redis. False when it is not there either."""
        data = await self._durable.get(place)
        if data is None:
            return False
        found = orjson.loads(data)
        hot_s = math.ceil(self._settings.state_hot_s)
        arguments = [place, found["version"], hot_s, orjson.dumps(found["meta"]), *pairs(found["items"])]
        await self._scripts.run("warm", _keys(place), arguments)
        return True


def buffer_append(pipe: Any, owner: str, id: str, items: Items, job_id: str, attempt: int) -> None:
    """Add to the transaction of a response's last frame that its items go to the end of a conversation."""
    place = _place(owner, id)
    buffer(pipe, "append", [*_keys(place), keys.frame_log(job_id)], [place, attempt, *pairs(items)])


def _place(owner: str, id: str) -> str:
    place = places.conversation(owner, id)
    assert place is not None, "an id of ours"
    return place


def _keys(place: str) -> list[str]:
    return [keys.state(place), keys.state_order(place), keys.STATE_PENDING]
