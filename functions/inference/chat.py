"""`POST /v1/chat/completions`: one view of a generation's frames, streamed or whole."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.chat_object import completion
from functions.inference.chunks import ChatChunks
from functions.inference.collect import collect
from functions.inference.endpoint import body_of, whole
from functions.inference.generate import generation
from functions.inference.prepare import Ask, Prepared, prepare_with_images
from functions.inference.sse import Chunks, EventStream
from functions.services import Services
from shared.limits import Tenant
from shared.schema import chat
from shared.schema.body import parse_json

router = APIRouter()


@router.post("/v1/chat/completions", openapi_extra=body_of(chat.ChatRequest), summary="Create a chat completion")
async def create(request: Request) -> Response:
    """Answer a conversation, as one JSON body or, with `stream`, as server-sent events."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    asked = chat.parse(parse_json(await read_body(request, services.settings.max_body)))
    plain = asked.engine_request()
    ask = Ask("chat", asked.model, plain, stream=asked.stream, user=asked.user, features=asked.features(plain))
    job = await prepare_with_images(request, services, tenant, ask)
    if asked.stream:
        return EventStream(lambda: _stream(services, job, tenant, include_usage=asked.include_usage))
    return await whole(request, _whole(services, job, tenant))


@asynccontextmanager
async def _stream(
    services: Services, job: Prepared, tenant: Tenant, *, include_usage: bool
) -> AsyncGenerator[Chunks, None]:
    async with generation(services, job.spec, tenant, job.blobs) as events:
        yield ChatChunks(job.spec, include_usage=include_usage).relay(events)


async def _whole(services: Services, job: Prepared, tenant: Tenant) -> dict[str, Any]:
    async with generation(services, job.spec, tenant, job.blobs) as events:
        return completion(job.spec, await collect(events))
