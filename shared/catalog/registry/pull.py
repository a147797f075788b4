"""A model from a registry into the store: its blobs first, its manifest last."""

import threading
from collections.abc import Callable
from typing import TypeVar

from shared.catalog.change import Stored, write
from shared.catalog.collect import prune
from shared.catalog.lease import Lease, leased
from shared.catalog.manifest import InvalidManifest, Layer, Manifest, blob_key
from shared.catalog.registry.blob import BlobSource
from shared.catalog.registry.client import Registry, parse
from shared.catalog.registry.errors import RegistryFailed
from shared.catalog.registry.events import Progress, Tell, unheard
from shared.catalog.registry.flights import Flight, share
from shared.catalog.registry.options import Options
from shared.catalog.source import Broken, Pace
from shared.catalog.store import Conflict, Store
from shared.catalog.transfer import transfer
from shared.errors import Cancelled, ServiceUnavailable

T = TypeVar("T")


def pull(
    store: Store,
    name: str,
    *,
    insecure: bool = False,
    progress: Tell = unheard,
    stop: threading.Event | None = None,
    options: Options | None = None,
) -> Manifest:
    """Bring a model into the store under its name, and tell Ollama's lines; the manifest is kept byte for byte.

    `insecure` speaks plain HTTP. Blobs that are there are not fetched again, and broken downloads go on where they
    stopped. Raises InvalidRequest for a bad name, NotInRegistry, RegistryFailed, RegistryRefused, DigestMismatch,
    ServiceUnavailable when registry or store kept failing, Cancelled after `stop`.
    """
    stop = stop or threading.Event()
    options = options or Options()
    registry = Registry(parse(name, insecure=insecure), options, insecure=insecure)
    try:
        progress(Progress("pulling manifest"))
        manifest = _manifest(registry, options.pace, stop)
        layers = {layer.digest: layer for layer in (*manifest.layers, manifest.config)}
        with leased(store, list(layers), stop.is_set) as lease:
            for layer in layers.values():
                _bring(store, registry, layer, lease, progress, stop)
            progress(Progress("verifying sha256 digest"))
            progress(Progress("writing manifest"))
            lease.renew()
            # A manifest that is there as it is stays as it is.
            written = write(store, registry.name, lambda state: None if _same(state, manifest) else manifest, lease)
        if written and prune(store, written.gone, grace_s=options.grace_s):
            progress(Progress("removing unused layers"))
        progress(Progress("success"))
        return manifest
    finally:
        registry.close()


def patiently(call: Callable[[], T], pace: Pace, stop: threading.Event) -> T:
    """A call that may break, tried several times. Raises ServiceUnavailable after the last one."""
    for attempt in range(pace.tries):
        if stop.is_set():
            raise Cancelled("the transfer was stopped")
        try:
            return call()
        except Broken as error:
            last = error
            stop.wait(max(error.retry_after_s, pace.backoff_s * 2**attempt) if attempt + 1 < pace.tries else 0)
    raise ServiceUnavailable(f"the registry failed {pace.tries} times: {last}") from None


def _manifest(registry: Registry, pace: Pace, stop: threading.Event) -> Manifest:
    raw = patiently(registry.manifest, pace, stop)
    try:
        return Manifest.from_bytes(raw)
    except InvalidManifest as error:
        raise RegistryFailed(f"pull model manifest: {error.message}") from None


def _bring(store: Store, registry: Registry, layer: Layer, lease: Lease, progress: Tell, stop: threading.Event) -> None:
    """One blob, unless it is there."""

    def tell(completed: int) -> None:
        lease.renew()
        progress(Progress.of("pulling", layer.digest, layer.size, completed))

    if _present(store, layer):
        tell(layer.size)
        return
    tell(0)
    share(store, layer.digest, lambda flight: _download(store, registry, layer, flight), tell, stop.is_set)
    tell(layer.size)


def _present(store: Store, layer: Layer) -> bool:
    entry = store.head(blob_key(layer.digest))
    if entry is not None and entry.size != layer.size:
        raise RegistryFailed(f"the manifest says {layer.size} bytes for {layer.digest}, which has {entry.size}")
    return entry is not None


def _download(store: Store, registry: Registry, layer: Layer, flight: Flight) -> None:
    """Until the blob is there; when another process uploads it, wait for that, and go on where it left off."""
    while not _present(store, layer):
        try:
            with store.upload(layer.digest, layer.size) as upload:
                flight.arrived(upload.stored_bytes - flight.completed)
                source = BlobSource(registry, layer.digest, layer.size)
                transfer(source, upload, registry.options.pace, flight.arrived, flight.stop)
                upload.commit()
                return
        except Conflict:
            if flight.stop.wait(0.2):
                raise Cancelled("the transfer was stopped") from None


def _same(state: Stored, manifest: Manifest) -> bool:
    return state.found is not None and state.found.data == manifest.raw
