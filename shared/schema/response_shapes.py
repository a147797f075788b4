"""The flat shapes of a response's `tools`, `tool_choice` and `text.format` as a chat's, checked there, and errors in
the caller's own terms."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, nothing, object_at, string_at, unknown, wrong
from shared.schema.response_format import response_format_of
from shared.schema.tools import Choice, Tools, choose, tools_of

_TOOL: Final = ("name", "description", "parameters", "strict")
_TOOL_NOT_BUILT: Final = {
    "output_schema": nothing(),
    "defer_loading": nothing(False),
    "allowed_callers": nothing(["direct"]),
}
_FORMAT: Final = ("name", "description", "schema", "strict")


def functions_of(tools: Any) -> Tools:
    """The tools in a chat's shape. Raises InvalidRequest, or UnsupportedParameter for a tool that is no function."""
    if not isinstance(tools, list):
        raise wrong("tools", f"expected an array, not {json_type(tools)}")
    nested = [_nested(tool, f"tools[{i}]") for i, tool in enumerate(tools)]
    with _without(r"(tools\[\d+\])\.function"):
        return tools_of(nested)


def as_asked(tools: Tools) -> list[dict[str, Any]]:
    """The tools as a response object says them again."""
    return [
        {"type": "function", **{"description": None, "parameters": None, "strict": None, **tool["function"]}}
        for tool in tools
    ]


def choice_of(tools: Tools, choice: Any) -> tuple[Tools, Choice | None]:
    """The tools that are left and the choice among them, in a chat's shape. Raises InvalidRequest or
    UnsupportedParameter."""
    nested = _nested_choice(choice) if isinstance(choice, dict) else choice
    with _without(r"(tool_choice)\.allowed_tools"), _without(r"(tool_choice(?:\S*tools\[\d+\])?)\.function"):
        return choose(tools, nested)


def format_of(value: Any) -> dict[str, Any] | None:
    """`text.format` in a chat's shape; None for text. Raises InvalidRequest."""
    fields = object_at(value, "text.format", ("type", *_FORMAT))
    kind, named = fields.pop("type", None), fields
    if not named and kind != "json_schema":
        return response_format_of({"type": kind}, "text.format")
    if kind in ("text", "json_object"):
        raise wrong(f"text.format.{min(named)}", f"it does not belong to the type '{kind}'")
    with _without(r"(text\.format)\.json_schema"):
        return response_format_of({"type": kind, "json_schema": named}, "text.format")


def _nested(tool: Any, param: str) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind != "function":
        if isinstance(kind, str):
            raise _no_function(kind, param)
        return tool  # refused by `tools_of`
    fields = object_at(tool, param, ("type", *_TOOL, *_TOOL_NOT_BUILT))
    for name in _TOOL_NOT_BUILT.keys() & fields.keys():
        if not _TOOL_NOT_BUILT[name](fields.pop(name)):
            raise UnsupportedParameter(f"Unsupported parameter: '{param}.{name}'.", param=f"{param}.{name}")
    fields.pop("type")
    return {"type": "function", "function": fields}


def _nested_choice(choice: dict[str, Any]) -> dict[str, Any]:
    kind = choice.get("type")
    if kind == "function":
        return _named(choice, "tool_choice")
    if kind != "allowed_tools":
        if isinstance(kind, str):
            raise _no_function(kind, "tool_choice")
        return choice  # refused by `choose`
    fields = object_at(choice, "tool_choice", ("type", "mode", "tools"))
    fields.pop("type")
    if isinstance(fields.get("tools"), list):
        fields["tools"] = [_allowed(each, f"tool_choice.tools[{i}]") for i, each in enumerate(fields["tools"])]
    return {"type": kind, "allowed_tools": fields}


def _allowed(tool: Any, param: str) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind != "function":
        if isinstance(kind, str):
            raise _no_function(kind, param)
        return tool
    return _named(tool, param)


def _named(value: dict[str, Any], param: str) -> dict[str, Any]:
    for name in value:
        if name not in ("type", "name"):
            raise unknown(f"{param}.{name}")
    return {"type": "function", "function": {"name": string_at(value.get("name"), f"{param}.name")}}


def _no_function(kind: str, param: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"Unsupported value: '{param}.type' does not support '{kind[:64]}'.", param=f"{param}.type"
    )


@contextmanager
def _without(pattern: str) -> Iterator[None]:
    """Take the level of a chat's shape, which the caller did not write, out of an error's words."""
    try:
        yield
    except InvalidRequest as error:
        error.message = re.sub(pattern, r"\1", error.message)
        error.param = None if error.param is None else re.sub(pattern, r"\1", error.param)
        raise
