"""Who needs which blobs: leases of those at work, and the mark of the one who collects.

A writer puts its lease, then looks for the collector's mark and waits while there is one. The collector puts its mark,
then reads the leases, then the manifests, and removes what neither names. Objects are consistent as soon as they are
written, so one of the two always sees the other, and no blob goes away under somebody who has found it present.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import orjson

from shared.catalog.manifest import blob_key
from shared.catalog.store import Conflict, Store
from shared.errors import Cancelled

PREFIX: Final = "leases/"
MARK: Final = "leases/collector"

LEASE_S: Final = 900.0
"""A lease that was not renewed for so long is nobody's: its holder died."""

RENEW_S: Final = 120.0

MARK_S: Final = 120.0
"""As much for the mark; its holder stops removing after half of it, which leaves room for clocks that differ."""

_LOOK_S: Final = 0.05


class Lease:
    """Blobs that are needed from now on. `renew` is to be called now and then."""

    def __init__(self, store: Store, digests: Collection[str]) -> None:
        self._store = store
        self._key = f"{PREFIX}{secrets.token_hex(16)}"
        self._text = orjson.dumps(sorted(blob_key(digest) for digest in digests))
        self._renewed = 0.0

    def renew(self) -> None:
        if time.monotonic() - self._renewed >= RENEW_S or not self._renewed:
            self._store.put(self._key, self._text)
            self._renewed = time.monotonic()

    def end(self) -> None:
        self._store.delete(self._key)


@contextmanager
def leased(store: Store, digests: Collection[str], stopped: Callable[[], bool] = lambda: False) -> Iterator[Lease]:
    """Hold blobs against collection, whether they are there or not yet. Raises Cancelled when `stopped` says so."""
    lease = Lease(store, digests)
    lease.renew()
    try:
        while (mark := store.head(MARK)) and mark.modified + MARK_S > time.time():
            if stopped():
                raise Cancelled("the transfer was stopped")
            time.sleep(_LOOK_S)
            lease.renew()
        yield lease
    finally:
        lease.end()


def keys_leased(store: Store, lease_s: float = LEASE_S) -> set[str]:
    """Keys of the blobs that somebody holds. Leases of the dead are removed."""
    held: set[str] = set()
    for entry in list(store.list(PREFIX)):
        if entry.key == MARK:
            continue
        if entry.modified + lease_s < time.time():
            store.delete(entry.key)
        elif found := store.get(entry.key):
            held.update(orjson.loads(found.data))
    return held


class Collecting:
    """The mark, while it is held. `may` says whether there is still time to remove something."""

    def __init__(self) -> None:
        self._until = time.monotonic() + MARK_S / 2

    def may(self) -> bool:
        return time.monotonic() < self._until


@contextmanager
def collecting(store: Store) -> Iterator[Collecting | None]:
    """Put the mark; None when another collects already. One whose holder died is taken over."""
    found = store.head(MARK)
    if found and found.modified + MARK_S > time.time():
        yield None
        return
    mark = Collecting()
    try:
        etag = store.put(
            MARK,
            secrets.token_hex(8).encode(),
            if_none_match=found is None,
            if_match=found.etag if found else None,
        )
    except Conflict:
        yield None
        return
    try:
        yield mark
    finally:
        found = store.head(MARK)
        if found and found.etag == etag:
            store.delete(MARK)
