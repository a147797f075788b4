"""The fake engine in this process' own loop, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from worker.runtime.fake import FakeEngineServer, Knobs
from worker.runtime.fake_chat import text
from worker.runtime.sse import SSEParser


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "three little words"}], **fields}


async def chat(client: aiohttp.ClientSession, server: FakeEngineServer, **fields: Any) -> dict[str, Any]:
    async with client.post(f"{server.url}/v1/chat/completions", json=body(**fields)) as response:
        return {"status": response.status, **await response.json()}


async def events(client: aiohttp.ClientSession, server: FakeEngineServer, **fields: Any) -> list[bytes]:
    request = body(stream=True, stream_options={"include_usage": True}, **fields)
    async with client.post(f"{server.url}/v1/chat/completions", json=request) as response:
        return SSEParser().feed(await response.read())


async def until(server: FakeEngineServer, name: str, value: int) -> None:
    while getattr(server.stats, name) != value:
        await asyncio.sleep(0)


async def test_a_whole_answer(client: aiohttp.ClientSession) -> None:
    async with FakeEngineServer() as server:
        answer = await chat(client, server, max_tokens=3)
        assert answer["choices"][0]["message"]["content"] == "0 1 2 "
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["prompt_tokens"] == 3
        assert answer["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("fields", "count", "reason"),
    [
        ({}, 16, "stop"),
        ({"max_tokens": 40}, 40, "length"),
        ({"max_completion_tokens": 4}, 4, "length"),
        ({"fake": {"tokens": 5}}, 5, "stop"),
        ({"fake": {"tokens": 5}, "max_tokens": 9}, 5, "stop"),
        ({"fake": {"tokens": 5}, "max_tokens": 2}, 2, "length"),
        ({"max_tokens": 1200}, 1200, "length"),
    ],
)
async def test_a_stream(client: aiohttp.ClientSession, fields: dict[str, Any], count: int, reason: str) -> None:
    async with FakeEngineServer() as server:
        *chunks, done = await events(client, server, **fields)
    assert done == b"[DONE]"
    parsed = [orjson.loads(chunk) for chunk in chunks]
    assert "".join(c["choices"][0]["delta"]["content"] for c in parsed[1:-2]) == text(count)
    assert parsed[-2]["choices"][0]["finish_reason"] == reason
    assert parsed[-1]["usage"]["completion_tokens"] == count


async def test_requests_beyond_the_slots_wait(client: aiohttp.ClientSession) -> None:
    async with FakeEngineServer(slots=2) as server:
        await asyncio.gather(*(events(client, server, max_tokens=50) for _ in range(6)))
        assert server.stats.most_active == 2
        assert server.stats.completed == 6
        assert server.stats.tokens == 300


async def test_a_client_that_leaves_is_an_abort(client: aiohttp.ClientSession) -> None:
    async with FakeEngineServer(slots=1) as server:
        first = asyncio.create_task(events(client, server, fake={"silent_after": 2}))
        await until(server, "tokens", 2)
        second = asyncio.create_task(events(client, server))
        await until(server, "waiting", 1)
        first.cancel()
        assert len(await second) == 20
        await until(server, "aborted", 1)
        assert server.stats.completed == 1
        assert server.stats.active == 0


async def test_a_reader_that_stops_reading_stops_the_tokens() -> None:
    async with FakeEngineServer() as server:
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        request = orjson.dumps(body(stream=True, max_tokens=10_000_000))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(request))
        writer.write(request)
        await reader.readline()
        before = -1
        while server.stats.tokens != before:  # until the buffers between the two are full
            before = server.stats.tokens
            await asyncio.sleep(0.02)
        assert 0 < before < 1_000_000
        writer.transport.abort()
        await until(server, "aborted", 1)


@pytest.mark.parametrize("accident", ["crash_after", "error_after"])
async def test_accidents(client: aiohttp.ClientSession, accident: str) -> None:
    async with FakeEngineServer() as server:
        if accident == "crash_after":
            with pytest.raises(aiohttp.ClientError):
                await events(client, server, fake={accident: 2})
        else:
            *_, last, _done = await events(client, server, fake={accident: 2})
            assert "error" in orjson.loads(last)
        assert server.stats.tokens == 2


async def test_refusals(client: aiohttp.ClientSession) -> None:
    async with FakeEngineServer(context=2) as server:
        answer = await chat(client, server)
        assert answer["status"] == 400
        assert answer["error"]["type"] == "exceed_context_size_error"
        assert (answer["error"]["n_prompt_tokens"], answer["error"]["n_ctx"]) == (3, 2)
        assert (await chat(client, server, fake={"bogus": 1}))["status"] == 400
        assert (await chat(client, server, messages=7))["status"] == 400


async def test_it_loads_first(client: aiohttp.ClientSession) -> None:
    async with FakeEngineServer(load_s=60) as server:
        async with client.get(f"{server.url}/health") as response:
            assert response.status == 503
        assert (await chat(client, server))["status"] == 503


async def test_what_can_be_looked_at(client: aiohttp.ClientSession) -> None:
    async with FakeEngineServer(slots=3, knobs=Knobs(tokens=1)) as server:
        await chat(client, server)
        answers = {}
        for path in ("/health", "/v1/models", "/props", "/slots", "/fake/stats", "/none"):
            async with client.get(server.url + path) as response:
                answers[path] = (response.status, await response.json())
    assert answers["/health"] == (200, {"status": "ok"})
    assert answers["/props"][1]["total_slots"] == 3
    assert len(answers["/slots"][1]) == 3
    assert answers["/fake/stats"][1]["completed"] == 1
    assert answers["/none"][0] == 404
