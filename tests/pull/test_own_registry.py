"""The catalog as a registry: our own client pulls from it, whatever it is kept in."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from functions.app import create_app
from functions.catalog.routes import ROUTERS
from infra.local import listen
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, MODEL, TEMPLATE, Layer, Manifest, blob_key, build_manifest
from shared.catalog.names import ModelName
from shared.catalog.registry import Options, pull
from shared.catalog.s3 import S3Store
from shared.catalog.store import Store, open_store
from shared.catalog.upload import PART_LEAST
from shared.settings import Settings
from tests.pull.test_pull import LOOPBACK
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_store_contract import s3_store  # noqa: F401 fixture

DATA = random.Random(5).randbytes(2 * PART_LEAST + 77)


def fill(store: Store, name: str) -> Manifest:
    texts = {CONFIG: b'{"model_format":"gguf"}\n', MODEL: DATA, TEMPLATE: b"{{ .Prompt }}"}
    layers = [Layer.of(kind, text) for kind, text in texts.items()]
    for layer, text in zip(layers, texts.values(), strict=True):
        store.put(blob_key(layer.digest), text)
    raw = build_manifest(layers[0], layers[1:]).raw.replace(b'"layers":', b'"layers": ')
    store.put(ModelName.parse(name).manifest_key, raw)
    return Manifest.from_bytes(raw)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """`127.0.0.1:port` of an API with nothing but the catalog."""
    app = create_app(settings, ROUTERS)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    with listen.bind("127.0.0.1", 0) as sock:
        listen.listen(sock)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "directory":
        return Settings(catalog=str(tmp_path / "catalog"), redis_url="unix:///nowhere")
    store: S3Store = request.getfixturevalue("s3_store")
    catalog = f"s3://{store.bucket}/{store.prefix}"
    return Settings(catalog=catalog, s3_endpoint=store._endpoint, redis_url="unix:///nowhere")


@pytest.mark.parametrize("name", ["m", "user/m:tag", "hf.co/user/m:tag"])
def test_our_client_pulls_from_our_catalog(settings: Settings, tmp_path: Path, name: str) -> None:
    manifest = fill(open_store(settings), name)
    target = DirectoryStore(tmp_path / "target")
    wanted = ModelName.parse(name)
    with serving(settings) as host:
        if wanted.host != "hf.co":  # a client's name has no place for a second host
            pulled = f"{host}/{wanted.namespace}/{wanted.model}:{wanted.tag}"
            pull(target, pulled, insecure=True, options=Options(networks=LOOPBACK))
            found = target.get(ModelName.parse(pulled).manifest_key)
            assert found is not None
            assert found.data == manifest.raw
            assert target.path(blob_key(manifest.model.digest)).read_bytes() == DATA
        repository = wanted.manifest_key.removeprefix("manifests/").rpartition("/")[0]
        with httpx.Client(base_url=f"http://{host}") as client:
            for reference in (wanted.tag, f"sha256:{manifest.digest}"):
                answer = client.get(f"/v2/{repository}/manifests/{reference}")
                assert answer.content == manifest.raw
                assert answer.headers["docker-content-digest"] == f"sha256:{manifest.digest}"


@pytest.mark.parametrize("called", ["127.0.0.1", "registry.test"])
def test_blobs(settings: Settings, called: str) -> None:
    """From S3 by a redirect, unless it has our own host's name: Ollama's client would follow that one by itself."""
    manifest = fill(open_store(settings), "m")
    path = f"/v2/library/m/blobs/{manifest.model.digest}"
    redirected = bool(settings.s3_endpoint) and called == "registry.test"
    with serving(settings) as host, httpx.Client(base_url=f"http://{host}", follow_redirects=True) as client:
        named = {"Host": f"{called}:{host.rpartition(':')[2]}"}
        head = client.head(path, headers=named)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(DATA)))
        first = client.get(path, headers=named, follow_redirects=False)
        assert first.status_code == (307 if redirected else 200)
        # Its client goes to the blob's place, and asks for it also where the answer is the blob.
        assert (first.url.join(first.headers["location"]) == first.url) is not redirected
        assert client.get(path, headers=named).content == DATA
        for asked, start, end in (("0-0", 0, 1), ("5-", 5, None), ("-7", -7, None), ("9-99999999999", 9, None)):
            answer = client.get(path, headers={**named, "Range": f"bytes={asked}"})
            assert (answer.status_code, answer.content) == (206, DATA[start:end])
        beyond = client.get(path, headers={**named, "Range": f"bytes={len(DATA)}-"})
        assert beyond.status_code == 416


def test_what_is_not_there(settings: Settings) -> None:
    fill(open_store(settings), "m")
    cases = {
        "library/m/manifests/other": (404, "MANIFEST_UNKNOWN"),
        f"library/m/manifests/sha256:{'0' * 64}": (404, "MANIFEST_UNKNOWN"),
        f"library/m/blobs/sha256:{'0' * 64}": (404, "BLOB_UNKNOWN"),
        "library/m/blobs/sha256:0": (400, "DIGEST_INVALID"),
        "library/m/tags/list": (404, "NAME_UNKNOWN"),
        "..%2f..%2fx/manifests/latest": (404, "NAME_UNKNOWN"),
    }
    with serving(settings) as host, httpx.Client(base_url=f"http://{host}/v2/") as client:
        assert client.get("").json() == {}
        for path, (status, code) in cases.items():
            answer = client.get(path)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code), path


def test_nothing_is_pushed_to_us(settings: Settings) -> None:
    uploads = "/v2/library/m/blobs/uploads/"
    with serving(settings) as host, httpx.Client(base_url=f"http://{host}") as client:
        for method, path in (("POST", uploads), ("PATCH", f"{uploads}1"), ("PUT", "/v2/library/m/manifests/latest")):
            answer = client.request(method, path)
            assert answer.status_code == 405
            (error,) = answer.json()["errors"]
            assert error == {"code": "UNSUPPORTED", "message": f"Method not allowed: {method} {path}."}
