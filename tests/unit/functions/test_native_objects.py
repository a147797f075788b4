"""A generation's events as Ollama's objects, streamed and whole."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson
import pytest

from functions.native.objects import Objects, chat_piece, text_piece
from shared.errors import EngineFailed
from shared.frames import Delta, Done, Event, Finish, Started, Thought, ToolDelta

CALL: list[Event] = [
    Started("w", "fp_1"),
    Thought("hm"),
    ToolDelta(0, "", "call_1", "add"),
    ToolDelta(0, '{"a": 1'),
    ToolDelta(0, ', "b": 2}'),
    ToolDelta(1, "{}", "call_2", "now"),
    Finish("tool_calls"),
    Done(10, 5),
]
CALLS = [
    {"id": "call_1", "function": {"index": 0, "name": "add", "arguments": {"a": 1, "b": 2}}},
    {"id": "call_2", "function": {"index": 1, "name": "now", "arguments": {}}},
]
FINAL = {
    *("model", "created_at", "done", "done_reason", "total_duration", "load_duration"),
    *("prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"),
}


async def batches(events: Sequence[Event]) -> AsyncGenerator[tuple[Event, ...], None]:
    yield ()
    for event in events:
        yield (event,)


async def lines(events: Sequence[Event], objects: Objects) -> list[dict[str, Any]]:
    text = b"".join([piece async for piece in objects.relay(batches(events))])
    return [orjson.loads(each) for each in text.splitlines()]


async def test_tool_calls_come_whole() -> None:
    thought, calls, last = await lines(CALL, Objects("m", chat_piece))
    assert thought["message"] == {"role": "assistant", "content": "", "thinking": "hm"}
    assert calls["message"] == {"role": "assistant", "content": "", "tool_calls": CALLS}
    assert set(last) == {*FINAL, "message"}
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"]) == (10, 5)


async def test_a_whole_answer() -> None:
    answer = await Objects("m", chat_piece).whole(batches(CALL))
    assert answer["message"] == {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": CALLS}
    assert set(answer) == {*FINAL, "message"}


async def test_text_of_generate() -> None:
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    events: list[Event] = [Started("w", ""), Delta("a", logprobs=[entry]), Finish("length"), Done(1, 1)]
    first, last = await lines(events, Objects("m", text_piece))
    assert (first["response"], first["done"], first["logprobs"]) == ("a", False, [entry])
    assert (last["response"], last["done_reason"]) == ("", "length")
    whole = await Objects("m", text_piece).whole(batches(events))
    assert (whole["response"], whole["logprobs"]) == ("a", [entry])


async def test_a_job_that_starts_again_starts_its_answer_again() -> None:
    again = [Started("w", ""), ToolDelta(0, "{", "call_0", "add"), *CALL]
    assert (await Objects("m", chat_piece).whole(batches(again)))["message"]["tool_calls"] == CALLS


async def test_arguments_that_are_no_json() -> None:
    events: list[Event] = [Started("w", ""), ToolDelta(0, "{", "call_1", "add"), Finish("tool_calls"), Done(1, 1)]
    with pytest.raises(EngineFailed, match="not JSON"):
        await lines(events, Objects("m", chat_piece))
    with pytest.raises(EngineFailed, match="not JSON"):
        await Objects("m", chat_piece).whole(batches(events))
