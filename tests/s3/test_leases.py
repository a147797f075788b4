"""A collection at the worst moment: before any one call of the store that a change of the catalog makes. Whatever the
moment, a manifest that is there names blobs that are there, and the change succeeds."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.catalog import lease
from shared.catalog.change import copy, delete, find
from shared.catalog.collect import collect
from shared.catalog.create import create
from shared.catalog.manifest import Manifest, blob_key, digest_of
from shared.catalog.names import ModelName
from shared.catalog.store import Store
from shared.errors import ModelNotFound
from shared.schema.create import parse
from tests.gguf_files import MINIMAL
from tests.s3.test_store_contract import s3_store, store  # noqa: F401 fixtures


class Interrupted:
    """A store in whose `at`-th call (from 0) something else happens first. What the others do is not counted."""

    def __init__(self, store: Store, at: int, event: Callable[[], object]) -> None:  # noqa: F811
        self._store, self._at, self._event = store, at, event
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self._at + 1:
                self._event()
            return found(*args, **options)

        return call


def clean(store: Store) -> None:  # noqa: F811
    """Remove all that may be, however young."""
    collect(store, grace_s=-5)


def made(store: Any, model: str, **body: Any) -> list[dict[str, Any]]:  # noqa: F811
    return list(create(store, parse({"model": model, **body})))


def put(store: Store, data: bytes) -> str:  # noqa: F811
    store.put(blob_key(digest_of(data)), data)
    return digest_of(data)


def check_whole(store: Store) -> None:  # noqa: F811
    """Every manifest names blobs that are there."""
    for entry in store.list("manifests/"):
        found = store.get(entry.key)
        assert found is not None
        for layer in Manifest.from_bytes(found.data).blobs:
            blob = store.head(blob_key(layer.digest))
            assert blob is not None, f"{entry.key} names {layer.media_type}, which is gone"
            assert blob.size == layer.size


def at_every_moment(store: Store, prepare: Callable[[], object], work: Callable[[Any], object]) -> int:  # noqa: F811
    """Do some work as often as it makes calls, with a collection before another one each time; how many."""
    at = 0
    while True:
        prepare()
        interrupted = Interrupted(store, at, lambda: clean(store))
        work(interrupted)
        check_whole(store)
        if interrupted.calls <= at:
            return at
        at += 1


def test_create_from_files_that_were_found(store: Store) -> None:  # noqa: F811
    def prepare() -> None:
        if find(store, ModelName.parse("m")).found:
            delete(store, "m")
        put(store, MINIMAL)

    def work(interrupted: Store) -> None:
        lease.promise(store, digest_of(MINIMAL))
        made(interrupted, "m", files={"m.gguf": digest_of(MINIMAL)}, system="Hi", parameters={"seed": 1})

    assert at_every_moment(store, prepare, work) > 10
    assert find(store, ModelName.parse("m")).found


def test_create_with_texts_that_are_garbage(store: Store) -> None:  # noqa: F811
    """Layers that are there and nobody names: found present, and named."""

    def prepare() -> None:
        made(store, "base", files={"m.gguf": put(store, MINIMAL)})
        if find(store, ModelName.parse("m")).found:
            store.delete(ModelName.parse("m").manifest_key)
        put(store, b"Hi")

    def work(interrupted: Store) -> None:
        made(interrupted, "m", **{"from": "base", "system": "Hi"})

    assert at_every_moment(store, prepare, work) > 10


def test_copy(store: Store) -> None:  # noqa: F811
    made(store, "base", files={"m.gguf": put(store, MINIMAL)}, system="Hi")

    def prepare() -> None:
        if find(store, ModelName.parse("m")).found:
            delete(store, "m")

    assert at_every_moment(store, prepare, lambda interrupted: copy(interrupted, "base", "m")) > 5


def test_a_base_that_is_replaced_meanwhile(store: Store) -> None:  # noqa: F811
    """Its layers are pruned by the other writer. The new model has either those of before or those of after."""
    made(store, "base", files={"m.gguf": put(store, MINIMAL)}, parameters={"seed": 1})
    at, calls = -1, 0

    def replace() -> None:
        if store.head(lease.MARK) is None:  # otherwise the other one would wait for this one's end
            made(store, "base", **{"from": "base", "parameters": {"seed": at + 2}})

    while calls > at:
        at += 1
        interrupted = Interrupted(store, at, replace)
        made(interrupted, "m", **{"from": "base", "parameters": {"top_k": 3}})
        check_whole(store)
        calls = interrupted.calls
    assert at > 10


def test_a_source_that_is_removed_meanwhile(store: Store) -> None:  # noqa: F811
    outcomes, at, calls = set(), -1, 0
    while calls > at:
        at += 1
        made(store, "base", files={"m.gguf": put(store, MINIMAL)})
        interrupted = Interrupted(store, at, lambda: delete(store, "base"))
        try:
            copy(interrupted, "base", "m")  # type: ignore[arg-type]
            outcomes.add("copied")
            check_whole(store)
            delete(store, "m")
        except ModelNotFound:
            outcomes.add("not found")
        calls = interrupted.calls
        check_whole(store)
    assert outcomes == {"copied", "not found"}


def test_what_nobody_names_any_more_goes(store: Store) -> None:  # noqa: F811
    def blobs() -> set[bytes]:
        keys = [entry.key for entry in store.list("blobs/")]
        return {found.data for key in keys if (found := store.get(key))} - configs

    configs: set[bytes] = set()
    made(store, "base", files={"m.gguf": put(store, MINIMAL)})
    configs |= blobs() - {MINIMAL}
    made(store, "m", **{"from": "base", "system": "one"})
    assert blobs() == {MINIMAL, b"one"}
    made(store, "m", **{"from": "m", "system": "two"})
    assert blobs() == {MINIMAL, b"two"}, "a layer that was replaced is gone"
    copy(store, "m", "n")
    copy(store, "base", "m")
    assert blobs() == {MINIMAL, b"two"}, "another name has it"
    copy(store, "base", "n")
    assert blobs() == {MINIMAL}
    delete(store, "m")
    delete(store, "n")
    assert blobs() == {MINIMAL}
    put(store, b"of another")
    delete(store, "base")
    assert blobs() == {b"of another"}, "garbage that is not its own stays for the collection"
    assert list(store.list("leases/")) == []


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_LOOK_S", 0.005)
