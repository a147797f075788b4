"""`/v1/conversations`: create, retrieve, update, delete."""

from typing import Any

from fastapi import APIRouter, Request

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of
from functions.services import Services
from functions.state.lookup import reachable, unknown_conversation
from functions.state.new_items import new_items
from functions.state.query import parameters
from shared.schema import conversations
from shared.schema.body import parse_json
from shared.state.conversation import Conversation

router = APIRouter()


@router.post(
    "/v1/conversations",
    openapi_extra=body_of(conversations.CreateConversation),
    summary="Create a conversation",
    response_model=None,
)
async def create(request: Request) -> dict[str, Any]:
    """A new conversation, with up to 20 items in it."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    raw = await read_body(request, services.settings.max_body)
    asked = conversations.parse_create(parse_json(raw) if raw.strip() else {})
    items = await new_items(services, tenant, asked.parsed)
    with reachable():
        return as_object(await services.conversations.create(tenant.owner, asked.metadata or {}, items))


@router.get("/v1/conversations/{conversation_id}", summary="Retrieve a conversation", response_model=None)
async def retrieve(request: Request, conversation_id: str) -> dict[str, Any]:
    """A conversation without its items."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    with reachable():
        return found(await services.conversations.get(tenant.owner, conversation_id), conversation_id)


@router.post(
    "/v1/conversations/{conversation_id}",
    openapi_extra=body_of(conversations.UpdateConversation),
    summary="Update a conversation",
    response_model=None,
)
async def update(request: Request, conversation_id: str) -> dict[str, Any]:
    """Give a conversation other metadata."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    asked = conversations.parse_update(parse_json(await read_body(request, services.settings.max_body)))
    with reachable():
        changed = await services.conversations.update(tenant.owner, conversation_id, asked.metadata)
    return found(changed, conversation_id)


@router.delete("/v1/conversations/{conversation_id}", summary="Delete a conversation", response_model=None)
async def delete(request: Request, conversation_id: str) -> dict[str, Any]:
    """Forget a conversation and its items. Responses that were part of it stay."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    with reachable():
        if not await services.conversations.delete(tenant.owner, conversation_id):
            raise unknown_conversation(conversation_id)
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


def found(conversation: Conversation | None, id: str) -> dict[str, Any]:
    """The conversation object. Raises NotFound for none."""
    if conversation is None:
        raise unknown_conversation(id)
    return as_object(conversation)


def as_object(conversation: Conversation) -> dict[str, Any]:
    """OpenAI's conversation object."""
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "metadata": conversation.metadata,
    }
