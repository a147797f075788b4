"""`tools` and `tool_choice`: which functions a model may call, and whether it must."""

import re
from typing import Any, TypeAlias

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, missing, object_at, string_at, wrong
from shared.schema.json_schema import check_schema

Tools: TypeAlias = list[dict[str, Any]]
"""`[{"type": "function", "function": {"name", "description"?, "parameters"?, "strict"?}}]`."""

Choice: TypeAlias = str | dict[str, Any]
"""`none`, `auto`, `required` or `{"type": "function", "function": {"name"}}`."""

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_MAX_TOOLS = 128


def tools_of(tools: Any, param: str = "tools") -> Tools:
    """The functions, their JSON schemas kept whole. Raises InvalidRequest or UnsupportedParameter with `param`."""
    if not isinstance(tools, list):
        raise wrong(param, f"expected an array, not {json_type(tools)}")
    if len(tools) > _MAX_TOOLS:
        raise wrong(param, f"{len(tools)} tools; at most {_MAX_TOOLS} are allowed")
    plain: dict[str, dict[str, Any]] = {}
    for i, tool in enumerate(tools):
        at = f"{param}[{i}].function"
        function = _function(_of_type_function(tool, f"{param}[{i}]"), at)
        name = function["name"]
        if name in plain:
            raise wrong(f"{at}.name", f"'{name}' is the name of two tools")
        plain[name] = {"type": "function", "function": function}
    return list(plain.values())


def choose(tools: Tools, choice: Any, param: str = "tool_choice") -> tuple[Tools, Choice | None]:
    """The tools that are left, and the choice among them; None where nothing was chosen.

    `allowed_tools` becomes fewer tools and its mode. Raises InvalidRequest or UnsupportedParameter with `param`.
    """
    if choice in (None, "none", "auto") and not isinstance(choice, dict):
        return tools, choice if tools else None
    if choice != "required" and not isinstance(choice, dict):
        raise wrong(param, "expected 'none', 'auto', 'required' or an object")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return _allowed(tools, choice, param)
    if isinstance(choice, dict):
        name = _name_of(choice, param)
        _find(tools, name, f"{param}.function.name")
        return tools, {"type": "function", "function": {"name": name}}
    if not tools:
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are given.", param=param)
    return tools, "required"


def _allowed(tools: Tools, choice: dict[str, Any], param: str) -> tuple[Tools, Choice]:
    fields = object_at(choice, param, ("type", "allowed_tools"))
    at = f"{param}.allowed_tools"
    allowed = object_at(fields.get("allowed_tools", {}), at, ("mode", "tools"))
    mode = allowed.get("mode")
    if mode not in ("auto", "required"):
        raise missing(f"{at}.mode") if mode is None else wrong(f"{at}.mode", "expected 'auto' or 'required'")
    named = allowed.get("tools")
    if not isinstance(named, list) or not named:
        raise wrong(f"{at}.tools", "expected an array of tools that is not empty")
    names = set()
    for i, each in enumerate(named):
        name = _name_of(each, f"{at}.tools[{i}]")
        _find(tools, name, f"{at}.tools[{i}].function.name")
        names.add(name)
    return [tool for tool in tools if tool["function"]["name"] in names], mode


def _find(tools: Tools, name: str, param: str) -> None:
    if not any(tool["function"]["name"] == name for tool in tools):
        raise wrong(param, f"there is no tool '{name}' in 'tools'")


def _name_of(value: Any, param: str) -> str:
    function = object_at(_of_type_function(value, param), f"{param}.function", ("name",))
    return string_at(function.get("name"), f"{param}.function.name")


def _of_type_function(value: Any, param: str) -> Any:
    """The `function` of `{"type": "function", "function": …}`."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "custom":
        raise UnsupportedParameter(
            f"Unsupported value: '{param}.type' does not support 'custom'.", param=f"{param}.type"
        )
    if isinstance(value, dict) and kind != "function":
        raise missing(f"{param}.type") if kind is None else wrong(f"{param}.type", "expected 'function'")
    fields = object_at(value, param, ("type", "function"))
    if "function" not in fields:
        raise missing(f"{param}.function")
    return fields["function"]


def _function(value: Any, param: str) -> dict[str, Any]:
    function = object_at(value, param, ("name", "description", "parameters", "strict"))
    name = string_at(function.get("name"), f"{param}.name")
    if not NAME.fullmatch(name):
        raise wrong(f"{param}.name", "expected 1 to 64 letters, digits, underscores and dashes")
    if not isinstance(function.get("description", ""), str):
        raise wrong(f"{param}.description", "expected a string")
    if not isinstance(function.get("strict", False), bool):
        raise wrong(f"{param}.strict", "expected a boolean")
    if "parameters" in function:
        check_schema(function["parameters"], f"{param}.parameters")
    return function
