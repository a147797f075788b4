"""`POST /api/embed` and the older `POST /api/embeddings`: Ollama's view of embeddings."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field, WithJsonSchema

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.embeddings import embedder, vectors
from functions.inference.endpoint import body_of, whole
from functions.inference.prepare import Ask, job_of, within_context
from functions.services import Services
from shared.errors import ContextLengthExceeded, InvalidRequest
from shared.schema import embeddings
from shared.schema.body import Body, parse_json, validate, wrong
from shared.schema.options import options_of
from shared.schema.sampling import check_keep_alive

router = APIRouter()

_INPUT = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


class _Embedding(Body):
    """Fields that both requests have."""

    model: str = ""
    options: dict[str, Any] | None = None
    keep_alive: Any = None

    def check(self, context: int) -> None:
        """`num_ctx` is the one option that means something here. Raises InvalidRequest or UnsupportedParameter."""
        check_keep_alive(self.keep_alive)
        asked = options_of(self.options or {})
        if asked.fields or asked.options.keys() - {"num_ctx"}:
            raise wrong("options", "only 'num_ctx' means something to a model that embeds")
        within_context({"options": asked.options}, context)


class EmbedRequest(_Embedding):
    input: Annotated[Any, WithJsonSchema(_INPUT)] = ""
    truncate: bool = True
    dimensions: Annotated[int, Field(ge=1)] | None = None


class EmbeddingsRequest(_Embedding):
    prompt: str = ""


@router.post("/api/embed", openapi_extra=body_of(EmbedRequest), summary="Embed, in Ollama's protocol")
async def embed(request: Request) -> Response:
    """The vectors of one or more texts."""
    services: Services = request.app.state.services.get()
    body = parse_json(await read_body(request, services.settings.max_body))
    return await whole(request, _embed(request, services, validate(EmbedRequest, body, {})))


@router.post("/api/embeddings", openapi_extra=body_of(EmbeddingsRequest), summary="Embed one text (superseded)")
async def embed_one(request: Request) -> Response:
    """The vector of one text; an empty text has none."""
    services: Services = request.app.state.services.get()
    body = parse_json(await read_body(request, services.settings.max_body))
    asked = validate(EmbeddingsRequest, body, {})
    asked.check(services.settings.context)
    inputs = [asked.prompt] if asked.prompt else []

    async def one() -> dict[str, Any]:
        found = await _embed(
            request, services, EmbedRequest(model=asked.model, input=inputs, keep_alive=asked.keep_alive)
        )
        return {"embedding": next(iter(found["embeddings"]), [])}

    return await whole(request, one())


async def _embed(request: Request, services: Services, asked: EmbedRequest) -> dict[str, Any]:
    tenant = authenticate(request)
    began = time.perf_counter()
    if not asked.model:
        raise InvalidRequest("model is required", param="model", code="missing_required_parameter")
    asked.check(services.settings.context)
    if not isinstance(asked.input, str) and not (
        isinstance(asked.input, list) and all(isinstance(each, str) for each in asked.input)
    ):
        raise InvalidRequest("invalid input type", param="input")
    fields: dict[str, Any] = {"model": asked.model, "input": asked.input or [""], "truncate": asked.truncate}
    if asked.dimensions is not None:
        fields["dimensions"] = asked.dimensions
    plain = embeddings.parse(fields)
    model = await embedder(services, plain)
    if asked.input == []:
        return {"model": asked.model, "embeddings": []}
    kept_s = check_keep_alive(asked.keep_alive)
    ask = Ask("embedding", asked.model, {**plain.engine_request(), "keep_alive": kept_s})
    try:
        found = await vectors(services, job_of(request, services, model, tenant, ask), tenant, plain)
    except ContextLengthExceeded:
        raise InvalidRequest("the input length exceeds the context length", param="input") from None
    return {
        "model": asked.model,
        "embeddings": [row["embedding"] for row in found.rows.data(plain.inputs, as_base64=False)],
        "total_duration": round((time.perf_counter() - began) * 1e9),
        "load_duration": round(found.waited_s * 1e9),
        "prompt_eval_count": found.tokens,
    }
