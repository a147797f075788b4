"""The fake engine's answers to a request's further fields, through the worker's own adapter."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shared.frames import Delta, Done, Event, Finish, Thought, ToolDelta
from shared.settings import Settings
from tests.e2e.schemas import SCHEMAS
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights

TOOL = {
    "type": "function",
    "function": {"name": "now", "parameters": {"properties": {"zone": {"enum": ["UTC"]}}, "required": ["zone"]}},
}


@pytest.fixture
async def engine() -> AsyncIterator[LlamaEngine]:
    engine = LlamaEngine(Settings(engine="fake", slots=2), Weights(Path("none"), "0" * 64))
    await engine.start()
    try:
        await engine.ready(20)
        yield engine
    finally:
        await engine.stop()


async def ask(engine: LlamaEngine, **fields: Any) -> list[Event]:
    request = {"messages": [{"role": "user", "content": "one two"}], "fake": {"tokens": 3}, **fields}
    return [event async for batch in engine.run("chat", request) for event in batch]


def text_of(events: list[Event], index: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.index == index)


async def test_choices_in_groups(engine: LlamaEngine) -> None:
    events = await ask(engine, n=5)
    assert [text_of(events, index) for index in range(5)] == ["0 1 2 "] * 5
    assert [event.index for event in events if isinstance(event, Finish)] == [0, 1, 2, 3, 4]
    assert [event for event in events if isinstance(event, Done)] == [Done(2, 15)]


async def test_log_probabilities(engine: LlamaEngine) -> None:
    events = await ask(engine, logprobs=True, top_logprobs=2)
    entries = [entry for event in events if isinstance(event, Delta) for entry in event.logprobs or ()]
    assert [(entry["token"], len(entry["top_logprobs"])) for entry in entries] == [("0 ", 2), ("1 ", 2), ("2 ", 2)]


async def test_a_schema(engine: LlamaEngine) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS["flat"]}}
    jsonschema.validate(json.loads(text_of(await ask(engine, response_format=format_))), SCHEMAS["flat"])


async def test_a_forced_call(engine: LlamaEngine) -> None:
    events = await ask(engine, tools=[TOOL], tool_choice="required")
    calls = [event for event in events if isinstance(event, ToolDelta)]
    assert calls[0].name == "now"
    assert "".join(call.arguments for call in calls) == '{"zone":"UTC"}'
    assert Finish("tool_calls") in events
    assert text_of(events) == ""


async def test_a_forced_call_is_cut(engine: LlamaEngine) -> None:
    assert Finish("length") in await ask(engine, tools=[TOOL], tool_choice="required", max_tokens=9)


async def test_thoughts(engine: LlamaEngine) -> None:
    events = await ask(engine, fake={"tokens": 2, "thoughts": 4})
    assert "".join(event.text for event in events if isinstance(event, Thought)) == "0 1 2 3 "
    assert events[-1] == Done(2, 6, 0, 4)
