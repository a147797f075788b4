"""Two JSON schemas as one that both accept: for `allOf`, and for keywords beside `anyOf` and `$ref`. Pure."""

from typing import Any

_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")

_JSON_TYPES = {str: "string", bool: "boolean", type(None): "null", list: "array", dict: "object", float: "number"}


class Conflict(ValueError):
    """Two schemas that cannot be written as one."""


def types_of(schema: dict[str, Any]) -> "Types":
    """The types that a schema names, or those of its `enum`; none for any type."""
    if "type" in schema:
        kinds = schema["type"]
        return Types([kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else [str(kinds)])
    return Types(dict.fromkeys(kind for value in schema.get("enum", ()) for kind in _types_of_value(value)))


class Types(list[Any]):
    """An ordered set of type names, in which an integer is a number too."""

    def isdisjoint(self, others: "Types") -> bool:
        return not any(each in others for each in self)


def _types_of_value(value: Any) -> list[str]:
    if type(value) is int or (isinstance(value, float) and value.is_integer()):
        return ["integer", "number"]
    return [_JSON_TYPES[type(value)]]


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both at once. Raises Conflict where keywords of the two cannot be said in one schema."""
    merged = {**one, **other}
    for key in one.keys() & other.keys():
        if one[key] != other[key]:
            merged[key] = _both(key, one[key], other[key])
    _check_closed(one, other)
    _check_closed(other, one)
    return merged


def _both(key: str, one: Any, other: Any) -> Any:
    try:
        if key == "properties":
            return {**one, **other, **{name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()}}
        if key == "required":
            return list(dict.fromkeys([*one, *other]))
        if key == "enum":
            return [value for value in one if value in other]
        if key == "type":
            return _common_types(types_of({"type": one}), types_of({"type": other}))
        if key in _LARGER:
            return max(one, other)
        if key in _SMALLER:
            return min(one, other)
        if key in ("items", "additionalProperties"):
            return {"allOf": [one, other]}
        if key in ("title", "description", "default", "examples", "$defs", "definitions"):
            return other
    except (TypeError, AttributeError):
        pass
    raise Conflict(f"two different '{key}' for the same value cannot be enforced")


def _common_types(one: "Types", other: "Types") -> list[str]:
    narrow = [kind for kind in one if kind in other or (kind == "integer" and "number" in other)]
    narrow += [kind for kind in other if kind == "integer" and "number" in one and kind not in narrow]
    if not narrow:
        raise Conflict("no value is valid: the types exclude each other")
    return narrow


def _check_closed(closed: dict[str, Any], other: dict[str, Any]) -> None:
    """`additionalProperties` sees only the properties beside it, which one schema cannot say."""
    if closed.get("additionalProperties", True) is True:
        return
    if set(other.get("properties", {})) - set(closed.get("properties", {})):
        raise Conflict("'additionalProperties' excludes properties that another part of the schema lists")
