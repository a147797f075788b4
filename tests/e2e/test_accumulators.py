"""What the SDK's helpers gather from a stream, and what `parse` makes of an answer, is the answer that is not streamed:
the real engine at temperature 0 or with a seed, sync and async."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, LengthFinishReasonError, OpenAI
from pydantic import BaseModel, Field

pytestmark = [pytest.mark.engine, pytest.mark.redis]


class Person(BaseModel):
    name: str = Field(max_length=12)
    age: int


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def ask(content: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {"model": "smollm2:135m", "messages": messages, "temperature": 0, "seed": 1, **fields}


PERSON = ask("Invent a person named Ada, aged 36.", max_tokens=80)
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "Person",
        "strict": True,
        "schema": {**Person.model_json_schema(), "additionalProperties": False},
    },
}
# The helpers refuse an answer that was cut, so each of these ends by itself.
CASES: dict[str, dict[str, Any]] = {
    "text": ask("Which city is the capital of France?", max_tokens=40),
    "tools": ask("What is the weather in Paris?", tools=[WEATHER], tool_choice="required", max_tokens=60),
    "schema": {**PERSON, "response_format": SCHEMA},
    "three choices": ask("Name a colour.", n=3, temperature=1, stop=["e"], max_tokens=100),
    "log probabilities": ask("Name a colour.", logprobs=True, top_logprobs=2, stop=["e"], max_tokens=100),
}
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


def plain(completion: BaseModel) -> dict[str, Any]:
    """What two answers to one request share. Left out: ids and time, what `parse` adds, the cached part of a prompt,
    and the last digits of log probabilities, which depend on the steps that a prompt was computed in."""
    body = completion.model_dump(exclude_none=True, exclude={"id", "created"})
    body["usage"].pop("prompt_tokens_details", None)
    for choice in body["choices"]:
        message = choice["message"]
        message.pop("parsed", None)
        for call in message.get("tool_calls") or []:
            del call["id"]
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
        if not message.get("tool_calls"):
            message.pop("tool_calls", None)
        for entry in (choice.get("logprobs") or {}).get("content") or []:
            for each in (entry, *entry["top_logprobs"]):
                each["logprob"] = pytest.approx(each["logprob"], abs=0.02)
    return body


@pytest.mark.parametrize("name", CASES)
def test_a_gathered_stream_is_the_whole_answer(client: OpenAI, name: str) -> None:
    whole = client.chat.completions.create(**CASES[name])
    with client.chat.completions.stream(**CASES[name], **USAGE) as stream:
        gathered = stream.get_final_completion()
    assert loose(plain(gathered)) == plain(whole)


@pytest.mark.parametrize("name", CASES)
async def test_a_gathered_asynchronous_stream_is_the_whole_answer(async_client: AsyncOpenAI, name: str) -> None:
    whole = await async_client.chat.completions.create(**CASES[name])
    async with async_client.chat.completions.stream(**CASES[name], **USAGE) as stream:
        gathered = await stream.get_final_completion()
    assert loose(plain(gathered)) == plain(whole)


def loose(body: dict[str, Any]) -> dict[str, Any]:
    """The numbers themselves, to be compared with approximations."""
    for choice in body["choices"]:
        for entry in (choice.get("logprobs") or {}).get("content") or []:
            for each in (entry, *entry["top_logprobs"]):
                each["logprob"] = each["logprob"].expected
    return body


def test_an_answer_that_is_cut_is_the_sdks_own_error(client: OpenAI) -> None:
    cut = ask("Write a story.", max_tokens=5)
    whole = client.chat.completions.create(**cut)
    with client.chat.completions.stream(**cut, **USAGE) as stream, pytest.raises(LengthFinishReasonError) as caught:
        stream.get_final_completion()
    assert plain(caught.value.completion) == plain(whole)


def check_parsed(parsed: Any, whole: Any) -> None:
    text = whole.choices[0].message.content
    assert parsed.choices[0].message.content == text
    assert parsed.choices[0].message.parsed == Person.model_validate_json(text)
    assert parsed.choices[0].message.parsed.name == "Ada"


def test_parse_reads_a_model_whole_and_streamed(client: OpenAI) -> None:
    parsed = client.chat.completions.parse(**PERSON, response_format=Person)
    with client.chat.completions.stream(**PERSON, response_format=Person) as stream:
        gathered = stream.get_final_completion()
    check_parsed(gathered, parsed)
    check_parsed(parsed, gathered)


async def test_parse_reads_a_model_asynchronously(async_client: AsyncOpenAI) -> None:
    parsed = await async_client.chat.completions.parse(**PERSON, response_format=Person)
    async with async_client.chat.completions.stream(**PERSON, response_format=Person) as stream:
        gathered = await stream.get_final_completion()
    check_parsed(gathered, parsed)


def test_parse_reads_a_calls_arguments(client: OpenAI) -> None:
    case = CASES["tools"]
    whole = client.chat.completions.create(**case)
    parsed = client.chat.completions.parse(**case)
    (call,) = whole.choices[0].message.tool_calls or []
    (read,) = parsed.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert read.function.arguments == call.function.arguments
    assert read.function.parsed_arguments == json.loads(call.function.arguments)
