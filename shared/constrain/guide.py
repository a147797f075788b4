"""Schemas that llama.cpp's own grammars cannot say, for llguidance, which its builds may carry. Pure.

llama.cpp turns a JSON schema into a grammar that passes over bounds of a `number`, `multipleOf`, and lengths beside a
`pattern`. llguidance enforces these; xllamacpp has it, and so has a `llama-server` built with `LLAMA_LLGUIDANCE`.
Source: llama.cpp `docs/llguidance.md`; llguidance `docs/json_schema.md`.
"""

from collections.abc import Mapping
from typing import Any

import orjson

_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_LENGTHS = frozenset({"minLength", "maxLength"})


def needs_guide(schema: Any) -> bool:
    """Whether a rewritten schema, or one within it, says more than llama.cpp's own grammars can."""
    if isinstance(schema, list):
        return any(map(needs_guide, schema))
    if not isinstance(schema, Mapping):
        return False
    if "enum" in schema:  # its values are data
        return False
    return _says_more(schema) or any(needs_guide(each) for each in _inside(schema))


def guide(schema: Mapping[str, Any]) -> str:
    """The grammar for the engine's field of that name. Compact JSON: a small model finds no end of white space."""
    options = {"x-guidance": {"whitespace_flexible": False}}
    return "%llguidance {}\nstart: %json " + orjson.dumps({**schema, **options}).decode()


def _says_more(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    if kind == "number":
        return not _BOUNDS.isdisjoint(schema)
    if kind == "integer":
        return "multipleOf" in schema
    return kind == "string" and "pattern" in schema and not _LENGTHS.isdisjoint(schema)


def _inside(schema: Mapping[str, Any]) -> list[Any]:
    named = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return [
        *named,
        *(schema[key] for key in ("items", "prefixItems", "anyOf", "additionalProperties") if key in schema),
    ]
