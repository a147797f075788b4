"""What the official SDK makes of a chat's events: its types take every answer and every chunk, and what its
accumulator gathers from a stream is what the whole answer says. No queue: the events are given."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from functions.inference.chat_object import completion
from functions.inference.chunks import ChatChunks
from functions.inference.collect import collect
from functions.inference.sse import Chunks, EventStream
from shared.frames import Delta, Done, Event, Finish, Progress, Started, Thought, ToolDelta
from shared.job import JobSpec
from shared.schema import chat

Batch = tuple[Event, ...]

SPEC = JobSpec("0" * 32, "model-0", "fake", {}, 1_700_000_000.9, 1_700_000_600.0)
STARTED = Started("worker-1", "fp_1")


def entry(token: str) -> dict[str, Any]:
    seen = {"token": token, "logprob": -0.5, "bytes": list(token.encode())}
    return {**seen, "top_logprobs": [seen]}


CASES: dict[str, list[Batch]] = {
    "text": [(STARTED, Delta("He")), (), (Delta("llo"), Finish("stop")), (Done(5, 2, 1),)],
    "nothing": [(STARTED,), (Finish("stop"), Done(5, 0))],
    "cut": [(STARTED, Delta("He")), (Finish("length"), Done(5, 1))],
    "thoughts": [(STARTED, Thought("Hm")), (Thought(", so"), Delta("4")), (Finish("stop"), Done(5, 3, 0, 2))],
    "thoughts cut": [(STARTED, Thought("Hm")), (Finish("length"), Done(5, 1, 0, 1))],
    "logprobs": [
        (STARTED, Delta("a", 1, 0, [entry("a")])),
        (Delta("bc", 2, 0, [entry("b"), entry("c")]), Finish("stop")),
        (Done(5, 3),),
    ],
    "two calls": [
        (STARTED, Progress("prefill", 1, 2)),
        (ToolDelta(0, "", "call_a", "weather"),),
        (ToolDelta(0, '{"city":'), ToolDelta(0, ' "Oslo"}')),
        (ToolDelta(1, '{"city": "Rome"}', "call_b", "weather"),),
        (Finish("tool_calls"), Done(5, 9)),
    ],
    "thoughts, text and a call": [
        (STARTED, Thought("Hm"), Delta("I look")),
        (
            Delta(" it up."),
            ToolDelta(0, '{"city": "Oslo"}', "call_a", "weather"),
            Finish("tool_calls"),
            Done(5, 9, 0, 1),
        ),
    ],
    "thoughts and a call": [
        (STARTED, Thought("Hm")),
        (ToolDelta(0, '{"city": "Oslo"}', "call_a", "weather"), Finish("tool_calls"), Done(5, 9, 0, 1)),
    ],
    "three choices, the last first": [
        (STARTED, Delta("c", 1, 2), Delta("a", 1, 0)),
        (Delta("b", 1, 1), Delta("C", 1, 2), Finish("stop", 2)),
        (Finish("length", 0), Finish("stop", 1), Done(5, 4)),
    ],
    "three choices, one empty, one a call": [
        (STARTED, ToolDelta(0, '{"city": "Oslo"}', "call_a", "weather", 2), Finish("tool_calls", 2)),
        (Delta("b", 1, 0), Finish("stop", 0), Finish("stop", 1), Done(5, 4)),
    ],
    "a JSON object": [(STARTED, Delta('{"city": "Os')), (Delta('lo"}'), Finish("stop")), (Done(5, 2),)],
}


@asynccontextmanager
async def serving(batches: list[Batch]) -> AsyncIterator[AsyncOpenAI]:
    """The SDK in front of an app that answers every request with the same events."""

    async def events() -> AsyncGenerator[Batch, None]:
        for batch in batches:
            yield batch

    async def create(request: Request) -> Response:
        asked = chat.parse(await request.json())
        asked.engine_request()
        if not asked.stream:
            return JSONResponse(completion(SPEC, await collect(events())))

        @asynccontextmanager
        async def source() -> AsyncGenerator[Chunks, None]:
            yield ChatChunks(SPEC, include_usage=asked.include_usage).relay(events())

        return EventStream(source)

    app = Starlette(routes=[Route("/v1/chat/completions", create, methods=["POST"])])
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    async with AsyncOpenAI(base_url="http://puna/v1", api_key="any", max_retries=0, http_client=http) as client:
        yield client


ASK: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}]}
USAGE = {"include_usage": True}


def surprises(value: Any) -> set[str]:
    """Names of fields that the SDK's types do not know."""
    if isinstance(value, list):
        return {name for each in value for name in surprises(each)}
    if not isinstance(value, BaseModel):
        return set()
    inner = {name for field in type(value).model_fields for name in surprises(getattr(value, field))}
    return inner | set(value.model_extra or ())


def plain(value: ChatCompletion) -> dict[str, Any]:
    """An answer without what the accumulator adds of its own: parsed values, and the index of a call."""
    data = value.model_dump(exclude_none=True)
    for choice in data["choices"]:
        choice["message"].pop("parsed", None)
        for call in choice["message"].get("tool_calls", ()):
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    return data


@pytest.mark.parametrize("case", CASES)
async def test_the_sdk_s_types_take_every_answer_and_every_chunk(case: str) -> None:
    async with serving(CASES[case]) as client:
        raw = await client.chat.completions.with_raw_response.create(**ASK)
        whole = ChatCompletion.model_validate_json(raw.text, strict=True)
        streamed = await client.chat.completions.with_raw_response.create(**ASK, stream=True, stream_options=USAGE)
        events = streamed.http_response.aiter_lines()
        lines = [line.removeprefix("data: ") async for line in events if line.startswith("data: {")]
    chunks = [ChatCompletionChunk.model_validate_json(line, strict=True) for line in lines]
    assert surprises([whole, *chunks]) <= {"reasoning", "reasoning_content"}
    assert json.loads(lines[-1])["usage"] == json.loads(raw.text)["usage"]


@pytest.mark.parametrize("case", CASES)
async def test_the_accumulator_gathers_the_whole_answer(case: str) -> None:
    async with serving(CASES[case]) as client:
        whole = await client.chat.completions.create(**ASK)
        async with client.chat.completions.stream(**ASK, stream_options=USAGE) as stream:
            async for _ in stream:
                pass
    # Not `get_final_completion`: it raises for an answer that was cut.
    assert plain(stream.current_completion_snapshot) == plain(whole)


async def test_the_whole_answers() -> None:
    async def message(case: str) -> dict[str, Any]:
        async with serving(CASES[case]) as client:
            raw = await client.chat.completions.with_raw_response.create(**ASK)
        answer: dict[str, Any] = json.loads(raw.text)["choices"][0]
        return answer

    call = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    assert await message("two calls") == {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                call,
                {**call, "id": "call_b", "function": {**call["function"], "arguments": '{"city": "Rome"}'}},
            ],
        },
        "logprobs": None,
        "finish_reason": "tool_calls",
    }
    assert (await message("thoughts, text and a call"))["message"] == {
        "role": "assistant",
        "content": "I look it up.",
        "refusal": None,
        "reasoning": "Hm",
        "reasoning_content": "Hm",
        "tool_calls": [call],
    }
    assert (await message("thoughts cut"))["message"]["content"] == ""
    assert (await message("logprobs"))["logprobs"] == {"content": [entry("a"), entry("b"), entry("c")], "refusal": None}


async def test_arguments_are_streamed_piece_by_piece() -> None:
    async with serving(CASES["two calls"]) as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**ASK, stream=True)]
    deltas = [chunk.choices[0].delta.model_dump(exclude_unset=True) for chunk in chunks]
    first = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    assert deltas == [
        {"role": "assistant", "content": None, "tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ' "Oslo"}'}}]},
        {
            "tool_calls": [
                {**first, "index": 1, "id": "call_b", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
            ]
        },
        {},
    ]


class City(BaseModel):
    city: str


class weather(BaseModel):
    city: str


async def test_parse_gives_the_caller_s_own_types() -> None:
    async with serving(CASES["a JSON object"]) as client:
        whole = await client.chat.completions.parse(**ASK, response_format=City)
        async with client.chat.completions.stream(**ASK, response_format=City) as stream:
            gathered = await stream.get_final_completion()
    assert whole.choices[0].message.parsed == gathered.choices[0].message.parsed == City(city="Oslo")
    tools = [openai.pydantic_function_tool(weather)]
    async with serving(CASES["two calls"]) as client:
        whole_calls = await client.chat.completions.parse(**ASK, tools=tools)
        async with client.chat.completions.stream(**ASK, tools=tools) as streamed:
            gathered_calls = await streamed.get_final_completion()
    for answer in (whole_calls, gathered_calls):
        calls = answer.choices[0].message.tool_calls or []
        assert [call.function.parsed_arguments for call in calls] == [weather(city="Oslo"), weather(city="Rome")]


@pytest.mark.parametrize("case", ["two calls", "thoughts, text and a call", "thoughts"])
async def test_an_answer_can_be_sent_back(case: str) -> None:
    """As it came, from the whole answer and from the accumulator, with the tools' results after it."""
    async with serving(CASES[case]) as client:
        whole = await client.chat.completions.create(**ASK)
        async with client.chat.completions.stream(**ASK) as stream:
            gathered = await stream.get_final_completion()
        for answer in (whole, gathered):
            message = answer.choices[0].message
            results = [
                {"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls or []
            ]
            again = await client.chat.completions.create(
                model="fake",
                messages=[*ASK["messages"], message, *results],  # type: ignore[list-item]
            )
            assert again.choices
