"""Changing the catalog: manifests written on a condition, so that of two writers none loses its update unseen.

A name that exists keeps the case it is stored in, whatever case it is asked for in. All calls block.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.catalog.manifest import Manifest, blob_key
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


def write(store: Store, name: ModelName, make: Callable[[Stored], Manifest | None]) -> Manifest | None:
    """Write what `make` makes of the name's present state; None from it writes nothing.

    `make` is called again when another writer came between. Raises Conflict after `ATTEMPTS`, ModelUnavailable when
    the manifest names a blob that is not whole, and what `make` raises.
    """
    whole: set[str] = set()
    for attempt in range(ATTEMPTS):
        state = find(store, name)
        manifest = make(state)
        if manifest is None:
            return None
        check_whole(store, manifest, whole)
        etag = state.found.etag if state.found else None
        try:
            store.put(state.key, manifest.raw, if_none_match=etag is None, if_match=etag)
        except Conflict:
            bound = min(_PAUSE_S * 2**attempt, _PAUSE_MAX_S)
            time.sleep(random.uniform(0, bound))  # noqa: S311 no secret
            continue
        if etag is not None or _only_spelling(store, state):
            return manifest
    raise Conflict(f"model '{name}' is being changed by others; try again", param="model")


def copy(store: Store, source: str, destination: str) -> None:
    """Give a model another name; its blobs are shared. The same name is left alone.

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

    def copied(_: Stored) -> Manifest:
        found = find(store, old).found
        if found is None:
            raise ModelNotFound(f'model "{source}" not found', param="source")
        return Manifest.from_bytes(found.data)

    write(store, new, copied)


def delete(store: Store, model: str) -> None:
    """Remove a name. Its blobs are left to garbage collection, which knows who else needs them.

    Raises InvalidRequest or ModelNotFound in Ollama's words.
    """
    name = _named(model, f'name "{model}" is invalid')
    state = find(store, name)
    if state.found is None:
        raise ModelNotFound(f"model '{model}' not found", param="model")
    store.delete(state.key)


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


def _named(text: str, words: str) -> ModelName:
    try:
        return ModelName.parse(text)
    except InvalidRequest:
        raise InvalidRequest(words, param=words.partition(" ")[0]) from None
