"""The keeper: brings the object store up to what Redis holds, and finishes what another worker has left.

A worker settles what it has just ended; a sweep settles whatever has been pending for a while: the leavings of a killed
worker, and what functions changed, which only read the object store.
"""

import asyncio
import logging
import math
import time
from typing import Any

import orjson
from redis.asyncio import Redis

from shared import keys
from shared.catalog.directory import DirectoryStore
from shared.catalog.store import Store
from shared.errors import ServiceUnavailable
from shared.redis import UNREACHABLE, Scripts
from shared.settings import Settings
from shared.state import places
from shared.state.durable import Durable
from shared.state.record import as_object

log = logging.getLogger("puna.keeper")

_BATCH = 64
"""Things settled in one round of a sweep."""

_AT_ONCE = 8
"""Writes to the object store at once, in a sweep."""

_TRIES = 3
"""A conversation may change while it is written; more than this in a row is left to the next round."""

_EXPIRY_S = 3600
"""How often files of a directory are looked through for those that are too old (s)."""


class Keeper:
    """Runs in every worker, its sweep one at a time under a lock."""

    def __init__(self, redis: "Redis", scripts: Scripts, store: Store, settings: Settings, name: str) -> None:
        self._redis = redis
        self._scripts = scripts
        self._store = store
        self._durable = Durable(store)
        self._settings = settings
        self._name = name

    async def settle(self, place: str) -> bool:
        """Have the object store hold what Redis does. False when it changes too fast; raises ServiceUnavailable."""
        for _ in range(_TRIES):
            version = await self._copy(place)
            settled = await self._scripts.run(
                "settle",
                [keys.state(place), keys.state_order(place), keys.STATE_PENDING],
                [place, version, math.ceil(self._settings.state_hot_s)],
            )
            if settled:
                return True
        return False

    async def sweep(self) -> int:
        """One round, unless another keeper has just had one. Gives how many things were pending for too long."""
        lock_ms = math.ceil(self._settings.reap_s * 900)
        if not await self._redis.set(keys.KEEPER_LOCK, self._name, nx=True, px=lock_ms):
            return 0
        before = (time.time() - self._settings.reap_s) * 1000
        found: Any = await self._redis.zrange(
            keys.STATE_PENDING, "-inf", str(before), byscore=True, offset=0, num=_BATCH
        )
        gate = asyncio.Semaphore(_AT_ONCE)

        async def settle(place: str) -> None:
            async with gate:
                try:
                    await self.settle(place)
                except ServiceUnavailable as error:
                    log.warning("%s is kept in Redis: %s", place, error.__cause__ or error)
                except UNREACHABLE:
                    raise
                except Exception:
                    log.exception("%s cannot be settled", place)  # the others can

        await asyncio.gather(*(settle(place.decode()) for place in found))
        return len(found)

    async def expire(self) -> int:
        """Delete the responses of a directory that are too old; a bucket has a lifecycle rule for that. How many."""
        if not isinstance(self._store, DirectoryStore):
            return 0
        if not await self._redis.set(keys.EXPIRY_LOCK, self._name, nx=True, ex=_EXPIRY_S):
            return 0
        return await asyncio.to_thread(self._expire, time.time() - self._settings.state_kept_s)

    def _expire(self, before: float) -> int:
        old = [entry.key for entry in self._store.list(places.RESPONSES) if entry.modified < before]
        for key in old:
            self._store.delete(key)
        return len(old)

    async def _copy(self, place: str) -> str:
        """Write or delete the object. The version that it is now, empty for what Redis does not know."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.hgetall(keys.state(place))
        pipe.zrange(keys.state_order(place), 0, -1)
        hashed, order = await pipe.execute()
        fields: dict[str, bytes] = {name.decode(): value for name, value in hashed.items()}
        if not fields:
            return ""
        version = fields["version"].decode()
        if "deleted" in fields:
            await self._durable.delete(place)
        elif place.startswith(places.CONVERSATIONS):
            await self._durable.put(place, int(version), _conversation(version, fields, order))
        else:
            await self._durable.put(place, int(version), as_object(int(version), fields))
        return version


def _conversation(version: str, fields: dict[str, bytes], order: list[bytes]) -> bytes:
    items: list[Any] = [orjson.Fragment(fields[f"i:{id.decode()}"]) for id in order]
    return orjson.dumps({"version": int(version), "meta": orjson.Fragment(fields["meta"]), "items": items})
