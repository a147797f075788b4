"""The fake engine's answer to a constrained request: the smallest value of a schema, cut into tokens. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

PIECE = 4
"""Characters of a token."""

_SMALLEST: Mapping[str, Any] = {"boolean": False, "null": None, "string": ""}


def pieces_of(body: Mapping[str, Any]) -> list[str] | None:
    """The tokens of an answer that a request's `response_format` allows; None without one."""
    if grammar := body.get("grammar"):
        schema = orjson.loads(grammar.partition("%json ")[2])
        return _cut(orjson.dumps(smallest(schema, schema)).decode())
    format_ = body.get("response_format") or {}
    if format_.get("type") not in ("json_object", "json_schema"):
        return None
    schema = (format_.get("json_schema") or {}).get("schema") or {}
    return _cut(orjson.dumps(smallest(schema, schema)).decode())


def _cut(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def smallest(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """The first and smallest value of a schema as `constrain` writes them; patterns and formats are not looked at."""
    if "$ref" in schema:
        return smallest(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return smallest(schema["anyOf"][-1 if "$ref" in schema["anyOf"][0] else 0], root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "number":
        return max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1)
    if kind == "array":
        items = schema.get("prefixItems") or [schema.get("items") or {}] * schema.get("minItems", 0)
        return [smallest(item, root) for item in items]
    if kind == "integer":
        return schema.get("minimum", min(0, schema.get("maximum", 0)))
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: smallest(properties[name], root) for name in schema.get("required", ())}
    return _SMALLEST[kind]
