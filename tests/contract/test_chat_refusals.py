"""What `POST /v1/chat/completions` refuses, with the field's name, before anything is queued.

Conditions: the OpenAI API reference's schema and Ollama's behaviour. Every field of the schema is either built,
refused by name, or asks for nothing; a misspelt one is refused too.
"""

from typing import Any

import httpx
import pytest

from tests.contract.conftest import CHAT, HELLO, Api, refused

pytestmark = pytest.mark.redis

MISSING = "missing_required_parameter"
UNKNOWN = "unknown_parameter"
UNSUPPORTED = "unsupported_parameter"
MISSPELT = "invalid model name"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"", "invalid_json", id="no body"),
        pytest.param(b" \r\n\t", "invalid_json", id="white space"),
        pytest.param(b"{", "invalid_json", id="cut off"),
        pytest.param(b'{"model":"fake",}', "invalid_json", id="trailing comma"),
        pytest.param(b"hello", "invalid_json", id="not JSON"),
        pytest.param(b'{"model":"fake","temperature":NaN}', "invalid_json", id="NaN"),
        pytest.param(b'{"model":"fa\xffke"}', "invalid_json", id="not UTF-8"),
        pytest.param(b'{"model":"\\ud800"}', "invalid_json", id="lone surrogate"),
        pytest.param(b"[" * 5000, "invalid_json", id="deep nesting"),
        pytest.param(b"[]", None, id="array"),
        pytest.param(b'"text"', None, id="string"),
        pytest.param(b"5", None, id="number"),
        pytest.param(b"true", None, id="boolean"),
        pytest.param(b"null", None, id="null"),
    ],
)
def test_a_body_that_is_no_object(raw: bytes, code: str | None, api: Api) -> None:
    answer = api.client.post(CHAT, content=raw, headers={"content-type": "application/json"})
    refused(answer, 400, param=None, code=code)


@pytest.mark.parametrize("value", [..., None, ""], ids=["absent", "null", "empty"])
def test_no_model(value: Any, api: Api) -> None:
    assert refused(api.chat(model=value), 400, param="model", code=MISSING) == "model is required"


@pytest.mark.parametrize("value", [5, True, ["fake"], {"id": "fake"}], ids=repr)
def test_a_model_that_is_no_string(value: Any, api: Api) -> None:
    refused(api.chat(model=value), 400, param="model", code=None)


@pytest.mark.parametrize(
    "value", [" ", "fa ke", "fake@sha256:00", "a/b/c/d", "../fake", "fake:", "fake\n", "ƒake", "f" * 81]
)
def test_a_malformed_model(value: str, api: Api) -> None:
    assert refused(api.chat(model=value), 400, param="model", code=None) == MISSPELT


@pytest.mark.parametrize("value", ["nobody", "fake:other", "someone/fake", "hf.co/a/b:q4", "h" * 350 + "/n/m"])
def test_an_unknown_model(value: str, api: Api) -> None:
    message = refused(api.chat(model=value), 404, param="model", code="model_not_found", type="not_found_error")
    assert message == f"model '{value}' not found"


def test_the_body_is_judged_before_the_catalog(api: Api) -> None:
    refused(api.chat(model="nobody", temperature=9), 400, param="temperature", code=None)


def message(**fields: Any) -> list[dict[str, Any]]:
    """One user message with some fields changed; `...` leaves one out."""
    changed = {"role": "user", "content": "Hi", **fields}
    return [{name: value for name, value in changed.items() if value is not ...}]


def parts(*values: Any) -> list[dict[str, Any]]:
    return message(content=list(values))


def calls(*values: Any) -> list[dict[str, Any]]:
    return message(role="assistant", content=None, tool_calls=list(values))


def image(url: Any) -> list[dict[str, Any]]:
    return parts({"type": "image_url", "image_url": url})


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
TEXT = {"type": "text", "text": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("messages", "param", "code"),
    [
        pytest.param(..., "messages", MISSING, id="absent"),
        pytest.param(None, "messages", MISSING, id="null"),
        pytest.param([], "messages", None, id="empty"),
        pytest.param("Hi", "messages", None, id="a string"),
        pytest.param({"role": "user"}, "messages", None, id="an object"),
        pytest.param(5, "messages", None, id="a number"),
        pytest.param(["Hi"], "messages[0]", None, id="a string in it"),
        pytest.param([None], "messages[0]", None, id="null in it"),
        pytest.param(message(role=...), "messages[0].role", MISSING, id="no role"),
        pytest.param(message(role=None), "messages[0].role", MISSING, id="role null"),
        pytest.param(message(role="robot"), "messages[0].role", None, id="role unknown"),
        pytest.param(message(role="User"), "messages[0].role", None, id="role in capitals"),
        pytest.param(message(role=1), "messages[0].role", None, id="role a number"),
        pytest.param(message(role=["user"]), "messages[0].role", None, id="role an array"),
        pytest.param(message(role="tool"), "messages[0].tool_call_id", MISSING, id="a tool's result of no call"),
        pytest.param(message(role="tool", tool_call_id=5), "messages[0].tool_call_id", None, id="call id a number"),
        pytest.param(message(tool_call_id="call_1"), "messages[0].tool_call_id", None, id="call id of a user"),
        pytest.param(message(role="function"), "messages[0].role", UNSUPPORTED, id="role function"),
        pytest.param(message(content=...), "messages[0].content", None, id="no content"),
        pytest.param(message(content=None), "messages[0].content", None, id="content null"),
        pytest.param(message(content=5), "messages[0].content", None, id="content a number"),
        pytest.param(message(content=True), "messages[0].content", None, id="content a boolean"),
        pytest.param(message(content={}), "messages[0].content", None, id="content an object"),
        pytest.param(message(content=[]), "messages[0].content", None, id="content an empty array"),
        pytest.param(parts("Hi"), "messages[0].content[0]", None, id="part a string"),
        pytest.param(parts(None), "messages[0].content[0]", None, id="part null"),
        pytest.param(parts({"text": "Hi"}), "messages[0].content[0]", None, id="part without type"),
        pytest.param(parts({"type": 1}), "messages[0].content[0]", None, id="part's type a number"),
        pytest.param(parts({"type": "poem"}), "messages[0].content[0]", None, id="part unknown"),
        pytest.param(parts({"type": "text"}), "messages[0].content[0].text", None, id="text part without text"),
        pytest.param(parts({"type": "text", "text": 5}), "messages[0].content[0].text", None, id="text a number"),
        pytest.param(parts({**TEXT, "x": 1}), "messages[0].content[0].x", UNKNOWN, id="part with unknown field"),
        pytest.param(
            parts(TEXT, IMAGE), "messages[0].content[1].image_url", UNSUPPORTED, id="image for a model without eyes"
        ),
        pytest.param(parts({"type": "image_url"}), "messages[0].content[0].image_url", MISSING, id="image without URL"),
        pytest.param(image(5), "messages[0].content[0].image_url", None, id="image a number"),
        pytest.param(image(""), "messages[0].content[0].image_url", None, id="image an empty string"),
        pytest.param(image({}), "messages[0].content[0].image_url.url", MISSING, id="image an empty object"),
        pytest.param(image({"url": 5}), "messages[0].content[0].image_url.url", None, id="image URL a number"),
        pytest.param(
            image({"url": "data:", "detail": "most"}), "messages[0].content[0].image_url.detail", None, id="detail"
        ),
        pytest.param(
            image({"url": "data:", "size": 5}), "messages[0].content[0].image_url.size", UNKNOWN, id="image's field"
        ),
        pytest.param(
            message(role="system", content=[IMAGE]), "messages[0].content[0]", None, id="image of the system's"
        ),
        pytest.param(parts(AUDIO), "messages[0].content[0]", UNSUPPORTED, id="audio part"),
        pytest.param(parts({"type": "file", "file": {}}), "messages[0].content[0]", UNSUPPORTED, id="file part"),
        pytest.param(parts({"type": "refusal", "refusal": "no"}), "messages[0].content[0]", UNSUPPORTED, id="refusal"),
        pytest.param(message(name=5), "messages[0].name", None, id="name a number"),
        pytest.param(message(nmae="Ann"), "messages[0].nmae", UNKNOWN, id="unknown field"),
        pytest.param(message(tool_calls=[CALL]), "messages[0].tool_calls", None, id="tool calls of a user"),
        pytest.param(message(reasoning="Hm"), "messages[0].reasoning", None, id="thoughts of a user"),
        pytest.param(
            message(role="assistant", reasoning_content=5),
            "messages[0].reasoning_content",
            None,
            id="thoughts a number",
        ),
        pytest.param(message(role="assistant", content=None), "messages[0].content", None, id="an empty assistant"),
        pytest.param(calls("call"), "messages[0].tool_calls[0]", None, id="call a string"),
        pytest.param(calls({**CALL, "id": None}), "messages[0].tool_calls[0].id", MISSING, id="call without id"),
        pytest.param(calls({**CALL, "type": "x"}), "messages[0].tool_calls[0].type", None, id="call of another type"),
        pytest.param(
            calls({**CALL, "type": "custom"}), "messages[0].tool_calls[0].type", UNSUPPORTED, id="custom tool's call"
        ),
        pytest.param(calls({"id": "1"}), "messages[0].tool_calls[0].function.name", MISSING, id="call of nothing"),
        pytest.param(message(role="assistant", tool_calls={}), "messages[0].tool_calls", None, id="calls an object"),
        pytest.param(
            message(role="assistant", function_call={"name": "f", "arguments": "{}"}),
            "messages[0].function_call",
            UNSUPPORTED,
            id="legacy function call",
        ),
        pytest.param([*message(), *message(content=5)], "messages[1].content", None, id="the second message"),
    ],
)
def test_messages(messages: Any, param: str, code: str | None, api: Api) -> None:
    words = refused(api.chat(messages=messages), 400, param=param, code=code)
    if param == "messages" and (not messages or messages is ...):
        assert words == "[] is too short - 'messages'"
    if param.endswith(".content"):
        assert words.startswith("invalid message content type: ")


@pytest.mark.parametrize("arguments", ["", "{", "[]", "5", '{"a": }', None, {"a": 1}], ids=repr)
def test_arguments_of_an_earlier_call_that_are_no_json_object(arguments: Any, api: Api) -> None:
    call = {**CALL, "function": {"name": "f", "arguments": arguments}}
    param = "messages[0].tool_calls[0].function.arguments"
    assert refused(api.chat(messages=calls(call)), 400, param=param, code=None) == "invalid tool call arguments"


RANGES = {
    "temperature": ((0, 0.7, 1, 2), (-0.1, 2.1, 1e300)),
    "top_p": ((0, 0.5, 1), (-0.1, 1.1)),
    "frequency_penalty": ((-2, 0, 2), (-2.1, 2.1)),
    "presence_penalty": ((-2, 0, 2), (-2.1, 2.1)),
    "max_tokens": ((1, 5), (0, -1, 1.5)),
    "max_completion_tokens": ((1, 5), (0, -1, 1.5)),
    "seed": ((0, -1, 2**63 - 1, -(2**63)), (2**63, 2**64, 1.5)),
    "n": ((1, 2, 16), (0, -1, 17, 1.5)),
    "top_k": ((-1, 0, 40), (-2, 2**31, 1.5)),
    "min_p": ((0, 0.05, 1), (-0.1, 1.1)),
    "repeat_penalty": ((0.01, 1, 1.1), (0, -1, 101)),
}
"""Per field: the values at and within its bounds, and those past them."""


@pytest.mark.parametrize(("name", "value"), [(name, each) for name, (ok, _) in RANGES.items() for each in ok])
def test_a_number_in_its_range(name: str, value: float, api: Api) -> None:
    answer = api.chat(**{"max_tokens": ..., name: value})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("name", "value"), [(name, each) for name, (_, wrong) in RANGES.items() for each in (*wrong, "1", True, [1], {})]
)
def test_a_number_out_of_its_range_or_of_another_type(name: str, value: Any, api: Api) -> None:
    assert name in refused(api.chat(**{"max_tokens": ..., name: value}), 400, param=name, code=None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"user": 5}, "user"),
        ({"user": "u" * 513}, "user"),
        ({"stop": 5}, "stop"),
        ({"stop": True}, "stop"),
        ({"stop": {}}, "stop"),
        ({"stop": ["a", 5]}, "stop"),
        ({"stop": [None]}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stream": True, "stream_options": True}, "stream_options"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"include_usage": "true"}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": False, "stream_options": {}}, "stream_options"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
    ],
    ids=str,
)
def test_other_fields(fields: dict[str, Any], param: str, api: Api) -> None:
    refused(api.chat(**fields), 400, param=param, code=None)


@pytest.mark.parametrize("name", ["temprature", "Temperature", "topk", "num_ctx", "think", "format", "fake", ""])
def test_an_unknown_field(name: str, api: Api) -> None:
    assert repr(name) in refused(api.chat(**{name: 1}), 400, param=name, code=UNKNOWN)


def test_an_unknown_field_of_stream_options(api: Api) -> None:
    answer = api.chat(stream=True, stream_options={"include_usages": True})
    refused(answer, 400, param="stream_options.include_usages", code=UNKNOWN)


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": "x"},
        {"stop": ["x"]},
        {"stop": ["a", "b", "c", "d"]},
        {"stop": []},
        {"user": "u" * 512},
        {"max_tokens": 3, "max_completion_tokens": 3},
        {"stream": False},
        {"messages": [{"role": role, "content": "Hi"} for role in ("system", "developer", "user", "assistant")]},
        {"messages": [{"role": "user", "content": [TEXT, TEXT], "name": "Ann"}]},
        {"messages": [{"role": "assistant", "content": "", "refusal": None, "tool_calls": None}]},
        {"messages": [{"role": "assistant", "content": "Hi", "tool_calls": []}]},
        {"messages": [{"role": "user", "content": "\x00 \u2028 🙂 </s>"}]},
        {"messages": [*calls(CALL), message(role="tool", tool_call_id="call_1")[0], *message()]},
        {"messages": [{"role": "assistant", "content": "", "reasoning": "Hm", "reasoning_content": "Hm"}]},
    ],
    ids=str,
)
def test_what_is_in_order(fields: dict[str, Any], api: Api) -> None:
    answer = api.chat(**fields)
    assert answer.status_code == 200, answer.text


BUILT = {
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens"),
    *("seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias", "n", "logprobs", "top_logprobs"),
    *("response_format", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort"),
    *("user", "metadata", "safety_identifier", "prompt_cache_key"),
}

NOT_BUILT: dict[str, tuple[list[Any], list[Any]]] = {
    "audio": ([{"voice": "alloy", "format": "mp3"}, {}], []),
    "function_call": ([{"name": "f"}, "f"], ["none", "auto"]),
    "functions": ([[{"name": "f"}]], [[]]),
    "modalities": ([["audio"], ["text", "audio"], "text"], [["text"]]),
    "moderation": ([{"model": "omni-moderation-latest"}], []),
    "prediction": ([{"type": "content", "content": "x"}], []),
    "prompt_cache_options": ([{"ttl": "24h"}], [{}]),
    "prompt_cache_retention": (["24h"], ["in_memory"]),
    "service_tier": (["flex", "priority"], ["auto", "default"]),
    "store": ([True, 0], [False]),
    "verbosity": (["low", "high"], ["medium"]),
    "web_search_options": ([{}, {"search_context_size": "low"}], []),
}
"""Fields of OpenAI's CreateChatCompletionRequest that are not built: values that ask for something, and values that
ask for no more than leaving the field out would."""


def test_every_field_of_the_schema_is_in_one_group() -> None:
    assert not BUILT & set(NOT_BUILT)
    assert len(BUILT | set(NOT_BUILT)) == 37, "OpenAI's schema has 37 fields"


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (asking, _) in NOT_BUILT.items() for value in asking], ids=str
)
def test_a_field_that_is_not_built(name: str, value: Any, api: Api) -> None:
    words = refused(api.chat(**{name: value}), 400, param=name, code=UNSUPPORTED)
    assert repr(name) in words


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (_, quiet) in NOT_BUILT.items() for value in quiet], ids=str
)
def test_a_value_that_asks_for_nothing(name: str, value: Any, api: Api) -> None:
    answer = api.chat(**{name: value})
    assert answer.status_code == 200, answer.text


def test_null_is_absence(api: Api) -> None:
    names = (BUILT | set(NOT_BUILT)) - set(HELLO)
    answer = api.chat(**dict.fromkeys(names))
    assert answer.status_code == 200, answer.text


def test_null_is_absence_in_stream_options(api: Api) -> None:
    answer = api.chat(stream=True, stream_options={"include_usage": None, "include_obfuscation": None})
    assert answer.status_code == 200, answer.text


def test_a_stream_is_refused_like_a_whole_answer(api: Api) -> None:
    refused(api.chat(stream=True, temperature=3), 400, param="temperature", code=None)
    refused(api.chat(stream=True, model="nobody"), 404, param="model", code="model_not_found", type="not_found_error")


def test_the_content_type_does_not_matter(api: Api) -> None:
    raw = httpx.Request("POST", "http://x", json=HELLO).content
    for content_type in ("application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded"):
        answer = api.client.post(CHAT, content=raw, headers={"content-type": content_type})
        assert answer.status_code == 200, f"{content_type}: {answer.text}"


def test_nothing_was_queued_in_vain(api: Api) -> None:
    refused(api.chat(temperature=3), 400, param="temperature", code=None)
    assert api.stack.residue() == {}
