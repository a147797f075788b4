"""Tools and the choice among them in their plain form. What is refused: tests/contract."""

from typing import Any

import pytest

from shared.schema.tools import choose, tools_of


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


TOOLS = [tool("a"), tool("b"), tool("c")]


def test_a_schema_is_kept_whole() -> None:
    """Ollama drops what its own type does not know."""
    parameters = {
        "type": "object",
        "properties": {
            "when": {"type": "string", "pattern": "^[0-9]+$", "default": "5", "x-note": {"any": ["thing", None]}},
            "where": {"$ref": "#/$defs/place"},
            "how": {"oneOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"const": None}]},
        },
        "required": ["when"],
        "additionalProperties": False,
        "$defs": {"place": {"enum": ["here", {"$ref": "no reference"}]}},
    }
    asked = tool("f", description="does", parameters=parameters, strict=True)
    assert tools_of([asked]) == [asked]


def test_nulls_are_absent() -> None:
    assert tools_of([tool("f", description=None, parameters=None, strict=None)]) == [tool("f")]


def test_no_tools() -> None:
    for choice in (None, "none", "auto"):
        assert choose(tools_of([]), choice) == ([], None)


@pytest.mark.parametrize("choice", [None, "none", "auto", "required", tool("b")])
def test_a_choice(choice: Any) -> None:
    assert choose(TOOLS, choice) == (TOOLS, choice)


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_allowed_tools_are_fewer_tools_and_a_mode(mode: str) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [tool("c"), tool("a"), tool("c")]}}
    assert choose(TOOLS, choice) == ([tool("a"), tool("c")], mode)
