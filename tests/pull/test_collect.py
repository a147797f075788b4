"""Garbage collection: what nobody names goes, what somebody is about to name stays."""

import os
import threading
import time
from pathlib import Path

import pytest

from shared.catalog import lease
from shared.catalog.collect import Collected, collect, prune
from shared.catalog.directory import DirectoryStore
from shared.catalog.lease import MARK, collecting, leased, promise
from shared.catalog.manifest import CONFIG, MODEL, Layer, Manifest, blob_key, build_manifest, digest_of
from shared.catalog.names import ModelName
from shared.catalog.store import Store
from shared.catalog.upload import PART_LEAST
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_store_contract import s3_store, store  # noqa: F401 fixtures

GARBAGE, KEPT = b"garbage", b"kept"


def model(store: Store, name: str, data: bytes) -> Manifest:  # noqa: F811
    manifest = build_manifest(Layer.of(CONFIG, b"{}\n"), [Layer.of(MODEL, data)])
    for blob in (b"{}\n", data):
        store.put(blob_key(digest_of(blob)), blob)
    store.put(ModelName.parse(name).manifest_key, manifest.raw)
    return manifest


def there(store: Store, data: bytes) -> bool:  # noqa: F811
    return store.head(blob_key(digest_of(data))) is not None


def test_what_no_manifest_names_is_removed_when_it_is_old(store: Store) -> None:  # noqa: F811
    model(store, "m", KEPT)
    store.put(blob_key(digest_of(GARBAGE)), GARBAGE)
    with store.upload(digest_of(b"x"), 3 * PART_LEAST) as upload:
        upload.write(1, bytes(PART_LEAST))
    assert collect(store, grace_s=3600) == Collected()
    assert there(store, GARBAGE)
    assert collect(store, grace_s=-5) == Collected(1, len(GARBAGE), 1)
    assert not there(store, GARBAGE)
    assert there(store, KEPT)
    assert list(store.list("leases/")) == []
    assert store.abandon(time.time() + 60) == 0


def test_what_is_leased_stays(store: Store) -> None:  # noqa: F811
    store.put(blob_key(digest_of(GARBAGE)), GARBAGE)
    digest = digest_of(b"on its way")
    with leased(store, [digest_of(GARBAGE), digest]):
        with store.upload(digest, 2 * PART_LEAST) as upload:
            upload.write(0, bytes(PART_LEAST))
        assert collect(store, grace_s=-5) == Collected()
        with store.upload(digest, 2 * PART_LEAST) as upload:
            assert upload.missing == [1]
    assert collect(store, grace_s=-5) == Collected(1, len(GARBAGE), 1)


def test_a_dead_holders_lease_ends(store: Store) -> None:  # noqa: F811
    store.put(blob_key(digest_of(GARBAGE)), GARBAGE)
    lease.Lease(store).hold([digest_of(GARBAGE)])
    assert collect(store, grace_s=-5).blobs == 0
    assert collect(store, grace_s=-5, lease_s=-5).blobs == 1
    assert list(store.list("leases/")) == []


def test_who_finds_a_blob_waits_for_the_collector(store: Store) -> None:  # noqa: F811
    """The writer sees the mark, or the collector sees the lease: here the mark was first."""
    found: list[bool] = []

    def writer() -> None:
        with leased(store, [digest_of(GARBAGE)]):
            found.append(there(store, GARBAGE))

    store.put(blob_key(digest_of(GARBAGE)), GARBAGE)
    with collecting(store) as mark:
        assert mark is not None
        thread = threading.Thread(target=writer)
        thread.start()
        while not list(entry for entry in store.list("leases/") if entry.key != MARK):
            time.sleep(0.01)
        with collecting(store) as second:
            assert second is None, "two collect at once"
        store.delete(blob_key(digest_of(GARBAGE)))
        assert found == []
    thread.join()
    assert found == [False]


def test_a_damaged_manifest_stops_collection(store: Store) -> None:  # noqa: F811
    store.put("manifests/h/n/m/t", b"not a manifest")
    store.put(blob_key(digest_of(GARBAGE)), GARBAGE)
    assert collect(store, grace_s=-5) == Collected(complete=False)
    assert there(store, GARBAGE)


def test_a_removed_models_blobs_go_unless_somebody_needs_them(store: Store) -> None:  # noqa: F811
    old = [layer.digest for layer in model(store, "a", GARBAGE).blobs]
    model(store, "b", KEPT)
    assert not prune(store, old, grace_s=3600), "it is not removed"
    store.delete(ModelName.parse("a").manifest_key)
    with leased(store, [digest_of(GARBAGE)]):
        assert not prune(store, old, grace_s=3600)
    with collecting(store):
        assert not prune(store, old, grace_s=3600)
    assert prune(store, old, grace_s=3600) == [blob_key(digest_of(GARBAGE))], "however young it is"
    assert not there(store, GARBAGE)
    assert there(store, b"{}\n")


def test_a_promise_lasts_for_the_grace_period(store: Store) -> None:  # noqa: F811
    store.put(blob_key(digest_of(GARBAGE)), GARBAGE)
    for _ in range(3):
        promise(store, digest_of(GARBAGE))
    assert len(list(store.list("leases/"))) == 1, "one for each blob, however often it is asked for"
    assert not prune(store, [digest_of(GARBAGE)], grace_s=3600)
    assert collect(store, grace_s=-5).blobs == 0
    assert collect(store, grace_s=-5, lease_s=-5).blobs == 1
    assert list(store.list("leases/")) == []


def test_a_dead_collectors_mark_is_taken_over(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)  # noqa: F811
    store.put(MARK, b"")
    store.put(blob_key(digest_of(GARBAGE)), GARBAGE)
    assert not collect(store, grace_s=-5).complete
    os.utime(store.path(MARK), (0, 0))
    assert collect(store, grace_s=-5) == Collected(1, len(GARBAGE))
    assert store.head(MARK) is None


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_LOOK_S", 0.005)
