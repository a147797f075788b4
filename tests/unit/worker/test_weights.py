import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.catalog.catalog import CatalogModel
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, MODEL, Layer, blob_key, build_manifest
from shared.catalog.names import ModelName
from shared.catalog.store import Entry
from shared.errors import Cancelled, ModelUnavailable, ServiceUnavailable
from worker.weights import Weights

DATA = bytes(range(256)) * 40
LAYER = Layer.of(MODEL, DATA)
OTHER = DATA[::-1]
OTHER_LAYER = Layer.of(MODEL, OTHER)


class Remote:
    """A store behind a network: ranges only, one of which may fail."""

    def __init__(self, *blobs: bytes, fail_at: int = -1) -> None:
        self.blobs = {blob_key(Layer.of(MODEL, data).digest): data for data in blobs or (DATA,)}
        self.fail_at = fail_at
        self.asked: list[int] = []

    def head(self, key: str) -> Entry | None:
        return Entry(key, len(self.blobs[key]), "", 0.0) if key in self.blobs else None

    def url(self, key: str, seconds: int) -> None:
        return None

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        self.asked.append(start)
        if start == self.fail_at:
            self.fail_at = -1
            raise ServiceUnavailable("gone")
        return self.blobs[key][start : start + length]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.weights.PART", 4096)


_MADE: list[Weights] = []


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    """What a test held is let go at its end."""
    yield
    while _MADE:
        _MADE.pop().close()


def weights(remote: Remote, tmp_path: Path, most: int = 1 << 40) -> Weights:
    _MADE.append(Weights(remote, tmp_path / "weights", most))  # type: ignore[arg-type]
    return _MADE[-1]


def test_a_directory_is_used_in_place(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    model = CatalogModel(ModelName.parse("m"), build_manifest(Layer.of(CONFIG, b""), [LAYER]), 0.0)
    helper = Weights(store, tmp_path / "weights")
    with pytest.raises(ModelUnavailable, match="not in the catalog"):
        helper.blob_path(model.manifest.model)
    store.put(blob_key(LAYER.digest), DATA)
    assert helper.blob_path(model.manifest.model) == tmp_path / blob_key(LAYER.digest)
    assert not (tmp_path / "weights").exists()


def test_a_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    remote = Remote(fail_at=8192)
    helper = weights(remote, tmp_path)
    with pytest.raises(ServiceUnavailable):
        helper.blob_path(LAYER)
    told: list[tuple[int, int]] = []
    path = helper.blob_path(LAYER, lambda *counts: told.append(counts))
    assert path.read_bytes() == DATA
    assert told[-1] == (len(DATA), len(DATA))
    assert len(remote.asked) <= 5, "a part that was there was asked for again"
    assert weights(remote, tmp_path).blob_path(LAYER) == path
    assert len(remote.asked) <= 5
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, f"{path.name}.checked"]


def test_what_is_damaged_in_the_catalog_is_told(tmp_path: Path) -> None:
    remote = Remote()
    remote.blobs = {blob_key(LAYER.digest): OTHER}
    with pytest.raises(ModelUnavailable, match="damaged in the catalog: digest mismatch"):
        weights(remote, tmp_path).blob_path(LAYER)
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize("damage", [OTHER, b"short"])
def test_a_file_that_was_damaged_here_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    remote = Remote()
    path = weights(remote, tmp_path).blob_path(LAYER)
    path.write_bytes(damage)
    asked = len(remote.asked)
    assert weights(remote, tmp_path).blob_path(LAYER).read_bytes() == DATA
    assert len(remote.asked) > asked


def test_a_file_that_a_crash_of_the_machine_emptied_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights(Remote(), tmp_path).blob_path(LAYER)
    info = path.stat()
    path.write_bytes(bytes(LAYER.size))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    monkeypatch.setattr("worker.weights.BOOT", "the next")
    assert weights(Remote(), tmp_path).blob_path(LAYER).read_bytes() == DATA


def test_a_blob_of_another_size(tmp_path: Path) -> None:
    remote = Remote()
    remote.blobs[blob_key(LAYER.digest)] = DATA[:5000]
    with pytest.raises(ModelUnavailable, match="another size"):
        weights(remote, tmp_path).blob_path(LAYER)


def test_room_is_made_of_what_nobody_holds(tmp_path: Path) -> None:
    third = DATA[1:] + b"x"
    remote, layers = Remote(DATA, OTHER, third), (LAYER, OTHER_LAYER, Layer.of(MODEL, third))
    helper, elsewhere = weights(remote, tmp_path, 2 * len(DATA)), weights(remote, tmp_path)
    paths = [helper.blob_path(layer) for layer in layers[:2]]
    with pytest.raises(ModelUnavailable, match="no room for weights of 10,240 bytes: 20,480 of 20,480 are in use"):
        helper.blob_path(layers[2])
    elsewhere.blob_path(layers[0])  # another worker loads it too
    helper.release(layers[0])
    with pytest.raises(ModelUnavailable, match="no room"):
        helper.blob_path(layers[2])
    helper.release(layers[1])
    helper.blob_path(layers[2])
    assert [path.exists() for path in paths] == [True, False]


def test_a_download_can_be_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        weights(Remote(), tmp_path).blob_path(LAYER, stop=stop)
