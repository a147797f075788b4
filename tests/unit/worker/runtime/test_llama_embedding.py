"""The adapter against a server that refuses, lies and counts; what the real one does is in tests/e2e."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest
from shared.frames import Done, Event, Vectors
from worker.runtime.llama_embedding import BATCH, CALLS, embed
from worker.runtime.llama_http import EngineClient

LIMIT = 8
WORDS = 100
"""Tokens the server knows; a text's words are its tokens, between 1 and 2."""


STEP = {
    "code": 500,
    "message": f"input (9 tokens) is too large to process. … (current batch size: {LIMIT})",
    "type": "server_error",
}
SLOT = {
    "code": 400,
    "message": f"input (9 tokens) is larger than the max context size ({LIMIT} tokens). skipping",
    "type": "exceed_context_size_error",
    "n_prompt_tokens": 9,
    "n_ctx": LIMIT,
}


class Server:
    """Embeds an input as its number of tokens."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.at_once = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.wrong: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.too_long = STEP

    async def embeddings(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.gate.wait()
            return self._answer((await request.json())["input"])
        finally:
            self.at_once -= 1

    def _answer(self, inputs: list[Any]) -> web.Response:
        self.asked.append(inputs)
        tokens = [each if isinstance(each, list) else words(each) for each in inputs]
        if any(token >= WORDS for each in tokens for token in each):
            return refuse(400, "Prompt contains invalid tokens", "invalid_request_error")
        if any(len(each) > LIMIT for each in tokens):
            return web.json_response({"error": self.too_long}, status=self.too_long["code"])
        rows = [
            {"index": index, "embedding": base64.b64encode(struct.pack("<f", len(each))).decode()}
            for index, each in enumerate(tokens)
        ]
        return web.json_response(self.wrong({"data": rows[::-1], "usage": {"prompt_tokens": sum(map(len, tokens))}}))

    async def tokenize(self, request: web.Request) -> web.Response:
        return web.json_response({"tokens": words((await request.json())["content"])})


def words(text: str) -> list[int]:
    return [1, *[7 for _ in text.split()], 2]


def refuse(status: int, message: str, kind: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message, "type": kind}}, status=status)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[EngineClient]:
    app = web.Application()
    app.router.add_post("/v1/embeddings", server.embeddings)
    app.router.add_post("/tokenize", server.tokenize)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()

    async def settle() -> None:
        pass

    try:
        async with aiohttp.ClientSession() as session:
            yield EngineClient(f"http://127.0.0.1:{runner.addresses[0][1]}", session, 4, settle)
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[EngineClient]:
    async with serving(server) as engine:
        yield engine


async def events(engine: EngineClient, asked: Any, **fields: Any) -> list[Event]:
    return [event async for batch in embed(engine, {"input": asked, **fields}) for event in batch]


def rows(found: list[Event]) -> list[float]:
    data = b"".join(base64.b64decode(event.data) for event in found if isinstance(event, Vectors))
    return list(struct.unpack(f"<{len(data) // 4}f", data))


async def test_batches_are_sent_a_few_at_once_and_come_in_order(engine: EngineClient, server: Server) -> None:
    texts = ["w " * (number % 5) for number in range(4 * BATCH + 1)]
    server.gate.clear()
    running = asyncio.create_task(events(engine, texts))
    async with asyncio.timeout(5):
        while server.at_once < CALLS:
            await asyncio.sleep(0)
    server.gate.set()
    found = await running
    assert rows(found) == [number % 5 + 2 for number in range(4 * BATCH + 1)]
    assert [event.first for event in found if isinstance(event, Vectors)] == [0, BATCH, 2 * BATCH, 3 * BATCH, 4 * BATCH]
    assert found[-1] == Done(int(sum(rows(found))), 0)
    assert (len(server.asked), server.most) == (5, CALLS)


@pytest.mark.parametrize("asked", ["a b", [1, 7, 7, 2], ["a b"], [[1, 7, 7, 2]]])
async def test_the_four_forms(engine: EngineClient, asked: Any) -> None:
    assert rows(await events(engine, asked)) == [4]


@pytest.mark.parametrize("refusal", [STEP, SLOT], ids=["longer than a step", "longer than a slot"])
async def test_truncate_keeps_the_first_tokens_and_the_last(
    engine: EngineClient, server: Server, refusal: dict[str, Any]
) -> None:
    server.too_long = refusal
    found = await events(engine, ["a", "w " * 20, [1, *[5] * 20], [1, *[5] * 20, 2]], truncate=True)
    assert rows(found) == [3, LIMIT, LIMIT, LIMIT]
    assert server.asked[-1] == [[1, 7, 2], [1, *[7] * 6, 2], [1, *[5] * 7], [1, *[5] * 6, 2]]
    assert found[-1] == Done(3 + 3 * LIMIT, 0)


async def test_the_first_input_that_is_too_long_is_named(engine: EngineClient) -> None:
    texts = ["a"] * (BATCH + 3) + ["w " * 9, "w " * 30]
    with pytest.raises(ContextLengthExceeded, match=rf"is {LIMIT} tokens.*'input\[{BATCH + 3}\]' has 11 tokens"):
        await events(engine, texts)


@pytest.mark.parametrize(
    ("asked", "token", "param"),
    [
        ([1, WORDS, 2], WORDS, "input"),
        ([[1], [3, 500, 101]], 500, "input[1]"),
        ([[99]] * BATCH + [[0, 99], [100]], 100, f"input[{BATCH + 1}]"),
    ],
)
async def test_the_first_unknown_token_is_named(engine: EngineClient, asked: Any, token: int, param: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^token {token} is not") as caught:
        await events(engine, asked)
    assert caught.value.param == param


async def test_a_server_that_was_started_for_text(engine: EngineClient, server: Server) -> None:
    server._answer = lambda inputs: refuse(501, "This server does not support embeddings.", "not_supported_error")  # type: ignore[method-assign]
    with pytest.raises(InvalidRequest, match=r"^this model does not support embeddings$") as caught:
        await events(engine, "a")
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: {},
        lambda _: [],
        lambda answer: {**answer, "data": answer["data"][:1]},
        lambda answer: {**answer, "data": [{"index": 0}]},
        lambda answer: {**answer, "usage": None},
        lambda answer: {**answer, "data": [{"index": 0, "embedding": "?"}, {"index": 1, "embedding": 1}]},
    ],
)
async def test_nonsense_is_the_engines_fault(engine: EngineClient, server: Server, wrong: Any) -> None:
    server.wrong = wrong
    with pytest.raises(EngineFailed):
        await events(engine, ["a", "b"])


async def test_closing_ends_the_calls_under_way(engine: EngineClient, server: Server) -> None:
    server.gate.clear()
    vectors = embed(engine, {"input": ["a"] * 10 * BATCH})
    first = asyncio.ensure_future(anext(vectors))
    async with asyncio.timeout(5):
        while server.at_once < CALLS:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        while server.at_once:
            await asyncio.sleep(0)
    assert server.asked == []


async def test_a_refusal_ends_the_other_calls(engine: EngineClient, server: Server) -> None:
    with pytest.raises(InvalidRequest):
        await events(engine, [[WORDS], *[[1]] * 5 * BATCH])
    async with asyncio.timeout(5):
        while server.at_once:
            await asyncio.sleep(0)
    assert server.most <= CALLS
