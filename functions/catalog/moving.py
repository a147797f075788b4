"""`POST /api/pull` and `POST /api/push`: models from and to registries, as jobs that any worker does.

The job outlives the function: its worker goes on when the function ends without a word, and another worker goes on
when that one dies. A client that leaves stops it; what has been brought stays, and the next pull goes on from there.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.catalog.manage import body, named
from functions.catalog.progress import told
from functions.inference.endpoint import body_of
from functions.inference.generate import generation
from functions.services import Services
from shared import keys
from shared.catalog.names import ModelName
from shared.frames import Step
from shared.ids import new_id
from shared.job import JobSpec
from shared.schema.body import Body, nothing, validate

router = APIRouter()


class TransferRequest(Body):
    model: str = ""
    name: str = ""
    insecure: bool = False
    stream: bool = True


_NOT_HERE: Final = {"username": nothing(""), "password": nothing("")}
"""Ollama's client still sends these, empty; logins to registries are settings."""


@router.post("/api/pull", openapi_extra=body_of(TransferRequest), summary="Pull a model")
async def pull(request: Request) -> Response:
    """Bring a model from a registry into the catalog."""
    asked = validate(TransferRequest, await body(request), _NOT_HERE)
    name = named(asked.model or asked.name)
    ModelName.parse(name)
    return await told(request, lambda: moved(request, "pull", name, insecure=asked.insecure), stream=asked.stream)


@router.post("/api/push", openapi_extra=body_of(TransferRequest), summary="Push a model")
async def push(request: Request) -> Response:
    """Bring a model of the catalog to the registry that its name tells."""
    services: Services = request.app.state.services.get()
    asked = validate(TransferRequest, await body(request), _NOT_HERE)
    name = named(asked.model or asked.name)
    await services.catalog.resolve(name)
    return await told(request, lambda: moved(request, "push", name, insecure=asked.insecure), stream=asked.stream)


async def moved(request: Request, kind: str, name: str, **asked: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The lines of a job on the catalog; `asked` is what it needs besides the name. Raises what it fails with."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    created = time.time()
    spec = JobSpec(
        id=new_id(),
        queue=keys.CATALOG_QUEUE,
        model=name,
        kind=kind,
        request={"model": name, **asked},
        created=created,
        deadline=created + services.settings.transfer_timeout_s,
        stream=True,
        tenant=tenant.id,
        request_id=request.scope["puna.request_id"],
        traceparent=request.headers.get("traceparent"),
    )
    try:
        async with generation(services, spec, tenant) as events, aclosing(events):
            async for batch in events:
                for event in batch:
                    if isinstance(event, Step):
                        yield _line(event)
    finally:
        services.catalog.forget()


def _line(step: Step) -> dict[str, Any]:
    if not step.digest:
        return {"status": step.status}
    line = {"status": step.status, "digest": step.digest, "total": step.total}
    return {**line, "completed": step.completed} if step.completed else line
