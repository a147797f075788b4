"""Changing the catalog, the one way to: manifests written on a condition, so that of two writers none loses its update
unseen, and under a lease, so that what they name stays.

A name that exists keeps the case it is stored in, whatever case it is asked for in. All calls block.
"""

import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.catalog.collect import prune
from shared.catalog.lease import GRACE_S, Lease, leased
from shared.catalog.manifest import InvalidManifest, Manifest, blob_key
from shared.catalog.names import ModelName
from shared.catalog.store import Conflict, Object, Store
from shared.errors import InvalidRequest, ModelNotFound, ModelUnavailable

ATTEMPTS: Final = 100
"""How often a write starts again because another writer was faster."""

_PAUSE_S, _PAUSE_MAX_S = 0.02, 2.0
"""Before the next attempt: at random up to a bound (s) that doubles each time, so that fifty writers do not meet fifty
times."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a name's manifest is or will be, and what is there now, if anything."""

    key: str
    found: Object | None

    @property
    def name(self) -> ModelName:
        name = ModelName.from_manifest_key(self.key)
        assert name is not None, "a manifest's key is made of a name"
        return name


class Written(NamedTuple):
    """A manifest that has been written. `gone` are the digests that the one before it named and it does not: `prune`
    removes those that nobody else needs, after the end of the lease."""

    manifest: Manifest
    gone: frozenset[str]


def find(store: Store, name: ModelName) -> Stored:
    """The stored spelling of a name and its manifest; the name's own spelling when there is none."""
    found = store.get(name.manifest_key)
    if found is None:
        for key in spellings(store, name):
            if other := store.get(key):
                return Stored(key, other)
    return Stored(name.manifest_key, found)


def spellings(store: Store, name: ModelName) -> list[str]:
    """Keys of the stored names that are this one but for case, in order."""
    return sorted(entry.key for entry in store.list("manifests/") if entry.key.lower() == name.folded)


def write(store: Store, name: ModelName, make: Callable[[Stored], Manifest | None], lease: Lease) -> Written | None:
    """Write what `make` makes of the name's present state; None from it writes nothing.

    `make` is called again when another writer came between, or when it raises Conflict. The manifest's blobs are held
    before they are looked for. Raises Conflict after `ATTEMPTS`, ModelUnavailable when one of them is not there or not
    whole, and what `make` raises.
    """
    whole: set[str] = set()
    for attempt in range(ATTEMPTS):
        state = find(store, name)
        etag = state.found.etag if state.found else None
        try:
            manifest = make(state)
            if manifest is None:
                return None
            lease.hold(layer.digest for layer in manifest.blobs)
            check_whole(store, manifest, whole)
            store.put(state.key, manifest.raw, if_none_match=etag is None, if_match=etag)
        except Conflict:
            bound = min(_PAUSE_S * 2**attempt, _PAUSE_MAX_S)
            time.sleep(random.uniform(0, bound))  # noqa: S311 no secret
            continue
        if etag is not None or _only_spelling(store, state):
            return Written(manifest, _digests(state) - {layer.digest for layer in manifest.blobs})
    raise Conflict(f"model '{name}' is being changed by others; try again", param="model")


def hold(store: Store, stored: Stored, lease: Lease) -> Manifest:
    """A stored manifest whose blobs are held: those that are there stay. There must be one.

    Raises Conflict when it was changed meanwhile, and InvalidManifest.
    """
    assert stored.found is not None, "there is a manifest"
    manifest = Manifest.from_bytes(stored.found.data)
    lease.hold(layer.digest for layer in manifest.blobs)
    now = store.get(stored.key)  # what was replaced before its blobs were held may have lost them
    if now is None or now.etag != stored.found.etag:
        raise Conflict(f"model '{stored.name}' was changed meanwhile; try again", param="model")
    return manifest


def put_blob(store: Store, digest: str, data: bytes) -> bool:
    """Have a blob that is held in the store; whether it was not there, or not whole."""
    found = store.head(key := blob_key(digest))
    if found is not None and found.size == len(data):
        return False
    store.put(key, data)
    return True


def copy(store: Store, source: str, destination: str, *, grace_s: float = GRACE_S) -> None:
    """Give a model another name; its blobs are shared. The same name is left alone. What had the name before loses the
    blobs that nobody else names.

    Raises InvalidRequest in Ollama's words, ModelNotFound or Conflict.
    """
    old, new = (
        _named(source, f'source "{source}" is invalid'),
        _named(destination, f'destination "{destination}" is invalid'),
    )
    if find(store, old).found is None:
        raise ModelNotFound(f'model "{source}" not found', param="source")
    if old.folded == new.folded:
        return
    with leased(store) as lease:

        def copied(_: Stored) -> Manifest:
            stored = find(store, old)
            if stored.found is None:
                raise ModelNotFound(f'model "{source}" not found', param="source")
            return hold(store, stored, lease)

        written = write(store, new, copied, lease)
    prune(store, written.gone if written else (), grace_s=grace_s)


def delete(store: Store, model: str, *, grace_s: float = GRACE_S) -> Collection[str]:
    """Remove a name, and those of its blobs that nobody else needs; their keys.

    Raises InvalidRequest or ModelNotFound in Ollama's words.
    """
    name = _named(model, f'name "{model}" is invalid')
    state = find(store, name)
    if state.found is None:
        raise ModelNotFound(f"model '{model}' not found", param="model")
    store.delete(state.key)
    return prune(store, _digests(state), grace_s=grace_s)


def check_whole(store: Store, manifest: Manifest, known: set[str]) -> None:
    """Raises ModelUnavailable unless every blob of a manifest is there in its size. `known` ones are not looked for;
    those that are found are added to it."""
    for layer in manifest.blobs:
        if layer.digest in known:
            continue
        entry = store.head(blob_key(layer.digest))
        if entry is None or entry.size != layer.size:
            raise ModelUnavailable(f"blob {layer.digest} is not in the catalog, or not whole")
        known.add(layer.digest)


def _only_spelling(store: Store, state: Stored) -> bool:
    """Whether a new name is the only one of its spellings. Of two that were written at once the first in order stays:
    it becomes the later writer's, and a writer with another spelling starts again on it."""
    others = [key for key in spellings(store, state.name) if key != state.key]
    if not others:
        return True
    first = min(others) > state.key
    for key in others if first else [state.key]:
        store.delete(key)
    return first


def _digests(stored: Stored) -> frozenset[str]:
    """What the manifest that is there names; nothing when there is none, or a damaged one."""
    try:
        manifest = Manifest.from_bytes(stored.found.data) if stored.found else None
    except InvalidManifest:
        return frozenset()
    return frozenset(layer.digest for layer in manifest.blobs) if manifest else frozenset()


def _named(text: str, words: str) -> ModelName:
    try:
        return ModelName.parse(text)
    except InvalidRequest:
        raise InvalidRequest(words, param=words.partition(" ")[0]) from None
