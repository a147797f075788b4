"""Query parameters: known ones only, checked, and errors that name them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request

from shared.errors import InvalidRequest
from shared.schema.body import unknown, wrong
from shared.schema.response_options import INCLUDABLE

_LIMIT_MAX: Final = 100


def _parameter(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


_INCLUDED: Final = _parameter("include", type="array", items={"type": "string", "enum": sorted(INCLUDABLE)})

STREAM: Final = {
    "parameters": [
        _INCLUDED,
        _parameter("stream", type="boolean"),
        _parameter("starting_after", type="integer", minimum=0),
        _parameter("include_obfuscation", type="boolean", enum=[False]),
    ]
}
"""`openapi_extra` of a route that gives a response or its stream."""

PAGING: Final = {
    "parameters": [
        _INCLUDED,
        _parameter("after", type="string"),
        _parameter("limit", type="integer", minimum=1, maximum=_LIMIT_MAX, default=20),
        _parameter("order", type="string", enum=["asc", "desc"], default="desc"),
    ]
}
"""`openapi_extra` of a route that gives a list."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is asked for."""

    after: str
    limit: int
    order: str


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The query, without `include`, which is checked here: what a response was made with is always there, and of the
    rest we have none. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in ("include", "include[]"):
            if value not in INCLUDABLE:
                raise wrong("include", "expected a value that OpenAI's API can include")
        elif name not in known:
            raise unknown(name)
        elif name in found:
            raise InvalidRequest(f"The parameter '{name}' is given twice.", param=name)
        else:
            found[name] = value
    return found


def paging(request: Request) -> Paging:
    """`after`, `limit` (1 to 100, 20 by default) and `order` (`desc` by default). Raises InvalidRequest."""
    query = parameters(request, ("after", "limit", "order"))
    limit, order = integer(query.get("limit", "20"), "limit"), query.get("order", "desc")
    if not 1 <= limit <= _LIMIT_MAX:
        raise wrong("limit", f"expected 1 to {_LIMIT_MAX}")
    if order not in ("asc", "desc"):
        raise wrong("order", "expected 'asc' or 'desc'")
    return Paging(query.get("after", ""), limit, order)


def integer(text: str, param: str) -> int:
    """A whole number that is not negative. Raises InvalidRequest."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise wrong(param, "expected a whole number that is not negative")
    return int(text)


def boolean(text: str, param: str) -> bool:
    """`true` or `false`. Raises InvalidRequest."""
    if text not in ("true", "false"):
        raise wrong(param, "expected 'true' or 'false'")
    return text == "true"


def page_of(items: list[dict[str, Any]], asked: Paging) -> dict[str, Any]:
    """The part of a list, oldest first, that is asked for. Raises InvalidRequest for an `after` that is not in it."""
    ordered = items if asked.order == "asc" else items[::-1]
    first = 0
    if asked.after:
        at = next((i for i, item in enumerate(ordered) if item["id"] == asked.after), None)
        if at is None:
            raise no_such_after()
        first = at + 1
    return listed(ordered[first : first + asked.limit], more=len(ordered) > first + asked.limit)


def listed(items: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A list object of OpenAI's; ids of an empty one are empty."""
    return {
        "object": "list",
        "data": items,
        "first_id": items[0]["id"] if items else "",
        "last_id": items[-1]["id"] if items else "",
        "has_more": more,
    }


def no_such_after() -> InvalidRequest:
    return wrong("after", "no item of this list has that id")
