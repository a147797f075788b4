"""`POST /v1/embeddings`: texts or tokens in, one vector each out, in their order."""

import time
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of, whole
from functions.inference.generate import generation
from functions.inference.prepare import Ask, job_of
from functions.inference.vectors import Rows, check_dimensions
from functions.services import Services
from shared.catalog.catalog import CatalogModel
from shared.errors import InvalidRequest, ModelNotFound
from shared.frames import Done, Started, Vectors
from shared.job import JobSpec
from shared.limits import Tenant
from shared.schema import embeddings
from shared.schema.body import parse_json
from shared.schema.embeddings import EmbeddingsRequest

router = APIRouter()


@router.post("/v1/embeddings", openapi_extra=body_of(EmbeddingsRequest), summary="Create embeddings")
async def create(request: Request) -> Response:
    """Answer with the vectors of the inputs, as numbers or as base64 of little-endian float32."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    asked = embeddings.parse(parse_json(await read_body(request, services.settings.max_body)))
    model = await embedder(services, asked)
    ask = Ask("embedding", asked.model, asked.engine_request(), user=asked.user)
    spec = job_of(request, services, model, tenant, ask)
    return await whole(request, _whole(services, spec, tenant, asked))


async def embedder(services: Services, asked: EmbeddingsRequest) -> CatalogModel:
    """The model, which can embed. Raises ModelNotFound in the words of the reference, or InvalidRequest."""
    if not asked.model:
        raise ModelNotFound("model '' not found", param="model")
    try:
        model = await services.catalog.resolve(asked.model)
    except ModelNotFound:
        raise ModelNotFound(f'model "{asked.model}" not found, try pulling it first', param="model") from None
    if "embedding" not in model.capabilities:
        raise InvalidRequest(f'"{asked.model}" does not support embeddings', param="model")
    native = model.config.get("embedding_length")
    if isinstance(native, int):
        check_dimensions(asked.dimensions, native)
    return model


class Found(NamedTuple):
    """What a worker gave: the vectors, the tokens that they took, and how long the job waited for it (s)."""

    rows: Rows
    tokens: int
    waited_s: float


async def vectors(services: Services, spec: JobSpec, tenant: Tenant, asked: EmbeddingsRequest) -> Found:
    """Run a job to its end. Raises what `generation` does, and the error that the job failed with."""
    rows = Rows(asked.dimensions)
    tokens = 0
    began = started = time.perf_counter()
    async with generation(services, spec, tenant) as events:
        async for batch in events:
            for event in batch:
                match event:
                    case Vectors():
                        rows.add(event)
                    case Started():
                        started = time.perf_counter()
                        rows.clear()
                    case Done(prompt_tokens):
                        tokens = prompt_tokens
    return Found(rows, tokens, started - began)


async def _whole(services: Services, spec: JobSpec, tenant: Tenant, asked: EmbeddingsRequest) -> dict[str, Any]:
    found = await vectors(services, spec, tenant, asked)
    return {
        "object": "list",
        "data": found.rows.data(asked.inputs, as_base64=asked.base64),
        "model": spec.model,
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
    }
