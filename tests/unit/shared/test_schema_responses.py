"""The request of a response: flat shapes as a chat's, errors in the caller's own terms, and what is said again."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.schema.response_options import ENCRYPTED, LOGPROBS
from shared.schema.responses import ResponseRequest, parse

PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "name": "look", "parameters": PARAMETERS}


def request(**fields: Any) -> ResponseRequest:
    return parse({"model": "m", "input": "Hi", **fields})


def engine(**fields: Any) -> dict[str, Any]:
    asked = request(**fields).engine_request([{"role": "user", "content": "Hi"}])
    del asked["messages"]
    return asked


def test_only_what_is_set_reaches_the_engine() -> None:
    assert engine() == {}
    assert engine(temperature=0, top_p=0.5, max_output_tokens=3, truncation="auto", store=True, metadata={}) == {
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 3,
        "truncate": "auto",
    }
    assert engine(reasoning={"effort": "minimal", "summary": "auto"}) == {"reasoning_effort": "low"}
    assert engine(include=[LOGPROBS]) == {"logprobs": True}
    assert engine(include=[LOGPROBS, ENCRYPTED], top_logprobs=2) == {"logprobs": True, "top_logprobs": 2}


def test_the_flat_shapes_become_a_chats() -> None:
    function = {"name": "look", "parameters": PARAMETERS}
    tools = [{"type": "function", "function": function}]
    assert engine(tools=[TOOL]) == {"tools": tools}
    named = {"type": "function", "name": "look"}
    assert engine(tools=[TOOL], tool_choice=named)["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    other = {**TOOL, "name": "other"}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [named]}
    assert engine(tools=[other, TOOL], tool_choice=allowed) == {"tools": tools, "tool_choice": "required"}
    schema = {"type": "json_schema", "name": "answer", "schema": PARAMETERS, "strict": True}
    assert engine(text={"format": schema})["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": PARAMETERS, "strict": True},
    }
    assert engine(text={"format": {"type": "text"}}) == {}
    assert engine(text={"format": {"type": "json_object"}}) == {"response_format": {"type": "json_object"}}


def test_what_was_asked_is_said_again() -> None:
    echo = request(tools=[TOOL], reasoning={"generate_summary": "detailed"}, conversation={"id": "conv_1"}).echo()
    assert echo["tools"] == [{**TOOL, "description": None, "strict": None}]
    assert echo["reasoning"] == {"effort": None, "summary": "detailed"}
    assert echo["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert (echo["store"], echo["tool_choice"], echo["truncation"]) == (True, "auto", "disabled")
    assert echo["conversation"] == "conv_1"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{**TOOL, "parameters": {"type": "cat"}}]}, "tools[0].parameters.type"),
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{**TOOL, "function": {}}]}, "tools[0].function"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [TOOL, TOOL]}, "tools[1].name"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "no"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function"),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "no"}]},
            },
            "tool_choice.tools[0].name",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "tools": []}}, "tool_choice.mode"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": 5}}}}, "text.format.schema.type"),
        ({"text": {"format": {"type": "text", "schema": {}}}}, "text.format.schema"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "json_schema": {}}}}, "text.format.json_schema"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"top_logprobs": 21, "include": [LOGPROBS]}, "top_logprobs"),
    ],
)
def test_errors_name_the_field_as_the_caller_wrote_it(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(**fields).engine_request([{"role": "user", "content": "Hi"}])
    assert caught.value.param == param
    assert "json_schema.schema" not in caught.value.message
    assert ".function." not in caught.value.message
