"""`POST /api/create`: a model from another one, or from files that have been uploaded."""

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.catalog.manage import body, named
from functions.catalog.progress import told
from functions.inference.endpoint import body_of
from functions.services import Services
from shared.catalog.create import create
from shared.catalog.names import ModelName
from shared.schema.create import CreateRequest, parse

router = APIRouter()


@router.post("/api/create", openapi_extra=body_of(CreateRequest), summary="Create a model")
async def create_model(request: Request) -> Response:
    """Make a model; lines of progress or, with `stream: false`, the last of them."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    asked = parse(await body(request))
    ModelName.parse(named(asked.model))
    return await told(request, services, lambda: create(services.store, asked), stream=asked.stream)
