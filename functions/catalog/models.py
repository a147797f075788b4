"""`GET /v1/models`, and `GET` and `DELETE /v1/models/{id}`."""

from typing import Any

from fastapi import APIRouter, Request

from functions.authenticate import authenticate
from functions.catalog import manage
from functions.services import Services
from shared.catalog.catalog import CatalogModel
from shared.catalog.names import ModelName
from shared.errors import ModelNotFound

router = APIRouter()


@router.get("/v1/models", summary="List models")
async def list_models(request: Request) -> dict[str, Any]:
    """Every model of the catalog, the newest first."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    return {"object": "list", "data": [_model(model, model.id) for model in await services.catalog.list()]}


@router.get("/v1/models/{model:path}", summary="Retrieve a model")
async def retrieve(request: Request, model: str) -> dict[str, Any]:
    """One model, under the name it was asked for. Names may hold slashes."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    try:
        return _model(await services.catalog.resolve(model), model)
    except ModelNotFound:
        raise ModelNotFound(f"model '{ModelName.parse(model).display}' not found", param="model") from None


@router.delete("/v1/models/{model:path}", summary="Delete a model")
async def remove(request: Request, model: str) -> dict[str, Any]:
    """Remove a name. Other names of the same weights stay."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    ModelName.parse(model)
    await manage.remove(services, model)
    return {"id": model, "object": "model", "deleted": True}


def _model(model: CatalogModel, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(model.modified), "owned_by": model.owned_by}
