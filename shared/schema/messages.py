"""Chat messages: checked one by one, so that an error names the message and the part, and put in one plain form."""

from typing import Any

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, missing, string_at, unknown
from shared.schema.content import content_of
from shared.schema.tool_calls import tool_calls_of

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
"""Roles taken, and what the model's template knows them as. OpenAI's `developer` replaces `system`."""

_FIELDS = {
    "system": ("role", "content", "name"),
    "user": ("role", "content", "name"),
    "assistant": ("role", "content", "name", "tool_calls", "reasoning", "reasoning_content", "refusal"),
    "tool": ("role", "content", "name", "tool_call_id"),
}
"""Fields of a message, by its role."""

_NOT_BUILT = ("function_call", "audio", "annotations")
"""Refused unless empty: an answer that is sent back has them as null or `[]`."""


def normalise(messages: Any) -> list[dict[str, Any]]:
    """`[{"role", "content", "name"?, "reasoning_content"?, "tool_calls"?, "tool_call_id"?}]`, as the engine reads them.

    Content is text, or parts when there are images. A tool's result gets the name of the tool that it answers.
    Raises InvalidRequest or UnsupportedParameter with `param` like `messages[1].content[0]`.
    """
    if not isinstance(messages, list):
        raise InvalidRequest(f"'messages' is {json_type(messages)}; an array is expected", param="messages")
    if not messages:
        raise InvalidRequest("[] is too short - 'messages'", param="messages")
    names: dict[str, str] = {}
    plain = []
    for i, message in enumerate(messages):
        one = _message(message, f"messages[{i}]")
        for call in one.get("tool_calls", ()):
            names[call["id"]] = call["function"]["name"]
        if one["role"] == "tool" and "name" not in one and one["tool_call_id"] in names:
            one["name"] = names[one["tool_call_id"]]
        plain.append(one)
    return plain


def _message(message: Any, param: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise InvalidRequest(f"'{param}' is {json_type(message)}; an object is expected", param=param)
    present = {name: value for name, value in message.items() if value is not None}
    role = _role(present.get("role"), f"{param}.role")
    _check_fields(present, role, param)
    plain: dict[str, Any] = {"role": role}
    if calls := tool_calls_of(present.get("tool_calls", []), f"{param}.tool_calls"):
        plain["tool_calls"] = calls
    # What a model called needs no words beside it. What it refused with is what it said.
    said = _text(present, "refusal", param) or ("" if calls else None)
    plain["content"] = content_of(present.get("content", said), f"{param}.content", role)
    if "name" in present:
        plain["name"] = string_at(present["name"], f"{param}.name")
    if role == "tool":
        plain["tool_call_id"] = string_at(present.get("tool_call_id"), f"{param}.tool_call_id")
    if thought := _thought(present, param):
        plain["reasoning_content"] = thought
    return plain


def _check_fields(present: dict[str, Any], role: str, param: str) -> None:
    for field, value in present.items():
        if field in _FIELDS[role]:
            continue
        if field in _NOT_BUILT:
            if value:
                raise UnsupportedParameter(f"Unsupported parameter: '{param}.{field}'.", param=f"{param}.{field}")
        elif any(field in fields for fields in _FIELDS.values()):
            if value != []:
                raise InvalidRequest(
                    f"'{param}.{field}' does not belong to the role '{role}'", param=f"{param}.{field}"
                )
        else:
            raise unknown(f"{param}.{field}")


def _role(role: Any, param: str) -> str:
    if role is None:
        raise missing(param)
    if role == "function":
        raise UnsupportedParameter(f"Unsupported value: '{param}' does not support '{role}'.", param=param)
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidRequest(f"Invalid value for '{param}': expected one of {', '.join(_ROLES)}.", param=param)
    return _ROLES[role]


def _thought(present: dict[str, Any], param: str) -> str:
    """What the model thought before, under either name; an answer of ours has both, alike."""
    thoughts = [_text(present, field, param) for field in ("reasoning", "reasoning_content")]
    return thoughts[0] or thoughts[1]


def _text(present: dict[str, Any], field: str, param: str) -> str:
    value = present.get(field, "")
    if not isinstance(value, str):
        raise InvalidRequest(f"'{param}.{field}' is {json_type(value)}; a string is expected", param=f"{param}.{field}")
    return value
