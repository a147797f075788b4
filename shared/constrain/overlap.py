"""Whether alternatives of a `oneOf` exclude each other, so that it says the same as `anyOf`. Pure."""

from itertools import combinations
from typing import Any

from shared.constrain.merge import types_of


def exclusive(branches: list[dict[str, Any]]) -> bool:
    """True only when no value can be valid for two of them."""
    return all(_apart(one, other) for one, other in combinations(branches, 2))


def _apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
    one, other = _plain(one), _plain(other)
    kinds, others = types_of(one), types_of(other)
    if kinds and others and kinds.isdisjoint(others):
        return True
    if "enum" in one and "enum" in other:
        return not any(value in other["enum"] for value in one["enum"])
    if list(kinds) != ["object"] or list(others) != ["object"]:
        return False
    return _objects_apart(one, other) or _excludes(one, other) or _excludes(other, one)


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """With `const` as `enum`, and integers as the numbers that they are."""
    plain = {**schema, "enum": [schema["const"]]} if "const" in schema else schema
    kinds = types_of(plain)
    return {**plain, "type": [*kinds, "number"]} if "integer" in kinds and "number" not in kinds else plain


def _objects_apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """A property that both require, with values apart: a discriminator."""
    mine, theirs = one.get("properties", {}), other.get("properties", {})
    shared = set(one.get("required", ())) & set(other.get("required", ())) & mine.keys() & theirs.keys()
    return any(isinstance(mine[n], dict) and isinstance(theirs[n], dict) and _apart(mine[n], theirs[n]) for n in shared)


def _excludes(closed: dict[str, Any], other: dict[str, Any]) -> bool:
    """One allows no further properties, the other requires one."""
    allowed = closed.get("properties", {})
    return closed.get("additionalProperties") is False and any(
        name not in allowed for name in other.get("required", ())
    )
