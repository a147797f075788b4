"""Schemas that refer to themselves, unrolled to an end: a small model nests them for ever. Pure.

A reference from a definition back to itself goes a level deeper, and on the last level only what ends is left. The
values are fewer, all of them valid. Reads schemas as `rewrite` writes them.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from shared.constrain.merge import Conflict

Schema = dict[str, Any]

LEVELS = 16
"""How deep a schema is nested in itself at most."""

VALUES = 64
"""The same in breadth: about so many values on the deepest level, where each has several within it."""

_NEVER = math.inf


def unrolled(schema: Schema, definitions: Mapping[str, Schema]) -> tuple[Schema, dict[str, Schema]]:
    """The schema and the definitions that it refers to, none of which leads back to itself.

    Raises Conflict when a schema has no value that ends.
    """
    circular = _circular(definitions)
    if not circular:
        return schema, dict(definitions)
    return _Unroller(definitions, circular).unroll(schema)


class _Unroller:
    def __init__(self, definitions: Mapping[str, Schema], circular: set[str]) -> None:
        self._definitions = definitions
        self._circular = circular
        self._heights = _heights(definitions, circular)
        self._written: dict[str, Schema] = {}

    def unroll(self, schema: Schema) -> tuple[Schema, dict[str, Schema]]:
        breadth = max(_breadth(self._definitions[name], self._circular) for name in self._circular)
        levels = LEVELS if breadth < 2 else round(math.log(VALUES) / math.log(breadth))
        needed = max((self._heights[name] for name in self._circular), default=0)
        if needed == _NEVER:
            raise Conflict("no value of it comes to an end")
        cut = self._cut(schema, max(levels, int(needed) + 1))
        assert cut is not None
        return cut, self._written

    def _cut(self, schema: Any, levels: int) -> Any:
        """A schema with values that need at most so many levels; None when there are none."""
        if not isinstance(schema, dict) or not schema:
            return schema
        if "$ref" in schema:
            return self._reference(_name(schema), levels)
        if "anyOf" in schema:
            branches = [cut for each in schema["anyOf"] if (cut := self._cut(each, levels)) is not None]
            return {**schema, "anyOf": branches} if len(branches) > 1 else branches[0] if branches else None
        if schema.get("type") == "object":
            return self._object(schema, levels)
        if schema.get("type") == "array":
            return self._array(schema, levels)
        return schema

    def _reference(self, name: str, levels: int) -> Schema | None:
        inner = levels - 1 if name in self._circular else levels
        if inner < self._heights.get(name, 0):
            return None
        key = f"{name}_{inner}"
        if key not in self._written:
            self._written[key] = {}
            self._written[key] = self._cut(self._definitions[name], inner)
        return {"$ref": f"#/$defs/{key}"}

    def _object(self, schema: Schema, levels: int) -> Schema | None:
        required = schema.get("required", [])
        properties = {name: self._cut(each, levels) for name, each in schema.get("properties", {}).items()}
        if any(properties.get(name, {}) is None for name in required):
            return None
        kept = {name: each for name, each in properties.items() if each is not None}
        more = self._cut(schema.get("additionalProperties", True), levels)
        return {**schema, "properties": kept, "additionalProperties": False if more is None else more}

    def _array(self, schema: Schema, levels: int) -> Schema | None:
        if "prefixItems" in schema:
            listed = [self._cut(each, levels) for each in schema["prefixItems"]]
            return None if None in listed else {**schema, "prefixItems": listed}
        items = self._cut(schema.get("items", {}), levels)
        if items is not None:
            return {**schema, "items": items}
        return None if schema.get("minItems", 0) else {"type": "array", "items": {}, "minItems": 0, "maxItems": 0}


def _heights(definitions: Mapping[str, Schema], circular: set[str]) -> dict[str, float]:
    """Levels that the shallowest value of each definition needs."""
    heights = dict.fromkeys(definitions, _NEVER)
    changed = True
    while changed:
        changed = False
        for name, schema in definitions.items():
            height = _height(schema, lambda to: heights[to] + (to in circular))
            if height < heights[name]:
                heights[name], changed = height, True
    return heights


def _height(schema: Any, of: Callable[[str], float]) -> float:
    if not isinstance(schema, dict):
        return 0
    if "$ref" in schema:
        return of(_name(schema))
    if "anyOf" in schema:
        return min(_height(each, of) for each in schema["anyOf"])
    properties = schema.get("properties", {})
    inner = [_height(properties.get(name, {}), of) for name in schema.get("required", ())]
    inner += [_height(each, of) for each in schema.get("prefixItems", ())]
    if schema.get("minItems"):
        inner.append(_height(schema.get("items", {}), of))
    return max(inner, default=0)


def _breadth(schema: Any, circular: set[str]) -> int:
    """How many values that nest further one value may hold."""
    if not isinstance(schema, dict):
        return 0
    if "$ref" in schema:
        return int(_name(schema) in circular)
    if "anyOf" in schema:
        return max(_breadth(each, circular) for each in schema["anyOf"])
    inside = [*schema.get("properties", {}).values(), *schema.get("prefixItems", ())]
    # A list, or an object with names of its own, goes on for as long as the model likes.
    repeated = [schema.get("items"), schema.get("additionalProperties")]
    return sum(_breadth(each, circular) for each in inside) + 2 * sum(_breadth(each, circular) for each in repeated)


def _circular(definitions: Mapping[str, Schema]) -> set[str]:
    """Definitions that lead back to themselves."""
    direct = {name: _references(schema) for name, schema in definitions.items()}
    return {name for name in direct if name in _reached(name, direct)}


def _reached(name: str, direct: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [*direct[name]]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(direct[each])
    return found


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_references, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        return {_name(schema)}
    inside = [*schema.get("properties", {}).values(), *schema.get("prefixItems", ()), *schema.get("anyOf", ())]
    return _references([*inside, schema.get("items"), schema.get("additionalProperties")])


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
