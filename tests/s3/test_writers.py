"""Fifty writers at once, on one name and on fifty, in a directory and on a real S3 server: no update is lost."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from shared.catalog.change import copy, find
from shared.catalog.create import create
from shared.catalog.manifest import LICENSE, PARAMS, Manifest, blob_key, digest_of
from shared.catalog.names import ModelName
from shared.catalog.store import Store
from shared.schema.create import parse
from tests.gguf_files import MINIMAL
from tests.s3.test_store_contract import s3_store, store  # noqa: F401 fixtures

WRITERS = 50
NAMES = ("top_k", "seed", "num_ctx", "num_keep", "repeat_last_n")


def made(store: Store, model: str, **body: Any) -> str:  # noqa: F811
    return str(list(create(store, parse({"model": model, **body})))[-1]["status"])


@pytest.fixture
def with_model(store: Store) -> Store:  # noqa: F811
    store.put(blob_key(digest_of(MINIMAL)), MINIMAL)
    made(store, "test", files={"m.gguf": digest_of(MINIMAL)})
    return store


@pytest.mark.slow
def test_one_name(with_model: Store) -> None:
    def write(i: int) -> str:
        name = ("TEST", "Test")[i % 2]
        body = {"from": "test", "license": f"license {i}", "parameters": {NAMES[i % len(NAMES)]: i}}
        return made(with_model, name, **body)

    with ThreadPoolExecutor(WRITERS) as pool:
        assert set(pool.map(write, range(WRITERS))) == {"success"}
    found = find(with_model, ModelName.parse("test")).found
    assert found is not None
    manifest = Manifest.from_bytes(found.data)
    blobs = {layer.digest: with_model.get(blob_key(layer.digest)) for layer in manifest.layers}
    licenses = {blobs[layer.digest].data for layer in manifest.layers if layer.media_type == LICENSE}  # type: ignore[union-attr]
    assert licenses == {f"license {i}".encode() for i in range(WRITERS)}
    params = manifest.layer(PARAMS)
    assert params is not None
    assert set(orjson.loads(blobs[params.digest].data)) == set(NAMES)  # type: ignore[union-attr]
    assert len(list(with_model.list("manifests/"))) == 1


def test_fifty_names(with_model: Store) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda i: copy(with_model, "test", f"copy{i}"), range(WRITERS)))
    keys = [entry.key for entry in with_model.list("manifests/")]
    assert len(keys) == WRITERS + 1
    digests = {Manifest.from_bytes(found.data).digest for key in keys if (found := with_model.get(key))}
    assert len(digests) == 1
