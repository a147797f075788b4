"""Garbage collection: blobs that no manifest names, and uploads that nobody goes on with."""

import logging
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from shared.catalog.lease import LEASE_S, Collecting, collecting, keys_leased
from shared.catalog.manifest import InvalidManifest, Manifest, blob_key
from shared.catalog.store import Store
from shared.errors import ServiceUnavailable

log = logging.getLogger("puna.catalog")

_READERS: Final = 16
_AHEAD: Final = 64


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
        # Before the manifests: a lease ends after its manifest was written.
        held = keys_leased(store, grace_s=grace_s, lease_s=lease_s)
        used = _referenced(store)
        if used is None:
            return Collected(complete=False)
        garbage = {entry.key: entry.size for entry in old if entry.key not in used | held}
        removed = _sweep(store, garbage, mark)
        uploads = store.abandon(before, held)
    size = sum(garbage[key] for key in removed)
    if removed or uploads:
        log.info("collected %d blobs of %d bytes and %d unfinished uploads", len(removed), size, uploads)
    return Collected(len(removed), size, uploads, complete=len(removed) == len(garbage))


def prune(store: Store, digests: Iterable[str], *, grace_s: float) -> list[str]:
    """Remove those blobs of a manifest that is gone which nobody needs any more, however young; their keys.

    To be called after the end of the lease under which it was replaced. Nothing is removed while another collects, or
    when the store fails: `collect` finds what is left. `grace_s` (seconds) is how long a promise lasts.
    """
    keys = {blob_key(digest) for digest in digests}
    if not keys:
        return []
    try:
        with collecting(store) as mark:
            held = keys_leased(store, grace_s=grace_s) if mark else set()
            used = _referenced(store, keys - held) if mark and keys - held else None
            garbage = sorted(keys - held - used) if used is not None else []
            return _sweep(store, garbage, mark) if mark else []
    except ServiceUnavailable as error:
        log.warning("blobs of a removed manifest stay for now: %s", error.message)
        return []


def _sweep(store: Store, garbage: Iterable[str], mark: Collecting) -> list[str]:
    """Remove blobs by their keys while there is time; those that were."""
    removed = []
    for key in garbage:
        if mark.may():
            store.delete(key)
            removed.append(key)
    return removed


def _referenced(store: Store, wanted: Collection[str] | None = None) -> set[str] | None:
    """Keys of the blobs that manifests name; None when one of them cannot be read. Reads on until it has found all
    of `wanted`, if some are."""
    keys = [entry.key for entry in store.list("manifests/")]
    used: set[str] = set()
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(keys), _AHEAD):
            some = keys[start : start + _AHEAD]
            for key, found in zip(some, pool.map(store.get, some), strict=True):
                try:
                    if found is not None:
                        used.update(blob_key(layer.digest) for layer in Manifest.from_bytes(found.data).blobs)
                except InvalidManifest as error:
                    log.warning("nothing is collected: %s: %s; pull that model again, or remove it", key, error)
                    return None
            if wanted is not None and used.issuperset(wanted):
                break
    return used
