"""`response_format`: text, JSON, or JSON of a schema."""

from typing import Any

from shared.schema.body import missing, object_at, string_at, wrong
from shared.schema.json_schema import check_schema
from shared.schema.tools import NAME

_TYPES = ("text", "json_object", "json_schema")


def response_format_of(value: Any, param: str = "response_format") -> dict[str, Any] | None:
    """`{"type": "json_object"}`, `{"type": "json_schema", "json_schema": {"name", "schema", "strict"?, …}}`, or None
    for text. The type may be written in capitals and with white space around, as Ollama takes it.

    Raises InvalidRequest with `param` like `response_format.json_schema.schema`.
    """
    fields = object_at(value, param, ("type", "json_schema"))
    kind = string_at(fields.get("type"), f"{param}.type").strip().lower()
    if kind not in _TYPES:
        raise wrong(f"{param}.type", f"expected one of {', '.join(_TYPES)}")
    if kind != "json_schema":
        if "json_schema" in fields:
            raise wrong(f"{param}.json_schema", f"it does not belong to the type '{kind}'")
        return None if kind == "text" else {"type": kind}
    if "json_schema" not in fields:
        raise missing(f"{param}.json_schema")
    return {"type": kind, "json_schema": _named(fields["json_schema"], f"{param}.json_schema")}


def _named(value: Any, param: str) -> dict[str, Any]:
    named = object_at(value, param, ("name", "description", "schema", "strict"))
    name = string_at(named.get("name"), f"{param}.name")
    if not NAME.fullmatch(name):
        raise wrong(f"{param}.name", "expected 1 to 64 letters, digits, underscores and dashes")
    if "schema" not in named:
        raise missing(f"{param}.schema")
    check_schema(named["schema"], f"{param}.schema")
    if not isinstance(named.get("description", ""), str):
        raise wrong(f"{param}.description", "expected a string")
    if not isinstance(named.get("strict", False), bool):
        raise wrong(f"{param}.strict", "expected a boolean")
    return named
