"""A conversation as llama.cpp reads it: known fields only, one by one. Pure."""

from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidRequest

_FIELDS = ("role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id")


def messages_of(messages: Any) -> list[dict[str, Any]]:
    """The messages, each with its content, which is null beside tool calls. Raises InvalidRequest with `param`."""
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("'messages' must be an array, and not empty", param="messages")
    return [_message(message, f"messages[{i}]") for i, message in enumerate(messages)]


def _message(message: Any, param: str) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise InvalidRequest(f"'{param}' must be an object", param=param)
    if unknown := message.keys() - set(_FIELDS):
        raise InvalidRequest(f"Unknown parameter: '{param}.{min(unknown)}'.", param=f"{param}.{min(unknown)}")
    if message.get("content") is None and not (message.get("role") == "assistant" and message.get("tool_calls")):
        raise InvalidRequest(f"Missing required parameter: '{param}.content'.", param=f"{param}.content")
    return {"content": None, **{name: message[name] for name in _FIELDS if message.get(name) is not None}}
