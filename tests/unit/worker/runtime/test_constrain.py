"""Schemas as the engine enforces them: rewritten to the same values or fewer, or refused with their place."""

import re
from typing import Any

import jsonschema
import pytest

from shared.errors import InvalidRequest
from tests.e2e.schemas import SCHEMAS
from worker.runtime.constrain import Constraint
from worker.runtime.constrain_pattern import Unsupported, canonical
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


def test_a_schema_may_refer_to_itself() -> None:
    schema = closed(next={"anyOf": [{"$ref": "#"}, {"type": "null"}]})
    written = rewritten(schema)
    inner = written["properties"]["next"]["anyOf"][0]["$ref"]
    assert written["$defs"][inner.removeprefix("#/$defs/")]["properties"]["next"]["anyOf"][0] == {"$ref": inner}


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
        (closed(a={"type": "number", "minimum": 1}), "#/properties/a: 'minimum' of a number cannot be enforced"),
        (closed(a={"not": {}}), "#/properties/a: 'not' cannot be enforced"),
        (closed(a={"$ref": "#/$defs/none"}), "leads nowhere"),
        (closed(a={"$ref": "https://example.com/a"}), "must point into the same schema"),
        ({"type": "array", "uniqueItems": True}, "'uniqueItems' cannot be enforced"),
        ({"type": "array", "minItems": 2, "maxItems": 1}, "'minItems' is above 'maxItems'"),
        ({"type": "string", "format": "bogus"}, "'format' 'bogus' cannot be enforced"),
        ({"type": "string", "pattern": "(?=a)b"}, "'pattern' uses assert"),
        ({"type": "string", "pattern": "a", "maxLength": 3}, "'pattern' together with 'maxLength'"),
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
    schema = closed(a={"type": "number", "minimum": 1}, b={"type": "array", "uniqueItems": True}, c={"not": {}})
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
