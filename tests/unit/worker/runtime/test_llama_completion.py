"""Completions against a server that speaks llama.cpp's `/completion`, in this process and with words of its own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest
from shared.frames import Delta, Done, Event, Finish, Progress
from tests.harness import until
from worker.runtime.fan_out import fan_out
from worker.runtime.llama_completion import completion
from worker.runtime.llama_http import EngineClient
from worker.runtime.stop_text import StopText

VOCABULARY = 200
"""Tokens are bytes, from 0 on; those above 127 leave a character open or close it."""

Says = Callable[[dict[str, Any]], bytes]
"""What is generated for a request's body."""


class Llama:
    """The server. It generates one byte per token, and tells each one's logarithm as -token / 100."""

    def __init__(self, says: Says, context: int = 100) -> None:
        self.says = says
        self.context = context
        self.asked: list[dict[str, Any]] = []
        self.active = self.most_active = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.first: Any = None
        """A chunk of another kind that comes before all others."""

    async def tokenize(self, request: web.Request) -> web.Response:
        data = (await request.json())["content"].encode()
        return web.json_response({"tokens": [{"id": byte, "piece": [byte]} for byte in data]})

    async def detokenize(self, request: web.Request) -> web.Response:
        tokens = (await request.json())["tokens"]
        if max(tokens) >= VOCABULARY:
            return web.json_response({"error": {"code": 500, "message": "_M_range_check"}}, status=500)
        return web.json_response({"content": bytes(tokens).decode(errors="replace")})

    async def template(self, request: web.Request) -> web.Response:
        return web.json_response({"prompt": f"<{(await request.json())['messages'][0]['content']}>"})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        if len(body["prompt"]) >= self.context:
            error = {"type": "exceed_context_size_error", "n_prompt_tokens": len(body["prompt"]), "n_ctx": self.context}
            return web.json_response({"error": {"code": 400, "message": "too long", **error}}, status=400)
        if not body.get("stream"):
            return web.json_response({"completion_probabilities": self.looked_up(body)})
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            return await self.stream(request, body)
        finally:
            self.active -= 1

    async def stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)

        async def send(**chunk: Any) -> None:
            await response.write(b"data: " + orjson.dumps(chunk) + b"\n\n")

        if self.first is not None:
            await response.write(b"data: " + orjson.dumps(self.first) + b"\n\n")
        total = len(body["prompt"])
        await send(content="", stop=False, prompt_progress={"total": total, "cache": 1, "processed": total})
        text, sent, count = b"", 0, 0
        for token in self.says(body)[: body["n_predict"]]:
            text += bytes([token])
            count += 1
            try:
                words = text.decode()[sent:]
            except UnicodeDecodeError:
                continue  # as the engine: not a word of a token that leaves a character open
            raw = {"id": token, "token": words, "bytes": list(words.encode()), "logprob": -token / 100}
            report = {"completion_probabilities": [raw]} if body.get("n_probs") else {}
            sent += len(words)
            await send(content=words, tokens=[token], stop=False, tokens_predicted=count, **report)
            await self.go_on.wait()
        reason = "limit" if count == body["n_predict"] else "eos"
        await send(content="", tokens=[], stop=True, stop_type=reason, tokens_predicted=count)
        return response

    def looked_up(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The report about one token, forced by a bias or by a grammar."""
        everything = [{"id": t, "token": "?", "bytes": [t], "logprob": -t / 100} for t in range(VOCABULARY)]
        if "grammar" in body:
            return [{**everything[97], "top_logprobs": everything[: body["n_probs"]]}]
        token = body["logit_bias"][0][0]
        return [] if token >= 0xC0 else [{**everything[token], "top_logprobs": everything[: body["n_probs"]]}]


@asynccontextmanager
async def serving(says: Says | bytes = b"hello", *, slots: int = 2, context: int = 100) -> AsyncIterator[Any]:
    """The server and a client of it."""
    llama = Llama(says if callable(says) else lambda _: says, context)
    app = web.Application()
    app.router.add_post("/tokenize", llama.tokenize)
    app.router.add_post("/detokenize", llama.detokenize)
    app.router.add_post("/apply-template", llama.template)
    app.router.add_post("/completion", llama.complete)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as session:
            yield llama, EngineClient(url, session, slots, lambda: asyncio.sleep(0))
    finally:
        await runner.cleanup()


async def collect(engine: EngineClient, prompt: Any = "Hi", **fields: Any) -> list[Event]:
    prompts = prompt if isinstance(prompt, list) and not isinstance(prompt[0], int) else [prompt]
    return [event async for batch in completion(engine, {"prompts": prompts, **fields}) for event in batch]


def text_of(events: list[Event], index: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.index == index)


def entries_of(events: list[Event], index: int = 0) -> list[Any]:
    deltas = [event for event in events if isinstance(event, Delta) and event.index == index]
    return [entry for delta in deltas for entry in delta.logprobs or ()]


async def test_one_choice() -> None:
    async with serving() as (llama, engine):
        events = await collect(engine, temperature=0.5, options={"top_k": 3}, seed=7, logit_bias={"5": -1})
    assert text_of(events) == "hello"
    assert events[-2:] == [Finish("stop"), Done(2, 5, 1)]
    assert Progress("prefill", 2, 2) in events
    (body,) = llama.asked
    assert body == {
        **{"prompt": [72, 105], "n_predict": 16, "stream": True, "return_progress": True},
        **{"temperature": 0.5, "top_k": 3, "seed": 7, "logit_bias": [[5, -1]]},
    }


async def test_choices_of_several_prompts_have_global_indexes_and_seeds_of_their_own() -> None:
    async with serving(lambda body: bytes([body["prompt"][0], 48 + body["seed"]])) as (llama, engine):
        llama.go_on.clear()
        answer = asyncio.create_task(collect(engine, ["a", "b"], n=2, seed=5))
        await until(lambda: llama.active == 2, "two requests run")
        llama.go_on.set()
        events = await answer
    assert [text_of(events, index) for index in range(4)] == ["a5", "a6", "b5", "b6"]
    assert sum(isinstance(event, Finish) for event in events) == 4
    assert events[-1] == Done(2, 8, 2), "a prompt's tokens count once"
    assert llama.most_active == 2, "no more than the engine has slots"


async def test_best_of_keeps_those_with_the_highest_mean() -> None:
    words = {0: b"zzzz", 1: b"aaaaaaaa", 2: b"", 3: b"mm"}
    async with serving(lambda body: words[body["seed"]]) as (_, engine):
        events = await collect(engine, n=2, best_of=4, seed=0)
        three = await collect(engine, n=3, best_of=4, seed=0, logprobs=0)
    assert [text_of(events, index) for index in range(2)] == ["aaaaaaaa", "mm"]
    assert not entries_of(events), "they were not asked for"
    assert events[-1] == Done(2, 14, 1), "all that was generated counts"
    assert [text_of(three, index) for index in range(3)] == ["aaaaaaaa", "mm", "zzzz"]
    assert [entry["token"] for entry in entries_of(three, 1)] == ["m", "m"]


async def test_a_stop_sequence_ends_the_text_and_the_generation() -> None:
    async with serving(b"one two three") as (_, engine):
        events = await collect(engine, stop=["two"], max_tokens=100, logprobs=0)
    assert text_of(events) == "one "
    assert "".join(entry["token"] for entry in entries_of(events)) == "one "
    assert events[-2:] == [Finish("stop"), Done(2, 7, 1)]


async def test_text_that_was_held_back_comes_at_the_end() -> None:
    """llama.cpp's own stream swallows it when the limit is reached within a possible stop sequence."""
    async with serving(b"one two three") as (_, engine):
        events = await collect(engine, stop=["twofold"], max_tokens=7, logprobs=0)
    assert text_of(events) == "one two"
    assert "".join(entry["token"] for entry in entries_of(events)) == "one two"
    assert events[-2] == Finish("length")


async def test_tokens_that_leave_a_character_open_are_found_out() -> None:
    said = "aé b".encode()  # é is two tokens, of which the engine reports one
    async with serving(said, slots=1) as (llama, engine):
        events = await collect(engine, logprobs=1)
    entries = entries_of(events)
    assert [bytes(entry["bytes"]) for entry in entries] == [b"a", b"\xc3", b"\xa9", b" ", b"b"]
    assert [round(entry["logprob"] * -100) for entry in entries] == list(said)
    found = [body for body in llama.asked if "grammar" in body]
    assert [body["prompt"] for body in found] == [[72, 105, 97]], "asked at its own place"


async def test_echo_with_logprobs_asks_for_every_position() -> None:
    async with serving(b"!") as (llama, engine):
        events = await collect(engine, "né", echo=True, logprobs=2, n=2)
    assert text_of(events, 0) == text_of(events, 1) == "né!"
    entries = entries_of(events, 1)
    assert [entry["logprob"] for entry in entries] == [None, -1.95, -1.69, -0.33]
    assert [len(entry["top_logprobs"] or ()) for entry in entries[:3]] == [0, 2, 2]
    places = [body["prompt"] for body in llama.asked if not body.get("stream") and "grammar" not in body]
    assert places == [[110, 195], [110]], "the longest first"


async def test_nothing_is_generated_for_no_tokens() -> None:
    async with serving() as (llama, engine):
        events = await collect(engine, ["ab", "c"], echo=True, max_tokens=0)
    assert events == [Delta("ab", 0, 0), Finish("length", 0), Delta("c", 0, 1), Finish("length", 1), Done(3, 0, 0)]
    assert not llama.asked


async def test_tokens_are_taken_as_they_are() -> None:
    async with serving() as (llama, engine):
        events = await collect(engine, [104, 105], echo=True)
    assert llama.asked[0]["prompt"] == [104, 105]
    assert text_of(events) == "hihello"


async def test_a_template_wraps_text_and_leaves_the_echo() -> None:
    async with serving() as (llama, engine):
        events = await collect(engine, "Hi", template=[], echo=True)
    assert bytes(llama.asked[0]["prompt"]) == b"<Hi>"
    assert text_of(events) == "Hihello"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [5, 200]}, "prompt"),
        ({"logit_bias": {"5": 1, "200": 1}}, "logit_bias"),
        ({"suffix": "end"}, "suffix"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a" * 2048, "b"], "echo": True, "logprobs": 0, "max_tokens": 0}, "prompt"),
    ],
    ids=["token", "bias", "suffix", "nothing to begin with", "too much to score"],
)
async def test_what_only_the_engine_knows_is_the_callers_error_too(fields: dict[str, Any], param: str) -> None:
    async with serving() as (llama, engine):
        with pytest.raises(InvalidRequest) as caught:
            await collect(engine, **fields)
    assert caught.value.param == param
    assert not llama.asked


@pytest.mark.parametrize("fields", [{}, {"echo": True, "logprobs": 0}])
async def test_a_long_prompt_among_others_is_refused_before_anything_is_said(fields: dict[str, Any]) -> None:
    async with serving(context=20) as (_, engine):
        answer = completion(engine, {"prompts": ["a", "b" * 30, "c"], **fields})
        with pytest.raises(ContextLengthExceeded, match=r"20 tokens.*30 tokens") as caught:
            await anext(answer)
    assert caught.value.param == "prompt"


async def test_closing_the_generator_closes_every_request() -> None:
    async with serving(b"endless " * 100, slots=4) as (llama, engine):
        llama.go_on.clear()
        answer = completion(engine, {"prompts": ["a", "b"], "n": 2, "max_tokens": 800})
        heard: set[int] = set()
        while len(heard) < 4:
            heard |= {event.index for event in await anext(answer) if isinstance(event, Delta)}
        assert llama.active == 4
        await answer.aclose()
        await until(lambda: llama.active == 0, "the engine sees that the client has left")


@pytest.mark.parametrize("chunk", [{"error": {"message": "boom"}}, {}, {"stop": False, "content": "a"}, 7])
async def test_what_is_not_understood_is_an_engine_failure(chunk: Any) -> None:
    async with serving() as (llama, engine):
        llama.first = chunk
        with pytest.raises(EngineFailed):
            await collect(engine)


@pytest.mark.parametrize(
    ("stops", "pieces", "text", "hit"),
    [
        ([], ["a", "b"], "ab", False),
        (["x"], ["a", "b"], "ab", False),
        (["bc"], ["ab", "cd"], "a", True),
        (["bcd"], ["ab", "c"], "abc", False),
        (["aab"], ["aaab"], "a", True),
        (["aab"], ["a", "a", "a", "b"], "a", True),
        (["long one", "o"], ["a long one"], "a ", True),
        (["\n\n"], ["é\n", "x\n", "\n"], "é\nx", True),
    ],
)
def test_stop_sequences_in_pieces(stops: list[str], pieces: list[str], text: str, hit: bool) -> None:
    stop = StopText(stops)
    found = ""
    for piece in pieces:
        found += stop.feed(piece)
        if stop.hit:
            break
    assert (found + stop.rest(), stop.hit) == (text, hit)


async def test_the_first_source_goes_ahead_and_its_failure_ends_all() -> None:
    begun: list[str] = []

    async def source(name: str, *, fails: bool = False) -> AsyncGenerator[list[Event], None]:
        begun.append(name)
        await asyncio.sleep(0)
        if fails:
            raise EngineFailed("no")
        yield [Delta(name)]

    with pytest.raises(EngineFailed):
        async for _ in fan_out([source("a", fails=True), source("b")], 2):
            pass
    assert begun == ["a"]
    assert [batch async for batch in fan_out([source("c"), source("d")], 1)] == [[Delta("c")], [Delta("d")]]
