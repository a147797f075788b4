"""Ollama's routes about models that are there: version, tags, show, copy, delete, ps."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from functions import unloading
from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of
from functions.services import Services
from functions.workers import records
from shared.catalog import change, show
from shared.catalog.manifest import MODEL, blob_key
from shared.catalog.parameters import check_parameters
from shared.errors import AuthenticationError, InvalidRequest, PunaError, ServiceUnavailable
from shared.schema.body import Body, parse_json, validate

router = APIRouter()

FOREVER: Final = "9999-12-31T23:59:59Z"
"""When a model is unloaded that stays as long as its worker."""


class ShowRequest(Body):
    model: str = ""
    name: str = ""
    verbose: bool = False
    system: str = ""
    template: str = ""
    options: dict[str, Any] | None = None


class CopyRequest(Body):
    source: str = ""
    destination: str = ""


class DeleteRequest(Body):
    model: str = ""
    name: str = ""


@cache
def installed() -> str:
    """Our own version. A function's package may be without its metadata."""
    try:
        return version("puna")
    except PackageNotFoundError:
        return "0.0.0"


@router.head("/api/version", include_in_schema=False)
@router.get("/api/version", summary="Version, in Ollama's protocol")
async def tell_version() -> dict[str, Any]:
    """The version of the server."""
    return {"version": installed()}


@router.post("/api/me", summary="Who is signed in to ollama.com: nobody")
async def me(request: Request) -> None:
    """Asked before a push to ollama.com, which takes keys that nobody has here. Raises AuthenticationError."""
    authenticate(request)
    raise AuthenticationError("unauthorized: there is no account of ollama.com here")


@router.head("/api/tags", include_in_schema=False)
@router.get("/api/tags", summary="List models, in Ollama's protocol")
async def tags(request: Request) -> dict[str, Any]:
    """Every model of the catalog, the newest first."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    return {"models": [show.entry(model) for model in await services.catalog.list()]}


@router.post("/api/show", openapi_extra=body_of(ShowRequest), summary="Show a model")
async def show_model(request: Request) -> dict[str, Any]:
    """What is known of a model, with what its weights say of themselves."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    asked = validate(ShowRequest, await body(request), {})
    name = named(asked.model or asked.name)
    model = await services.catalog.resolve(name)
    instead = show.Instead(asked.system, asked.template, check_parameters(asked.options or {}))
    return await asyncio.to_thread(show.show, services.store, model, verbose=asked.verbose, instead=instead)


@router.post("/api/copy", openapi_extra=body_of(CopyRequest), summary="Copy a model")
async def copy(request: Request) -> Response:
    """Give a model another name. A name that exists is overwritten."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    asked = validate(CopyRequest, await body(request), {})
    await asyncio.to_thread(
        change.copy, services.store, asked.source, asked.destination, grace_s=services.settings.collect_grace_s
    )
    services.catalog.forget()
    return Response()


@router.delete("/api/delete", openapi_extra=body_of(DeleteRequest), summary="Delete a model, in Ollama's protocol")
async def delete(request: Request) -> Response:
    """Remove a name."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    asked = validate(DeleteRequest, await body(request), {})
    await remove(services, named(asked.model or asked.name))
    return Response()


@router.get("/api/ps", summary="List loaded models")
async def ps(request: Request) -> dict[str, Any]:
    """What workers have loaded, and until when if nobody uses it."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    loaded: dict[str, dict[str, Any]] = {}
    for record in await records(services):
        new = record.get("state") == "ready" and record.get("model") not in (*loaded, "")
        if new and (found := await _loaded(services, record)):
            loaded[record["model"]] = found
    return {"models": list(loaded.values())}


async def remove(services: Services, name: str) -> None:
    """Remove a model from the catalog, and from the memory of workers when no other name has its weights.

    Raises InvalidRequest or ModelNotFound in Ollama's words.
    """
    try:
        model = await services.catalog.resolve(name)
    except PunaError:
        model = None  # a damaged one can be removed; what else is wrong is told below
    removed = await asyncio.to_thread(change.delete, services.store, name, grace_s=services.settings.collect_grace_s)
    services.catalog.forget()
    if model and (weights := model.manifest.layer(MODEL)) and blob_key(weights.digest) in removed:
        with suppress(ServiceUnavailable):  # it leaves memory by itself, later
            await unloading.tell(services, model.queue)


async def body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises InvalidRequest or PayloadTooLarge."""
    services: Services = request.app.state.services.get()
    raw = await read_body(request, services.settings.max_body)
    if not raw.strip():
        raise InvalidRequest("missing request body", code="invalid_json")
    return parse_json(raw)


def named(model: str) -> str:
    """A name that is there. Raises InvalidRequest."""
    if not model:
        raise InvalidRequest("model is required", param="model", code="missing_required_parameter")
    return model


async def _loaded(services: Services, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """A line of `/api/ps`; None for a model that has left the catalog."""
    try:
        model = await services.catalog.resolve(str(record["model"]))
    except PunaError:
        return None
    size = record.get("size") or model.manifest.size
    return {
        "name": model.id,
        "model": model.id,
        "size": size,
        "digest": model.manifest.digest,
        "details": show.details(model),
        "expires_at": record.get("expires_at") or FOREVER,
        "size_vram": record.get("size_vram") or 0,
        "context_length": record.get("context") or services.settings.context,
    }
