"""`POST /v1/completions`: text that goes on from a prompt, or fills a gap in it, streamed or whole."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.collect import collect
from functions.inference.completion_chunks import CompletionChunks, completion
from functions.inference.endpoint import body_of, whole
from functions.inference.generate import generation
from functions.inference.prepare import Ask, prepare
from functions.inference.sse import Chunks, EventStream
from functions.services import Services
from shared.errors import InvalidRequest
from shared.job import JobSpec
from shared.limits import Tenant
from shared.schema import completions
from shared.schema.body import parse_json
from shared.schema.completions import CompletionRequest

router = APIRouter()


@router.post("/v1/completions", openapi_extra=body_of(CompletionRequest), summary="Create a completion")
async def create(request: Request) -> Response:
    """Continue one or more prompts, as one JSON body or, with `stream`, as server-sent events."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    asked = completions.parse(parse_json(await read_body(request, services.settings.max_body)))
    ask = _ask(asked, template=services.settings.completions_template)
    spec = await prepare(request, services, tenant, ask)
    if asked.stream:
        return EventStream(lambda: _stream(services, spec, tenant, include_usage=asked.include_usage))
    return await whole(request, _whole(services, spec, tenant))


def _ask(asked: CompletionRequest, *, template: bool) -> Ask:
    """The job to prepare. With `template`, text prompts become messages; tokens and gaps to fill in never do."""
    plain = asked.engine_request()
    if template and not asked.suffix and any(isinstance(each, str) for each in asked.prompts):
        if asked.echo and asked.logprobs is not None:
            raise InvalidRequest(
                "'echo' with 'logprobs' is for prompts that the model sees as they are; here they are templated.",
                param="echo",
            )
        plain["template"] = []
    features = {"insert": "suffix"} if asked.suffix else {}
    return Ask("completion", asked.model, plain, stream=asked.stream, user=asked.user, features=features)


@asynccontextmanager
async def _stream(
    services: Services, spec: JobSpec, tenant: Tenant, *, include_usage: bool
) -> AsyncGenerator[Chunks, None]:
    async with generation(services, spec, tenant) as events:
        yield CompletionChunks(spec, include_usage=include_usage).relay(events)


async def _whole(services: Services, spec: JobSpec, tenant: Tenant) -> dict[str, Any]:
    async with generation(services, spec, tenant) as events:
        return completion(spec, await collect(events))
