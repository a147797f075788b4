"""`POST /api/create`: a model from another one, or from files that have been uploaded.

What takes reading and writing weights is a job, as a pull is; the rest is done here.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.catalog.manage import body, named
from functions.catalog.moving import moved
from functions.catalog.progress import told
from functions.inference.endpoint import body_of
from functions.services import Services
from shared.catalog.conversion import is_work
from shared.catalog.create import create
from shared.catalog.names import ModelName
from shared.errors import ModelNotFound
from shared.schema.create import CreateRequest, parse
from shared.steps import Tell, steps

router = APIRouter()


@router.post("/api/create", openapi_extra=body_of(CreateRequest), summary="Create a model")
async def create_model(request: Request) -> Response:
    """Make a model; lines of progress or, with `stream: false`, the last of them. An absent base is pulled."""
    authenticate(request)
    asked = parse(await body(request))
    ModelName.parse(named(asked.model))
    return await told(request, lambda: _made(request, asked), stream=asked.stream)


async def _made(request: Request, asked: CreateRequest) -> AsyncGenerator[dict[str, Any], None]:
    services: Services = request.app.state.services.get()
    if asked.source and not await _known(services, asked.source):
        async with aclosing(moved(request, "pull", asked.source, insecure=False)) as pulled:
            async for step in pulled:
                if step["status"] != "success":
                    yield step
    if await asyncio.to_thread(is_work, services.store, asked):
        async with aclosing(moved(request, "create", asked.model, create=asked.model_dump())) as made:
            async for step in made:
                yield step
        return
    try:
        async with aclosing(steps(lambda tell, stop: _create(services, asked, tell))) as made:
            async for batch in made:
                for step in batch:
                    yield step
    finally:
        services.catalog.forget()


def _create(services: Services, asked: CreateRequest, tell: Tell) -> None:
    """Short enough to be let go to its end."""
    for step in create(services.store, asked, grace_s=services.settings.collect_grace_s):
        tell(step)


async def _known(services: Services, name: str) -> bool:
    try:
        await services.catalog.resolve(name)
    except ModelNotFound:
        return False
    return True
