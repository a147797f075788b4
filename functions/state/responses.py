"""`/v1/responses/{response_id}`: a stored response, its input items, its stream, its cancellation, its end."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from functions.authenticate import authenticate
from functions.inference.sse import EventStream
from functions.services import Services
from functions.state.current import current
from functions.state.lookup import reachable, response_of
from functions.state.query import PAGING, STREAM, boolean, integer, page_of, paging, parameters
from functions.state.resume import resumed
from shared.errors import InvalidRequest, UnsupportedParameter
from shared.responses.head import Head
from shared.responses.ids import job_id
from shared.state.record import StoredResponse
from shared.stream.reader import FrameReader

router = APIRouter()


@router.get("/v1/responses/{response_id}", summary="Retrieve a response", openapi_extra=STREAM, response_model=None)
async def retrieve(request: Request, response_id: str) -> Response:
    """A stored response as it is now; with `stream`, its events, those after `starting_after` only."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    query = parameters(request, ("stream", "starting_after", "include_obfuscation"))
    if boolean(query.get("include_obfuscation", "false"), "include_obfuscation"):
        raise UnsupportedParameter("Padding of events is not supported.", param="include_obfuscation")
    stream = boolean(query.get("stream", "false"), "stream")
    after = integer(query["starting_after"], "starting_after") if "starting_after" in query else -1
    if after >= 0 and not stream:
        raise InvalidRequest("'starting_after' is only allowed when 'stream' is true.", param="starting_after")
    record = await response_of(services, tenant, response_id)
    if not stream:
        return JSONResponse(await current(services, record))
    if not record.stream:
        raise InvalidRequest("Only responses that were created with 'stream' can be streamed.", param="stream")
    return EventStream(lambda: resumed(services, record, after))


@router.delete("/v1/responses/{response_id}", summary="Delete a response", response_model=None)
async def delete(request: Request, response_id: str) -> dict[str, Any]:
    """Forget a response. One that waits or runs is cancelled."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    record = await response_of(services, tenant, response_id)
    with reachable():
        await services.responses.delete(tenant.owner, response_id)
        if record.response is None:
            await _stop(services, record, None)
    return {"id": response_id, "object": "response", "deleted": True}


@router.get(
    "/v1/responses/{response_id}/input_items", summary="List input items", openapi_extra=PAGING, response_model=None
)
async def input_items(request: Request, response_id: str) -> dict[str, Any]:
    """The items that a response's request brought."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    asked = paging(request)
    record = await response_of(services, tenant, response_id, context=True)
    return page_of(record.input, asked)


@router.post("/v1/responses/{response_id}/cancel", summary="Cancel a response", response_model=None)
async def cancel(request: Request, response_id: str) -> dict[str, Any]:
    """End a response in the background. One that is over stays as it is."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    parameters(request, ())
    record = await response_of(services, tenant, response_id)
    if not record.head.background:
        raise InvalidRequest("Only responses that were created with 'background' can be cancelled.")
    if record.response is not None:
        return record.response
    with reachable():
        if await _stop(services, record, record.head) == "running":
            await _ended(services, record)
    return await current(services, await response_of(services, tenant, response_id))


async def _stop(services: Services, record: StoredResponse, head: Head | None) -> str:
    return await services.queue.cancel(job_id(record.head.id), record.queue, "it was asked for", head)


async def _ended(services: Services, record: StoredResponse) -> None:
    """Wait for the last frame of a job that was told to stop: for about as long as a lease, if its worker is gone."""
    reader = FrameReader(services.redis, services.subscriptions, job_id(record.head.id))
    try:
        async with asyncio.timeout(services.settings.lease_s):
            await reader.open()
            reader.read_again()
            async for frame in reader.frames(lambda: 1.0, 1.0):
                if frame is not None and frame.terminal:
                    return
    except TimeoutError:
        return
    finally:
        await reader.close()
