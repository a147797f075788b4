"""One worker process with several models and memory for fewer: a running stack with the fake engine."""

import asyncio
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import keys
from tests.harness import Process, Stack, add_model, running_stack, until, wait_for

pytestmark = pytest.mark.redis

SIZE = 1000
MODELS = ("first", "second", "third")
WORDS = 5


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Three models, and memory for two of them."""
    environ = {
        "PUNA_MODEL": ",".join(MODELS),
        "PUNA_MEMORY": str(int(2.5 * SIZE)),
        "PUNA_ENGINE": f"fake --load 0.2 --tokens {WORDS}",
        "PUNA_KEEP_ALIVE": "60",
    }
    with running_stack(tmp_path, **environ) as stack:
        for name in MODELS:
            add_model(stack.catalog, name, name.encode().ljust(SIZE))
        yield stack


def records(stack: Stack) -> dict[str, dict[str, Any]]:
    """What is loaded, by name."""
    words = [stack.redis.get(keys.worker(name.decode())) for name in stack.redis.zrange(keys.WORKERS, 0, -1)]
    told = [json.loads(word) for word in words if word]
    listed = [{**each, "running": record["running"]} for record in told for each in record.get("models", [])]
    return {each["name"].partition(":")[0]: each for each in listed}


def loads(worker: Process) -> list[str]:
    """The models that were loaded, in order."""
    lines = worker.output().splitlines()
    return [line.split("loading ")[1].partition(":")[0] for line in lines if ": loading " in line and "GB" not in line]


async def ask(client: httpx.AsyncClient, model: str, **fields: Any) -> str:
    """The whole answer of one request. Fails unless it is one."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **fields}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    return str(choice["message"]["content"])


def best(trace: Sequence[Iterable[str]], room: int) -> int:
    """The fewest loads with which bursts can be served, one after another, each in the best order: all are tried."""
    costs: dict[frozenset[str], int] = {frozenset(): 0}
    for needed in trace:
        ended: dict[frozenset[str], int] = {}
        for order in permutations(sorted(set(needed))):
            ways = dict(costs)
            for model in order:
                ways = _served(ways, model, room)
            for loaded, cost in ways.items():
                ended[loaded] = min(cost, ended.get(loaded, cost))
        costs = ended
    return min(costs.values())


def _served(ways: dict[frozenset[str], int], model: str, room: int) -> dict[frozenset[str], int]:
    after: dict[frozenset[str], int] = {}
    for loaded, cost in ways.items():
        if model in loaded:
            options, cost = [loaded], cost
        else:
            kept = [loaded] if len(loaded) < room else [loaded - {each} for each in loaded]
            options, cost = [each | {model} for each in kept], cost + 1
        for option in options:
            after[option] = min(cost, after.get(option, cost))
    return after


def test_the_best_possible_is_what_one_would_count() -> None:
    assert best([["a"], ["b"], ["a", "b"]], 2) == 2
    assert best([["a", "b", "c"], ["a", "b", "c"]], 2) == 4
    assert best([["a"], ["b"], ["c"], ["a"]], 2) == 3, "b goes for c"
    assert best([["a"], ["b"], ["a"]], 1) == 3


@pytest.mark.slow
async def test_a_mixed_load_on_memory_for_two_of_three(stack: Stack) -> None:
    chance = random.Random(7)
    shares = ((5, 3, 2), (1, 1, 1), (1, 2, 3), (5, 1, 5), (2, 5, 3), (3, 2, 5))
    trace = [chance.choices(MODELS, weights, k=50) for weights in shares]
    worker = stack.start_worker()
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        for burst in trace:
            answers = await asyncio.gather(*(ask(client, model) for model in burst))
            assert answers == ["".join(f"{k} " for k in range(WORDS))] * 50
    done = loads(worker)
    assert len(done) <= best(trace, 2) + 2, done
    await until(lambda: worker.output().count("done after") == 300, "the last one is in the log")
    assert "attempt 2" not in worker.output(), "no request was killed and run again"
    assert stack.residue() == {}


@pytest.mark.slow
async def test_requests_in_a_steady_stream_are_batched(stack: Stack) -> None:
    """They come one by one, mixed: in their own order they would need a load for every second one."""
    chance = random.Random(3)
    worker = stack.start_worker(PUNA_ENGINE="fake --load 0.2 --tokens 20 --rate 100")
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        tasks = []
        for model in chance.choices(MODELS, k=100):
            tasks.append(asyncio.create_task(ask(client, model)))
            await asyncio.sleep(0.02)
        await asyncio.gather(*tasks)
    assert len(loads(worker)) <= 3 + 2, loads(worker)


async def test_a_cold_model_is_loaded_while_others_keep_running(stack: Stack) -> None:
    stack.start_worker(PUNA_ENGINE="fake --load 0.2 --tokens 1000 --rate 50")
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        running = asyncio.create_task(ask(client, "first"))
        await until(lambda: records(stack).get("first", {}).get("running"), "the first model answers")
        assert await ask(client, "second", max_tokens=3) == "0 1 2 "
        assert not running.done()
        loaded = records(stack)
        assert {name: each["state"] for name, each in loaded.items()} == {"first": "ready", "second": "ready"}
        assert all((each["size"], each["until"] is not None) == (SIZE, True) for each in loaded.values())
        running.cancel()


async def test_what_runs_is_finished_before_its_model_goes(stack: Stack) -> None:
    worker = stack.start_worker(
        PUNA_ENGINE="fake --load 0.1 --tokens 60 --rate 50", PUNA_PATIENCE="0.1", PUNA_RESIDENCE="0.1"
    )
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        long = [asyncio.create_task(ask(client, model)) for model in ("first", "second") for _ in range(4)]
        await until(lambda: len(records(stack)) == 2, "both are loaded")
        assert await ask(client, "third", max_tokens=2) == "0 1 "
        for answer in await asyncio.gather(*long):
            assert len(answer.split()) == 60
    assert "attempt 2" not in worker.output()
    assert loads(worker)[-1] == "third"


async def test_a_keep_alive_of_nothing_unloads_after_the_answer(stack: Stack) -> None:
    worker = stack.start_worker()
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        await asyncio.gather(*(ask(client, "second", keep_alive=value) for value in ("0s", 0)))
        wait_for(lambda: "second" not in records(stack), "it is unloaded")
        assert "first" in records(stack), "the other one stays"
        await ask(client, "first", keep_alive=-1)
        wait_for(lambda: records(stack)["first"]["until"] is None, "it is kept for ever")
        await ask(client, "second")
    assert loads(worker) == ["first", "second", "second"]


async def test_an_answer_to_unload_comes_when_every_worker_has(stack: Stack) -> None:
    workers = [stack.start_worker(PUNA_MODEL="first,second") for _ in range(2)]
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        wait_for(lambda: all(loads(worker) == ["first"] for worker in workers), "both have it")
        await ask(client, "second", keep_alive=-1)
        answer = await client.post("/api/generate", json={"model": "first", "keep_alive": 0, "stream": False})
        assert set(records(stack)) == {"second"}
        assert answer.json()["done_reason"] == "unload"
        await ask(client, "first")
        assert records(stack)["first"]["until"] is not None, "the next request loads it, for as long as any"


async def test_what_runs_is_finished_before_its_model_is_unloaded(stack: Stack) -> None:
    stack.start_worker(PUNA_MODEL="first", PUNA_ENGINE="fake --tokens 60 --rate 50")
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        long = asyncio.create_task(ask(client, "first"))
        await until(lambda: records(stack).get("first", {}).get("running"), "it runs")
        await client.post("/api/generate", json={"model": "first", "keep_alive": 0})
        assert "first" not in records(stack)
        assert len((await long).split()) == 60


async def test_a_model_that_is_removed_leaves_memory_unless_another_name_has_its_weights(stack: Stack) -> None:
    stack.start_worker(PUNA_KEEP_ALIVE="-1")
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        await asyncio.gather(ask(client, "first"), ask(client, "second"))
        await client.post("/api/copy", json={"source": "first", "destination": "alias"})
        for name in ("alias", "second"):
            assert (await client.request("DELETE", "/api/delete", json={"model": name})).status_code == 200
        wait_for(lambda: set(records(stack)) == {"first"}, "the one that is removed leaves")
        assert (await client.delete("/v1/models/first")).status_code == 200
        wait_for(lambda: not records(stack), "so does the other one")


async def test_a_model_that_can_never_fit_is_a_clear_error(stack: Stack) -> None:
    add_model(stack.catalog, "large", b"large".ljust(3 * SIZE))
    stack.start_worker(PUNA_MODEL="first,large")
    stack.start_api()
    body = {"model": "large", "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        answer = await client.post("/v1/chat/completions", json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "model_unavailable")
        assert "3000 bytes" in error["message"]
        assert "2500 bytes" in error["message"]
        assert await ask(client, "first"), "the other one is served"


async def test_what_is_not_used_is_unloaded_and_comes_back(stack: Stack) -> None:
    worker = stack.start_worker(PUNA_MODEL="first", PUNA_KEEP_ALIVE="100ms")
    wait_for(lambda: not records(stack), "it is unloaded")
    stack.start_api()
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as client:
        assert await ask(client, "first")
    assert loads(worker) == ["first", "first"]
