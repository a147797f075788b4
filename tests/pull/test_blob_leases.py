"""Files that are uploaded, or found, while garbage is collected: who has been told that one is there can name it."""

import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from functions import services
from shared.catalog.collect import collect
from shared.catalog.create import create
from shared.catalog.manifest import blob_key, digest_of
from shared.catalog.store import Store, open_store
from shared.catalog.upload import PART_LEAST, Upload
from shared.schema.create import parse
from shared.settings import Settings
from tests.gguf_files import MINIMAL
from tests.pull.test_own_registry import serving, settings  # noqa: F401 fixture
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_leases import Interrupted, clean
from tests.s3.test_store_contract import s3_store  # noqa: F401 fixture

LARGE = MINIMAL + struct.pack("<I", 0) * (PART_LEAST // 2)
"""Of more than one part."""


class Collected(Interrupted):
    """A store that is collected before one of its calls, or before each part of an upload."""

    def upload(self, digest: str, size: int) -> Upload:
        upload: Upload = self.__getattr__("upload")(digest, size)
        write = upload.write

        def collected_write(*args: Any) -> None:
            clean(self._store)
            write(*args)

        upload.write = collected_write  # type: ignore[method-assign]
        return upload


@pytest.fixture
def store(settings: Settings) -> Store:  # noqa: F811
    return open_store(settings)


@pytest.fixture
def seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> Collected:
    """The store as the API sees it."""
    collected = Collected(store, -1, lambda: clean(store))
    monkeypatch.setattr(services, "open_store", lambda _: collected)
    return collected


@pytest.fixture
def http(seen: Collected, settings: Settings) -> Iterator[httpx.Client]:  # noqa: F811
    with serving(settings) as address, httpx.Client(base_url=f"http://{address}", timeout=60) as client:
        yield client


def named(store: Store, data: bytes) -> str:
    """The last line of a model that is made of a file."""
    clean(store)
    body = {"model": "m", "files": {"m.gguf": digest_of(data)}}
    return str(list(create(store, parse(body)))[-1]["status"])


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_a_file_that_is_found_can_be_named(method: str, http: httpx.Client, store: Store, seen: Collected) -> None:
    at, found = 0, 0
    while seen.calls >= at:
        store.put(blob_key(digest_of(MINIMAL)), MINIMAL)
        seen.calls, seen._at = 0, at
        answer = http.request(method, f"/api/blobs/{digest_of(MINIMAL)}", content=MINIMAL if method == "POST" else b"")
        if answer.is_success:
            found += 1
            assert named(store, MINIMAL) == "success"
        else:
            assert answer.status_code == 404, "it was not there when it was looked for"
        for entry in [*store.list("manifests/"), *store.list("leases/")]:
            store.delete(entry.key)
        at += 1
    assert found >= 2


@pytest.mark.parametrize("length", ["told", "not told"])
def test_an_upload_outlives_collections(length: str, http: httpx.Client, store: Store) -> None:
    pieces = iter([LARGE[:100], LARGE[100:]])
    answer = http.post(f"/api/blobs/{digest_of(LARGE)}", content=LARGE if length == "told" else pieces)
    assert answer.status_code == 201
    assert named(store, LARGE) == "success"


def test_a_promise_is_not_for_ever(http: httpx.Client, store: Store) -> None:
    assert http.post(f"/api/blobs/{digest_of(MINIMAL)}", content=MINIMAL).status_code == 201
    assert collect(store, grace_s=-5, lease_s=-5).blobs == 1
    assert http.head(f"/api/blobs/{digest_of(MINIMAL)}").status_code == 404
