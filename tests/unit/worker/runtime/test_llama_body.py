"""A chat request as llama.cpp is asked it, and what it cannot be asked."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from worker.runtime.llama_body import Plan

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TIME = {"type": "function", "function": {"name": "time"}}
BOTH = {"tools": [WEATHER, TIME]}
HELLO = [{"role": "user", "content": "hello"}]
NUMBER = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": NUMBER}}


def plan(**fields: Any) -> Plan:
    return Plan.of({"messages": HELLO, **fields})


def schema_of(plan: Plan) -> Any:
    return plan.body["response_format"]["json_schema"]["schema"]


def test_only_what_was_asked_is_sent() -> None:
    assert set(plan().body) == {"reasoning_format", "messages", "stream", "stream_options", "return_progress"}
    assert plan().body["stream_options"] == {"include_usage": True}


def test_fields_under_the_engines_names() -> None:
    body = plan(
        temperature=0.5,
        seed=7,
        stop=["x"],
        logprobs=True,
        top_logprobs=3,
        logit_bias={"15": -100},
        options={"top_k": -1, "repeat_last_n": -1, "min_p": 0.1},
    ).body
    assert body["temperature"] == 0.5
    assert body["n_probs"] == 3
    assert body["logit_bias"] == [[15, -100]]
    assert (body["top_k"], body["repeat_last_n"], body["min_p"]) == (0, 65536, 0.1)
    assert "logprobs" not in body


def test_a_seed_computes_the_prompt_anew() -> None:
    assert plan(seed=1).body["cache_prompt"] is False
    assert "cache_prompt" not in plan(temperature=0).body


def test_a_field_comes_before_an_option() -> None:
    assert plan(temperature=0.5, options={"temperature": 0.9}).body["temperature"] == 0.5


def test_log_probabilities_without_alternatives_still_need_one_of_the_engine() -> None:
    asked = plan(logprobs=True)
    assert (asked.body["n_probs"], asked.top) == (1, 0)
    assert plan(logprobs=False).top is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"bogus": 1}, "bogus"),
        ({"options": {"bogus": 1}}, "options.bogus"),
        ({"logit_bias": {"hello": 1}}, "logit_bias"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a", "bogus": 1}]}, "messages[0].bogus"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({**BOTH, "tool_choice": {"type": "function", "function": {"name": "bogus"}}}, "tool_choice"),
        ({"response_format": {"type": "bogus"}}, "response_format.type"),
        (
            {**BOTH, "tool_choice": "required", "messages": [*HELLO, {"role": "assistant", "content": "It is"}]},
            "messages",
        ),
        (
            {**BOTH, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}},
            "response_format",
        ),
    ],
)
def test_what_the_engine_cannot_do_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(**fields)
    assert caught.value.param == param


def test_efforts() -> None:
    assert plan(reasoning_effort="none").body["chat_template_kwargs"] == {"enable_thinking": False}
    high = plan(reasoning_effort="high").body
    assert high["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "high"}
    assert high["thinking_budget_tokens"] > plan(reasoning_effort="low").body["thinking_budget_tokens"]
    assert "thinking_budget_tokens" not in plan(reasoning_effort="max").body


def test_groups_of_choices_go_on_with_the_seeds() -> None:
    asked = plan(n=5, seed=100)
    assert [asked.group(first, 2).get("seed") for first in (0, 2)] == [100, 102]
    assert asked.group(0, 2)["n"] == 2
    assert "n" not in asked.group(4, 1)
    assert "seed" not in plan(n=5).group(2, 2)


def test_no_choice_gets_the_seed_that_means_any() -> None:
    asked = plan(n=16, seed=2**32 - 2)
    assert asked.group(8, 8)["seed"] + 7 < 2**32 - 1


def test_auto_is_the_engines() -> None:
    body = plan(**BOTH).body
    assert body["tools"] == [WEATHER, TIME]
    assert body["parallel_tool_calls"] is True
    assert "response_format" not in body


def test_none_hides_the_tools() -> None:
    body = plan(**BOTH, tool_choice="none", response_format=FORMAT).body
    assert "tools" not in body
    assert schema_of(plan(**BOTH, tool_choice="none", response_format=FORMAT))["properties"]["a"] == {"type": "integer"}


def test_required_is_a_list_of_one_call() -> None:
    asked = plan(**BOTH, tool_choice="required")
    assert asked.calls
    assert asked.body["tool_choice"] == "none"
    schema = schema_of(asked)
    assert (schema["type"], schema["minItems"], schema["maxItems"]) == ("array", 1, 1)
    names = [call["properties"]["name"]["enum"] for call in schema["items"]["anyOf"]]
    assert names == [["weather"], ["time"]]


def test_several_calls_are_asked_for() -> None:
    assert schema_of(plan(**BOTH, tool_choice="required", parallel_tool_calls=True))["maxItems"] > 1


def test_a_named_function() -> None:
    schema = schema_of(plan(**BOTH, tool_choice={"type": "function", "function": {"name": "time"}}))
    assert schema["items"]["properties"]["name"] == {"enum": ["time"]}
    assert schema["items"]["properties"]["arguments"]["properties"] == {}


def test_tools_with_a_format_allow_both() -> None:
    calls, answer = schema_of(plan(**BOTH, response_format=FORMAT))["anyOf"]
    assert calls["type"] == "array"
    assert answer["type"] == "object"
    assert answer["required"] == ["a"]
