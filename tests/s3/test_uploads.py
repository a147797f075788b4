"""Blobs written in parts, on a directory and on a real S3 server."""

import hashlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from shared.catalog import s3_upload
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import blob_key, digest_of
from shared.catalog.s3 import S3Store
from shared.catalog.store import Conflict, Store
from shared.catalog.upload import PART_LEAST, PARTS_MOST, DigestMismatch, Upload, part_bytes
from tests.s3.test_store_contract import s3_store, store  # noqa: F401 fixtures

PARTS = 4
DATA = random.Random(7).randbytes((PARTS - 1) * PART_LEAST + 12_345)
DIGEST = digest_of(DATA)
KEY = blob_key(DIGEST)


def piece(upload: Upload, number: int) -> bytes:
    start, length = upload.span(number)
    return DATA[start : start + length]


def stored(store: Store, key: str = KEY) -> bytes | None:  # noqa: F811
    found = store.get(key)
    return found.data if found else None


@pytest.mark.parametrize("size", [0, 1, 4 << 30, 50 << 30, 400 << 30])
def test_part_sizes_fit_s3(size: int) -> None:
    assert -(-size // part_bytes(size)) <= PARTS_MOST
    assert part_bytes(size) >= PART_LEAST


def test_parts_in_any_order_and_at_once(store: Store) -> None:  # noqa: F811
    with store.upload(DIGEST, len(DATA)) as upload:
        assert upload.missing == [0, 1, 2, 3]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: upload.write(number, piece(upload, number)), [3, 1, 0, 2]))
        assert store.head(KEY) is None, "a blob is seen before its digest was checked"
        upload.commit()
    assert stored(store) == DATA
    assert store.abandon(time.time() + 60) == 0, "something was left behind"


@pytest.mark.parametrize("data", [b"", b"small"])
def test_small_blobs(store: Store, data: bytes) -> None:  # noqa: F811
    with store.upload(digest_of(data), len(data)) as upload:
        upload.write(0, data)
        upload.commit()
    assert stored(store, blob_key(digest_of(data))) == data


def test_an_upload_goes_on_where_it_stopped(store: Store) -> None:  # noqa: F811
    first = store.upload(DIGEST, len(DATA))
    for number in (2, 0):
        first.write(number, piece(first, number))
    first.close()
    with store.upload(DIGEST, len(DATA)) as second:
        assert second.missing == [1, 3]
        assert second.stored_bytes == 2 * PART_LEAST
        for number in second.missing:
            second.write(number, piece(second, number))
        second.commit()
    assert stored(store) == DATA
    assert store.abandon(time.time() + 60) == 0


@pytest.mark.parametrize("resumed", [False, True])
def test_a_wrong_part_is_found_and_nothing_is_kept(store: Store, resumed: bool) -> None:  # noqa: F811
    upload = store.upload(DIGEST, len(DATA))
    upload.write(1, bytes(PART_LEAST))
    if resumed:
        upload.close()
        upload = store.upload(DIGEST, len(DATA))
    for number in {0, 1, 2, 3} - {1}:
        upload.write(number, piece(upload, number))
    damaged = DATA[:PART_LEAST] + bytes(PART_LEAST) + DATA[2 * PART_LEAST :]
    told = f"digest mismatch, file must be downloaded again: want {DIGEST}, got {digest_of(damaged)}"
    with pytest.raises(DigestMismatch, match=told):
        upload.commit()
    upload.close()
    assert store.head(KEY) is None
    with store.upload(DIGEST, len(DATA)) as again:
        assert again.missing == [0, 1, 2, 3]
        again.discard()
    assert store.abandon(time.time() + 60) == 0


def test_parts_that_wait_too_long_are_read_again(store: Store) -> None:  # noqa: F811
    data = random.Random(1).randbytes(20 * PART_LEAST)
    released: list[int] = []
    with store.upload(digest_of(data), len(data)) as upload:
        for number in reversed(upload.missing):
            start, length = upload.span(number)
            upload.write(number, data[start : start + length], lambda number=number: released.append(number))
            assert number == 0 or upload.parts - number - len(released) <= 16, "too much is held in memory"
        upload.commit()
    assert sorted(released) == list(range(20))
    found = store.head(upload.key)
    assert found is not None
    assert found.size == len(data)


def test_abandoned_uploads_are_removed(store: Store) -> None:  # noqa: F811
    with store.upload(DIGEST, len(DATA)) as upload:
        upload.write(0, piece(upload, 0))
    assert store.abandon(time.time() - 3600) == 0
    assert store.abandon(time.time() + 60, keep={KEY}) == 0
    assert store.abandon(time.time() + 60) == 1
    with store.upload(DIGEST, len(DATA)) as upload:
        assert len(upload.missing) == PARTS


def test_a_directory_has_one_writer_per_blob(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)  # noqa: F811
    with store.upload(DIGEST, len(DATA)) as upload:
        with pytest.raises(Conflict):
            store.upload(DIGEST, len(DATA))
        assert store.abandon(time.time() + 60) == 0, "a running upload was removed"
        upload.discard()
    store.upload(DIGEST, len(DATA)).close()


def test_a_torn_journal_loses_one_part(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)  # noqa: F811
    with store.upload(DIGEST, len(DATA)) as upload:
        for number in (0, 1):
            upload.write(number, piece(upload, number))
    (journal,) = (tmp_path / "blobs").glob(".*-parts")
    journal.write_bytes(journal.read_bytes()[:-1])
    with store.upload(DIGEST, len(DATA)) as upload:
        assert upload.missing == [1, 2, 3]


@pytest.mark.s3
def test_a_finished_object_that_was_not_copied_is_used(s3_store: S3Store) -> None:  # noqa: F811
    with s3_store.upload(DIGEST, len(DATA)) as upload:
        for number in upload.missing:
            upload.write(number, piece(upload, number))
        upload._complete()
    assert s3_store.head(KEY) is None
    with s3_store.upload(DIGEST, len(DATA)) as upload:
        assert upload.missing == []
        upload.commit()
    assert hashlib.sha256(stored(s3_store) or b"").hexdigest() == DIGEST[7:]
    assert list(s3_store.list("uploads/")) == []


@pytest.mark.s3
def test_another_writer_cannot_slip_in_a_part(s3_store: S3Store) -> None:  # noqa: F811
    first, second = s3_store.upload(DIGEST, len(DATA)), s3_store.upload(DIGEST, len(DATA))
    assert first._upload_id == second._upload_id
    for number in range(PARTS):
        first.write(number, piece(first, number))
    second.write(1, bytes(PART_LEAST))
    with suppress(Conflict, DigestMismatch):  # a server keeps the part of the ETag that is named, or refuses
        first.commit()
    assert stored(s3_store) in (DATA, None)


@pytest.mark.s3
def test_large_objects_are_copied_in_parts(s3_store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(s3_upload, "_ONE_COPY_MOST", 8 << 20)
    monkeypatch.setattr(s3_upload, "_COPY_PART", 6 << 20)
    with s3_store.upload(DIGEST, len(DATA)) as upload:
        for number in upload.missing:
            upload.write(number, piece(upload, number))
        upload.commit()
    assert stored(s3_store) == DATA
