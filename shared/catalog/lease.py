"""Who needs which blobs: leases of those at work, promises to uploaders, and the mark of the one who collects.

A writer puts its lease, then looks for the collector's mark and waits while there is one. The collector puts its mark,
then reads the leases, then the manifests, and removes what neither names. Objects are consistent as soon as they are
written, so one of the two always sees the other, and no blob goes away under somebody who has found it present.

    with leased(store, digests) as lease:  # before the first look at them
        ...                                # long work calls lease.renew() now and then
        lease.hold(more_digests)           # again before the first look at those
        change.write(store, name, make, lease)
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import orjson

from shared.catalog.manifest import blob_key
from shared.catalog.store import Conflict, Entry, Store
from shared.errors import Cancelled

PREFIX: Final = "leases/"
MARK: Final = "leases/collector"
PROMISED: Final = "leases/blobs/"

LEASE_S: Final = 900.0
"""A lease that was not renewed for so long is nobody's: its holder died."""

RENEW_S: Final = 120.0

GRACE_S: Final = 3600.0
"""How long a blob that nobody names stays, counted from its writing and from the last promise, unless settings tell."""

MARK_S: Final = 120.0
"""As much for the mark; its holder stops removing after half of it, which leaves room for clocks that differ."""

_LOOK_S: Final = 0.05


class Lease:
    """Blobs that are needed from now on, whether they are there or not yet. One thread calls `hold`.

    `stopped` ends a wait for a collection. Every call may raise ServiceUnavailable.
    """

    def __init__(self, store: Store, key: str = "", stopped: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._key = key or f"{PREFIX}{secrets.token_hex(16)}"
        self._stopped = stopped
        self._held: set[str] = set()
        self._renewed = 0.0

    @property
    def due(self) -> bool:
        """Whether `renew` would do something, which blocks."""
        return bool(self._held) and time.monotonic() - self._renewed >= RENEW_S

    def hold(self, digests: Iterable[str]) -> None:
        """Hold blobs besides those that are held: which of them are there is to be looked at afterwards.

        Waits while a collection is under way, which takes seconds. Raises Cancelled when `stopped` says so meanwhile.
        """
        new = {blob_key(digest) for digest in digests} - self._held
        if not new:
            self.renew()
            return
        self._held |= new
        self._put()
        while _fresh(self._store.head(MARK)):
            while _fresh(self._store.head(MARK)):
                if self._stopped():
                    raise Cancelled("the transfer was stopped")
                time.sleep(_LOOK_S)
            self._put()  # the collection may have taken it for a lapsed one

    def renew(self) -> None:
        """To be called every few minutes at least; it costs nothing unless two have gone by."""
        if self.due:
            self._put()

    def end(self) -> None:
        if self._held:
            self._store.delete(self._key)

    def _put(self) -> None:
        self._store.put(self._key, orjson.dumps(sorted(self._held)))
        self._renewed = time.monotonic()


@contextmanager
def leased(store: Store, digests: Iterable[str] = (), stopped: Callable[[], bool] = lambda: False) -> Iterator[Lease]:
    """Hold blobs against collection until the end; see `Lease`."""
    lease = Lease(store, stopped=stopped)
    try:
        lease.hold(digests)
        yield lease
    finally:
        lease.end()


def promise(store: Store, digest: str) -> Lease:
    """A lease that nobody ends: who uploads a blob, or is told that it is there, names it by another request.

    It lasts for the grace period after it was put or renewed.
    """
    lease = Lease(store, PREFIX + blob_key(digest))
    lease.hold([digest])
    return lease


def keys_leased(store: Store, *, grace_s: float = GRACE_S, lease_s: float = LEASE_S) -> set[str]:
    """Keys of the blobs that somebody holds. What has lapsed is removed: leases of the dead, and old promises."""
    held: set[str] = set()
    for entry in list(store.list(PREFIX)):
        if entry.key == MARK:
            continue
        promised = entry.key.startswith(PROMISED)
        if entry.modified + (max(grace_s, lease_s) if promised else lease_s) < time.time():
            store.delete(entry.key)
        elif promised:
            held.add(entry.key.removeprefix(PREFIX))
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
    if _fresh(found):
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


def _fresh(mark: Entry | None) -> bool:
    return mark is not None and mark.modified + MARK_S > time.time()
