"""Chat messages: checked one by one, so that an error names the message and the part, and put in one plain form."""

from typing import Any

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""Roles taken, and what the model's template knows them as. OpenAI's `developer` replaces `system`."""

_FIELDS = {"role", "content", "name"}

_NOT_BUILT = {"tool_calls", "function_call", "audio", "refusal"}


def normalise(messages: Any) -> list[dict[str, str]]:
    """`[{"role", "content", "name"?}]` with text content, parts joined by line breaks.

    Raises InvalidRequest or UnsupportedParameter with `param` like `messages[1].content[0]`.
    """
    if not isinstance(messages, list):
        raise InvalidRequest(f"'messages' is {json_type(messages)}; an array is expected", param="messages")
    if not messages:
        raise InvalidRequest("[] is too short - 'messages'", param="messages")
    return [_message(message, f"messages[{i}]") for i, message in enumerate(messages)]


def _message(message: Any, param: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise InvalidRequest(f"'{param}' is {json_type(message)}; an object is expected", param=param)
    for field, value in message.items():
        if field in _NOT_BUILT and value:
            raise UnsupportedParameter(f"Unsupported parameter: '{param}.{field}'.", param=f"{param}.{field}")
        if field not in _FIELDS and field not in _NOT_BUILT and value is not None:
            raise InvalidRequest(
                f"Unknown parameter: '{param}.{field}'.", param=f"{param}.{field}", code="unknown_parameter"
            )
    plain = {
        "role": _role(message.get("role"), param),
        "content": _content(message.get("content"), f"{param}.content"),
    }
    name = message.get("name")
    if name is not None:
        if not isinstance(name, str):
            raise InvalidRequest(f"'{param}.name' is {json_type(name)}; a string is expected", param=f"{param}.name")
        plain["name"] = name
    return plain


def _role(role: Any, param: str) -> str:
    param = f"{param}.role"
    if role is None:
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if role in ("tool", "function"):
        raise UnsupportedParameter(f"Unsupported value: '{param}' does not support '{role}'.", param=param)
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidRequest(f"Invalid value for '{param}': expected one of {', '.join(_ROLES)}.", param=param)
    return _ROLES[role]


def _content(content: Any, param: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        return "\n".join(_text(part, f"{param}[{i}]") for i, part in enumerate(content))
    raise InvalidRequest(
        f"invalid message content type: '{param}' is {_empty(content) or json_type(content)}; "
        "a string or an array of parts is expected",
        param=param,
    )


def _empty(content: Any) -> str:
    return "an empty array" if content == [] else ""


def _text(part: Any, param: str) -> str:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise InvalidRequest(f"invalid message format: '{param}' has no 'type'", param=param)
    if part["type"] in ("image_url", "input_audio", "file", "refusal"):
        raise UnsupportedParameter(f"Unsupported content part: '{param}' is of type '{part['type']}'.", param=param)
    if part["type"] != "text":
        raise InvalidRequest(f"invalid message format: unknown type '{part['type']}' of '{param}'", param=param)
    if not isinstance(part.get("text"), str):
        raise InvalidRequest(f"invalid message format: '{param}.text' must be a string", param=f"{param}.text")
    unknown = next((key for key in part if key not in ("type", "text")), None)
    if unknown is not None:
        raise InvalidRequest(
            f"Unknown parameter: '{param}.{unknown}'.", param=f"{param}.{unknown}", code="unknown_parameter"
        )
    text: str = part["text"]
    return text
