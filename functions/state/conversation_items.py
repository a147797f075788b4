"""`/v1/conversations/{conversation_id}/items`: list, create, retrieve, delete."""

from typing import Any

from fastapi import APIRouter, Request

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of
from functions.services import Services
from functions.state.conversations import found
from functions.state.lookup import reachable, unknown_conversation, unknown_item
from functions.state.new_items import new_items
from functions.state.query import PAGING, listed, no_such_after, paging, parameters
from shared.errors import PunaError
from shared.schema import conversations
from shared.schema.body import parse_json
from shared.state.conversation import NO_ITEM, Page

router = APIRouter()


@router.get(
    "/v1/conversations/{conversation_id}/items", summary="List items", openapi_extra=PAGING, response_model=None
)
async def list_items(request: Request, conversation_id: str) -> dict[str, Any]:
    """A page of a conversation's items, the newest first unless asked otherwise."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    asked = paging(request)
    with reachable():
        page = await services.conversations.page(
            tenant.owner, conversation_id, after=asked.after, limit=asked.limit, order=asked.order
        )
    if not isinstance(page, Page):
        raise no_such_after() if page == NO_ITEM else unknown_conversation(conversation_id)
    return listed(page.items, more=page.more)


@router.post(
    "/v1/conversations/{conversation_id}/items",
    openapi_extra=body_of(conversations.CreateItems),
    summary="Create items",
    response_model=None,
)
async def create_items(request: Request, conversation_id: str) -> dict[str, Any]:
    """Add up to 20 items at the end of a conversation."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    asked = conversations.parse_items(parse_json(await read_body(request, services.settings.max_body)))
    with reachable():
        there = await services.conversations.items(tenant.owner, conversation_id)
        if there is None:
            raise unknown_conversation(conversation_id)
        items = await new_items(services, tenant, asked.parsed, there)
        if not await services.conversations.append(tenant.owner, conversation_id, items):
            raise unknown_conversation(conversation_id)
    return listed(items, more=False)


@router.get("/v1/conversations/{conversation_id}/items/{item_id}", summary="Retrieve an item", response_model=None)
async def retrieve_item(request: Request, conversation_id: str, item_id: str) -> dict[str, Any]:
    """One item of a conversation."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    with reachable():
        item = await services.conversations.item(tenant.owner, conversation_id, item_id)
    if isinstance(item, bytes):
        raise _missing(item, conversation_id, item_id)
    return item


@router.delete("/v1/conversations/{conversation_id}/items/{item_id}", summary="Delete an item", response_model=None)
async def delete_item(request: Request, conversation_id: str, item_id: str) -> dict[str, Any]:
    """Take an item out of a conversation; the conversation is the answer."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    with reachable():
        verdict = await services.conversations.remove(tenant.owner, conversation_id, item_id)
        if verdict != b"ok":
            raise _missing(verdict, conversation_id, item_id)
        return found(await services.conversations.get(tenant.owner, conversation_id), conversation_id)


def _missing(verdict: bytes, conversation_id: str, item_id: str) -> PunaError:
    return unknown_item(item_id) if verdict == NO_ITEM else unknown_conversation(conversation_id)
