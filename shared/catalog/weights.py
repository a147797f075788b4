"""Weights as the engine needs them: a file on this machine's disk."""

import hashlib
import os
from pathlib import Path
from typing import Final

from shared.catalog.catalog import CatalogModel
from shared.catalog.directory import DirectoryStore
from shared.catalog.lock import locked
from shared.catalog.manifest import Layer, blob_key
from shared.catalog.store import Store
from shared.errors import ModelUnavailable

CHUNK: Final = 16 << 20
"""Bytes asked for at once (16 MiB): few requests for a large model, little to repeat after a stop."""


class Weights:
    """Paths of blobs. A directory's are used in place; S3's are downloaded once into a folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def weights_path(self, model: CatalogModel) -> Path:
        """The model's GGUF file. Blocks while it is downloaded; see `blob_path` for what is raised."""
        return self.blob_path(model.manifest.model)

    def blob_path(self, layer: Layer) -> Path:
        """The file of a layer.

        Raises ModelUnavailable when the blob is not in the catalog or its content has another digest, and
        ServiceUnavailable when the catalog cannot be reached; a later call goes on where this one stopped.
        """
        key = blob_key(layer.digest)
        if isinstance(self._store, DirectoryStore):
            path = self._store.path(key)
            if not path.is_file():
                raise ModelUnavailable(f"{layer.digest} is not in the catalog")
            return path
        path = self._folder / key.removeprefix("blobs/")
        # Workers of one machine share the folder: the first downloads, the others wait and find the file.
        with locked(path.with_name(f"{path.name}.lock")):
            if not path.is_file():
                download(self._store, layer, path)
        return path


def download(store: Store, layer: Layer, path: Path) -> None:
    """Copy a blob to a file, going on from an earlier `.partial` file; the digest decides at the end."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("a+b") as file:
        while (size := file.tell()) < layer.size:
            chunk = store.get_range(blob_key(layer.digest), size, min(CHUNK, layer.size - size))
            if not chunk:
                raise ModelUnavailable(f"{layer.digest} is not in the catalog, or is shorter than it says")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != layer.digest[7:].lower():
        partial.unlink()
        raise ModelUnavailable(f"{layer.digest} was damaged on the way and was removed; its content is {found}")
    partial.replace(path)
