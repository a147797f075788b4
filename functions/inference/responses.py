"""`POST /v1/responses`: another view of a chat's frames, streamed or whole."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of, whole
from functions.inference.generate import generation
from functions.inference.response_job import ResponseJob, blaming, response_job
from functions.inference.response_stream import relay
from functions.inference.sse import Chunks, EventStream
from functions.services import Services
from shared.errors import UnsupportedParameter
from shared.limits import Tenant
from shared.responses.context import Placed, placed, referred
from shared.responses.events import ResponseEvents
from shared.schema import responses
from shared.schema.body import missing, parse_json

router = APIRouter()


@router.post("/v1/responses", openapi_extra=body_of(responses.ResponseRequest), summary="Create a response")
async def create(request: Request) -> Response:
    """Answer a conversation of items, as one JSON body or, with `stream`, as server-sent events."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    asked = responses.parse(parse_json(await read_body(request, services.settings.max_body)))
    items = _context(asked)
    job = await response_job(request, services, tenant, asked, items)
    if asked.stream:
        return EventStream(lambda: _stream(services, job, tenant))
    return await whole(request, _whole(services, job, tenant))


def _context(asked: responses.ResponseRequest) -> list[Placed]:
    """The whole conversation: nothing is stored, so it is what the request brings."""
    for name in ("background", "previous_response_id", "conversation"):
        if getattr(asked, name):
            raise UnsupportedParameter(f"Unsupported parameter: '{name}' is not supported with this value.", param=name)
    if not asked.items:
        raise missing("input")
    return referred(placed(asked.items), {})


@asynccontextmanager
async def _stream(services: Services, asked: ResponseJob, tenant: Tenant) -> AsyncGenerator[Chunks, None]:
    with blaming(asked.places):
        async with generation(services, asked.job.spec, tenant, asked.job.blobs) as events:
            yield relay(_view(asked), events)


async def _whole(services: Services, asked: ResponseJob, tenant: Tenant) -> dict[str, Any]:
    view = _view(asked)
    with blaming(asked.places):
        async with generation(services, asked.job.spec, tenant, asked.job.blobs) as events:
            async for batch in events:
                view.read(batch)
    return view.response


def _view(asked: ResponseJob) -> ResponseEvents:
    return ResponseEvents(asked.head, None if asked.seal is None else asked.seal.seal)
