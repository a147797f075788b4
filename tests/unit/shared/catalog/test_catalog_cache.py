"""The catalog's calls to its store, counted: what a request costs is an integer."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.catalog.catalog import Catalog
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import (
    CONFIG,
    MODEL,
    PARAMS,
    TEMPLATE,
    InvalidManifest,
    Layer,
    Manifest,
    blob_key,
    build_manifest,
)
from shared.catalog.names import ModelName
from shared.catalog.store import Entry, Object
from shared.errors import InvalidRequest, ModelNotFound


class CountedStore(DirectoryStore):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: Counter[str] = Counter()
        self.before_get: Callable[[str], None] = lambda key: None

    def get(self, key: str) -> Object | None:
        self.calls["get"] += 1
        self.before_get(key)
        return super().get(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        self.calls["list"] += 1
        return super().list(prefix)

    def add(
        self, name: str, *, weights: bytes = b"gguf", params: bytes = b"", template: bytes = b"", modified: float = 0
    ) -> None:
        key = ModelName.parse(name).manifest_key
        layers = [Layer.of(MODEL, weights)]
        for kind, text in ((PARAMS, params), (TEMPLATE, template)):
            if text:
                layers.append(Layer.of(kind, text))
                self.put(blob_key(layers[-1].digest), text)
        config = Layer.of(CONFIG, b"{}\n")
        self.put(blob_key(config.digest), b"{}\n")
        self.put(key, build_manifest(config, layers).raw)
        if modified:
            os.utime(self.path(key), (modified, modified))


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def store(tmp_path: Path) -> CountedStore:
    return CountedStore(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(store: CountedStore, clock: Clock) -> Catalog:
    return Catalog(store, now=clock)


async def test_a_model_is_read_once_and_then_once_per_ttl(store: CountedStore, catalog: Catalog, clock: Clock) -> None:
    store.add("smollm2:135m", params=b'{"stop":["x"]}\n')
    for _ in range(10):
        model = await catalog.resolve("smollm2:135m")
    assert store.calls == {"get": 3}  # the manifest, its parameters and its config
    assert (model.id, model.owned_by, model.defaults) == ("smollm2:135m", "library", {"stop": ["x"]})
    clock.s += 1.0
    assert await catalog.resolve("library/smollm2:135m") is model
    assert store.calls == {"get": 4}  # unchanged: only the manifest


async def test_many_at_once_share_one_read(store: CountedStore, catalog: Catalog) -> None:
    store.add("m")
    await asyncio.gather(*(catalog.resolve("m") for _ in range(50)))
    assert store.calls == {"get": 2}


async def test_the_read_outlives_the_one_who_asked_first(store: CountedStore, catalog: Catalog) -> None:
    store.add("m")
    first = asyncio.create_task(catalog.resolve("m"))
    second = asyncio.create_task(catalog.resolve("m"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).id == "m:latest"
    assert store.calls == {"get": 2}


async def test_a_change_is_seen_after_the_ttl_or_forget(store: CountedStore, catalog: Catalog, clock: Clock) -> None:
    store.add("m", weights=b"1")
    before = await catalog.resolve("m")
    store.add("m", weights=b"2")
    assert await catalog.resolve("m") is before
    clock.s += 1.0
    after = await catalog.resolve("m")
    assert after.queue != before.queue
    store.delete(ModelName.parse("m").manifest_key)
    catalog.forget()
    with pytest.raises(ModelNotFound):
        await catalog.resolve("m")


@pytest.mark.parametrize("gone", [PARAMS, TEMPLATE])
async def test_a_model_that_is_replaced_while_it_is_read(gone: str, store: CountedStore, catalog: Catalog) -> None:
    """Its layers are removed under the reader: it sees what has come instead, never a mixture."""
    store.add("m", params=b'{"seed":1}', template=b"old")
    manifest = Manifest.from_bytes(store.get(ModelName.parse("m").manifest_key).data)  # type: ignore[union-attr]
    key = blob_key(manifest.layer(gone).digest)  # type: ignore[union-attr]

    def replaced(asked: str) -> None:
        if asked == key and store.path(key).exists():
            store.add("m", params=b'{"seed":2}', template=b"new")
            store.delete(key)

    store.before_get = replaced
    model = await catalog.resolve("m")
    assert (model.defaults, model.template) == ({"seed": 2}, "new")


async def test_another_case_finds_the_stored_name_through_one_listing(store: CountedStore, catalog: Catalog) -> None:
    store.add("Team/SmolLM2:135M")
    model = await catalog.resolve("team/smollm2:135m")
    assert model.id == "Team/SmolLM2:135M"
    assert store.calls == {"get": 3, "list": 1}
    await catalog.resolve("TEAM/smollm2:135m")
    assert store.calls == {"get": 4, "list": 1}


async def test_unknown_names_list_once_per_ttl(store: CountedStore, catalog: Catalog) -> None:
    for name in ("nope", "nope2", "nope3"):
        with pytest.raises(ModelNotFound, match=f"^model '{name}' not found$") as caught:
            await catalog.resolve(name)
        assert caught.value.param == "model"
    assert store.calls == {"get": 3, "list": 1}


async def test_a_malformed_name_costs_nothing(store: CountedStore, catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest, match="invalid model name"):
        await catalog.resolve("a/../b")
    assert not store.calls


async def test_the_list_is_newest_first_and_reads_only_what_changed(
    store: CountedStore, catalog: Catalog, clock: Clock
) -> None:
    for n, name in enumerate(("old", "new", "middle/x")):
        store.add(name, modified=1_700_000_000 + (0, 20, 10)[n])
    assert [model.id for model in await catalog.list()] == ["new:latest", "middle/x:latest", "old:latest"]
    assert store.calls == {"list": 1, "get": 4}
    await catalog.list()
    assert store.calls == {"list": 1, "get": 4}
    clock.s += 1.0
    store.add("old", weights=b"other", modified=1_700_000_030)
    newest = (await catalog.list())[0]
    assert (newest.id, newest.modified) == ("old:latest", 1_700_000_030)
    assert store.calls == {"list": 2, "get": 5}


async def test_an_empty_catalog_lists_nothing(catalog: Catalog) -> None:
    assert await catalog.list() == []
    await catalog.ping()


async def test_aliases_share_a_queue(store: CountedStore, catalog: Catalog) -> None:
    store.add("a", weights=b"w")
    store.add("b", weights=b"w", params=b'{"temperature":0}\n')
    a, b = await catalog.resolve("a"), await catalog.resolve("b")
    assert a.queue == b.queue == f"model-{a.manifest.model.digest[7:19]}"
    assert a.manifest.digest != b.manifest.digest


async def test_a_damaged_model_is_named_and_left_out_of_the_list(
    store: CountedStore, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    store.add("good")
    store.add("bad", params=b"[]")
    store.put(ModelName.parse("worse").manifest_key, b"{")
    store.put("manifests/stray", b"{}")
    assert [model.id for model in await catalog.list()] == ["good:latest"]
    assert "bad:latest" in caplog.text
    assert "worse:latest" in caplog.text
    with pytest.raises(InvalidManifest, match="bad:latest"):
        await catalog.resolve("bad")


def test_handlers_do_not_pay_for_boto3() -> None:
    code = "import sys, shared.catalog.catalog, shared.catalog.s3; assert 'boto3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_catalog_serves_one_event_loop_after_another(store: CountedStore, catalog: Catalog) -> None:
    store.add("m")
    for _ in range(2):
        assert asyncio.run(catalog.resolve("m")).id == "m:latest"
        catalog.forget()
