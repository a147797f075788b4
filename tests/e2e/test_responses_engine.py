"""`/v1/responses` with the official SDK, the OpenAI Agents SDK and the real model."""

import json
import os
import subprocess
import sys
from typing import Any, Literal

import agents
import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from infra.seeds.models import SMOLLM2
from tests.harness import ROOT, Stack
from tests.pictures import COLOURS, data_url, picture
from tests.response_rules import check_response, check_stream

pytestmark = [pytest.mark.engine, pytest.mark.redis]

MODEL = SMOLLM2.name

FRANCE = "Which city is the capital of France?"

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Colour(BaseModel):
    name: Literal["red", "green", "blue"]
    bright: bool


def test_a_response_answers_the_question(client: OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input=FRANCE, temperature=0, max_output_tokens=40)
    assert "Paris" in answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.completed_at is not None
    assert answer.created_at <= answer.completed_at


def test_the_typed_accumulator_makes_the_whole_answer(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=FRANCE, temperature=0, max_output_tokens=40) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text
    assert "Paris" in final.output_text
    assert len(deltas) > 3, "tokens come as they are made"


async def test_both_work_asynchronously(async_client: AsyncOpenAI) -> None:
    answer = await async_client.responses.create(model=MODEL, input=FRANCE, temperature=0, max_output_tokens=40)
    assert "Paris" in answer.output_text
    async with async_client.responses.stream(
        model=MODEL, input=[{"role": "user", "content": FRANCE}], temperature=0, max_output_tokens=40
    ) as stream:
        numbers = [event.sequence_number async for event in stream if hasattr(event, "sequence_number")]
        final = await stream.get_final_response()
    assert final.output_text == answer.output_text
    assert numbers == sorted(set(numbers))


def test_an_answer_is_parsed_by_its_schema(client: OpenAI) -> None:
    parsed = client.responses.parse(
        model=MODEL, input="Name a colour.", text_format=Colour, temperature=0, max_output_tokens=60
    )
    assert isinstance(parsed.output_parsed, Colour)


async def test_and_asynchronously(async_client: AsyncOpenAI) -> None:
    parsed = await async_client.responses.parse(
        model=MODEL, input="Name a colour.", text_format=Colour, temperature=0, max_output_tokens=60
    )
    assert isinstance(parsed.output_parsed, Colour)


def test_a_forced_call_and_the_turn_after_it(client: OpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    with client.responses.stream(
        model=MODEL, input=items, tools=[WEATHER], tool_choice="required", temperature=0, max_output_tokens=80
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    (call,) = [item for item in final.output if item.type == "function_call"]
    assert set(json.loads(call.arguments)) == {"city", "unit"}
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == call.arguments
    items += final.output
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."})
    after = client.responses.create(
        model=MODEL, input=items, tools=[WEATHER], tool_choice="none", temperature=0, max_output_tokens=30
    )
    assert after.output_text


def test_a_picture_is_seen(client: OpenAI) -> None:
    parts: list[Any] = [
        {"type": "input_text", "text": "What color is this picture?"},
        {"type": "input_image", "image_url": data_url(picture(COLOURS["red"])), "detail": "auto"},
    ]
    answer = client.responses.create(
        model=MODEL, input=[{"role": "user", "content": parts}], temperature=0, max_output_tokens=12
    )
    assert "red" in answer.output_text.lower()
    parts[1]["image_url"] = "data:image/png;base64,AAAA"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input=[{"role": "user", "content": parts}])
    assert caught.value.param == "input[0].content[1].image_url"


def test_what_is_cut_is_incomplete(client: OpenAI) -> None:
    cut = client.responses.create(model=MODEL, input=FRANCE, temperature=0, max_output_tokens=3)
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    assert cut.usage is not None
    assert cut.usage.output_tokens == 3


def test_log_probabilities(client: OpenAI) -> None:
    answer = client.responses.create(
        model=MODEL,
        input=FRANCE,
        temperature=0,
        max_output_tokens=8,
        include=["message.output_text.logprobs"],
        top_logprobs=3,
    )
    (message,) = answer.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert part.logprobs
    assert "".join(entry.token for entry in part.logprobs) == part.text
    assert all(len(entry.top_logprobs) == 3 and entry.logprob <= 0 for entry in part.logprobs)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [WEATHER], "tool_choice": "required"},
        {"tools": [WEATHER]},
        {"text": {"format": {"type": "json_object"}}},
        {"max_output_tokens": 4},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 1},
    ],
)
def test_every_stream_of_the_engine_keeps_the_rules(real_stack: Stack, fields: dict[str, Any]) -> None:
    asked = {"model": MODEL, "input": FRANCE, "temperature": 0, "max_output_tokens": 60, **fields}
    answer = httpx.post(f"{real_stack.url}/v1/responses", json={**asked, "stream": True}, timeout=60)
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    final = check_stream([json.loads(each) for each in data])
    whole = httpx.post(f"{real_stack.url}/v1/responses", json=asked, timeout=60).json()
    check_response(whole)
    assert whole["status"] == final["status"]
    assert [item["type"] for item in whole["output"]] == [item["type"] for item in final["output"]]


@pytest.mark.slow
def test_too_long_a_conversation_is_refused_or_loses_its_oldest_turns(client: OpenAI) -> None:
    """The question, which comes last, and the instructions, which come first, are still there."""
    turns: list[Any] = []
    for k in range(40):
        turns += [
            {"role": "user", "content": f"Remember the number {k}. " + "word " * 60},
            {"role": "assistant", "content": "Yes."},
        ]
    items = [*turns, {"role": "user", "content": FRANCE}]
    ask: dict[str, Any] = {"model": MODEL, "input": items, "temperature": 0, "max_output_tokens": 30}
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(**ask, stream=stream)
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")
    answer = client.responses.create(**ask, truncation="auto", instructions="Answer shortly.")
    assert answer.truncation == "auto"
    assert answer.output_text
    assert answer.usage is not None
    assert 1000 < answer.usage.input_tokens < 2048
    with pytest.raises(openai.BadRequestError) as still:
        client.responses.create(model=MODEL, input="word " * 3000, truncation="auto")
    assert still.value.code == "context_length_exceeded"


async def test_the_agents_sdk_runs_a_loop_of_two_tools(async_client: AsyncOpenAI) -> None:
    """Two turns with a call each, then an answer. The model is too small to choose, so each turn's choice is made."""
    called: list[tuple[str, str]] = []

    @agents.function_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        called.append(("get_weather", city))
        return f"It is sunny in {city}."

    @agents.function_tool
    def pack(item: str) -> str:
        """Put something into the bag."""
        called.append(("pack", item))
        return f"{item} is in the bag."

    class Choices(agents.AgentHooks[Any]):
        async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
            agent.model_settings.tool_choice = "pack" if tool.name == "get_weather" else "none"

    agents.set_tracing_disabled(True)
    agent = agents.Agent(
        name="traveller",
        instructions="You plan a journey.",
        model=agents.OpenAIResponsesModel(model=MODEL, openai_client=async_client),
        model_settings=agents.ModelSettings(tool_choice="get_weather", temperature=0, max_tokens=100, store=False),
        tools=[get_weather, pack],
        hooks=Choices(),
        reset_tool_choice=False,
    )
    question = "What is the weather in Paris, and what should I pack?"
    result = await agents.Runner.run(agent, question, max_turns=4)
    assert [name for name, _ in called] == ["get_weather", "pack"]
    assert all(argument for _, argument in called)
    assert result.final_output
    assert result.context_wrapper.usage.requests == 3

    called.clear()
    agent.model_settings.tool_choice = "get_weather"
    streamed = agents.Runner.run_streamed(agent, question, max_turns=4)
    kinds = {event.type async for event in streamed.stream_events()}
    assert [name for name, _ in called] == ["get_weather", "pack"]
    assert {"raw_response_event", "run_item_stream_event"} <= kinds
    assert streamed.final_output == result.final_output


@pytest.mark.parametrize(
    ("name", "printed"),
    [("responses", "Person(name='Ada', age=36)"), ("responses_tools", "get_weather {'city': 'Paris'")],
)
def test_the_examples_run_as_they_stand(real_stack: Stack, name: str, printed: str) -> None:
    example = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"],
        env={**os.environ, "OPENAI_BASE_URL": f"{real_stack.url}/v1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert example.returncode == 0, example.stderr
    assert printed in example.stdout
