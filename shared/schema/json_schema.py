"""JSON schemas in a request: what the engine could not make a grammar of is refused before anything is queued.

The keywords of JSON Schema 2020-12 and draft 7 are checked for their form. Keywords that are not known here stay.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, wrong

MAX_DEPTH = 64
"""Levels of JSON. OpenAI takes ten levels of objects, which are two or three levels of JSON each."""

MAX_SIZE = 131_072
"""Bytes of compact JSON: OpenAI's bound on all strings of a schema is 120,000 characters."""

_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
_MAPS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_LISTS = {"anyOf", "oneOf", "allOf", "prefixItems"}
_SINGLE = {"items", "additionalProperties", "additionalItems", "not", "contains", "propertyNames", "if", "then", "else"}
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_INLINE = ("anyOf", "oneOf", "allOf")
"""Keywords whose schemas stand in the place of the schema they are in."""


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _are_values(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _are_types(value: Any) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return bool(kinds) and all(isinstance(kind, str) and kind in _TYPES for kind in kinds)


_KEYWORDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_are_types, f"one or some of {', '.join(sorted(_TYPES))}"),
    "enum": (_are_values, "an array that is not empty"),
    "required": (_are_strings, "an array of strings"),
    **dict.fromkeys(_COUNTS, (_is_count, "a whole number, at least 0")),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (_is_number, "a number")
    ),
    **dict.fromkeys(("pattern", "format", "$ref"), (_is_string, "a string")),
}
"""Keywords with a plain value: what fits, and how it is called."""


def check_schema(schema: Any, param: str) -> dict[str, Any]:
    """The schema as it is. Raises InvalidRequest, or UnsupportedParameter for a `$ref` that leaves the schema."""
    if not isinstance(schema, dict):
        raise wrong(param, f"expected a JSON schema as an object, not {json_type(schema)}")
    _check_depth(schema, param)
    if (size := len(orjson.dumps(schema))) > MAX_SIZE:
        raise wrong(param, f"the schema is {size} bytes long; at most {MAX_SIZE} are allowed")
    if _endless(_references(schema, param)):
        raise InvalidRequest(f"Invalid value for '{param}': a '$ref' leads back to itself.", param=param)
    return schema


def _check_depth(value: Any, param: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise wrong(param, f"the schema is nested more than {MAX_DEPTH} levels deep")


def _references(root: dict[str, Any], param: str) -> dict[int, list[int]]:
    """Every schema that is reached, checked; by its id the ids of the schemas that stand in its place."""
    standing: dict[int, list[int]] = {}
    waiting: list[tuple[Any, str]] = [(root, param)]
    while waiting:
        schema, at = waiting.pop()
        if isinstance(schema, bool) or id(schema) in standing:
            continue
        if not isinstance(schema, dict):
            raise wrong(at, f"expected a schema, not {json_type(schema)}")
        for name, value in schema.items():
            _check_keyword(name, value, f"{at}.{name}")
            waiting.extend(_inside(name, value, f"{at}.{name}"))
        instead = [each for name in _INLINE for each in schema.get(name, [])]
        if "$ref" in schema:
            instead.append(_resolve(root, schema["$ref"], f"{at}.$ref"))
            waiting.append((instead[-1], at))
        standing[id(schema)] = [id(each) for each in instead if isinstance(each, dict)]
    return standing


def _inside(name: str, value: Any, at: str) -> list[tuple[Any, str]]:
    """The schemas in a keyword's value. Values that are data, like `enum`, hold none."""
    if name in _MAPS:
        if not isinstance(value, dict):
            raise wrong(at, f"expected an object, not {json_type(value)}")
        return [(each, f"{at}.{key}") for key, each in value.items()]
    if name in _LISTS or (name == "items" and isinstance(value, list)):  # a tuple, as draft 7 writes it
        if not isinstance(value, list) or not value:
            raise wrong(at, "expected an array of schemas that is not empty")
        return [(each, f"{at}[{i}]") for i, each in enumerate(value)]
    return [(value, at)] if name in _SINGLE else []


def _check_keyword(name: str, value: Any, at: str) -> None:
    if name in _KEYWORDS:
        fits, words = _KEYWORDS[name]
        if not fits(value):
            raise wrong(at, f"expected {words}")


def _resolve(root: dict[str, Any], ref: str, at: str) -> Any:
    """What a reference points at, by JSON pointer (RFC 6901) in a fragment."""
    if not ref.startswith("#"):
        raise UnsupportedParameter(f"'{at}' leaves the schema; only '#/…' is followed", param=at)
    found: Any = root
    for part in unquote(ref[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and len(key) < 7 and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            raise wrong(at, "it points at nothing in this schema")
    if (ref != "#" and not ref.startswith("#/")) or not isinstance(found, (dict, bool)):
        raise wrong(at, "it points at no schema")
    return found


def _endless(standing: dict[int, list[int]]) -> bool:
    """Whether a schema stands for itself, without an object or an array between: no text of it would end."""
    reached = dict.fromkeys(standing, 0)
    for targets in standing.values():
        for target in targets:
            reached[target] += 1
    free = [each for each, count in reached.items() if not count]
    for each in free:  # grows while it is read
        for target in standing[each]:
            reached[target] -= 1
            if not reached[target]:
                free.append(target)
    return len(free) < len(standing)
