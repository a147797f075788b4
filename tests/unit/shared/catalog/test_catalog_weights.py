from pathlib import Path

import pytest

from shared.catalog import weights
from shared.catalog.catalog import CatalogModel
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, MODEL, Layer, blob_key, build_manifest
from shared.catalog.names import ModelName
from shared.catalog.weights import Weights, download
from shared.errors import ModelUnavailable, ServiceUnavailable

DATA = bytes(range(256)) * 40
LAYER = Layer.of(MODEL, DATA)


class Remote:
    """A store behind a network: ranges only, one of which may fail."""

    def __init__(self, data: bytes = DATA, fail_at: int = -1) -> None:
        self.data, self.fail_at = data, fail_at
        self.asked: list[int] = []

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        assert key == blob_key(LAYER.digest)
        self.asked.append(start)
        if start == self.fail_at:
            self.fail_at = -1
            raise ServiceUnavailable("gone")
        return self.data[start : start + length]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "CHUNK", 4096)


def test_a_directory_is_used_in_place(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    model = CatalogModel(ModelName.parse("m"), build_manifest(Layer.of(CONFIG, b""), [LAYER]), 0.0)
    helper = Weights(store, tmp_path / "weights")
    with pytest.raises(ModelUnavailable, match="not in the catalog"):
        helper.weights_path(model)
    store.put(blob_key(LAYER.digest), DATA)
    assert helper.weights_path(model) == tmp_path / blob_key(LAYER.digest)
    assert not (tmp_path / "weights").exists()


def test_a_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    remote = Remote(fail_at=8192)
    helper = Weights(remote, tmp_path / "weights")  # type: ignore[arg-type]
    with pytest.raises(ServiceUnavailable):
        helper.blob_path(LAYER)
    path = helper.blob_path(LAYER)
    assert path.read_bytes() == DATA
    assert remote.asked == [0, 4096, 8192, 8192]
    assert helper.blob_path(LAYER) == path
    assert len(remote.asked) == 4


def test_a_damaged_download_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="damaged"):
        download(Remote(b"x" * len(DATA)), LAYER, tmp_path / "w")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_short_blob_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="shorter"):
        download(Remote(DATA[:5000]), LAYER, tmp_path / "w")  # type: ignore[arg-type]
