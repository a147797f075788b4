"""The whole chat surface on the real engine, with the default model and its tool-capable template."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from shared.errors import InvalidRequest
from shared.frames import Delta, Done, Event, Finish, ToolDelta
from shared.settings import Settings
from tests.e2e.schemas import GUIDED, PROMPTS, SCHEMAS
from tests.harness import ROOT
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

TEMPLATE = ROOT / "infra/seeds/templates/smollm2.jinja"
SLOTS = 2


def function(name: str, description: str, **properties: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = function("get_weather", "The weather in a city", city={"type": "string", "maxLength": 30})
WITH_UNIT = function(
    "get_weather",
    "Get the current weather in a city",
    city={"type": "string"},
    unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
)
WITH_UNIT["function"]["parameters"]["required"] = ["city"]
SEARCH = function(
    "search",
    "Search the web",
    query={"type": "string", "maxLength": 20},
    limit={"type": "integer", "minimum": 1, "maximum": 20},
    order={"enum": ["date", "rank"]},
)
TOOLS = [WEATHER, SEARCH]
PARAMETERS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}

ASKED = [
    "What is the weather in Paris?",
    "Search for cats.",
    "Hello!",
    "Don't call anything.",
    "{}",
    '"quotes" and \\ slashes',
    "naïve café 漢字 😀",
    "   ",
    "Write a poem about the sea.",
    "2+2?",
]


def engine_of(weights: Path, template: Path | None = TEMPLATE) -> LlamaEngine:
    settings = Settings(slots=SLOTS, context=1024, load_timeout_s=180)
    return LlamaEngine(settings, Weights(weights, "0" * 64, template=template))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(default_weights: Path) -> AsyncIterator[LlamaEngine]:
    engine = engine_of(default_weights)
    await engine.start()
    try:
        await engine.ready(180)
        yield engine
    finally:
        await engine.stop()


async def ask(engine: LlamaEngine, prompt: str | list[dict[str, Any]], **fields: Any) -> list[Event]:
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    request = {"messages": messages, "max_tokens": 32, "temperature": 0, **fields}
    return [event async for batch in engine.run("chat", request) for event in batch]


def text_of(events: list[Event], index: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.index == index)


def calls_of(events: list[Event], index: int = 0) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call."""
    calls: dict[int, list[ToolDelta]] = {}
    for event in events:
        if isinstance(event, ToolDelta) and event.index == index:
            calls.setdefault(event.call, []).append(event)
    assert list(calls) == list(range(len(calls)))
    return [(c[0].id, c[0].name, "".join(piece.arguments for piece in c)) for c in calls.values()]


def finishes(events: list[Event]) -> dict[int, str]:
    return {event.index: event.reason for event in events if isinstance(event, Finish)}


def done(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


async def prompt_of(engine: LlamaEngine, messages: list[dict[str, Any]], **fields: Any) -> str:
    """What the engine makes of a conversation."""
    assert engine._session
    body = {"messages": messages, **fields}
    async with engine._session.post(f"{engine.process.url}/apply-template", json=body) as response:
        return str((await response.json())["prompt"])


def said(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


CONVERSATIONS = [
    [said("user", "hello")],
    [said("system", "Be brief."), said("user", "hello")],
    [said("system", ""), said("user", " a\n\nb "), said("assistant", "<c>"), said("user", "{{ d }}")],
    [said("user", "a"), said("system", "b"), said("user", "c")],
    [said("user", "a"), said("assistant", "b and")],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
]


async def test_plain_chats_look_as_with_the_models_own_template(engine: LlamaEngine, default_weights: Path) -> None:
    own = engine_of(default_weights, None)
    await own.start()
    try:
        await own.ready(180)
        for messages in CONVERSATIONS:
            assert await prompt_of(engine, messages) == await prompt_of(own, messages)
    finally:
        await own.stop()


async def test_tools_calls_and_results_are_in_the_prompt(engine: LlamaEngine) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        said("system", "Be brief."),
        said("user", "Weather?"),
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": "1", "content": "17 C"},
        {"role": "tool", "tool_call_id": "1", "content": "18 C"},
    ]
    prompt = await prompt_of(engine, messages, tools=[WEATHER])
    assert prompt.startswith("<|im_start|>system\nBe brief.\n\n# Tools")
    assert re.search(r'<tools>\n\{"type": "function", "function": \{"name": "get_weather".*\}\n</tools>', prompt)
    one = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    assert prompt.endswith(
        f"<|im_start|>assistant\n{one}\n{one}<|im_end|>\n<|im_start|>user\n<tool_response>\n17 C\n</tool_response>\n"
        "<tool_response>\n18 C\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "search"}}])
@pytest.mark.slow
async def test_a_forced_call_is_made_and_valid(engine: LlamaEngine, choice: Any) -> None:
    for seed, prompt in enumerate(ASKED):
        events = await ask(engine, prompt, tools=TOOLS, tool_choice=choice, max_tokens=200, temperature=0.8, seed=seed)
        [(call_id, name, arguments)] = calls_of(events)
        assert re.fullmatch(r"call_[0-9a-f]{24}", call_id)
        assert choice == "required" or name == "search"
        jsonschema.validate(json.loads(arguments), PARAMETERS[name])
        assert finishes(events) == {0: "tool_calls"}
        assert text_of(events) == ""


async def test_arguments_stream(engine: LlamaEngine) -> None:
    events = await ask(engine, ASKED[0], tools=[WEATHER], tool_choice="required", max_tokens=100)
    pieces = [event for event in events if isinstance(event, ToolDelta)]
    assert len(pieces) > 3
    assert [bool(piece.id) for piece in pieces] == [True] + [False] * (len(pieces) - 1)


async def test_a_call_that_the_limit_cuts(engine: LlamaEngine) -> None:
    events = await ask(engine, "Search for cats.", tools=[SEARCH], tool_choice="required", max_tokens=24)
    [(_, name, arguments)] = calls_of(events)
    assert name == "search"
    assert arguments.startswith('{"query":')
    assert finishes(events) == {0: "length"}


async def test_the_model_may_call_or_not(engine: LlamaEngine) -> None:
    calls: list[tuple[str, str, str]] = []
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    for told in (f"Say exactly: {call}", f"Repeat: {call}", "Repeat this word exactly: <tool_call>"):
        events = await ask(engine, told, tools=[WITH_UNIT], parallel_tool_calls=False, max_tokens=60)
        if calls := calls_of(events):
            break
    [(call_id, name, arguments)] = calls
    assert re.fullmatch(r"call_[0-9a-f]{24}", call_id)
    assert name == "get_weather"
    jsonschema.validate(json.loads(arguments), WITH_UNIT["function"]["parameters"])
    assert finishes(events) == {0: "tool_calls"}
    assert "tool_call" not in text_of(events)
    events = await ask(engine, "Write a poem about the sea.", tools=[WEATHER], max_tokens=8)
    assert text_of(events)
    assert not calls_of(events)


async def test_none_is_as_without_tools(engine: LlamaEngine) -> None:
    plain = await ask(engine, ASKED[0], max_tokens=8)
    none = await ask(engine, ASKED[0], max_tokens=8, tools=TOOLS, tool_choice="none")
    assert text_of(none) == text_of(plain)
    assert done(none).prompt_tokens == done(plain).prompt_tokens


@pytest.mark.parametrize(("lean", "calls"), [(["{", '{"', "{\n"], False), (["[", "[{", '["'], True)])
async def test_tools_with_a_format_give_one_or_the_other(engine: LlamaEngine, lean: list[str], calls: bool) -> None:
    schema = SCHEMAS["flat"]
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    first = [await token_of(engine, text) for text in lean]
    bias = {str(token): 20 for tokens in first if len(tokens) == 1 for token in tokens}
    events = await ask(engine, ASKED[0], tools=TOOLS, response_format=format_, max_tokens=200, logit_bias=bias, seed=1)
    made = calls_of(events)
    assert bool(made) is calls
    if calls:
        jsonschema.validate(json.loads(made[0][2]), PARAMETERS[made[0][1]])
        assert text_of(events) == ""
        assert finishes(events) == {0: "tool_calls"}
    else:
        jsonschema.validate(json.loads(text_of(events)), schema)
        assert finishes(events) == {0: "stop"}


async def token_of(engine: LlamaEngine, text: str) -> list[int]:
    assert engine._session
    async with engine._session.post(f"{engine.process.url}/tokenize", json={"content": text}) as response:
        return list((await response.json())["tokens"])


@pytest.mark.parametrize("schema", [pytest.param(each, id=name) for name, each in (SCHEMAS | GUIDED).items()])
async def test_answers_fit_their_schema(engine: LlamaEngine, schema: dict[str, Any]) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    events = await ask(engine, PROMPTS[1], response_format=format_, max_tokens=900, temperature=0.8, seed=5)
    assert finishes(events) == {0: "stop"}
    jsonschema.validate(json.loads(text_of(events)), schema, format_checker=jsonschema.FormatChecker())


async def test_json_mode(engine: LlamaEngine) -> None:
    events = await ask(
        engine, "A person's name as JSON.", response_format={"type": "json_object"}, max_tokens=120, seed=3
    )
    text = text_of(events)
    assert text.lstrip().startswith("{")
    assert finishes(events) == {0: "length"} or isinstance(json.loads(text), dict)


async def test_more_choices_than_slots(engine: LlamaEngine) -> None:
    async def texts(**fields: Any) -> list[str]:
        events = await ask(engine, "Tell me a story.", max_tokens=6, temperature=1.3, **fields)
        assert finishes(events) == dict.fromkeys(range(fields["n"]), "length")
        assert done(events).completion_tokens == 6 * fields["n"]
        return [text_of(events, index) for index in range(fields["n"])]

    five = await texts(n=5, seed=42)
    assert await texts(n=5, seed=42) == five
    assert len(set(five)) > 1
    assert await texts(n=1, seed=42) == five[:1]


async def test_the_prompt_is_counted_once(engine: LlamaEngine) -> None:
    one, five = [done(await ask(engine, "Tell me of the moon.", max_tokens=2, n=n)) for n in (1, 5)]
    assert five.prompt_tokens == one.prompt_tokens


@pytest.mark.parametrize(("stop", "prompt"), [([], "Repeat: naïve 漢字 😀"), ([" and"], "Salt and pepper and")])
async def test_log_probabilities_cover_the_text(engine: LlamaEngine, stop: list[str], prompt: str) -> None:
    events = await ask(engine, prompt, logprobs=True, top_logprobs=3, max_tokens=24, **({"stop": stop} if stop else {}))
    entries = [entry for event in events if isinstance(event, Delta) for entry in event.logprobs or ()]
    assert b"".join(bytes(entry["bytes"]) for entry in entries).decode() == text_of(events)
    for entry in entries:
        assert set(entry) == {"token", "logprob", "bytes", "top_logprobs"}
        assert -9999 <= entry["logprob"] <= 0
        assert len(entry["top_logprobs"]) == 3
    assert entries[0]["top_logprobs"][0]["logprob"] >= entries[0]["logprob"]


async def test_log_probabilities_with_tools_in_sight(engine: LlamaEngine) -> None:
    events = await ask(engine, "Write a poem.", tools=TOOLS, logprobs=True, max_tokens=3)
    assert sum(len(event.logprobs or ()) for event in events if isinstance(event, Delta)) == 3


async def test_a_banned_token_does_not_come(engine: LlamaEngine) -> None:
    events = await ask(engine, "Hi", logprobs=True, max_tokens=1)
    [first] = await token_of(engine, text_of(events))
    assert text_of(await ask(engine, "Hi", max_tokens=1, logit_bias={str(first): -100})) != text_of(events)


async def test_an_answer_begun_goes_on(engine: LlamaEngine) -> None:
    begun = [said("user", "Count from one to five."), said("assistant", "one, two,")]
    assert text_of(await ask(engine, begun, max_tokens=8)).startswith(" three")


async def test_json_begun_goes_on(engine: LlamaEngine) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMAS["flat"]}}
    begun = '{"name": "Ann", "age":'
    events = await ask(engine, [said("user", "Who?"), said("assistant", begun)], response_format=format_, seed=1)
    if finishes(events) == {0: "stop"}:
        jsonschema.validate(json.loads(begun + text_of(events)), SCHEMAS["flat"])
    with pytest.raises(InvalidRequest) as caught:
        await ask(engine, [said("user", "Who?"), said("assistant", "Well,")], response_format=format_)
    assert caught.value.param == "messages"


@pytest.mark.parametrize(("prompt", "times"), [("Tell me a story.", 20), ("Name ten fruits. " * 20, 3)])
@pytest.mark.slow
async def test_one_seed_gives_one_text(engine: LlamaEngine, prompt: str, times: int) -> None:
    texts = {text_of(await ask(engine, prompt, temperature=1, seed=6, max_tokens=24)) for _ in range(times)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": "#/none"}}}]}, "tools"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"uniqueItems": True}}}},
            "response_format",
        ),
        ({"logit_bias": {"49152": 1}}, "logit_bias"),
    ],
)
async def test_what_the_engine_refuses_names_the_field(engine: LlamaEngine, fields: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await ask(engine, "Hi", **fields)
    assert caught.value.param == param


async def test_text_before_a_stop_is_whole_and_what_is_no_stop_is_kept(engine: LlamaEngine) -> None:
    events = await ask(engine, "Count: one two three four five", max_tokens=24, seed=1)
    whole = text_of(events)
    words = whole.split(" ")
    stop = f" {words[2]}"
    assert words[2]
    stopped = await ask(engine, "Count: one two three four five", max_tokens=24, seed=1, stop=[stop])
    assert text_of(stopped) == whole[: whole.index(stop)]
    assert finishes(stopped) == {0: "stop"}
    assert done(stopped).prompt_tokens == done(events).prompt_tokens
    assert 0 < done(stopped).completion_tokens < 24
    unfinished = await ask(engine, "Count: one two three four five", max_tokens=24, seed=1, stop=[whole[-2:] + "\0"])
    assert text_of(unfinished) == whole
    assert finishes(unfinished) == finishes(events)
    assert done(unfinished).completion_tokens == done(events).completion_tokens
