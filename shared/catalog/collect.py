"""Garbage collection: blobs that no manifest names, and uploads that nobody goes on with."""

import logging
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from shared.catalog.lease import LEASE_S, Collecting, collecting, keys_leased
from shared.catalog.manifest import InvalidManifest, Manifest, blob_key
from shared.catalog.store import Entry, Store

log = logging.getLogger("puna.catalog")

_READERS: Final = 16


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed. `complete` is false when there was no time for all of it, or it was not safe."""

    blobs: int = 0
    size: int = 0
    uploads: int = 0
    complete: bool = True


def collect(store: Store, *, grace_s: float, lease_s: float = LEASE_S) -> Collected:
    """Remove unreferenced blobs and unfinished uploads older than `grace_s` (seconds), but for what is leased.

    A manifest that cannot be read stops it: nobody knows what it needs. While another collects nothing happens.
    """
    before = time.time() - grace_s
    old = [entry for entry in store.list("blobs/") if entry.modified <= before]
    with collecting(store) as mark:
        if mark is None:
            return Collected(complete=False)
        held = keys_leased(store, lease_s)  # before the manifests: a lease ends after its manifest was written
        used = _referenced(store)
        if used is None:
            return Collected(complete=False)
        removed = _sweep(store, old, used | held, mark)
        uploads = store.abandon(before, held)
    size = sum(entry.size for entry in removed)
    complete = len(removed) == sum(entry.key not in used | held for entry in old)
    if removed or uploads:
        log.info("collected %d blobs of %d bytes and %d unfinished uploads", len(removed), size, uploads)
    return Collected(len(removed), size, uploads, complete)


def prune(store: Store, replaced: Manifest, *, grace_s: float) -> int:
    """Remove the blobs of a manifest that is gone and which nobody else needs; how many.

    Ollama does so after a pull or a removal. Those younger than `grace_s` stay for `collect`: somebody who has
    uploaded them may be about to name them.
    """
    keys = {blob_key(layer.digest) for layer in replaced.blobs}
    before = time.time() - grace_s
    old = [entry for key in sorted(keys) if (entry := store.head(key)) and entry.modified <= before]
    if not old:
        return 0
    with collecting(store) as mark:
        if mark is None:
            return 0
        held = keys_leased(store)
        used = _referenced(store)
        return 0 if used is None else len(_sweep(store, old, used | held, mark))


def _sweep(store: Store, old: Collection[Entry], needed: set[str], mark: Collecting) -> list[Entry]:
    removed = []
    for entry in old:
        if entry.key not in needed and mark.may():
            store.delete(entry.key)
            removed.append(entry)
    return removed


def _referenced(store: Store) -> set[str] | None:
    """Keys of the blobs that manifests name; None when one of them cannot be read."""
    keys = [entry.key for entry in store.list("manifests/")]
    used: set[str] = set()
    with ThreadPoolExecutor(_READERS) as pool:
        for key, found in zip(keys, pool.map(store.get, keys), strict=True):
            try:
                if found is not None:
                    used.update(blob_key(layer.digest) for layer in Manifest.from_bytes(found.data).blobs)
            except InvalidManifest as error:
                log.warning("nothing is collected: %s: %s; pull that model again, or remove it", key, error)
                return None
    return used
