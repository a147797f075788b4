"""What the engine is asked for a request that was accepted. What is refused: tests/contract."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.schema.chat import NOT_BUILT, ChatRequest, parse

MESSAGES = [{"role": "user", "content": "Hi"}]


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def asked(**fields: Any) -> dict[str, Any]:
    """The engine's request without its messages."""
    request = parse({"model": "m", "messages": MESSAGES, **fields}).engine_request()
    assert request.pop("messages") == MESSAGES
    return request


def test_what_was_not_set_stays_unset() -> None:
    assert asked() == {}
    assert asked(temperature=None, stop=None, seed=None) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.0, "top_p": 0.0},
        {"frequency_penalty": 0.0, "presence_penalty": -2.0},
        {"max_tokens": 1},
        {"stop": ["a", "b"]},
        {"seed": 0},
    ],
)
def test_what_was_set_is_asked(fields: dict[str, Any]) -> None:
    assert asked(**fields) == fields


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({"n": 1}, {}),
        ({"n": 3}, {"n": 3}),
        ({"logprobs": False}, {}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": True, "top_logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
        ({"logit_bias": {}}, {}),
        ({"logit_bias": {"5": -100, "6": 0.5}}, {"logit_bias": {"5": -100, "6": 0.5}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": " JSON_Object\n"}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"type": "JSON_SCHEMA", "json_schema": {"name": "s", "schema": {}, "strict": None}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}},
        ),
        ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": False}, {}),
        ({"tools": [TOOL]}, {"tools": [TOOL]}),
        (
            {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
            {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        ),
        ({"reasoning_effort": ""}, {}),
        ({"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
        ({"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
        ({"reasoning_effort": "xhigh"}, {"reasoning_effort": "max"}),
        ({"reasoning": {"effort": "ultra"}}, {"reasoning_effort": "max"}),
        ({"reasoning": {"effort": "high"}, "reasoning_effort": "low"}, {"reasoning_effort": "high"}),
        ({"reasoning": {"effort": None}, "reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"top_k": 5, "min_p": 0.1}, {"options": {"top_k": 5, "min_p": 0.1}}),
        (
            {"options": {"top_k": 5, "num_keep": 2, "num_ctx": 10}},
            {"options": {"top_k": 5, "n_keep": 2, "num_ctx": 10}},
        ),
        (
            {"options": {"num_predict": 5, "temperature": 0, "seed": -1, "stop": "x"}},
            {"max_tokens": 5, "temperature": 0, "seed": 2**32 - 2, "stop": ["x"]},
        ),
        ({"options": {"num_predict": -1, "tfs_z": 1.0, "top_p": None}}, {}),
        ({"temperature": 0.5, "options": {"temperature": 0.5}}, {"temperature": 0.5}),
        ({"keep_alive": "5m"}, {"keep_alive": 300.0}),
        ({"keep_alive": 0}, {"keep_alive": 0.0}),
        ({"keep_alive": "-1h30m"}, {"keep_alive": -1.0}),
    ],
    ids=str,
)
def test_fields_in_the_engine_s_form(fields: dict[str, Any], request_: dict[str, Any]) -> None:
    assert asked(**fields) == request_


def test_what_a_model_must_be_capable_of() -> None:
    def features(**fields: Any) -> dict[str, str]:
        request = parse({"model": "m", "messages": MESSAGES, **fields})
        return request.features(request.engine_request())

    image = {"type": "image_url", "image_url": "data:image/png;base64,AAAA"}
    seen = [*MESSAGES, {"role": "user", "content": [{"type": "text", "text": "a"}, image]}]
    assert features() == features(tools=[], reasoning_effort="none") == {}
    assert features(tools=[TOOL], tool_choice="none") == {"tools": "tools"}
    assert features(reasoning_effort="low") == {"thinking": "reasoning_effort"}
    assert features(reasoning={"effort": "low"}) == {"thinking": "reasoning.effort"}
    assert features(messages=seen) == {"vision": "messages[1].content[1].image_url"}


def test_one_stop_is_a_list_of_one() -> None:
    assert asked(stop="x") == {"stop": ["x"]}


def test_both_limits_are_one() -> None:
    assert asked(max_completion_tokens=5) == {"max_tokens": 5}
    assert asked(max_tokens=5, max_completion_tokens=5) == {"max_tokens": 5}


@pytest.mark.parametrize("seed", [0, 1, -1, 2**32 - 2, 2**32 - 1, 2**32, 2**63 - 1, -(2**63)])
def test_every_seed_is_one_that_the_engine_keeps(seed: int) -> None:
    kept = asked(seed=seed)["seed"]
    assert 0 <= kept < 2**32 - 1, "the highest means random"
    assert kept == asked(seed=seed)["seed"]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_is_one_that_the_engine_can_count_to(field: str) -> None:
    """llama.cpp keeps it in 32 bits: 2**32 + 2 would be two tokens."""
    assert asked(**{field: 2**31 - 1}) == {"max_tokens": 2**31 - 1}
    for value in (2**31, 2**32 + 2, 2**63):
        with pytest.raises(InvalidRequest) as refused:
            parse({"model": "m", "messages": MESSAGES, field: value})
        assert refused.value.param == field


def test_what_concerns_the_answer_only_is_not_asked() -> None:
    assert asked(stream=True, stream_options={"include_usage": True}, user="u") == {}


def test_include_usage() -> None:
    def includes(**fields: Any) -> bool:
        return parse({"model": "m", "messages": MESSAGES, **fields}).include_usage

    assert includes(stream=True, stream_options={"include_usage": True})
    assert not includes(stream=True, stream_options={"include_usage": False})
    assert not includes(stream=True, stream_options={})
    assert not includes(stream=True)


def test_no_field_is_both_built_and_not_built() -> None:
    assert not set(NOT_BUILT) & set(ChatRequest.model_fields)


def test_the_model_is_missed_before_anything_else() -> None:
    with pytest.raises(InvalidRequest, match="model is required"):
        parse({"temperature": 9})
