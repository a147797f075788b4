"""Streams of `/api/*` that have nothing to say for a while: a space now and then, which the official client skips."""

import signal
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import orjson
import pytest

from tests.harness import Process, Stack, running_stack
from tests.registry import State, registry

pytestmark = pytest.mark.redis

NOT_THERE = "pull model manifest: file does not exist"
HELLO = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {
        "PUNA_ENGINE": "fake --delay 0.6",
        "PUNA_COMMENT": "0.1",
        "PUNA_REGISTRY_NETWORKS": "127.0.0.0/8",
        "PUNA_LEASE": "15",
    }
    with running_stack(tmp_path_factory.mktemp("silence"), **environ) as stack:
        stack.start_worker()
        stack.start_api()
        yield stack


@pytest.fixture
def worker(stack: Stack) -> Iterator[Process]:
    """The worker, to be stopped for a while; it goes on whatever happens."""
    worker = stack.processes[0]
    yield worker
    worker.signal(signal.SIGCONT)


def spaces(body: bytes) -> int:
    """How many stand before the first line."""
    return len(body) - len(body.lstrip(b" "))


def read(stack: Stack, path: str, body: dict[str, Any], goes_on: Process | None = None) -> bytes:
    """The whole of a stream; once it has said nothing for a while, a stopped worker goes on."""
    parts = []
    with httpx.stream("POST", f"{stack.url}{path}", json=body, timeout=20) as answer:
        assert answer.status_code == 200
        for part in answer.iter_raw():
            parts.append(part)
            if goes_on and spaces(b"".join(parts)) > 2:
                goes_on.signal(signal.SIGCONT)
    return b"".join(parts)


@pytest.mark.parametrize(("path", "ask"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "Hi"})])
def test_an_answer_that_is_slow_to_begin(stack: Stack, path: str, ask: dict[str, Any]) -> None:
    body = read(stack, path, {"model": "fake", **ask})
    assert spaces(body) > 1
    lines = [orjson.loads(line) for line in body.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


@pytest.mark.parametrize(("name", "last"), [("m", {"status": "success"}), ("nobody", {"error": NOT_THERE})])
def test_a_pull_that_waits_for_its_worker(stack: Stack, worker: Process, name: str, last: dict[str, str]) -> None:
    state = State()
    state.add("library/m", b"weights")
    with registry(state) as host:
        worker.signal(signal.SIGSTOP)
        body = read(stack, "/api/pull", {"model": f"{host}/library/{name}", "insecure": True}, goes_on=worker)
    assert spaces(body) > 2
    assert orjson.loads(body.splitlines()[-1]) == last


def test_a_refusal_has_its_status(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as error:
        list(client.chat("nobody", HELLO, stream=True))
    assert error.value.status_code == 404


def test_the_official_client_skips_spaces(client: ollama.Client) -> None:
    parts = list(client.chat("fake", HELLO, stream=True))
    assert "".join(part.message.content or "" for part in parts) == "".join(f"{k} " for k in range(16))
    assert parts[-1].done
    assert "".join(part.response for part in client.generate("fake", "Hi", stream=True)).startswith("0 1 ")


async def test_the_official_client_skips_spaces_asynchronously(stack: Stack) -> None:
    client = ollama.AsyncClient(host=stack.url)
    parts = [part async for part in await client.chat("fake", HELLO, stream=True)]
    assert parts[-1].done
    await client.close()


def test_no_space_comes_after_the_end(stack: Stack) -> None:
    """Connections are kept: one that had something after its answer could not be used again."""
    with httpx.Client(base_url=stack.url, timeout=20) as http:
        for _ in range(3):
            answer = http.post("/api/chat", json={"model": "fake", "messages": HELLO})
            assert answer.content.endswith(b"}\n")
