"""Calls that a model made earlier, in a message that is sent back."""

from typing import Any

import orjson

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, object_at, string_at, wrong


def tool_calls_of(calls: Any, param: str) -> list[dict[str, Any]]:
    """`[{"id", "type": "function", "function": {"name", "arguments"}}]`; arguments are the text of a JSON object.

    Raises InvalidRequest or UnsupportedParameter with `param` like `messages[1].tool_calls[0].id`.
    """
    if not isinstance(calls, list):
        raise wrong(param, f"expected an array, not {json_type(calls)}")
    return [_call(call, f"{param}[{i}]") for i, call in enumerate(calls)]


def _call(call: Any, param: str) -> dict[str, Any]:
    if isinstance(call, dict) and call.get("type", "function") == "custom":
        raise UnsupportedParameter(
            f"Unsupported value: '{param}.type' does not support 'custom'.", param=f"{param}.type"
        )
    # `index` is what a stream's accumulator leaves in a call; the order says the same.
    fields = object_at(call, param, ("id", "type", "function", "index"))
    if fields.get("type", "function") != "function":
        raise wrong(f"{param}.type", "expected 'function'")
    function = object_at(fields.get("function", {}), f"{param}.function", ("name", "arguments"))
    name = string_at(function.get("name"), f"{param}.function.name")
    return {
        "id": string_at(fields.get("id"), f"{param}.id"),
        "type": "function",
        "function": {"name": name, "arguments": _arguments(function.get("arguments"), f"{param}.function.arguments")},
    }


def _arguments(arguments: Any, param: str) -> str:
    if isinstance(arguments, str):
        try:
            if isinstance(orjson.loads(arguments), dict):
                return arguments
        except orjson.JSONDecodeError:
            pass
    raise InvalidRequest("invalid tool call arguments", param=param)
