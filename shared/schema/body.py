"""Reading a request body: JSON, an object, known fields only, and errors that name the field.

Every field of the OpenAI schema is in one of three groups: built (checked by a model), not built (refused unless its
value asks for nothing) or unknown (refused). Nothing is dropped in silence.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import InvalidRequest, UnsupportedParameter

AsksNothing: TypeAlias = Callable[[Any], bool]
"""Whether a value of a field that is not built means the same as its absence."""

Schema = TypeVar("Schema", bound=BaseModel)


class Body(BaseModel):
    """Base of request models: no coercion ("5" is not a number), no unknown fields, null means absent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def parse_json(raw: bytes) -> dict[str, Any]:
    """The body as an object. Raises InvalidRequest when it is none."""
    if not raw.strip():
        raise InvalidRequest("the request body is empty; a JSON object is expected", code="invalid_json")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the request body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(body, dict):
        raise InvalidRequest(f"the request body is {json_type(body)}; a JSON object is expected")
    return body


def validate(model: type[Schema], body: Mapping[str, Any], not_built: Mapping[str, AsksNothing]) -> Schema:
    """Check a body against `model`. Raises InvalidRequest or UnsupportedParameter with `param`."""
    known: dict[str, Any] = {}
    for name, value in body.items():
        if value is None:
            continue
        if name in model.model_fields:
            known[name] = value
        elif name not in not_built:
            raise unknown(name)
        elif not not_built[name](value):
            raise UnsupportedParameter(f"Unsupported parameter: '{name}' is not supported with this value.", param=name)
    try:
        return model.model_validate(known)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    param = param_of(first["loc"])
    if first["type"] == "missing":
        return missing(param)
    if first["type"] == "extra_forbidden":
        return unknown(param)
    reason = first["msg"].removeprefix("Value error, ")
    return wrong(param, f"{reason[:1].lower()}{reason[1:]}")


def wrong(param: str, reason: str) -> InvalidRequest:
    """A value that cannot be."""
    return InvalidRequest(f"Invalid value for '{param}': {reason}.", param=param)


def missing(param: str) -> InvalidRequest:
    """A field that must be there."""
    return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def unknown(param: str) -> InvalidRequest:
    """A field that nobody knows."""
    return InvalidRequest(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def object_at(value: Any, param: str, known: Collection[str]) -> dict[str, Any]:
    """An object inside a body, of known fields, without its nulls. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise wrong(param, f"expected an object, not {json_type(value)}")
    present = {name: each for name, each in value.items() if each is not None}
    for name in present:
        if name not in known:
            raise unknown(f"{param}.{name}")
    return present


def string_at(value: Any, param: str) -> str:
    """A string that is not empty; None is a missing one. Raises InvalidRequest."""
    if value is None:
        raise missing(param)
    if not isinstance(value, str):
        raise wrong(param, f"expected a string, not {json_type(value)}")
    if not value:
        raise wrong(param, "an empty string")
    return value


def param_of(location: tuple[int | str, ...]) -> str:
    """`("messages", 0, "content")` → `messages[0].content`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def json_type(value: Any) -> str:
    """A value's JSON type with its article, for messages."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def nothing(*values: Any) -> AsksNothing:
    """True for the listed values, compared with their type: `1` is not `true`."""
    return lambda value: any(type(value) is type(each) and value == each for each in values)
