"""Which JSON schemas are taken."""

from typing import Any

import pytest

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.json_schema import MAX_DEPTH, MAX_SIZE, check_schema

LINKED = {
    "type": "object",
    "properties": {"value": {"type": "number"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["value", "next"],
}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": ["string", "null"]},
        LINKED,
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "string"}}},
        {"$ref": "#/anyOf/1", "anyOf": [True, {"type": "string"}]},
        {"$ref": "#/components/x", "components": {"x": {"type": "string"}}},
        {"properties": {"$ref": {"type": "string"}, "type": {"type": "string"}, "enum": {}}},
        {"enum": [{"$ref": 5}, None], "const": {"type": "x"}, "default": {"$ref": 5}},
        {"items": [{"type": "string"}], "additionalItems": False},
        {"whatever": {"type": "x"}},
        {"$defs": {f"a{k}": {"$ref": f"#/$defs/a{k + 1}"} for k in range(3000)} | {"a3000": {}}, "$ref": "#/$defs/a0"},
        nested(MAX_DEPTH - 2),
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_a_schema_in_order(schema: dict[str, Any]) -> None:
    before = repr(schema)
    assert check_schema(schema, "s") is schema
    assert repr(schema) == before


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        (True, "s"),
        ([], "s"),
        ({"type": "text"}, "s.type"),
        ({"type": []}, "s.type"),
        ({"type": [["string"]]}, "s.type"),
        ({"enum": []}, "s.enum"),
        ({"required": "a"}, "s.required"),
        ({"required": [5]}, "s.required"),
        ({"pattern": 5}, "s.pattern"),
        ({"minItems": -1}, "s.minItems"),
        ({"maxLength": True}, "s.maxLength"),
        ({"minimum": "1"}, "s.minimum"),
        ({"anyOf": []}, "s.anyOf"),
        ({"anyOf": {}}, "s.anyOf"),
        ({"anyOf": [{}, 5]}, "s.anyOf[1]"),
        ({"properties": []}, "s.properties"),
        ({"properties": {"a": {"items": {"type": "x"}}}}, "s.properties.a.items.type"),
        ({"properties": {"a": 5}}, "s.properties.a"),
        ({"$ref": 5}, "s.$ref"),
        ({"$ref": "#/$defs/a"}, "s.$ref"),
        ({"$ref": "#name"}, "s.$ref"),
        ({"$ref": "#/enum/0", "enum": ["a"]}, "s.$ref"),
        ({"$ref": "#/anyOf/" + "9" * 5000, "anyOf": [{}]}, "s.$ref"),
        ({"$ref": "#/x", "x": {"anyOf": 5}}, "s.anyOf"),
        ({"$ref": "#"}, "s"),
        ({"anyOf": [{"type": "string"}, {"$ref": "#"}]}, "s"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}}, "s"),
        (nested(MAX_DEPTH), "s"),
        ({"description": "x" * MAX_SIZE}, "s"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_schema_that_is_none(schema: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_schema(schema, "s")
    assert refused.value.param == param


@pytest.mark.parametrize("ref", ["https://example.com/schema", "other.json#/a", "file:///etc/passwd"])
def test_a_reference_that_leaves_the_schema_is_not_followed(ref: str) -> None:
    with pytest.raises(UnsupportedParameter):
        check_schema({"properties": {"a": {"$ref": ref}}}, "s")
