"""The object store, asked from an event loop. Its errors speak of what is stored and not of the catalog."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import orjson

from shared.catalog.store import Conflict, Store
from shared.errors import ServiceUnavailable

T = TypeVar("T")

_TRIES = 5
"""Writers of one thing are few: whoever loses so often that this is not enough leaves it to the next keeper."""


class Durable:
    """Objects with a `version` each; an older one never takes the place of a newer one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: str) -> bytes | None:
        """Raises ServiceUnavailable."""
        found = await _asked(lambda: self._store.get(key))
        return None if found is None else found.data

    async def put(self, key: str, version: int, data: bytes) -> None:
        """Write, unless what is there is as new. Raises ServiceUnavailable."""
        await _asked(lambda: _put(self._store, key, version, data))

    async def delete(self, key: str) -> None:
        """Raises ServiceUnavailable."""
        await _asked(lambda: self._store.delete(key))


def _put(store: Store, key: str, version: int, data: bytes) -> None:
    first = version == 1  # most things are written once: then there is nothing to look at
    for _ in range(_TRIES):
        found = None if first else store.get(key)
        first = False
        if found is not None and orjson.loads(found.data)["version"] >= version:
            return
        try:
            if found is None:
                store.put(key, data, if_none_match=True)
            else:
                store.put(key, data, if_match=found.etag)
        except Conflict:
            continue
        return
    raise ServiceUnavailable("too many writers at once")


async def _asked(call: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(call)
    except ServiceUnavailable as error:
        raise ServiceUnavailable("what is stored cannot be reached; try again", retry_after_s=2) from error
