"""One type of a JSON schema at a time, in the form that llama.cpp enforces. Pure; see `constrain`."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from shared.constrain.pattern import Unsupported, canonical

Inner: TypeAlias = Callable[[Any, str], dict[str, Any]]
"""Rewrites a schema inside this one, whose place is the second argument's steps away."""

APPLIES: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""Keywords by the type that they constrain."""

_OF_THE_ENGINE = {"date", "time", "date-time", "uuid"}

_BYTE = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_HOST = r"([a-z0-9][a-z0-9\-]{0,15}[a-z0-9]\.){1,3}[a-z]{2,6}"
_FORMATS = {
    "email": rf"^[a-z0-9_]{{1,16}}([.+\-][a-z0-9_]{{1,16}}){{0,2}}@{_HOST}$",
    "hostname": rf"^{_HOST}$",
    "ipv4": rf"^{_BYTE}(\.{_BYTE}){{3}}$",
    "ipv6": r"^[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}$",
    "uri": rf"^https?://{_HOST}(/[A-Za-z0-9._~\-]{{1,24}}){{0,4}}/?$",
    "duration": r"^P(\d{1,3}[WD]|T(\d{1,2}H)(\d{1,2}M(\d{1,2}S)?)?|T\d{1,3}[MS])$",
}
"""Formats as patterns: not all values of a format, but values of it, and short: a small model finds no end."""

_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")

_STEPS = 1000
_DIGITS = 3
"""The largest step of a `multipleOf`, and its decimals."""

_INTEGERS = 10**15
"""llama.cpp writes integers of at most 16 digits."""


class Refused(ValueError):
    """Why a schema cannot be enforced."""


def _object(asked: dict[str, Any], inner: Inner, loose: bool) -> dict[str, Any]:
    properties, required = asked.get("properties", {}), asked.get("required", [])
    if not isinstance(properties, dict) or not _are_strings(required):
        raise Refused("'properties' must be an object and 'required' an array of strings")
    more = asked.get("additionalProperties", True)
    missing = [name for name in required if name not in properties]
    if missing and more is False:
        raise Refused(f"'{missing[0]}' is required and not allowed")
    properties = {**properties, **dict.fromkeys(missing, more)}
    closed = more is False or ("additionalProperties" not in asked and bool(properties))
    if not loose:
        _check_count(asked, len(required), len(properties), closed)
    written: dict[str, Any] = {
        name: inner(each, f"properties/{name}")
        for name, each in properties.items()
        if each is not False or name in required
    }
    return {
        "type": "object",
        "properties": written,
        "required": [name for name in written if name in required],
        "additionalProperties": False if closed else inner(more, "additionalProperties") or True,
    }


def _check_count(asked: dict[str, Any], least: int, most: int, closed: bool) -> None:
    if asked.get("minProperties", 0) > least:
        raise Refused("'minProperties' beyond the required ones cannot be enforced")
    if asked.get("maxProperties", math.inf) < (most if closed else math.inf):
        raise Refused("'maxProperties' below the listed ones cannot be enforced")


def _array(asked: dict[str, Any], inner: Inner, loose: bool) -> dict[str, Any]:
    low, high = _count(asked, "minItems", 0), _count(asked, "maxItems", None)
    if asked.get("uniqueItems") and not loose and (high is None or high > 1):
        raise Refused("'uniqueItems' cannot be enforced")
    items = asked.get("items", True)
    listed = asked["prefixItems"] if "prefixItems" in asked else items if isinstance(items, list) else None
    if listed is not None:
        # Exactly the listed ones: the caller's schema takes them, unless it wants fewer or more.
        listed = listed[:high] if isinstance(listed, list) else None
        if not listed or low > len(listed):
            raise Refused("'prefixItems' must be an array of at least 'minItems' schemas")
        return {"type": "array", "prefixItems": [inner(each, f"prefixItems/{i}") for i, each in enumerate(listed)]}
    if items is False:
        high = 0
    if high is not None and low > high:
        raise Refused("no value is valid: 'minItems' is above 'maxItems'")
    written = {"type": "array", "items": inner(items, "items") if items is not False else {}, "minItems": low}
    return written if high is None else {**written, "maxItems": high}


def _string(asked: dict[str, Any], inner: Inner, loose: bool) -> dict[str, Any]:
    low, high = _count(asked, "minLength", 0), _count(asked, "maxLength", None)
    if high is not None and low > high:
        raise Refused("no value is valid: 'minLength' is above 'maxLength'")
    pattern = asked.get("pattern", _FORMATS.get(str(asked.get("format"))))
    if not loose:
        _check_string(asked)
    if pattern is not None:
        lengths = {**({"minLength": low} if low else {}), **({} if high is None else {"maxLength": high})}
        try:
            return {"type": "string", "pattern": canonical(pattern), **lengths}
        except (Unsupported, TypeError) as error:
            if not loose:
                raise Refused(f"'pattern' {error}") from None
    if asked.get("format") in _OF_THE_ENGINE:
        return {"type": "string", "format": asked["format"]}
    return {"type": "string", "minLength": low, **({} if high is None else {"maxLength": high})}


def _check_string(asked: dict[str, Any]) -> None:
    if "format" in asked and asked["format"] not in _OF_THE_ENGINE | _FORMATS.keys():
        known = ", ".join(sorted(_OF_THE_ENGINE | _FORMATS.keys()))
        raise Refused(f"'format' {asked['format']!r} cannot be enforced; known are {known}")
    lengths = [key for key in ("pattern", "minLength", "maxLength") if key in asked]
    if asked.get("format") in _OF_THE_ENGINE and lengths:
        raise Refused(f"'format' together with '{lengths[0]}' cannot be enforced")
    if "format" in asked and "pattern" in asked:
        raise Refused("'pattern' together with 'format' cannot be enforced")


def _integer(asked: dict[str, Any], inner: Inner, loose: bool) -> dict[str, Any]:
    lows = [math.ceil(asked["minimum"])] if "minimum" in asked else []
    lows += [math.floor(asked["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in asked else []
    highs = [math.floor(asked["maximum"])] if "maximum" in asked else []
    highs += [math.ceil(asked["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in asked else []
    written: dict[str, Any] = {"type": "integer", **(_multiple(asked, loose) if asked.get("multipleOf") != 1 else {})}
    if lows:
        written["minimum"] = max(lows)
    if highs:
        written["maximum"] = min(highs)
    if lows and highs and max(lows) > min(highs):
        raise Refused("no value is valid: the minimum is above the maximum")
    if any(abs(bound) > _INTEGERS for bound in (*lows, *highs)):
        raise Refused("bounds of more than 15 digits cannot be enforced")
    return written


def _number(asked: dict[str, Any], inner: Inner, loose: bool) -> dict[str, Any]:
    low = max(asked.get("minimum", -math.inf), asked.get("exclusiveMinimum", -math.inf))
    high = min(asked.get("maximum", math.inf), asked.get("exclusiveMaximum", math.inf))
    if low > high or (low == high and low in (asked.get("exclusiveMinimum"), asked.get("exclusiveMaximum"))):
        raise Refused("no value is valid: the minimum is above the maximum")
    return {"type": "number", **{key: asked[key] for key in _BOUNDS if key in asked}, **_multiple(asked, loose)}


def _multiple(asked: dict[str, Any], loose: bool) -> dict[str, Any]:
    """A step as llguidance takes it: it builds an automaton with a state for each remainder."""
    step = asked.get("multipleOf", 1)
    if "multipleOf" not in asked:
        return {}
    if not 0 < step < math.inf or step > _STEPS or (step != int(step) and round(step, _DIGITS) != step):
        if loose:
            return {}
        raise Refused(f"'multipleOf' must be above 0 and at most {_STEPS}, with {_DIGITS} decimals at most")
    return {"multipleOf": step}


def _count(asked: dict[str, Any], key: str, default: Any) -> Any:
    value = asked.get(key, default)
    if value is not default and (not isinstance(value, int | float) or value < 0 or value != int(value)):
        raise Refused(f"'{key}' must be a whole number, zero or more")
    return value if value is default else int(value)


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _plain(kind: str) -> Callable[[dict[str, Any], Inner, bool], dict[str, Any]]:
    return lambda asked, inner, loose: {"type": kind}


WRITERS: dict[str, Callable[[dict[str, Any], Inner, bool], dict[str, Any]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _plain("boolean"),
    "null": _plain("null"),
}
