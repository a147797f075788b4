"""What every Store does, checked on a directory and on a real S3 server."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from shared.catalog.catalog import Catalog
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, MODEL, Layer, blob_key, build_manifest
from shared.catalog.names import ModelName
from shared.catalog.s3 import S3Store
from shared.catalog.store import Conflict, Store, open_store
from shared.errors import ServiceUnavailable
from shared.settings import Settings
from worker.weights import Weights


@pytest.fixture
def s3_store(s3_endpoint: str) -> Iterator[S3Store]:
    # One bucket for all: each takes seven volumes of the test server.
    store = open_store(Settings(catalog=f"s3://puna-test/some/{uuid4().hex}/", s3_endpoint=s3_endpoint))
    assert isinstance(store, S3Store)
    with suppress(store._client().exceptions.BucketAlreadyOwnedByYou, store._client().exceptions.BucketAlreadyExists):
        store._client().create_bucket(Bucket="puna-test")
    yield store
    store.close()


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "directory":
        root = tmp_path / "models"
        root.mkdir()
        return DirectoryStore(root)
    found: S3Store = request.getfixturevalue("s3_store")
    return found


def test_what_is_put_can_be_read(store: Store) -> None:
    etag = store.put("manifests/h/n/m/t", b"data")
    found, entry = store.get("manifests/h/n/m/t"), store.head("manifests/h/n/m/t")
    assert found is not None
    assert entry is not None
    assert (found.data, found.etag) == (b"data", etag)
    assert (entry.key, entry.size, entry.etag) == ("manifests/h/n/m/t", 4, etag)
    assert abs(found.modified - time.time()) < 60
    assert entry.modified == found.modified
    assert list(store.list("manifests/")) == [entry]


def test_what_is_absent(store: Store) -> None:
    assert store.get("a/b") is None
    assert store.head("a/b") is None
    assert store.get_range("a/b", 0, 10) is None
    assert list(store.list("a/")) == []
    store.delete("a/b")
    store.put("a/b/c", b"")
    assert store.get("a/b") is None
    assert store.head("a/b") is None


def test_ranges_end_with_the_object(store: Store) -> None:
    store.put("k", b"0123456789")
    assert store.get_range("k", 0, 4) == b"0123"
    assert store.get_range("k", 8, 100) == b"89"
    assert store.get_range("k", 10, 5) == b""
    assert store.get_range("k", 3, 0) == b""


def test_a_new_object_is_written_once(store: Store) -> None:
    store.put("k", b"1", if_none_match=True)
    with pytest.raises(Conflict):
        store.put("k", b"2", if_none_match=True)
    found = store.get("k")
    assert found is not None
    assert found.data == b"1"


def test_a_version_is_replaced_once(store: Store) -> None:
    first = store.put("k", b"1")
    second = store.put("k", b"22", if_match=first)
    assert second != first
    with pytest.raises(Conflict):
        store.put("k", b"333", if_match=first)
    store.delete("k")
    with pytest.raises(Conflict):
        store.put("k", b"4444", if_match=second)
    assert store.get("k") is None


def test_lists_are_by_prefix_and_in_order(store: Store) -> None:
    for key in ("blobs/b", "blobs/a", "manifests/x/y", "blobs2"):
        store.put(key, key.encode())
    assert [entry.key for entry in store.list("blobs/")] == ["blobs/a", "blobs/b"]
    assert [entry.key for entry in store.list("blobs")] == ["blobs/a", "blobs/b", "blobs2"]
    assert [entry.size for entry in store.list("manifests/")] == [13]
    assert len(list(store.list(""))) == 4


@pytest.mark.parametrize("move", [False, True])
def test_files_are_taken_whole(store: Store, tmp_path: Path, move: bool) -> None:
    source = tmp_path / "source"
    data = bytes(range(256)) * 40_000  # past S3's threshold of 8 MB for an upload in parts
    source.write_bytes(data)
    store.put_file("blobs/big", source, move=move)
    found = store.get("blobs/big")
    assert found is not None
    assert found.data == data
    assert source.exists() is not move


def test_invalid_keys_are_refused(store: Store) -> None:
    for key in ("", "../x", "a//b", "/a", "a/", ".a"):
        with pytest.raises(ValueError, match="invalid key"):
            store.get(key)


def test_ping(store: Store) -> None:
    store.ping()


async def test_a_catalog_on_the_store(store: Store, tmp_path: Path) -> None:
    data = b"gguf" * 1000
    layer = Layer.of(MODEL, data)
    store.put(blob_key(layer.digest), data)
    name = ModelName.parse("hf.co:443/User/Repo:Q4_K_M")
    store.put(name.manifest_key, build_manifest(Layer.of(CONFIG, b"{}\n"), [layer]).raw)
    catalog = Catalog(store)
    await catalog.ping()
    model = await catalog.resolve("hf.co:443/user/repo:q4_k_m")
    assert model.name == name
    assert await catalog.list() == [model]
    assert Weights(store, tmp_path / "weights").blob_path(model.manifest.model).read_bytes() == data


@pytest.mark.s3
def test_a_wrong_secret_is_refused(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_store.put("k", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    stranger = S3Store("puna-test", "stranger", endpoint=s3_store._endpoint)
    with pytest.raises(ServiceUnavailable, match="SignatureDoesNotMatch"):
        stranger.get("k")
    with pytest.raises(ServiceUnavailable):
        stranger.ping()
    stranger.close()


@pytest.mark.s3
def test_a_bucket_that_is_not_there(s3_endpoint: str) -> None:
    store = S3Store("no-such-bucket", endpoint=s3_endpoint)
    with pytest.raises(ServiceUnavailable):
        store.ping()
    store.close()


@pytest.mark.s3
def test_prefixes_keep_catalogs_apart(s3_store: S3Store) -> None:
    other = S3Store("puna-test", uuid4().hex, endpoint=s3_store._endpoint)
    s3_store.put("k", b"1")
    assert other.get("k") is None
    assert list(other.list("")) == []
    other.close()


@pytest.mark.s3
def test_no_server_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    store = S3Store("bucket", endpoint="http://127.0.0.1:1")
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        store.ping()
    store.close()
