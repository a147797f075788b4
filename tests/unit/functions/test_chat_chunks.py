"""Events of a generation to the bytes of a stream, without a queue."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from functions.inference.chunks import ChatChunks
from functions.inference.collect import collect
from shared.errors import EngineFailed
from shared.frames import Delta, Done, Event, Finish, Progress, Started
from shared.job import JobSpec

SPEC = JobSpec(
    id="0" * 32, queue="model-0", model="fake", request={}, created=1_700_000_000.9, deadline=1_700_000_600.0
)
STARTED = Started("worker-1", "fp_1")
DONE = Done(prompt_tokens=5, completion_tokens=2, cached_tokens=1)

Batches = AsyncGenerator[tuple[Event, ...], None]


async def batches(*values: tuple[Event, ...]) -> Batches:
    for value in values:
        yield value


async def relayed(*values: tuple[Event, ...], include_usage: bool = False) -> list[Any]:
    """Parsed chunks; comments and `[DONE]` as they stand."""
    pieces = [piece async for piece in ChatChunks(SPEC, include_usage=include_usage).relay(batches(*values))]
    lines = b"".join(pieces).decode().removesuffix("\n\n").split("\n\n")
    return [json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else line for line in lines]


async def test_events_become_chunks_in_order() -> None:
    first, second, finish, done = await relayed(
        (STARTED,), (Delta("He", 1),), (Delta("llo", 1), Finish("stop")), (DONE,)
    )
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": "He"}, "logprobs": None, "finish_reason": None}
    ]
    assert second["choices"][0]["delta"] == {"content": "llo"}
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert done == "data: [DONE]"
    assert {chunk["id"] for chunk in (first, second, finish)} == {"chatcmpl-" + "0" * 32}
    assert {chunk["created"] for chunk in (first, second, finish)} == {1_700_000_000}
    assert {chunk["system_fingerprint"] for chunk in (first, second, finish)} == {"fp_1"}


async def test_an_answer_without_a_token_opens_with_the_role() -> None:
    opening, finish, done = await relayed((STARTED,), (Finish("stop"), DONE))
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert opening["choices"][0]["finish_reason"] is None
    assert finish["choices"][0]["delta"] == {}
    assert done == "data: [DONE]"


async def test_choices_open_and_finish_one_by_one() -> None:
    chunks = await relayed(
        (STARTED, Delta("a", 1, 0), Delta("b", 1, 1), Finish("stop", 1), Finish("length", 0)), (DONE,)
    )
    seen = [
        (c["choices"][0]["index"], c["choices"][0]["delta"].get("role"), c["choices"][0]["finish_reason"])
        for c in chunks[:-1]
    ]
    assert seen == [(0, "assistant", None), (1, "assistant", None), (1, None, "stop"), (0, None, "length")]


async def test_usage_only_where_asked_for() -> None:
    *chunks, last, done = await relayed((STARTED, Delta("a", 1)), (Finish("stop"), DONE), include_usage=True)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert done == "data: [DONE]"
    assert all("usage" not in chunk for chunk in (await relayed((STARTED, Delta("a", 1)), (Finish("stop"), DONE)))[:-1])


async def test_ticks_say_what_is_waited_for() -> None:
    tick: tuple[Event, ...] = ()
    lines = await relayed(
        tick,
        (STARTED, Progress("loading")),
        tick,
        (Progress("prefill"),),
        tick,
        (Delta("a", 1),),
        tick,
        (Finish("stop"), DONE),
    )
    assert [line for line in lines if isinstance(line, str)] == [
        *(": queued", ": loading", ": prefill", ": generating", "data: [DONE]")
    ]


@pytest.mark.parametrize("text", ['"quotes"', "line\nbreak\r\n\n", "data: x", "🙂\u2028", "\x00\x1b"])
async def test_text_cannot_break_out_of_its_event(text: str) -> None:
    (first, _, done) = await relayed((STARTED, Delta(text, 1)), (Finish("stop"), DONE))
    assert first["choices"][0]["delta"]["content"] == text
    assert done == "data: [DONE]"


async def test_collected_events_are_one_answer() -> None:
    answer = await collect(batches((STARTED,), (Delta("He", 1), Delta("llo", 1)), (), (Finish("length"), DONE)))
    assert answer.fingerprint == "fp_1"
    assert answer.choices[0].text == "Hello"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage["total_tokens"] == 7


async def test_a_second_attempt_starts_the_answer_again() -> None:
    again = Started("worker-2", "fp_2")
    answer = await collect(batches((STARTED, Delta("He", 1)), (again,), (Delta("Hello", 1), Finish("stop"), DONE)))
    assert (answer.fingerprint, answer.choices[0].text) == ("fp_2", "Hello")


async def test_a_failure_is_raised() -> None:
    async def failing() -> Batches:
        yield (STARTED, Delta("He", 1))
        raise EngineFailed("the engine stopped")

    with pytest.raises(EngineFailed):
        await collect(failing())
