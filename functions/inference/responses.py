"""`POST /v1/responses`: another view of a chat's frames; whole, streamed, or in the background."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of, whole
from functions.inference.generate import generation, submit
from functions.inference.response_job import ResponseJob, blaming, response_job
from functions.inference.response_stream import relay
from functions.inference.sse import Chunks, EventStream
from functions.services import Services
from functions.state.keep import Kept, kept
from functions.state.resume import resumed
from functions.state.turn import turn_of
from shared.limits import Tenant
from shared.schema import responses
from shared.schema.body import parse_json
from shared.state.recorder import view

router = APIRouter()


class _Asked(NamedTuple):
    """A response that can be queued, and what is kept of it."""

    services: Services
    tenant: Tenant
    job: ResponseJob
    kept: Kept


@router.post("/v1/responses", openapi_extra=body_of(responses.ResponseRequest), summary="Create a response")
async def create(request: Request) -> Response:
    """Answer a conversation of items: as one JSON body, with `stream` as server-sent events, or with `background` at
    once, to be asked for later."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    asked = responses.parse(parse_json(await read_body(request, services.settings.max_body)))
    turn = await turn_of(services, tenant, asked)
    job = await response_job(request, services, tenant, asked, turn.placed)
    ready = _Asked(services, tenant, job, kept(services, job, turn))
    if asked.background:
        return EventStream(lambda: _followed(ready)) if asked.stream else await _queued(ready)
    if asked.stream:
        return EventStream(lambda: _stream(ready))
    return await whole(request, _whole(ready))


@asynccontextmanager
async def _stream(asked: _Asked) -> AsyncGenerator[Chunks, None]:
    services, tenant, job, kept = asked
    with blaming(job.places):
        async with generation(services, kept.spec, tenant, job.job.blobs, kept.also) as events:
            yield relay(view(job.head, services.settings), events)


async def _whole(asked: _Asked) -> dict[str, Any]:
    services, tenant, job, kept = asked
    made = view(job.head, services.settings)
    with blaming(job.places):
        async with generation(services, kept.spec, tenant, job.job.blobs, kept.also) as events:
            async for batch in events:
                made.read(batch)
    return made.response


@asynccontextmanager
async def _followed(asked: _Asked) -> AsyncGenerator[Chunks, None]:
    """A response in the background, as whoever resumes its stream follows it: leaving does not stop it."""
    await submit(asked.services, asked.kept.spec, asked.tenant, asked.job.job.blobs, asked.kept.also)
    async with resumed(asked.services, asked.kept.record) as chunks:
        yield chunks


async def _queued(asked: _Asked) -> Response:
    await submit(asked.services, asked.kept.spec, asked.tenant, asked.job.job.blobs, asked.kept.also)
    return JSONResponse(asked.job.head.response("queued"))
