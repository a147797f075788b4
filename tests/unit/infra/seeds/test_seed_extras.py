"""Layers of our own beside a seed's weights: given at the import, renewed later, never at the cost of a user's."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from infra.seeds import extras
from infra.seeds.importer import ensure, present
from infra.seeds.models import Seed
from shared.catalog.catalog import Catalog
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import PARAMS, PROJECTOR, TEMPLATE, Layer, Manifest, blob_key, build_manifest
from shared.catalog.names import ModelName

NOWHERE = {"PIP_INDEX_URL": "file:///nowhere"}  # using it at all is an error

KEY = ModelName.parse("tiny:1b").manifest_key


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "models")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


@pytest.fixture
def seeing(seed: Seed, tmp_path: Path) -> Seed:
    """The seed as a later version knows it."""
    template = tmp_path / "tiny.jinja"
    template.write_text("{% for tool in tools %}{{ tool }}{% endfor %}")

    def projector(weights: Path, target: Path) -> None:
        target.write_bytes(b"sees " + weights.read_bytes()[:8])

    config = {**seed.config, "capabilities": ["completion", "tools", "vision"]}
    return dataclasses.replace(seed, template=template, projector=projector, config=config)


def manifest_of(store: DirectoryStore) -> Manifest:
    found = store.get(KEY)
    assert found is not None
    return Manifest.from_bytes(found.data)


def blob(store: DirectoryStore, layer: Layer | None) -> bytes:
    assert layer is not None
    return store.path(blob_key(layer.digest)).read_bytes()


async def test_an_import_gives_them(index: Any, seeing: Seed, store: DirectoryStore, folder: Path) -> None:
    assert ensure(store, seeing, folder, {"PIP_INDEX_URL": index.url}) is True
    assert ensure(store, seeing, folder, NOWHERE) is False
    manifest = manifest_of(store)
    assert blob(store, manifest.layer(PROJECTOR)).startswith(b"sees ")
    model = await Catalog(store).resolve("tiny:1b")
    assert model.template.startswith("{% for tool")
    assert model.capabilities == {"completion", "tools", "vision"}
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_an_older_import_is_brought_up_to_date_without_a_download(
    index: Any, seed: Seed, seeing: Seed, store: DirectoryStore, folder: Path
) -> None:
    ensure(store, seed, folder, {"PIP_INDEX_URL": index.url})
    before = manifest_of(store)
    assert not present(store, seeing)
    assert ensure(store, seeing, folder, NOWHERE) is True
    after = manifest_of(store)
    assert set(before.layers) < set(after.layers)
    assert after.layer(PROJECTOR) is not None
    assert ensure(store, seeing, folder, NOWHERE) is False


def test_a_new_template_and_a_new_recipe_take_the_place_of_ours(
    index: Any, seeing: Seed, store: DirectoryStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(store, seeing, folder, {"PIP_INDEX_URL": index.url})
    assert seeing.template is not None
    seeing.template.write_text("{% newer %}")
    assert ensure(store, seeing, folder, NOWHERE) is True
    assert blob(store, manifest_of(store).layer(TEMPLATE)) == b"{% newer %}"
    monkeypatch.setattr(extras, "_PROJECTOR", f"{extras.MARK}:colours-next")
    assert ensure(store, seeing, folder, NOWHERE) is True
    assert ensure(store, seeing, folder, NOWHERE) is False


def test_a_missing_blob_of_ours_is_made_again(index: Any, seeing: Seed, store: DirectoryStore, folder: Path) -> None:
    ensure(store, seeing, folder, {"PIP_INDEX_URL": index.url})
    for kind in (PROJECTOR, TEMPLATE):
        layer = manifest_of(store).layer(kind)
        assert layer is not None
        store.delete(blob_key(layer.digest))
        assert ensure(store, seeing, folder, NOWHERE) is True
        assert present(store, seeing)


def test_what_a_user_made_of_it_is_left_alone(
    index: Any, seed: Seed, seeing: Seed, store: DirectoryStore, folder: Path
) -> None:
    ensure(store, seed, folder, {"PIP_INDEX_URL": index.url})
    manifest = manifest_of(store)
    for kind, data in ((PARAMS, b'{"temperature":0.1}'), (TEMPLATE, b"{{ .Prompt }}")):
        layer = Layer.of(kind, data)
        store.put(blob_key(layer.digest), data)
        theirs = build_manifest(manifest.config, [*manifest.layers, layer])
        store.put(KEY, theirs.raw)
        assert ensure(store, seeing, folder, NOWHERE) is False
        assert manifest_of(store).raw == theirs.raw
