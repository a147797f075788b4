import os
import threading
from pathlib import Path

import pytest

from shared.catalog.directory import DirectoryStore
from shared.catalog.store import Conflict, open_store
from shared.errors import ServiceUnavailable
from shared.settings import SettingError, Settings


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "models")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".lock", "a/.b", "a\\..\\b", "a\0b", "."]
)
def test_no_key_leads_out_of_the_root(store: DirectoryStore, key: str) -> None:
    for call in (store.path, store.get, store.head, store.delete, lambda k: store.put(k, b"")):
        with pytest.raises(ValueError, match="invalid key"):
            call(key)


def test_a_failed_write_leaves_the_old_version_and_no_trace(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a/b", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ServiceUnavailable, match="No space left on device"):
        store.put("a/b", b"new")
    assert [p.name for p in (store.root / "a").iterdir()] == ["b"]
    assert store.path("a/b").read_bytes() == b"old"


def test_an_error_does_not_tell_paths(store: DirectoryStore) -> None:
    store.put("a", b"")
    with pytest.raises(ServiceUnavailable) as caught:
        store.put("a/b", b"")
    assert str(store.root) not in caught.value.message


def test_a_reader_never_sees_half_a_write(store: DirectoryStore) -> None:
    versions = [bytes([n]) * 200_000 for n in range(2)]
    store.put("k", versions[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            store.put("k", versions[turn := 1 - turn])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            found = store.get("k")
            assert found is not None
            assert found.data in versions
    finally:
        stop.set()
        writer.join()


def test_one_of_many_conditional_writers_wins(store: DirectoryStore) -> None:
    won: list[int] = []
    first = store.put("k", b"0")
    start = threading.Barrier(6)

    def write(n: int) -> None:
        start.wait()
        try:
            store.put("k", b"%d" % n, if_match=first)
        except Conflict:
            return
        won.append(n)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(1, 7)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = store.get("k")
    assert found is not None
    assert [b"%d" % n for n in won] == [found.data]


def test_temporary_files_and_the_lock_are_not_listed(store: DirectoryStore) -> None:
    store.put("blobs/a", b"1")
    (store.root / "blobs" / ".x.tmp").write_bytes(b"half")
    assert [entry.key for entry in store.list("")] == ["blobs/a"]


def test_ping_needs_a_directory(store: DirectoryStore, tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable):
        store.ping()
    (tmp_path / "file").touch()
    with pytest.raises(ServiceUnavailable):
        DirectoryStore(tmp_path / "file").ping()


def test_open_store_makes_the_directory(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    store.ping()
    assert isinstance(store, DirectoryStore)
    assert store.root == tmp_path / "models"


@pytest.mark.parametrize("url", ["gs://bucket/x", "s3://", "s3:///prefix", "file:///x"])
def test_open_store_refuses_other_urls(url: str) -> None:
    with pytest.raises(SettingError, match="PUNA_CATALOG"):
        open_store(Settings(catalog=url))
