"""Responses in the background under accidents: each runs to its end, and its stream has no gap and no repeat."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from functions.authenticate import owner_of
from shared import keys
from shared.state import places
from tests.harness import FAKE_MODEL, Stack, until
from tests.response_rules import check_response, check_stream

pytestmark = [pytest.mark.chaos, pytest.mark.redis]

Events = list[dict[str, Any]]

AUTHORIZATION = "Bearer chaos"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=60, limits=limits, headers={"authorization": AUTHORIZATION}) as client:
        yield client


def asked(tokens: int, *, stream: bool = True) -> dict[str, Any]:
    return {
        "model": FAKE_MODEL,
        "input": "hello",
        "max_output_tokens": tokens,
        "background": True,
        "stream": stream,
    }


async def read(client: httpx.AsyncClient, method: str, url: str, events: Events, body: Any = None) -> None:
    """Gather a stream's events for as long as it lasts."""
    async with client.stream(method, url, json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line[6:]))


async def resume(client: httpx.AsyncClient, stack: Stack, events: Events) -> Events:
    """The rest of a stream, from after what was seen of it."""
    id, after = events[0]["response"]["id"], events[-1]["sequence_number"]
    rest: Events = []
    await read(client, "GET", f"{stack.url}/v1/responses/{id}?stream=true&starting_after={after}", rest)
    return rest


def words(tokens: int) -> str:
    return "".join(f"{k} " for k in range(tokens))


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


async def test_a_killed_api_in_the_middle_of_20_background_streams(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 50", "PUNA_SLOTS": "8"}
    stack.start_worker()
    api = stack.start_api()
    streams: list[Events] = [[] for _ in range(20)]
    url = f"{stack.url}/v1/responses"
    reading = [asyncio.create_task(read(client, "POST", url, events, asked(60))) for events in streams]
    await until(lambda: all(events for events in streams), "all were accepted")
    await until(lambda: sum(len(events) > 10 for events in streams) >= 8, "as many run as can")
    api.kill()
    await asyncio.gather(*reading, return_exceptions=True)
    broken = [events for events in streams if not events[-1]["type"].endswith(("completed", "incomplete"))]
    assert len(broken) == 20, "the kill came in the middle of all"

    await asyncio.to_thread(stack.start_api)
    rests = await asyncio.gather(*(resume(client, stack, events) for events in streams))
    for events, rest in zip(streams, rests, strict=True):
        final = check_stream([*events, *rest])
        assert (final["status"], text_of(final)) == ("incomplete", words(60))
        stored = await client.get(f"{stack.url}/v1/responses/{final['id']}")
        assert stored.json() == final, "what was stored is what the events built"
    assert stack.residue() == {}


async def test_a_killed_worker_ends_what_was_heard_and_repeats_what_was_not(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 50", "PUNA_SLOTS": "4", "PUNA_LEASE": "1", "PUNA_RENEW": "0.25"}
    stack.environ |= {"PUNA_REAP": "0.25"}
    worker = stack.start_worker()
    stack.start_api()
    url = f"{stack.url}/v1/responses"
    streams: list[Events] = [[], []]
    reading = [asyncio.create_task(read(client, "POST", url, events, asked(60))) for events in streams]
    polled = [(await client.post(url, json=asked(60, stream=False))).json() for _ in range(2)]
    await until(lambda: all(len(events) > 10 for events in streams), "both streams flow")
    await until(lambda: stack.redis.zcard(keys.LEASES) == 4, "all run")
    worker.kill()
    await asyncio.to_thread(stack.start_worker)
    await asyncio.gather(*reading)
    for events in streams:
        final = check_stream(events)
        assert (final["status"], final["error"]["code"]) == ("failed", "server_error")
        assert text_of(final)
        assert words(60).startswith(text_of(final)), "what was said stays said"
        assert (await client.get(f"{url}/{final['id']}")).json() == final
    for response in polled:
        final = await _over(client, f"{url}/{response['id']}")
        assert (final["status"], text_of(final)) == ("incomplete", words(60)), "it ran again, and nobody noticed"


async def test_a_worker_killed_before_it_could_write_durably_leaves_that_to_another(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    """The first worker has no object store: its folder is a file."""
    away = stack.folder / "away"
    away.mkdir()
    worker = stack.start_worker(PUNA_STATE=str(away))
    stack.start_api()
    url = f"{stack.url}/v1/responses"
    (away / "responses").write_text("in the way")
    made = (await client.post(url, json={"model": FAKE_MODEL, "input": "hello"})).json()
    place = places.response(owner_of(AUTHORIZATION), made["id"]) or ""
    assert stack.redis.zscore(keys.STATE_PENDING, place) is not None
    worker.kill()
    await asyncio.to_thread(stack.start_worker)
    await until(lambda: stack.redis.zscore(keys.STATE_PENDING, place) is None, "another has finished it", 30)
    stack.redis.delete(keys.state(place))
    assert (await client.get(f"{url}/{made['id']}")).json() == made


async def test_a_response_in_the_background_whose_queue_was_lost_failed(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 50", "PUNA_COMMENT": "0.5"}
    stack.start_worker()
    stack.start_api()
    events: Events = []
    reading = asyncio.create_task(read(client, "POST", f"{stack.url}/v1/responses", events, asked(100_000)))
    await until(lambda: len(events) > 10, "it flows")
    id = events[0]["response"]["id"]
    job = id.removeprefix("resp_")
    stack.redis.delete(keys.rq_job(job), keys.frame_log(job))
    stack.redis.zrem(keys.LEASES, job)
    final = await _over(client, f"{stack.url}/v1/responses/{id}")
    assert (final["status"], final["error"]["code"]) == ("failed", "server_error")
    await reading
    assert events[-1]["response"] == final


async def _over(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Poll a response until its end."""
    async with asyncio.timeout(40):
        while True:
            response: dict[str, Any] = (await client.get(url)).json()
            if response["status"] not in ("queued", "in_progress"):
                check_response(response)
                return response
            await asyncio.sleep(0.05)
