"""`POST /v1/responses/input_tokens`: how many tokens an input has, counted by the engine that would read it."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of, whole
from functions.inference.generate import generation
from functions.inference.response_job import ResponseJob, blaming, response_job
from functions.services import Services
from functions.state.turn import turn_of
from shared.frames import Done
from shared.limits import Tenant
from shared.schema import responses
from shared.schema.body import parse_json, unknown

router = APIRouter()

_FIELDS: Final = {
    *("model", "input", "previous_response_id", "conversation", "instructions", "tools", "tool_choice"),
    *("parallel_tool_calls", "text", "reasoning", "truncation"),
}
"""What there is to count."""


@router.post(
    "/v1/responses/input_tokens", openapi_extra=body_of(responses.ResponseRequest), summary="Count input tokens"
)
async def count(request: Request) -> Response:
    """The tokens of a request for a response, with its instructions, tools and earlier turns."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    body = parse_json(await read_body(request, services.settings.max_body))
    for name in body:
        if name not in _FIELDS:
            raise unknown(name)
    asked = responses.parse(body)
    turn = await turn_of(services, tenant, asked)
    job = await response_job(request, services, tenant, asked, turn.placed, "count")
    return await whole(request, _count(services, tenant, job))


async def _count(services: Services, tenant: Tenant, asked: ResponseJob) -> dict[str, Any]:
    tokens = 0
    with blaming(asked.places):
        async with generation(services, asked.job.spec, tenant, asked.job.blobs) as events:
            async for batch in events:
                for event in batch:
                    tokens = event.prompt_tokens if isinstance(event, Done) else tokens
    return {"object": "response.input_tokens", "input_tokens": tokens}
