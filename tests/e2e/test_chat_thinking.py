"""A model that thinks, on the real engine: the default model with a template that opens a thought."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from shared.frames import Delta, Done, Event, Finish, Thought, ToolDelta
from shared.settings import Settings
from tests.e2e.schemas import SCHEMAS
from tests.harness import ROOT
from worker.runtime import thinking
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

TEMPLATE = ROOT / "infra/seeds/templates/smollm2-thinking.jinja"

TOOL = {"type": "function", "function": {"name": "roll", "parameters": {"properties": {"sides": {"enum": [6, 20]}}}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(default_weights: Path) -> AsyncIterator[LlamaEngine]:
    settings = Settings(slots=1, context=1024, load_timeout_s=180)
    engine = LlamaEngine(settings, Weights(default_weights, "0" * 64, template=TEMPLATE))
    await engine.start()
    try:
        await engine.ready(180)
        yield engine
    finally:
        await engine.stop()


@pytest.fixture(autouse=True)
def short_thoughts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(thinking.BUDGETS, "low", 8)


async def ask(engine: LlamaEngine, **fields: Any) -> list[Event]:
    request = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16, "temperature": 0, **fields}
    return [event async for batch in engine.run("chat", request) for event in batch]


def joined(events: list[Event], kind: type[Delta] | type[Thought]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def done(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


async def test_thoughts_are_not_text(engine: LlamaEngine) -> None:
    events = await ask(engine)
    assert joined(events, Thought)
    assert not joined(events, Delta)
    assert 14 <= done(events).reasoning_tokens <= done(events).completion_tokens == 16
    assert Finish("length") in events


async def test_an_effort_bounds_the_thought(engine: LlamaEngine) -> None:
    events = await ask(engine, reasoning_effort="low", max_tokens=30)
    assert 0 < done(events).reasoning_tokens <= 8
    assert joined(events, Delta)
    assert "think>" not in joined(events, Delta) + joined(events, Thought)


async def test_no_thought_was_asked_for(engine: LlamaEngine) -> None:
    events = await ask(engine, reasoning_effort="none", max_tokens=6)
    assert not joined(events, Thought)
    assert joined(events, Delta)
    assert done(events).reasoning_tokens == 0


async def test_a_schema_holds_for_what_comes_after_the_thought(engine: LlamaEngine) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS["flat"]}}
    events = await ask(engine, reasoning_effort="low", response_format=format_, max_tokens=150)
    assert joined(events, Thought)
    jsonschema.validate(json.loads(joined(events, Delta)), SCHEMAS["flat"])


async def test_a_forced_call_comes_after_the_thought(engine: LlamaEngine) -> None:
    events = await ask(engine, reasoning_effort="low", tools=[TOOL], tool_choice="required", max_tokens=150)
    assert joined(events, Thought)
    assert not joined(events, Delta)
    calls = [event for event in events if isinstance(event, ToolDelta)]
    assert calls[0].name == "roll"
    assert json.loads("".join(call.arguments for call in calls)).get("sides", 6) in (6, 20)
    assert Finish("tool_calls") in events


async def test_earlier_thoughts_are_shown_to_the_model(engine: LlamaEngine) -> None:
    plain = {"role": "assistant", "content": "Hello"}
    user = {"role": "user", "content": "Hi"}
    without = await ask(engine, messages=[user, plain, user], max_tokens=1)
    thoughtful = await ask(engine, messages=[user, {**plain, "reasoning_content": "A guest."}, user], max_tokens=1)
    assert done(thoughtful).prompt_tokens > done(without).prompt_tokens
