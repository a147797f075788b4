"""Ollama's messages and tools in OpenAI's form: images as parts, arguments as text, results by their calls."""

from typing import Any, Final

import orjson

from shared.errors import InvalidRequest
from shared.schema.body import json_type, object_at, wrong

_FIELDS: Final = ("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id")


def messages_of(messages: list[Any]) -> list[dict[str, Any]]:
    """Raises InvalidRequest with `param`. Roles and the rest are left to the schema that reads the result."""
    open_calls: list[tuple[str, str]] = []
    return [_message(message, f"messages[{i}]", open_calls) for i, message in enumerate(messages)]


def images_of(images: Any, param: str) -> list[dict[str, Any]]:
    """Base64 as parts of a content. Raises InvalidRequest."""
    if not isinstance(images, list) or not all(isinstance(each, str) for each in images):
        raise wrong(param, "expected an array of base64")
    return [{"type": "image_url", "image_url": {"url": f"data:;base64,{each}"}} for each in images]


def tools_of(tools: list[Any]) -> list[Any]:
    """With the one type that there is, where it is left out."""
    return [{"type": "function", **tool} if isinstance(tool, dict) else tool for tool in tools]


def _message(message: Any, param: str, open_calls: list[tuple[str, str]]) -> dict[str, Any]:
    """`open_calls` are (id, name) of the calls that no result has answered yet."""
    fields = object_at(message, param, _FIELDS)
    role = fields.get("role")
    content = fields.get("content", "")
    if not isinstance(content, str):
        raise InvalidRequest(f"invalid message content type: '{param}' is {json_type(content)}", param=param)
    plain: dict[str, Any] = {"role": role.lower() if isinstance(role, str) else role, "content": content}
    if fields.get("images"):
        text = [{"type": "text", "text": content}] if content else []
        plain["content"] = [*images_of(fields["images"], f"{param}.images"), *text]
    if fields.get("thinking"):
        plain["reasoning_content"] = fields["thinking"]
    if fields.get("tool_calls"):
        plain["tool_calls"] = _calls(fields["tool_calls"], f"{param}.tool_calls", open_calls)
    if plain["role"] == "tool":
        plain |= _answered(fields, open_calls)
    return plain


def _calls(calls: Any, param: str, open_calls: list[tuple[str, str]]) -> list[dict[str, Any]]:
    if not isinstance(calls, list):
        raise wrong(param, f"expected an array, not {json_type(calls)}")
    plain = []
    for i, call in enumerate(calls):
        at = f"{param}[{i}]"
        fields = object_at(call, at, ("id", "type", "function"))
        function = object_at(
            fields.get("function", {}), f"{at}.function", ("index", "name", "description", "arguments")
        )
        arguments = function.get("arguments", {})
        if not isinstance(arguments, dict):
            raise wrong(f"{at}.function.arguments", f"expected an object, not {json_type(arguments)}")
        id, name = fields.get("id") or f"call_{len(open_calls)}_{i}", function.get("name")
        open_calls.append((str(id), str(name)))
        told = {"name": name, "arguments": orjson.dumps(arguments).decode()}
        plain.append({"id": id, "type": "function", "function": told})
    return plain


def _answered(fields: dict[str, Any], open_calls: list[tuple[str, str]]) -> dict[str, Any]:
    """A result's `tool_call_id` and `name`: by its id, by its tool's name, or the first that is open."""
    wanted_id, wanted_name = fields.get("tool_call_id"), fields.get("tool_name")
    for i, (id, name) in enumerate(open_calls):
        if (wanted_id or id) == id and (wanted_name or name) == name:
            del open_calls[i]
            return {"tool_call_id": id, "name": name}
    told = {"tool_call_id": wanted_id or "call_unknown"}
    return {**told, "name": wanted_name} if wanted_name else told
