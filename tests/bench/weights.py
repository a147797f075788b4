"""The real model: where its weights are, and their way into the catalog of a stack."""

import hashlib
import os
from pathlib import Path

from infra.seeds.models import SMOLLM2
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import (
    CONFIG,
    MODEL,
    InvalidManifest,
    Layer,
    Manifest,
    blob_key,
    build_manifest,
    encode_config,
)
from shared.catalog.names import ModelName
from shared.catalog.store import open_store
from shared.errors import PunaError
from shared.settings import settings
from tests.bench.client import BenchError
from worker.weights import Weights

GGUF = "PUNA_BENCH_GGUF"
"""Names a chat model's file. Without it the default model of the configured catalog is measured."""

_HELP = f"fetch it with `python -m infra.seeds`, or set {GGUF} to the GGUF file of a chat model"


def find() -> Path:
    """The GGUF file to measure. Raises BenchError saying how to get one."""
    if named := os.environ.get(GGUF):
        path = Path(named).expanduser()
        if not path.is_file():
            raise BenchError(f"{GGUF}={named}: no such file")
        return path
    try:
        store = open_store(settings())
        found = store.get(ModelName.parse(SMOLLM2.name).manifest_key)
        if found is None:
            raise BenchError(f"{SMOLLM2.name} is not in the catalog {settings().catalog_url}: {_HELP}")
        layer = Manifest.from_bytes(found.data).model
        return Weights(store, settings().home / "weights").blob_path(layer)
    except InvalidManifest as error:
        raise BenchError(f"{SMOLLM2.name} is damaged ({error}): {_HELP}") from None
    except PunaError as error:
        raise BenchError(f"{SMOLLM2.name} cannot be read from the catalog ({error.message}): {_HELP}") from None


def add(root: Path, name: str, gguf: Path) -> None:
    """Put a file into a directory's catalog under `name`."""
    store = DirectoryStore(root)
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    weights = Layer(MODEL, f"sha256:{digest}", gguf.stat().st_size)
    config = encode_config({"model_family": "llama"})
    config_layer = Layer.of(CONFIG, config)
    store.put_file(blob_key(weights.digest), gguf)
    store.put(blob_key(config_layer.digest), config)
    store.put(ModelName.parse(name).manifest_key, build_manifest(config_layer, [weights]).raw)
