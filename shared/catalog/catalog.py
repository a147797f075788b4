"""The catalog as a request sees it: a name in, the model with its queue and its defaults out."""

import asyncio
import builtins
import hashlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from shared.catalog.capabilities import capabilities
from shared.catalog.manifest import (
    ADAPTER,
    MESSAGES,
    PARAMS,
    PROJECTOR,
    SYSTEM,
    TEMPLATE,
    InvalidManifest,
    Layer,
    Manifest,
    blob_key,
)
from shared.catalog.names import ModelName
from shared.catalog.store import Entry, Object, Store
from shared.errors import ModelNotFound

log = logging.getLogger(__name__)

T = TypeVar("T")

_RUNNER = (PROJECTOR, ADAPTER, TEMPLATE)
"""Layers that an engine is started with, besides the weights."""

_SMALL = 1 << 20
"""Config, parameters and templates are a few KB; what is larger than this (bytes) is none."""


@dataclass(frozen=True)
class CatalogModel:
    """One name of the catalog. `modified` is unix seconds; `defaults` are the manifest's parameters, `config` its
    config object, `template` its chat template, empty when the weights' own is used; `system` and `messages` stand
    before a conversation."""

    name: ModelName
    manifest: Manifest
    modified: float
    defaults: Mapping[str, Any] = field(default_factory=dict, compare=False)
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)
    template: str = field(default="", compare=False)
    system: str = field(default="", compare=False)
    messages: tuple[Mapping[str, str], ...] = field(default=(), compare=False)

    @property
    def id(self) -> str:
        """The name that lists show."""
        return self.name.display

    @property
    def owned_by(self) -> str:
        return self.name.namespace

    @property
    def queue(self) -> str:
        """The queue of the runner: models that differ only in names, and in defaults that a runner need not know,
        share one. Raises InvalidManifest without weights."""
        digest = self.manifest.model.digest[7:].lower()
        others = [layer.digest for kind in _RUNNER for layer in self.manifest.layers if layer.media_type == kind]
        if own := _count(self.defaults.get("num_ctx")):
            others.append(f"num_ctx {own}")
        if others:
            digest = hashlib.sha256(" ".join([digest, *others]).encode()).hexdigest()
        return f"model-{digest[:12]}"

    def context(self, default: int) -> int:
        """The context that a runner has for each request (tokens): the model's own `num_ctx`, else `default`; never
        more than the model was trained for, where its config tells that."""
        trained = _count(self.config.get("context_length"))
        wanted = _count(self.defaults.get("num_ctx")) or default
        return min(wanted, trained) if trained else wanted

    @property
    def capabilities(self) -> frozenset[str]:
        """Ollama's words: `completion` or `embedding`, and `tools`, `vision`, `thinking`, `insert`."""
        return capabilities(self.manifest, self.config, self.template)


@dataclass(frozen=True, slots=True)
class _Cached:
    model: CatalogModel
    etag: str
    fresh_until: float


class Catalog:
    """Names to models, for handlers that keep nothing between requests.

    A manifest is read at most once per `ttl_s` (seconds) and process, however many requests ask; a change
    made elsewhere is seen after that. Unchanged manifests, by ETag, are not parsed again. Every method may
    raise ServiceUnavailable.
    """

    def __init__(self, store: Store, ttl_s: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._now = now
        self._models: dict[str, _Cached] = {}
        self._blobs: dict[str, bytes] = {}
        self._absences = 0
        """How often a blob was not there."""
        self._entries: tuple[Entry, ...] = ()
        self._entries_until = float("-inf")
        self._flights: dict[str, asyncio.Task[Any]] = {}

    async def resolve(self, name: str) -> CatalogModel:
        """The model of a name, in whatever case.

        Raises InvalidRequest for a malformed name, ModelNotFound for an unknown one and InvalidManifest for
        a damaged one.
        """
        wanted = ModelName.parse(name)
        model = await self._model(wanted.manifest_key)
        if model is None:
            stored = await self._spelled(wanted)
            model = await self._model(stored) if stored else None
        if model is None:
            raise ModelNotFound(f"model '{name}' not found", param="model")
        return model

    async def list(self) -> builtins.list[CatalogModel]:
        """All models, newest first. A damaged one is left out, with a line in the log."""
        entries = await self._listing()
        models = await asyncio.gather(*(self._listed(entry) for entry in entries))
        return sorted((model for model in models if model), key=lambda model: (-model.modified, model.id))

    async def ping(self) -> None:
        """Raises ServiceUnavailable when the store cannot be reached."""
        await asyncio.to_thread(self._store.ping)

    def forget(self) -> None:
        """Read everything anew: for the process that has just written."""
        self._models.clear()
        self._entries_until = float("-inf")

    async def _model(self, key: str) -> CatalogModel | None:
        cached = self._models.get(key)
        if cached and self._now() < cached.fresh_until:
            return cached.model
        return await self._once(key, lambda: self._read(key))

    async def _read(self, key: str) -> CatalogModel | None:
        found = await asyncio.to_thread(self._store.get, key)
        name = ModelName.from_manifest_key(key)
        if found is None or name is None:
            self._models.pop(key, None)
            return None
        cached = self._models.get(key)
        if cached and (cached.etag, cached.model.modified) == (found.etag, found.modified):
            model = cached.model
        else:
            absences = self._absences
            try:
                model = await self._parse(name, found)
            except InvalidManifest:
                if absences == self._absences or not await self._changed(key, found):
                    raise
                return await self._read(key)
            if absences != self._absences and await self._changed(key, found):
                return await self._read(key)
        self._models[key] = _Cached(model, found.etag, self._now() + self._ttl_s)
        return model

    async def _changed(self, key: str, found: Object) -> bool:
        """Whether a manifest is another by now: whoever replaced it has removed the blobs that only the old one had."""
        now = await asyncio.to_thread(self._store.get, key)
        return now is None or now.etag != found.etag

    async def _parse(self, name: ModelName, found: Object) -> CatalogModel:
        try:
            manifest = Manifest.from_bytes(found.data)
            defaults = await self._object(manifest.layer(PARAMS), "its parameters")
            config = await self._object(manifest.config, "its config")
            template = await self._blob(manifest.layer(TEMPLATE))
            system = await self._blob(manifest.layer(SYSTEM))
            messages = _messages(await self._blob(manifest.layer(MESSAGES)))
        except InvalidManifest as error:
            raise InvalidManifest(f"model '{name}' is damaged: {error}", param="model") from None
        texts = (template.decode("utf-8", "replace"), system.decode("utf-8", "replace"))
        return CatalogModel(name, manifest, found.modified, defaults, config, *texts, messages)

    async def _object(self, layer: Layer | None, what: str) -> dict[str, Any]:
        """A small JSON blob; an absent one is empty. Raises InvalidManifest when it cannot be read."""
        blob = await self._blob(layer)
        try:
            value = orjson.loads(blob) if blob else {}
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict) or (layer is not None and layer.media_type == PARAMS and not blob):
            raise InvalidManifest(f"{what} cannot be read")
        return value

    async def _blob(self, layer: Layer | None) -> bytes:
        """A small blob, kept by its digest; empty when there is none."""
        if layer is None or layer.size > _SMALL:
            return b""
        if layer.digest not in self._blobs:
            return await self._once(layer.digest, lambda: self._fetch(layer.digest))
        return self._blobs[layer.digest]

    async def _fetch(self, digest: str) -> bytes:
        found = await asyncio.to_thread(self._store.get, blob_key(digest))
        if found is None:
            self._absences += 1
            return b""
        self._blobs[digest] = found.data
        return found.data

    async def _spelled(self, wanted: ModelName) -> str | None:
        """The key of the stored name that differs from a name in case only."""
        return next((e.key for e in await self._listing() if e.key.lower() == wanted.folded), None)

    async def _listed(self, entry: Entry) -> CatalogModel | None:
        cached = self._models.get(entry.key)
        if cached and (cached.etag, cached.model.modified) == (entry.etag, entry.modified):
            return cached.model
        try:
            return await self._once(entry.key, lambda: self._read(entry.key))
        except InvalidManifest as error:
            log.warning("%s", error)
            return None

    async def _listing(self) -> tuple[Entry, ...]:
        if self._now() < self._entries_until:
            return self._entries
        return await self._once("", self._list)

    async def _list(self) -> tuple[Entry, ...]:
        entries = await asyncio.to_thread(lambda: tuple(self._store.list("manifests/")))
        self._entries = tuple(entry for entry in entries if ModelName.from_manifest_key(entry.key))
        self._entries_until = self._now() + self._ttl_s
        present = {entry.key for entry in self._entries}
        self._models = {key: cached for key, cached in self._models.items() if key in present}
        return self._entries

    async def _once(self, key: str, load: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Share one read between all who ask meanwhile; it goes on when the first of them leaves."""
        task: asyncio.Task[T] | None = self._flights.get(key)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.create_task(load())
            self._flights[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    def _landed(self, key: str, task: "asyncio.Task[Any]") -> None:
        if self._flights.get(key) is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # seen here in case nobody waits any more


def _count(told: Any) -> int:
    """A number of tokens; 0 for what is none."""
    return told if type(told) is int and told > 0 else 0


def _messages(blob: bytes) -> tuple[Mapping[str, str], ...]:
    """A manifest's messages. Raises InvalidManifest for what are none."""
    try:
        listed = orjson.loads(blob) if blob else []
        return tuple({"role": str(each["role"]), "content": str(each["content"])} for each in listed)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise InvalidManifest("its messages cannot be read") from None
