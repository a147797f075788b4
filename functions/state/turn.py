"""The turn that a request adds to what went before: earlier items, found in one read, and its own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from functions.services import Services
from functions.state.lookup import reachable, unknown_conversation
from shared.errors import InvalidRequest, NotFound
from shared.limits import Tenant
from shared.responses.context import Placed, carried, placed, references, referred
from shared.responses.ids import job_id, origin
from shared.schema.body import missing
from shared.schema.responses import ResponseRequest
from shared.state.record import Items

_PREFIX: Final = {"message": "msg", "reasoning": "rs", "function_call": "fc", "function_call_output": "fc"}
"""What the id of an item begins with."""

_FIRST_INPUT: Final = 0x8000
"""Items of the input are numbered from here on in their ids, which tells them from those of the output."""


class Turn(NamedTuple):
    """`prior` and `own` items are plain, without references; `placed` are all of them, as errors name them."""

    prior: Items
    own: Items
    placed: list[Placed]


async def turn_of(services: Services, tenant: Tenant, asked: ResponseRequest) -> Turn:
    """Raises InvalidRequest, NotFound or ServiceUnavailable."""
    field = _field(asked)
    with reachable():
        prior = [] if field is None else await _prior(services, tenant, asked)
        own = await resolved(services, tenant, prior, placed(asked.items))
    if not own and not prior:
        raise missing("input")
    return Turn(prior, [dict(each.item) for each in own], [*carried(prior, field or ""), *own])


def with_ids(items: Sequence[Mapping[str, Any]], owner_id: str) -> Items:
    """Items as they are kept: each with an id, and a status. `owner_id` is of the response that they belong to."""
    return [
        {
            "id": f"{_PREFIX[item['type']]}_{job_id(owner_id)}{_FIRST_INPUT + i:04x}",
            "status": "completed",
            **item,
        }
        for i, item in enumerate(items)
    ]


def _field(asked: ResponseRequest) -> str | None:
    """The field that brings the earlier items."""
    if asked.background and asked.store is False:
        raise InvalidRequest("'background' needs a response that is stored: leave out 'store'.", param="background")
    if asked.previous_response_id is not None and asked.conversation is not None:
        raise InvalidRequest(
            "Only one of 'previous_response_id' and 'conversation' can be given.", param="previous_response_id"
        )
    if asked.previous_response_id is not None:
        return "previous_response_id"
    return "conversation" if asked.conversation is not None else None


async def _prior(services: Services, tenant: Tenant, asked: ResponseRequest) -> Items:
    if (id := asked.previous_response_id) is not None:
        record = await services.responses.get(tenant.owner, id)
        if record is None:
            raise NotFound(
                f"Previous response with id '{id[:64]}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        if record.response is None:
            raise InvalidRequest(f"Previous response with id '{id}' is not complete yet.", param="previous_response_id")
        return record.context
    conversation = asked.conversation_id or ""
    items = await services.conversations.items(tenant.owner, conversation)
    if items is None:
        raise unknown_conversation(conversation, "conversation")
    return items


async def resolved(services: Services, tenant: Tenant, prior: Items, own: list[Placed]) -> list[Placed]:
    """The request's items, with those that it refers to. Raises InvalidRequest for one that is there already."""
    there = {item["id"] for item in prior}
    for item, at in own:
        if item.get("id") in there:
            raise InvalidRequest(
                f"Duplicate item found with id {item['id']}. Remove duplicate items from your input and try again.",
                param=at,
            )
        there |= {item["id"]} if "id" in item else set()
    found: dict[str, dict[str, Any]] = {}
    for response_id in {source.response_id for id in references(own) if (source := origin(id))}:
        record = await services.responses.get(tenant.owner, response_id)
        for item in () if record is None else [*record.input, *(record.response or {}).get("output", ())]:
            found[item["id"]] = item
    return referred(own, found)
