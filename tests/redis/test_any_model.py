"""Workers that serve whatever model of the catalog is asked for: a running stack with the fake engine."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import keys
from shared.settings import Settings
from tests.harness import Process, Stack, add_model, running_stack, until, wait_for
from tests.redis.test_multi_model import ask, loads
from worker import seeker
from worker.main import serve

pytestmark = pytest.mark.redis

SIZE = 1000


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A worker of any model, with memory for two, gets jobs from an API; `first` and `second` are in the catalog."""
    environ = {
        "PUNA_MODEL": "*",
        "PUNA_MEMORY": str(int(2.5 * SIZE)),
        "PUNA_ENGINE": "fake --load 0.1 --tokens 3",
    }
    with running_stack(tmp_path, **environ) as stack:
        for name in ("first", "second"):
            add_model(stack.catalog, name, name.encode().ljust(SIZE))
        stack.start_api()
        yield stack


def any_worker(stack: Stack, **environ: str) -> Process:
    """One more of them, that has said so."""
    before = stack.redis.zcard(keys.SEEKERS)
    worker = stack.start_worker(ready=False, **environ)
    wait_for(lambda: stack.redis.zcard(keys.SEEKERS) > before or not worker.running, "it serves any model")
    assert worker.running, worker.output()
    return worker


@asynccontextmanager
async def client_of(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.url, timeout=30) as client:
        yield client


def body(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}


async def test_models_are_served_when_they_are_asked_for(stack: Stack) -> None:
    worker = any_worker(stack)
    async with client_of(stack) as client:
        assert await ask(client, "first") == "0 1 2 "
        add_model(stack.catalog, "newer", b"newer".ljust(SIZE))
        answers = await asyncio.gather(*(ask(client, name) for name in ("newer", "first", "newer")))
        assert answers == ["0 1 2 "] * 3
        copied = await client.post("/api/copy", json={"source": "first", "destination": "gpt-3.5-turbo"})
        assert copied.status_code == 200
        assert await ask(client, "gpt-3.5-turbo") == "0 1 2 "
    assert loads(worker) == ["first", "newer"], "a copy shares the engine"
    assert stack.residue() == {}


async def test_a_derived_model_has_the_context_that_its_modelfile_says(stack: Stack) -> None:
    any_worker(stack)
    async with client_of(stack) as client:
        made = await client.post("/api/create", json={"model": "small", "from": "first", "parameters": {"num_ctx": 64}})
        assert made.status_code == 200
        long = [{"role": "user", "content": "word " * 100}]
        assert (await client.post("/v1/chat/completions", json=body("first", messages=long))).status_code == 200
        refused = await client.post("/v1/chat/completions", json=body("small", messages=long))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "64" in refused.json()["error"]["message"]
        lengths = {each["name"]: each["context_length"] for each in (await client.get("/api/ps")).json()["models"]}
        assert lengths == {"first:latest": 4096, "small:latest": 64}
        wider = await client.post("/api/chat", json=body("small", options={"num_ctx": 65}))
        assert (wider.status_code, "more than the context of 64 tokens" in wider.text) == (400, True)


async def test_only_one_of_several_workers_loads_it(stack: Stack) -> None:
    workers = [any_worker(stack) for _ in range(2)]
    async with client_of(stack) as client:
        assert await asyncio.gather(*(ask(client, "first") for _ in range(10))) == ["0 1 2 "] * 10
    assert sorted(loads(worker) for worker in workers) == [[], ["first"]]


async def test_the_worker_with_room_takes_it(stack: Stack) -> None:
    small, large = any_worker(stack, PUNA_MEMORY="900"), any_worker(stack)
    async with client_of(stack) as client:
        assert await ask(client, "first")
    assert (loads(small), loads(large)) == ([], ["first"])


async def test_what_is_named_is_left_to_its_worker(stack: Stack) -> None:
    other = any_worker(stack)
    named = stack.start_worker(PUNA_MODEL="first")
    async with client_of(stack) as client:
        assert await ask(client, "first")
        assert await ask(client, "second")
        assert (loads(other), loads(named)) == (["second"], ["first"])
        named.stop()
        assert await ask(client, "first"), "nobody is named for it any more"
    assert loads(other) == ["second", "first"]


@pytest.mark.parametrize("named", [False, True])
async def test_a_model_in_demand_is_served_by_one_more_that_has_room(stack: Stack, named: bool) -> None:
    pace = {"PUNA_SLOTS": "1", "PUNA_ENGINE": "fake --load 0.1 --tokens 20 --rate 40"}
    first = stack.start_worker(PUNA_MODEL="first", **pace) if named else any_worker(stack, **pace)
    async with client_of(stack) as client:
        assert await ask(client, "first"), "one worker does, and it is known by now how long a job takes it"
        small, other = any_worker(stack, PUNA_MEMORY="900", **pace), any_worker(stack, **pace)
        answers = await asyncio.gather(*(ask(client, "first") for _ in range(20)))
        assert len(set(answers)) == 1
    assert (loads(first), loads(other), loads(small)) == (["first"], ["first"], [])
    assert other.output().count("done after") > 2, "it has helped"
    assert stack.residue() == {}


async def test_one_more_is_not_called_for_a_short_queue(stack: Stack) -> None:
    workers = [any_worker(stack, PUNA_SLOTS="1", PUNA_ENGINE="fake --tokens 10 --rate 100") for _ in range(2)]
    async with client_of(stack) as client:
        await asyncio.gather(*(ask(client, "first") for _ in range(20)))
    assert sorted(loads(worker) for worker in workers) == [[], ["first"]]


async def test_jobs_of_a_killed_worker_are_taken_up_by_another(stack: Stack) -> None:
    slow = {"PUNA_ENGINE": "fake --load 60 --tokens 3"}
    first = any_worker(stack, **slow)
    async with client_of(stack) as client:
        asked = [asyncio.create_task(ask(client, name)) for name in ("first", "second")]
        await until(lambda: "loading second" in first.output(), "both wait for their load")
        second = any_worker(stack)
        first.signal(signal.SIGKILL)
        assert await asyncio.gather(*asked) == ["0 1 2 "] * 2
    assert sorted(loads(second)) == ["first", "second"]
    wait_for(lambda: stack.residue() == {}, "nothing is left")


async def test_a_model_that_cannot_be_had_is_a_clear_error(stack: Stack) -> None:
    add_model(stack.catalog, "large", b"large".ljust(3 * SIZE))
    any_worker(stack)
    async with client_of(stack) as client:
        answer = await client.post("/v1/chat/completions", json=body("large"))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "model_unavailable")
        assert "needs 3000 bytes of memory, and this worker has 2500 bytes" in error["message"]
        assert await ask(client, "first"), "others are served"


async def test_a_waiting_stream_is_told_what_it_waits_for(stack: Stack) -> None:
    any_worker(stack, PUNA_ENGINE="fake --load 3 --tokens 3", PUNA_MEMORY=str(SIZE))
    lines: list[str] = []
    async with client_of(stack) as client:
        first = asyncio.create_task(ask(client, "first"))
        await until(lambda: stack.redis.zcard(keys.WANTED), "the first one is asked for")
        async with client.stream("POST", "/v1/chat/completions", json=body("second", stream=True)) as answer:
            lines = [line async for line in answer.aiter_lines() if line.startswith(":")]
        await first
    assert ": waiting for memory" in lines, lines


async def test_a_queue_is_left_and_taken_up_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeker, "_LEFT_S", 0.2)
    serving = asyncio.create_task(serve(Settings.load({**stack.environ, "PUNA_KEEP_ALIVE": "0"})))
    await until(lambda: stack.redis.zcard(keys.SEEKERS), "it serves any model")
    async with client_of(stack) as client:
        assert await ask(client, "first")
        (wanted,) = stack.redis.zrange(keys.WANTED, 0, -1)
        queue = wanted.decode().split()[0]
        await until(lambda: not stack.redis.exists(keys.serving(queue)), "the queue is left")
        assert await ask(client, "first") == "0 1 2 "
    os.kill(os.getpid(), signal.SIGTERM)
    await serving
    assert not stack.redis.zcard(keys.SEEKERS), "it has said that it is gone"
    assert stack.residue() == {}
