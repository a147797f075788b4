"""Pulls that are killed, and many at once: no torn manifest, no lost update, nothing left over."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.catalog.collect import collect
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import Manifest, blob_key, digest_of
from shared.catalog.names import ModelName
from shared.catalog.registry import pull
from shared.catalog.s3 import S3Store
from shared.catalog.store import Store, open_store
from shared.catalog.upload import PART_LEAST
from shared.settings import Settings
from tests.harness import ROOT
from tests.pull.test_pull import QUICK
from tests.registry import State, registry
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_store_contract import s3_store  # noqa: F401 fixture

pytestmark = pytest.mark.chaos

KILLS = 10
WRITERS = 50
PARTS = 2
"""Parts at once: what a kill may cost."""
DATA = random.Random(11).randbytes(12 * PART_LEAST)


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    networks = {"PUNA_REGISTRY_NETWORKS": "127.0.0.0/8", "PUNA_REGISTRY_PARTS": str(PARTS)}
    if request.param == "directory":
        return {**networks, "PUNA_CATALOG": str(tmp_path / "catalog")}
    store: S3Store = request.getfixturevalue("s3_store")
    catalog = f"s3://{store.bucket}/{store.prefix}"
    return {**networks, "PUNA_CATALOG": catalog, "PUNA_S3_ENDPOINT": store._endpoint}


def puller(environ: Mapping[str, str], name: str) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "tests.pull.puller", name]
    return subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environ}, stdout=subprocess.PIPE)


def check(store: Store, key: str, expected: dict[str, Manifest]) -> Manifest | None:
    """The manifest of a key, if there is one, is one of those pulled, and all its blobs are whole."""
    found = store.get(key)
    if found is None:
        return None
    manifest = expected[digest_of(found.data)]
    for layer in manifest.blobs:
        entry = store.head(blob_key(layer.digest))
        assert entry is not None, "a manifest names a blob that is not there"
        assert entry.size == layer.size
    return manifest


@pytest.mark.slow
def test_kills(environ: dict[str, str]) -> None:
    """Each puller is killed at another moment of its work; the last one is left alone."""
    store = open_store(Settings.load(environ))
    state, chance = State(slow_s=0.02), random.Random(2)
    with registry(state) as host:
        manifest = state.add("library/m", DATA)
        name = f"{host}/library/m"
        key = ModelName.parse(name).manifest_key
        kills = 0
        while kills < KILLS:
            before = state.served
            process = puller(environ, name)
            wanted = before + chance.randrange(1, 2 * PART_LEAST)
            while process.poll() is None and state.served < wanted:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            check(store, key, {digest_of(manifest.raw): manifest})
        state.slow_s = 0
        last = puller(environ, name)
        last.communicate()
        assert last.returncode == 0
        assert check(store, key, {digest_of(manifest.raw): manifest})
        found = store.get(blob_key(manifest.model.digest))
        assert found is not None
        assert found.data == DATA
        print(f"{kills} kills: {state.served / manifest.size:.2f} times the bytes of the model were served")
        assert state.served < manifest.size + KILLS * (PARTS + 1) * PART_LEAST
    assert collect(store, grace_s=-5, lease_s=-5).complete
    assert {entry.key for entry in store.list("blobs/")} == {blob_key(layer.digest) for layer in manifest.blobs}
    assert list(store.list("uploads/")) == list(store.list("leases/")) == []
    assert store.abandon(time.time() + 60) == 0


@pytest.mark.parametrize("names", [1, WRITERS])
@pytest.mark.slow
def test_fifty_pulls_at_once(environ: dict[str, str], names: int) -> None:
    """Of different models, to one name and to fifty: each manifest is one that was pulled, with all its blobs."""
    store = open_store(Settings.load(environ))
    state = State()
    with registry(state) as host:
        repositories = [f"library/m{n % names}" for n in range(WRITERS)]

        def one(n: int) -> tuple[str, Manifest]:
            repository = repositories[n]
            if names == 1:
                state.add(repository, f"weights {n % 3}".encode())  # a tag that moves while it is pulled
            else:
                state.add(repository, f"weights {n}".encode())
            name = f"{host}/{repository}"
            return ModelName.parse(name).manifest_key, pull(store, name, insecure=True, options=QUICK)

        with ThreadPoolExecutor(WRITERS) as pool:
            pulled = list(pool.map(one, range(WRITERS)))
    expected = {digest_of(manifest.raw): manifest for _, manifest in pulled}
    keys = {key for key, _ in pulled}
    assert len(keys) == names
    kept = [check(store, key, expected) for key in keys]
    assert None not in kept
    if names > 1:
        assert {manifest.raw for manifest in kept if manifest} == {manifest.raw for _, manifest in pulled}
    assert collect(store, grace_s=-5).complete
    needed = {blob_key(layer.digest) for manifest in kept if manifest for layer in manifest.blobs}
    assert {entry.key for entry in store.list("blobs/")} == needed
    assert list(store.list("leases/")) == []


def test_a_directory_is_left_as_it_should_be(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "catalog")
    state = State()
    with registry(state) as host:
        state.add("library/m", DATA)
        pull(store, f"{host}/library/m", insecure=True, options=QUICK)
    names = sorted(path.name for path in (tmp_path / "catalog" / "blobs").iterdir())
    assert all(name.startswith("sha256-") for name in names), names
