"""The input of a response: items in one plain form, whatever way they were written.

    {"type": "message", "role", "content": [part, …]}         part: input_text, input_image, output_text
    {"type": "function_call", "call_id", "name", "arguments"}
    {"type": "function_call_output", "call_id", "output": text | [input_text | input_image, …], "name"?}
    {"type": "reasoning", "summary", "content"?, "encrypted_content"?}
    {"type": "item_reference", "id"}

Items that were an answer of ours keep their `id` and `status`.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import orjson

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, missing, object_at, string_at, wrong
from shared.schema.response_content import parts_of, text_parts

Item: TypeAlias = dict[str, Any]

_STATUSES: Final = ("in_progress", "completed", "incomplete")
_ROLES: Final = ("user", "assistant", "system", "developer")


def items_of(value: Any) -> list[Item]:
    """Raises InvalidRequest or UnsupportedParameter with `param` like `input[2].content[0]`."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    if not isinstance(value, list):
        raise InvalidRequest(f"input must be a string or array: it is {json_type(value)}", param="input")
    return [item_of(item, f"input[{i}]") for i, item in enumerate(value)]


def item_of(item: Any, param: str) -> Item:
    """One item. Raises what `items_of` does."""
    if not isinstance(item, dict):
        raise wrong(param, f"expected an object, not {json_type(item)}")
    kind = item.get("type")
    if kind is None:
        if "role" in item:
            kind = "message"
        elif "id" in item:
            kind = "item_reference"
        else:
            raise InvalidRequest(
                f"{param}: input item missing required 'type' field",
                param=f"{param}.type",
                code="missing_required_parameter",
            )
    if not isinstance(kind, str) or kind not in _READERS:
        raise InvalidRequest(f'{param}: unknown input item type: "{str(kind)[:64]}"', param=f"{param}.type")
    return {"type": kind, **_READERS[kind](item, param)}


def _message(item: Any, param: str) -> Item:
    fields = _fields(item, param, "role", "content", "phase")
    if "phase" in fields:
        raise UnsupportedParameter(f"Unsupported parameter: '{param}.phase'.", param=f"{param}.phase")
    role = string_at(fields.get("role"), f"{param}.role")
    if role not in _ROLES:
        raise wrong(f"{param}.role", f"expected one of {', '.join(_ROLES)}")
    if "content" not in fields:
        raise missing(f"{param}.content")
    return {**_kept(fields, param), "role": role, "content": parts_of(fields["content"], f"{param}.content", role)}


def _call(item: Any, param: str) -> Item:
    fields = _fields(item, param, "call_id", "name", "arguments", "namespace", "caller")
    _plain_call(fields, param)
    return {
        **_kept(fields, param),
        "call_id": string_at(fields.get("call_id"), f"{param}.call_id"),
        "name": string_at(fields.get("name"), f"{param}.name"),
        "arguments": _arguments(fields.get("arguments", ""), f"{param}.arguments"),
    }


def _output(item: Any, param: str) -> Item:
    fields = _fields(item, param, "call_id", "output", "name", "namespace", "caller")
    _plain_call(fields, param)
    if "output" not in fields:
        raise missing(f"{param}.output")
    output = fields["output"]
    plain = {
        **_kept(fields, param),
        "call_id": string_at(fields.get("call_id"), f"{param}.call_id"),
        "output": output if isinstance(output, str) else parts_of(output, f"{param}.output", "tool"),
    }
    return {**plain, "name": string_at(fields["name"], f"{param}.name")} if "name" in fields else plain


def _reasoning(item: Any, param: str) -> Item:
    fields = _fields(item, param, "summary", "content", "encrypted_content")
    plain: Item = {
        **_kept(fields, param),
        "summary": text_parts(fields.get("summary", []), f"{param}.summary", "summary_text"),
    }
    if "content" in fields:
        plain["content"] = text_parts(fields["content"], f"{param}.content", "reasoning_text")
    if "encrypted_content" in fields:
        plain["encrypted_content"] = string_at(fields["encrypted_content"], f"{param}.encrypted_content")
    return plain


def _reference(item: Any, param: str) -> Item:
    return {"id": string_at(object_at(item, param, ("type", "id")).get("id"), f"{param}.id")}


_READERS: Final[dict[str, Callable[[Any, str], Item]]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "reasoning": _reasoning,
    "item_reference": _reference,
}


def _fields(item: Any, param: str, *names: str) -> dict[str, Any]:
    fields = object_at(item, param, ("type", "id", "status", *names))
    if fields.get("status", "completed") not in _STATUSES:
        raise wrong(f"{param}.status", f"expected one of {', '.join(_STATUSES)}")
    return fields


def _kept(fields: dict[str, Any], param: str) -> Item:
    kept = {"status": fields["status"]} if "status" in fields else {}
    return {"id": string_at(fields["id"], f"{param}.id"), **kept} if "id" in fields else kept


def _plain_call(fields: dict[str, Any], param: str) -> None:
    """A call by the model itself, of a function without a namespace: there are no others."""
    if "namespace" in fields:
        raise UnsupportedParameter(f"Unsupported parameter: '{param}.namespace'.", param=f"{param}.namespace")
    if fields.get("caller", {"type": "direct"}) != {"type": "direct"}:
        raise UnsupportedParameter(f"Unsupported parameter: '{param}.caller'.", param=f"{param}.caller")


def _arguments(arguments: Any, param: str) -> str:
    """The text of a JSON object; no text at all is an empty one, as in the reference."""
    if arguments == "":
        return "{}"
    reason = f"it is {json_type(arguments)}, not text"
    if isinstance(arguments, str):
        try:
            if isinstance(orjson.loads(arguments), dict):
                return arguments
            reason = "it is not a JSON object"
        except orjson.JSONDecodeError as error:
            reason = str(error)
    raise InvalidRequest(f"failed to parse function call arguments: {reason}", param=param)
