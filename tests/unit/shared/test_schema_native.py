"""Ollama's requests in OpenAI's fields."""

from typing import Any

import pytest

from shared.errors import InvalidRequest, PunaError, UnsupportedParameter
from shared.schema.native import own_names, parse_chat, parse_generate

HELLO = [{"role": "user", "content": "Hi"}]


def engine(**body: Any) -> dict[str, Any]:
    return parse_chat({"model": "m", "messages": HELLO, **body}).request().engine_request()


def test_a_plain_chat_asks_for_nothing_more() -> None:
    assert engine() == {"messages": HELLO}
    assert parse_chat({"model": "m"}).stream


def test_options_format_and_effort() -> None:
    asked = engine(options={"temperature": 0.5, "top_k": 3}, format="json", think="high")
    assert asked["temperature"] == 0.5
    assert asked["options"] == {"top_k": 3}
    assert asked["response_format"] == {"type": "json_object"}
    assert asked["reasoning_effort"] == "high"
    assert [engine(think=each).get("reasoning_effort") for each in (True, False, None)] == ["medium", "none", None]
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert engine(format=schema)["response_format"]["json_schema"]["schema"] == schema
    assert "response_format" not in engine(format="")


def test_images_stand_before_the_text() -> None:
    (message,) = engine(messages=[{"role": "user", "content": "What?", "images": ["aGk="]}])["messages"]
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:;base64,aGk="}},
        {"type": "text", "text": "What?"},
    ]


def test_results_find_their_calls() -> None:
    def call(name: str, **more: Any) -> dict[str, Any]:
        return {"function": {"name": name, "arguments": {"x": 1}}, **more}

    messages = [
        *HELLO,
        {"role": "assistant", "thinking": "hm", "tool_calls": [call("a"), call("b"), call("c", id="mine")]},
        {"role": "tool", "tool_name": "b", "content": "of b"},
        {"role": "tool", "tool_call_id": "mine", "content": "of c"},
        {"role": "tool", "content": "of a"},
        {"role": "tool", "content": "of none"},
    ]
    read = engine(messages=messages)["messages"]
    ids = {each["function"]["name"]: each["id"] for each in read[1]["tool_calls"]}
    assert len(set(ids.values())) == 3
    assert ids["c"] == "mine"
    assert read[1]["reasoning_content"] == "hm"
    assert read[1]["tool_calls"][0]["function"]["arguments"] == '{"x":1}'
    assert [(each.get("name"), each["tool_call_id"]) for each in read[2:]] == [
        ("b", ids["b"]),
        ("c", "mine"),
        ("a", ids["a"]),
        (None, "call_unknown"),
    ]


def test_tools_have_one_type() -> None:
    tool = {"function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    assert engine(tools=[tool])["tools"][0]["type"] == "function"
    assert "tools" not in engine(tools=[])


def test_generate() -> None:
    asked = parse_generate({"model": "m", "prompt": "Hi", "system": "s", "images": ["aGk="]})
    assert (asked.loads, asked.plain) == (False, False)
    system, user = asked.request().engine_request()["messages"]
    assert (system["content"], len(user["content"])) == ("s", 2)
    raw = parse_generate({"model": "m", "prompt": "Hi", "raw": True, "logprobs": True, "top_logprobs": 7})
    assert (raw.plain, raw.top()) == (True, 7)
    assert raw.completion().engine_request() == {"prompts": ["Hi"]}
    assert parse_generate({"model": "m"}).loads


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": ""}, "model is required"),
        ({"model": "m", "colour": 1}, "Unknown parameter: 'colour'"),
        ({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "content type"),
        ({"model": "m", "messages": [{"role": "pirate", "content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": "x", "images": "x"}]}, "array of base64"),
        ({"model": "m", "messages": [{"role": "user", "content": "x", "audio": 1}]}, "messages[0].audio"),
        ({"model": "m", "messages": HELLO, "format": "xml"}, 'invalid format: "xml"'),
        ({"model": "m", "messages": HELLO, "format": {"type": "colour"}}, "'format"),
        ({"model": "m", "messages": HELLO, "think": "hard"}, 'invalid think value: "hard"'),
        ({"model": "m", "messages": HELLO, "think": 1}, "invalid think value: a number"),
        ({"model": "m", "messages": HELLO, "keep_alive": "x"}, "keep_alive"),
        ({"model": "m", "messages": HELLO, "top_logprobs": 21, "logprobs": True}, "between 0 and 20"),
        ({"model": "m", "messages": HELLO, "stream": 1}, "stream"),
    ],
)
def test_refusals(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as error, own_names():
        parse_chat(body).request().engine_request()
    assert words in error.value.message
    assert "response_format" not in error.value.message


@pytest.mark.parametrize("field", ["truncate", "shift"])
def test_what_would_cut_in_silence_is_refused(field: str) -> None:
    assert engine(**{field: False}) == {"messages": HELLO}
    with pytest.raises(UnsupportedParameter, match=field):
        engine(**{field: True})


@pytest.mark.parametrize(
    "fields",
    [{"template": "x"}, {"context": [1]}, {"width": 8}, {"raw": True, "system": "x"}, {"suffix": "x", "think": True}],
)
def test_refusals_of_generate(fields: dict[str, Any]) -> None:
    def read() -> None:
        parse_generate({"model": "m", "prompt": "Hi", **fields}).completion()

    with pytest.raises(PunaError) as error:
        read()
    assert error.value.status == 400
