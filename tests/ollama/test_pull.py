"""Pulls and pushes through the API, with the `ollama` package and from the command line, against a registry of ours."""

import random
from collections.abc import Iterator

import httpx
import ollama
import orjson
import pytest

from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import blob_key
from shared.catalog.names import ModelName
from tests.gguf_files import gguf
from tests.harness import Stack, running_stack, wait_for
from tests.registry import State

pytestmark = pytest.mark.redis

# A model with something to transfer: the head of a GGUF file, and noise where the tensors would be.
WEIGHTS = gguf({"general.architecture": "llama", "general.file_type": 15}) + random.Random(5).randbytes(12 << 20)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {"PUNA_REGISTRY_NETWORKS": "127.0.0.0/8", "PUNA_REGISTRY_STALL": "1"}
    with running_stack(tmp_path_factory.mktemp("pull"), **environ) as stack:
        stack.start_worker()
        stack.start_api()
        yield stack


def test_a_pull_with_progress(client: ollama.Client, state: State, host: str, stack: Stack) -> None:
    manifest = state.add("library/m", WEIGHTS)
    name = f"{host}/library/m"
    steps = list(client.pull(name, insecure=True, stream=True))
    statuses = [step.status for step in steps]
    assert statuses[0] == "pulling manifest"
    assert statuses[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    of_weights = [step for step in steps if step.digest == manifest.model.digest]
    assert {step.status for step in of_weights} == {f"pulling {manifest.model.digest[7:19]}"}
    assert {step.total for step in of_weights} == {len(WEIGHTS)}
    amounts = [step.completed or 0 for step in of_weights]
    assert amounts == sorted(amounts)
    assert amounts[-1] == len(WEIGHTS)
    store = DirectoryStore(stack.catalog)
    found = store.get(ModelName.parse(name).manifest_key)
    assert found is not None
    assert found.data == manifest.raw
    assert store.path(blob_key(manifest.model.digest)).read_bytes() == WEIGHTS
    assert f"{name}:latest" in {model.model for model in client.list().models}
    assert client.pull(name, insecure=True).status == "success"
    client.delete(name)


async def test_asynchronously(stack: Stack, state: State, host: str) -> None:
    state.add("library/m", WEIGHTS)
    client = ollama.AsyncClient(host=stack.url)
    steps = [step.status async for step in await client.pull(f"{host}/library/m", insecure=True, stream=True)]
    assert steps[-1] == "success"
    await client.close()


def test_an_absent_base_is_looked_for_in_its_registry(client: ollama.Client) -> None:
    created = client.create("mine", from_="10.0.0.1/library/base", system="Be kind.", stream=True)
    with pytest.raises(ollama.ResponseError, match=r"10\.0\.0\.1 has no public address"):
        list(created)


def test_what_a_registry_does_not_have(client: ollama.Client, http: httpx.Client, host: str) -> None:
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        client.pull(f"{host}/library/nobody", insecure=True)
    answer = http.post("/api/pull", json={"model": f"{host}/library/nobody", "insecure": True})
    assert answer.status_code == 200, "the first line has been sent"
    first, last = (orjson.loads(line) for line in answer.content.splitlines())
    assert first == {"status": "pulling manifest"}
    assert "file does not exist" in last["error"]
    with pytest.raises(ollama.ResponseError, match="invalid model name"):
        client.pull("a b")
    assert http.post("/api/pull", json={}).json() == {"error": "model is required"}


def test_a_push(client: ollama.Client, state: State, host: str) -> None:
    name = f"{host}/library/pushed"
    client.copy("fake", name)
    steps = [step.status for step in client.push(name, insecure=True, stream=True)]
    assert steps[0] == "retrieving manifest"
    assert steps[-2:] == ["pushing manifest", "success"]
    assert "library/pushed:latest" in state.manifests
    client.delete(name)
    assert client.pull(name, insecure=True).status == "success", "and it comes back"
    client.delete(name)
    with pytest.raises(ollama.ResponseError, match="not found"):
        client.push(f"{host}/library/nobody", insecure=True)


def test_a_pull_outlives_its_worker(stack: Stack, state: State, host: str) -> None:
    """The worker that downloads is killed; another one goes on, and whoever asked sees the end."""
    state.add("library/slow", random.Random(6).randbytes(12 << 20))
    state.stall = 1_000
    busy = stack.processes[0]
    with httpx.Client(base_url=stack.url, timeout=60) as http:
        body = {"model": f"{host}/library/slow", "insecure": True}
        with http.stream("POST", "/api/pull", json=body) as answer:
            lines = answer.iter_lines()
            assert next(lines)
            wait_for(lambda: any("/blobs/" in path for _, path, _ in list(state.requests)), "the download has begun")
            busy.kill()
            state.stall = 0
            state.waiting.set()
            stack.start_worker()
            last = [orjson.loads(line) for line in lines][-1]
    assert last == {"status": "success"}
