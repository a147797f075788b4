"""Schemas as the engine enforces them: rewritten to the same values or fewer, or refused with their place."""

import re
from typing import Any

import jsonschema
import orjson
import pytest

from shared.constrain.guide import guide, needs_guide
from shared.constrain.pattern import Unsupported, canonical
from shared.constrain.rewrite import Constraint
from shared.errors import InvalidRequest
from tests.e2e.schemas import SCHEMAS
from worker.runtime.fake_schema import smallest


def rewritten(schema: Any, *, loose: bool = False) -> dict[str, Any]:
    constraint = Constraint()
    return constraint.document(constraint.add(schema, "response_format", loose=loose))


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name != "patterns"])
def test_the_smallest_value_is_valid_in_the_callers_schema(name: str) -> None:
    written = rewritten(SCHEMAS[name])
    value = smallest(written, written)
    jsonschema.validate(value, SCHEMAS[name])
    jsonschema.validate(value, written)


@pytest.mark.parametrize(
    ("schema", "same_as"),
    [
        ({"type": "object"}, {"type": "object", "properties": {}, "required": [], "additionalProperties": True}),
        ({"properties": {"a": True}}, {**closed(a={}), "required": []}),
        ({"allOf": [{"type": "string"}]}, {"type": "string", "minLength": 0}),
        ({"type": ["integer", "null"], "minimum": 2}, {"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]}),
        ({"type": "integer", "enum": [1, "a", 2.0]}, {"enum": [1, 2.0]}),
        ({"const": {"a": 1}}, {"enum": [{"a": 1}]}),
        ({"type": "integer", "exclusiveMinimum": 1, "minimum": 1.5}, {"type": "integer", "minimum": 2}),
        ({"type": "array", "items": False}, {"type": "array", "items": {}, "minItems": 0, "maxItems": 0}),
        ({"type": "string", "pattern": "^\\d$"}, {"type": "string", "pattern": "^([0-9])$"}),
        ({"anyOf": [{"type": "null"}, {"minimum": 3}], "type": ["null", "integer"]}, None),
    ],
)
def test_rewriting(schema: dict[str, Any], same_as: dict[str, Any] | None) -> None:
    assert same_as is None or rewritten(schema) == same_as


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def deepest(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """The value that nests whenever it may, as a small model's does."""
    if "$ref" in schema:
        return deepest(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return max((deepest(each, definitions) for each in schema["anyOf"]), key=depth)
    if schema.get("type") == "object":
        return {name: deepest(each, definitions) for name, each in schema["properties"].items()}
    if schema.get("type") == "array" and schema.get("maxItems") != 0:
        return [deepest(schema["items"], definitions)]
    return smallest(schema, schema)


@pytest.mark.parametrize(
    ("schema", "levels"),
    [
        (closed(next={"anyOf": [{"$ref": "#"}, {"type": "null"}]}), 17),
        ({**closed(value=True), "properties": {"value": {"type": "null"}, "left": {"$ref": "#"}}}, 17),
        (SCHEMAS["recursive"], 6),
        ({"$defs": {"t": closed(sub={"type": "array", "items": {"$ref": "#/$defs/t"}})}, "$ref": "#/$defs/t"}, 12),
    ],
)
def test_a_schema_that_leads_back_to_itself_comes_to_an_end(schema: dict[str, Any], levels: int) -> None:
    written = rewritten(schema)
    value = deepest(written, written["$defs"])
    jsonschema.validate(value, schema)
    assert depth(value) == levels
    jsonschema.validate(smallest(written, written), schema)
    assert len(written["$defs"]) < 40


def test_a_schema_without_an_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no value of it comes to an end"):
        rewritten(closed(next={"$ref": "#"}))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        {"type": "integer", "multipleOf": 5},
        {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
        closed(a={"type": "array", "items": {"anyOf": [{"type": "number", "minimum": 1}, {"type": "null"}]}}),
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "number", "multipleOf": 0.01}}},
    ],
)
def test_what_only_llguidance_enforces_is_told_from_the_rest(schema: dict[str, Any]) -> None:
    written = rewritten(schema)
    assert needs_guide(written)
    head, _, document = guide(written).partition("%json ")
    assert head == "%llguidance {}\nstart: "
    assert orjson.loads(document) == {**written, "x-guidance": {"whitespace_flexible": False}}


def test_plain_schemas_need_no_guide() -> None:
    assert not any(needs_guide(rewritten(schema)) for schema in SCHEMAS.values())
    assert not needs_guide(rewritten({"enum": [{"type": "number", "minimum": 1}]}))
    assert not needs_guide(rewritten({"type": "integer", "minimum": 1, "multipleOf": 1}))


def test_schemas_of_one_request_share_their_definitions() -> None:
    constraint = Constraint()
    one = constraint.add({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, "tools[0]")
    other = constraint.add({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, "tools[1]")
    definitions = constraint.document({"anyOf": [one, other]})["$defs"]
    assert [definitions[each["$ref"][8:]]["type"] for each in (one, other)] == ["string", "integer"]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (False, "#: no value is valid"),
        ({"type": "bogus"}, "#: unknown type 'bogus'"),
        ({"type": "number", "minimum": 2, "exclusiveMaximum": 2}, "the minimum is above the maximum"),
        (closed(a={"type": "number", "multipleOf": 0.00001}), "#/properties/a: 'multipleOf' must be above 0"),
        (closed(a={"not": {}}), "#/properties/a: 'not' cannot be enforced"),
        (closed(a={"$ref": "#/$defs/none"}), "leads nowhere"),
        (closed(a={"$ref": "https://example.com/a"}), "must point into the same schema"),
        ({"type": "array", "uniqueItems": True}, "'uniqueItems' cannot be enforced"),
        ({"type": "array", "minItems": 2, "maxItems": 1}, "'minItems' is above 'maxItems'"),
        ({"type": "string", "format": "bogus"}, "'format' 'bogus' cannot be enforced"),
        ({"type": "string", "pattern": "(?=a)b"}, "'pattern' uses assert"),
        ({"type": "string", "format": "date", "maxLength": 3}, "'format' together with 'maxLength'"),
        ({"type": "string", "pattern": "a", "format": "email"}, "'pattern' together with 'format'"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "the minimum is above the maximum"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "alternatives of 'oneOf' may overlap"),
        ({"allOf": [closed(a=True), closed(b=True)]}, "'additionalProperties' excludes properties"),
        ({"type": "string", "allOf": [{"type": "integer"}]}, "the types exclude each other"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "'a' is required and not allowed"),
        ({"enum": []}, "no value is valid"),
        ({"anyOf": []}, "must be an array of schemas"),
    ],
)
def test_what_cannot_be_enforced_is_refused_with_its_place(schema: Any, why: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(why)) as caught:
        rewritten(schema)
    assert caught.value.param == "response_format"


@pytest.mark.parametrize(
    "branches",
    [
        [{"type": "string"}, {"type": "integer"}],
        [{"const": 1}, {"const": 2}],
        [closed(kind={"const": "a"}), closed(kind={"const": "b"})],
        [closed(a=True), closed(b=True)],
    ],
)
def test_alternatives_that_exclude_each_other(branches: list[Any]) -> None:
    assert len(rewritten({"oneOf": branches})["anyOf"]) == 2


def test_a_loose_schema_loses_what_cannot_be_enforced() -> None:
    schema = closed(a={"type": "number", "multipleOf": -1}, b={"type": "array", "uniqueItems": True}, c={"not": {}})
    properties = rewritten(schema, loose=True)["properties"]
    assert properties["a"] == {"type": "number"}
    assert properties["b"]["type"] == "array"
    assert properties["c"] == {}


@pytest.mark.parametrize(
    ("pattern", "takes", "leaves"),
    [
        ("^a.c$", "abc", "ac"),
        ("b", "abc", "ac"),
        ("^ab$|^cd$", "cd", "abcd"),
        ("^\\d{2,}-[\\w.]+$", "12-a.b", "1-a"),
        ("^[^@]+@\\S$", "a@b", "@b"),
        ("^(?:a|b)?c*$", "acc", "abc"),
    ],
)
def test_patterns(pattern: str, takes: str, leaves: str) -> None:
    written = canonical(pattern)
    for text in (takes, leaves):
        assert bool(re.search(written, text)) == bool(re.search(pattern, text)) == (text == takes)
    assert not re.search(canonical("^.*$"), 'a"b')


@pytest.mark.parametrize("pattern", ["(a)\\1", "^(?i)a$", '"', "\\n", "[", "(?i:a)", "a\\bb", "[\\D]{2}[\\W1]"])
def test_patterns_that_no_grammar_says(pattern: str) -> None:
    with pytest.raises(Unsupported):
        canonical(pattern)
