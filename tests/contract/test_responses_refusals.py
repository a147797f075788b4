"""What `POST /v1/responses` refuses, with the field's name, before anything is queued.

Every field of OpenAI's `CreateResponse` is built, or refused unless its value asks for nothing.
"""

from typing import Any

import pytest
from openai.types.responses import response_create_params

from shared.schema.responses import NOT_BUILT, ResponseRequest
from tests.contract.conftest import Api, refused

pytestmark = pytest.mark.redis

MISSING = "missing_required_parameter"
UNKNOWN = "unknown_parameter"
UNSUPPORTED = "unsupported_parameter"

NEWER = {
    "access_programs",
    "background_options",
    "image",
    "multi_agent",
    "input_transformations",
    "prompt_cache_diagnostics",
}
"""Of the SDK, and not of the document this is held to: unknown here."""


SCHEMA = {"type": "json_schema", "name": "s"}


def post(api: Api, **fields: Any) -> Any:
    body = {"model": "fake", "input": "Hi", **fields}
    return api.client.post("/v1/responses", json={name: value for name, value in body.items() if value is not ...})


def test_every_field_of_the_sdk_is_decided() -> None:
    params = response_create_params.ResponseCreateParamsBase.__annotations__
    assert {*params, "stream"} - NEWER <= {*ResponseRequest.model_fields, *NOT_BUILT}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": ...}, "model", MISSING),
        ({"model": ""}, "model", MISSING),
        ({"model": 5}, "model", None),
        ({"input": ...}, "input", MISSING),
        ({"input": []}, "input", MISSING),
        ({"instructions": 5}, "instructions", None),
        ({"instructions": []}, "instructions", None),
        ({"temperature": 2.5}, "temperature", None),
        ({"top_p": "1"}, "top_p", None),
        ({"max_output_tokens": 0}, "max_output_tokens", None),
        ({"max_tool_calls": 0}, "max_tool_calls", None),
        ({"metadata": {"k": 5}}, "metadata.k", None),
        ({"metadata": {f"k{i}": "v" for i in range(17)}}, "metadata", None),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", None),
        ({"user": "u" * 513}, "user", None),
        ({"safety_identifier": "s" * 65}, "safety_identifier", None),
        ({"stream": "yes"}, "stream", None),
        ({"stream_options": {}}, "stream_options", None),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation", None),
        ({"stream": True, "stream_options": {"include_usage": True}}, "stream_options.include_usage", UNKNOWN),
        ({"truncation": "middle"}, "truncation", None),
        ({"service_tier": "flex"}, "service_tier", UNSUPPORTED),
        ({"text": {"verbosity": "low"}}, "text.verbosity", UNSUPPORTED),
        ({"text": {"frobnicate": 1}}, "text.frobnicate", UNKNOWN),
        ({"text": "plain"}, "text", None),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort", None),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary", None),
        ({"reasoning": {"summary": "auto", "generate_summary": "concise"}}, "reasoning.generate_summary", None),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode", UNSUPPORTED),
        ({"reasoning": {"context": "all_turns"}}, "reasoning.context", UNSUPPORTED),
        ({"reasoning": {"budget": 5}}, "reasoning.budget", UNKNOWN),
        ({"include": "reasoning.encrypted_content"}, "include", None),
        ({"include": ["file_search_call.results"]}, "include[0]", UNSUPPORTED),
        ({"include": ["message.output_text.logprobs", 5]}, "include[1]", None),
        ({"include": ["reasoning.encrypted_content"]}, "include", None),
        (
            {"text": {"format": {**SCHEMA, "schema": {"type": "object", "properties": {"a": {"not": {}}}}}}},
            "text.format",
            None,
        ),
        ({"top_logprobs": 21, "include": ["message.output_text.logprobs"]}, "top_logprobs", None),
        ({"top_logprobs": 1}, "top_logprobs", None),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", UNSUPPORTED),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type", UNSUPPORTED),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0].type", UNSUPPORTED),
        ({"context_management": [{"type": "compaction"}]}, "context_management", UNSUPPORTED),
        ({"moderation": {}}, "moderation", UNSUPPORTED),
        ({"prompt": {"id": "p"}}, "prompt", UNSUPPORTED),
        ({"prompt_cache_options": {"mode": "explicit"}}, "prompt_cache_options", UNSUPPORTED),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention", UNSUPPORTED),
        ({"conversation": {"id": "c", "x": 1}}, "conversation.x", UNKNOWN),
        ({"conversation": 5}, "conversation", None),
        ({"messages": []}, "messages", UNKNOWN),
        ({"max_tokens": 5}, "max_tokens", UNKNOWN),
    ],
)
def test_a_field_is_refused_by_its_name(api: Api, fields: dict[str, Any], param: str, code: str | None) -> None:
    refused(post(api, **fields), 400, param=param, code=code)


@pytest.mark.parametrize(
    "fields",
    [
        {name: None for name in ("tools", "text", "reasoning", "include", "conversation", "previous_response_id")},
        {"stream_options": None, "background": False, "prompt": None, "context_management": []},
        {"service_tier": "default", "truncation": "disabled", "prompt_cache_retention": "in_memory"},
        {"tools": [], "tool_choice": "auto", "include": [], "top_logprobs": 0, "text": {}, "reasoning": {}},
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}, "max_tool_calls": 1},
        {"stream_options": {"include_obfuscation": False}, "stream": True},
        {"store": False, "metadata": {}, "moderation": None, "prompt_cache_options": {}},
    ],
)
def test_what_asks_for_nothing_is_taken(api: Api, fields: dict[str, Any]) -> None:
    assert post(api, max_output_tokens=1, **fields).status_code == 200


def message(*parts: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(parts)}]


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("items", "param", "code", "words"),
    [
        (5, "input", None, "input must be a string or array"),
        ({}, "input", None, "input must be a string or array"),
        ([5], "input[0]", None, ""),
        ([{}], "input[0].type", MISSING, "input[0]: input item missing required 'type' field"),
        ([{"type": "x"}], "input[0].type", None, 'input[0]: unknown input item type: "x"'),
        ([{"type": "computer_call"}], "input[0].type", None, 'input[0]: unknown input item type: "computer_call"'),
        ([{"type": ["message"]}], "input[0].type", None, ""),
        ([{"role": "user"}], "input[0].content", MISSING, ""),
        ([{"role": "tool", "content": "x"}], "input[0].role", None, ""),
        ([{"role": "user", "content": 5}], "input[0].content", None, ""),
        (message(), "input[0].content", None, ""),
        (message({"type": "input_text"}), "input[0].content[0].text", MISSING, ""),
        (message({"type": "x"}), "input[0].content[0].type", None, "input[0]: content[0]: unknown content type: x"),
        (message({"text": "a"}), "input[0].content[0].type", MISSING, ""),
        (message({"type": "input_text", "text": "a", "x": 1}), "input[0].content[0].x", UNKNOWN, ""),
        (
            message({"type": "input_file"}),
            "input[0].content[0]",
            UNSUPPORTED,
            "file inputs are not currently supported",
        ),
        (message({"type": "output_text", "text": "a"}), "input[0].content[0].type", None, ""),
        (message({"type": "refusal", "refusal": "no"}, role="assistant"), "input[0].content[0]", UNSUPPORTED, ""),
        (message({"type": "input_image", "file_id": "f"}), "input[0].content[0].file_id", UNSUPPORTED, ""),
        (message({"type": "input_image"}), "input[0].content[0].image_url", MISSING, ""),
        (message({"type": "input_image", "image_url": "u", "detail": "x"}), "input[0].content[0].detail", None, ""),
        (message({"type": "input_image", "image_url": "u"}, role="system"), "input[0].content[0]", None, ""),
        ([{**message("a")[0], "phase": "commentary"}], "input[0].phase", UNSUPPORTED, ""),
        ([{**message("a")[0], "status": "lost"}], "input[0].status", None, ""),
        ([{**CALL, "arguments": "{"}], "input[0].arguments", None, "failed to parse function call arguments"),
        ([{**CALL, "arguments": "[]"}], "input[0].arguments", None, "failed to parse function call arguments"),
        ([{**CALL, "name": None}], "input[0].name", MISSING, ""),
        ([{**CALL, "namespace": "n"}], "input[0].namespace", UNSUPPORTED, ""),
        ([{"type": "function_call_output", "call_id": "c"}], "input[0].output", MISSING, ""),
        ([{"type": "function_call_output", "call_id": "c", "output": "x"}], "input[0].call_id", None, "call_id c"),
        ([CALL, {"type": "function_call_output", "call_id": "c", "output": [5]}], "input[1].output[0]", None, ""),
        ([{"type": "reasoning", "summary": "x"}], "input[0].summary", None, ""),
        ([{"type": "reasoning", "summary": [{"text": 5}]}], "input[0].summary[0].text", None, ""),
        ([{"type": "reasoning", "summary": []}], "input[0].content", None, "without the item that follows"),
        ([{"type": "item_reference"}], "input[0].id", MISSING, ""),
    ],
)
def test_an_item_is_refused_by_its_place(api: Api, items: Any, param: str, code: str | None, words: str) -> None:
    assert words in refused(post(api, input=items), 400, param=param, code=code)


def test_an_item_that_is_not_there_is_not_found(api: Api) -> None:
    answer = post(api, input=[{"id": "msg_nobody"}])
    refused(answer, 404, param="input[0].id", code="not_found", type="not_found_error")


def test_encrypted_reasoning_without_a_key_names_the_setting(api: Api) -> None:
    for answer in (
        post(api, include=["reasoning.encrypted_content"]),
        post(
            api,
            input=[{"type": "reasoning", "summary": [], "encrypted_content": "AAAA"}, {"role": "user", "content": "x"}],
        ),
    ):
        assert answer.status_code == 400
        assert "PUNA_STATE_KEY" in answer.json()["error"]["message"]


def test_an_unknown_model_is_not_found(api: Api) -> None:
    refused(post(api, model="nothing"), 404, param="model", code="model_not_found", type="not_found_error")
