"""A model from the store into a registry: blobs that it lacks, then the manifest."""

import hashlib
import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urljoin

import orjson

from shared.catalog.change import Stored, hold
from shared.catalog.lease import leased
from shared.catalog.manifest import MANIFEST, Layer, Manifest, blob_key
from shared.catalog.names import ModelName
from shared.catalog.registry.answer import Answer
from shared.catalog.registry.client import REDIRECTS, Registry, parse
from shared.catalog.registry.errors import RegistryFailed
from shared.catalog.registry.events import Progress, Tell, unheard
from shared.catalog.registry.options import Options
from shared.catalog.registry.pull import patiently
from shared.catalog.store import Store
from shared.errors import Cancelled, InvalidRequest, ModelNotFound, ModelUnavailable

PART: Final = 100_000_000
"""Bytes of one PATCH."""

_READ: Final = 4 << 20


def push(
    store: Store,
    name: str,
    *,
    insecure: bool = False,
    progress: Tell = unheard,
    stop: threading.Event | None = None,
    options: Options | None = None,
) -> Manifest:
    """Bring a model of the store to the registry that its name says, and tell Ollama's lines. It is pushed as it was
    found, whoever removes or replaces it meanwhile.

    Raises ModelNotFound, Conflict when it was changed just at the beginning, and what `pull` raises.
    """
    stop = stop or threading.Event()
    options = options or Options()
    wanted = parse(name, insecure=insecure)
    progress(Progress("retrieving manifest"))
    found = store.get(wanted.manifest_key)
    if found is None:
        raise ModelNotFound(f"model '{name}' not found", param="model")
    registry = Registry(wanted, options, insecure=insecure)
    try:
        with leased(store, (), stop.is_set) as lease:
            manifest = hold(store, Stored(wanted.manifest_key, found), lease)

            def tell(step: Progress) -> None:
                lease.renew()
                progress(step)

            for layer in {layer.digest: layer for layer in (*manifest.layers, manifest.config)}.values():
                _Push(store, registry, layer, tell, stop).run()
        progress(Progress("pushing manifest"))
        patiently(lambda: _put_manifest(registry, manifest), options.pace, stop)
        progress(Progress("success"))
        return manifest
    finally:
        registry.close()


class _Push:
    """One blob."""

    def __init__(self, store: Store, registry: Registry, layer: Layer, progress: Tell, stop: threading.Event) -> None:
        self._store, self._registry, self._layer = store, registry, layer
        self._progress, self._stop = progress, stop

    def run(self) -> None:
        self.tell(0)
        patiently(self._once, self._registry.options.pace, self._stop)
        self.tell(self._layer.size)

    def tell(self, completed: int) -> None:
        if self._stop.is_set():
            raise Cancelled("the transfer was stopped")
        self._progress(Progress.of("pushing", self._layer.digest, self._layer.size, completed))

    def _once(self) -> None:
        registry, digest = self._registry, self._layer.digest
        if self._answer("HEAD", f"{registry.url}/blobs/{digest}", (200, 404, *REDIRECTS)).status != 404:
            return
        elsewhere = _repository(self._layer.origin, registry.name)
        query = f"?mount={digest}&from={quote(elsewhere, safe='')}" if elsewhere else ""
        begun = self._answer("POST", f"{registry.url}/blobs/uploads/{query}", (201, 202), b"")
        if begun.status == 201:
            return
        url, sums = _next(f"{registry.url}/blobs/uploads/", begun), []
        for start in range(0, self._layer.size, PART):
            url, stored = self._part(url, start, min(PART, self._layer.size - start))
            sums.append(stored)
        # Storage that took the parts itself is told what they were, as Ollama's registry wants it.
        etag = (
            f"&etag={hashlib.md5(b''.join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}" if all(sums) else ""
        )
        joined = f"{url}{'&' if '?' in url else '?'}digest={digest}{etag if sums else ''}"
        self._answer("PUT", joined, (201, 202, 204), b"")

    def _part(self, url: str, start: int, length: int) -> tuple[str, bytes]:
        """Send some bytes; where the next ones go, and the MD5 of these when a storage of the registry took them."""
        headers = {
            "Content-Range": f"{start}-{start + length - 1}",
            "Content-Type": "application/octet-stream",
            "X-Redirect-Uploads": "1",
        }
        body = Body(self._store, blob_key(self._layer.digest), start, length, self.tell)
        answer = self._answer("PATCH", url, (200, 201, 202, 204, 307), body, headers)
        following = _next(url, answer)
        if answer.status != 307:
            return following, b""
        body.rewind()
        storage = answer.headers["location"]
        self._answer("PUT", urljoin(url, storage), (200, 201, 204), body, {})
        return urljoin(url, answer.headers.get("docker-upload-location", url)), body.md5

    def _answer(
        self,
        method: str,
        url: str,
        good: tuple[int, ...],
        body: "bytes | Body | None" = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        if body is not None:
            headers = {**(headers or {}), "Content-Length": str(len(body))}
        response = self._registry.send(method, url, headers or {}, body)
        self._registry.body(response, f"push blob {self._layer.digest}", good)
        return response


def _repository(origin: str, ours: ModelName) -> str:
    """The repository of our registry that has a layer already: that of its origin, the model it was made from, if that
    is of this registry too; else nothing."""
    try:
        name = ModelName.parse(origin)
    except InvalidRequest:
        return ""
    return f"{name.namespace}/{name.model}" if name.host.lower() == ours.host.lower() else ""


class Body:
    """A range of a blob as a request's body: read from the store while it is sent, again after `rewind`."""

    def __init__(self, store: Store, key: str, start: int, length: int, tell: Callable[[int], None]) -> None:
        self._store, self._key, self._start, self._length, self._tell = store, key, start, length, tell
        self._at = 0
        self._sum = hashlib.md5(usedforsecurity=False)

    def __len__(self) -> int:
        return self._length

    def rewind(self) -> None:
        self._at = 0
        self._sum = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> bytes:
        return self._sum.digest()

    def read(self, most: int = -1) -> bytes:
        """What http.client asks for, in pieces of its choice; larger ones are given, which it takes."""
        if self._at >= self._length:
            return b""
        data = self._store.get_range(self._key, self._start + self._at, min(_READ, self._length - self._at))
        if not data:
            raise ModelUnavailable(f"{self._key.removeprefix('blobs/')} is not in the catalog")
        self._at += len(data)
        self._sum.update(data)
        self._tell(self._start + self._at)
        return data


def _put_manifest(registry: Registry, manifest: Manifest) -> None:
    kind = orjson.loads(manifest.raw).get("mediaType") or MANIFEST
    headers = {"Content-Type": str(kind)}
    url = f"{registry.url}/manifests/{registry.name.tag}"
    registry.body(registry.send("PUT", url, headers, manifest.raw), "push model manifest", (200, 201, 202, 204))


def _next(url: str, answer: Answer) -> str:
    location = answer.headers.get("docker-upload-location") or answer.headers.get("location")
    if not location and answer.status == 202:
        raise RegistryFailed("the registry did not say where to upload to")
    return urljoin(url, location) if location else url
