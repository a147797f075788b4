"""A registry of others, Docker's own: pushed to and pulled from. Skipped without one (Debian: docker-registry)."""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shared.catalog.change import copy
from shared.catalog.create import create
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import MODEL, Manifest, blob_key, digest_of
from shared.catalog.names import ModelName
from shared.catalog.registry import Options, Progress, pull, push
from shared.catalog.registry.errors import NotInRegistry, RegistryFailed
from shared.schema.create import parse
from tests.gguf_files import gguf
from tests.harness import free_port, serving
from tests.pull.test_pull import LOOPBACK

BINARY = os.environ.get("REGISTRY_BIN") or shutil.which("docker-registry")

pytestmark = pytest.mark.skipif(BINARY is None, reason="no docker-registry on the PATH nor at REGISTRY_BIN")

WEIGHTS = gguf({"general.architecture": "llama"}) + random.Random(9).randbytes(12 << 20)
OPTIONS = Options(networks=LOOPBACK, stall_s=5)

# The password is `secret`, in bcrypt at its lowest cost.
LOGINS = "user:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"


@contextmanager
def running(folder: Path, auth: str = "") -> Iterator[str]:
    """`host:port` of a registry that keeps everything in a folder."""
    host = f"127.0.0.1:{free_port()}"
    file = folder / "registry.yml"
    file.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: {host}, secret: x}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'registry'}}}}}\n{auth}"
    )
    words, log = [str(BINARY), "serve", str(file)], folder / "registry.log"
    with serving(words, f"http://{host}/v2/", log, ready=(200, 401)):
        yield host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path) as host:
        yield host


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """With a model `m`."""
    store = DirectoryStore(tmp_path / "models")
    store.put(blob_key(digest_of(WEIGHTS)), WEIGHTS)
    files = {"m.gguf": digest_of(WEIGHTS)}
    list(create(store, parse({"model": "m", "files": files, "system": "Be kind.", "parameters": {"top_k": 1}})))
    return store


def manifest(store: DirectoryStore, name: str) -> Manifest:
    found = store.get(ModelName.parse(name).manifest_key)
    assert found is not None
    return Manifest.from_bytes(found.data)


def pushed(store: DirectoryStore, name: str, options: Options = OPTIONS) -> list[Progress]:
    events: list[Progress] = []
    push(store, name, insecure=True, options=options, progress=events.append)
    return events


def test_there_and_back(store: DirectoryStore, host: str, tmp_path: Path) -> None:
    name = f"{host}/library/m:1"
    copy(store, "m", name)
    assert [event.status for event in pushed(store, name)][-2:] == ["pushing manifest", "success"]
    other = DirectoryStore(tmp_path / "other")
    pull(other, name, insecure=True, options=OPTIONS)
    ours = manifest(store, name)
    assert manifest(other, name).raw == ours.raw
    for layer in ours.blobs:
        assert other.path(blob_key(layer.digest)).read_bytes() == store.path(blob_key(layer.digest)).read_bytes()
    with httpx.Client(base_url=f"http://{host}", trust_env=False) as http:
        assert http.get("/v2/library/m/tags/list").json() == {"name": "library/m", "tags": ["1"]}
        accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        head = http.head("/v2/library/m/manifests/1", headers=accept)
        assert head.headers["docker-content-digest"] == f"sha256:{ours.digest}"
    assert pushed(store, name)[-1].status == "success", "a second time it has all of it"


def test_layers_of_a_base_in_the_same_registry_are_mounted(store: DirectoryStore, host: str, tmp_path: Path) -> None:
    """Whoever may read the base need not send its layers again."""
    base, child = f"{host}/library/m", f"{host}/mine/child"
    copy(store, "m", base)
    pushed(store, base)
    list(create(store, parse({"model": child, "from": base, "system": "Be brief."})))
    weights = manifest(store, child).model
    assert weights.origin == f"{base}:latest"
    events = pushed(store, child)
    between = [event for event in events if event.digest == weights.digest and 0 < event.completed < event.total]
    assert between == [], "the weights were sent"
    other = DirectoryStore(tmp_path / "other")
    pull(other, child, insecure=True, options=OPTIONS)
    assert other.path(blob_key(weights.digest)).read_bytes() == WEIGHTS


def test_a_base_from_elsewhere_is_sent(store: DirectoryStore, host: str) -> None:
    child = f"{host}/mine/child"
    list(create(store, parse({"model": child, "from": "m"})))
    assert manifest(store, child).model.origin == "m:latest"
    sent = [event for event in pushed(store, child) if event.digest == digest_of(WEIGHTS)]
    assert any(0 < event.completed < event.total for event in sent)


def test_what_it_does_not_have(store: DirectoryStore, host: str) -> None:
    with pytest.raises(NotInRegistry, match="pull model manifest: file does not exist"):
        pull(store, f"{host}/library/nobody", insecure=True, options=OPTIONS)


def test_a_password(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "logins").write_text(LOGINS)
    auth = f"auth: {{htpasswd: {{realm: test, path: {tmp_path / 'logins'}}}}}\n"
    with running(tmp_path, auth) as host:
        name = f"{host}/library/m"
        copy(store, "m", name)
        for logins, words in (((), "PUNA_REGISTRY_LOGINS has none"), (((host, "user:wrong"),), "401")):
            with pytest.raises(RegistryFailed, match=words):
                pushed(store, name, Options(networks=LOOPBACK, logins=logins))
        known = Options(networks=LOOPBACK, logins=((host, "user:secret"),))
        assert pushed(store, name, known)[-1].status == "success"
        assert pull(store, name, insecure=True, options=known).layer(MODEL) == manifest(store, "m").model
