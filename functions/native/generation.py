"""`POST /api/chat` and `POST /api/generate`: Ollama's view of the same jobs as under `/v1`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.body import read_body
from functions.inference.endpoint import body_of, whole
from functions.inference.generate import generation
from functions.inference.prepare import Ask, Prepared, check_generates, job_of, prepare_with_images
from functions.inference.sse import Chunks
from functions.native.lines import LineStream
from functions.native.objects import Objects, Piece, chat_piece, text_piece
from functions.services import Services
from functions.unloading import unload
from shared.limits import Tenant
from shared.schema.body import parse_json
from shared.schema.native import NativeChat, NativeGenerate, own_names, parse_chat, parse_generate
from shared.schema.sampling import check_keep_alive

router = APIRouter()


@router.post("/api/chat", openapi_extra=body_of(NativeChat), summary="Chat, in Ollama's protocol")
async def chat(request: Request) -> Response:
    """Answer a conversation, in lines or, with `stream: false`, as one object. Without messages, load the model."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    with own_names():
        asked = parse_chat(parse_json(await read_body(request, services.settings.max_body)))
        if asked.loads:
            return await _load(request, services, tenant, asked, chat_piece)
        ask = _conversation(asked)
        job = await prepare_with_images(request, services, tenant, ask)
    return await _answer(request, services, job, tenant, chat_piece)


@router.post("/api/generate", openapi_extra=body_of(NativeGenerate), summary="Generate, in Ollama's protocol")
async def generate(request: Request) -> Response:
    """Answer a prompt, in lines or as one object. `raw` and `suffix` leave the model's template out."""
    services: Services = request.app.state.services.get()
    tenant = authenticate(request)
    with own_names():
        asked = parse_generate(parse_json(await read_body(request, services.settings.max_body)))
        if asked.loads:
            return await _load(request, services, tenant, asked, text_piece)
        check_generates(await services.catalog.resolve(asked.model), asked.model, "generate")
        ask = await _completion(services, asked) if asked.plain else _conversation(asked)
        job = await prepare_with_images(request, services, tenant, ask)
    return await _answer(request, services, job, tenant, text_piece)


def _conversation(asked: NativeChat | NativeGenerate) -> Ask:
    as_chat = asked.request()
    plain = as_chat.engine_request()
    return Ask("chat", asked.model, plain, stream=asked.stream, features=as_chat.features(plain))


async def _completion(services: Services, asked: NativeGenerate) -> Ask:
    plain = asked.completion().engine_request()
    top = asked.top()
    if top is not None:
        plain["logprobs"] = top
    # OpenAI's completions end after 16 tokens when nobody says how many; Ollama's go on to the model's own end.
    limit = (await services.catalog.resolve(asked.model)).defaults.get("num_predict", -1)
    if "max_tokens" not in plain and (not isinstance(limit, int) or limit < 1):
        plain["max_tokens"] = -1
    features = {"insert": "suffix"} if asked.suffix else {}
    return Ask("completion", asked.model, plain, stream=asked.stream, features=features)


async def _answer(request: Request, services: Services, job: Prepared, tenant: Tenant, piece: Piece) -> Response:
    objects = Objects(job.spec.model, piece)
    if job.spec.stream:
        return LineStream(lambda: _stream(services, job, tenant, objects), services.settings.comment_s)
    return await whole(request, _whole(services, job, tenant, objects))


@asynccontextmanager
async def _stream(services: Services, job: Prepared, tenant: Tenant, objects: Objects) -> AsyncGenerator[Chunks, None]:
    async with generation(services, job.spec, tenant, job.blobs) as events:
        yield objects.relay(events)


async def _whole(services: Services, job: Prepared, tenant: Tenant, objects: Objects) -> dict[str, Any]:
    async with generation(services, job.spec, tenant, job.blobs) as events:
        return await objects.whole(events)


async def _load(
    request: Request, services: Services, tenant: Tenant, asked: NativeChat | NativeGenerate, piece: Piece
) -> Response:
    """Load a model by a job that does nothing else, or with a `keep_alive` of 0 unload it."""
    kept_s = check_keep_alive(asked.keep_alive)
    # Any model can be unloaded, one that embeds too: `ollama stop` knows no other way.
    model = await services.catalog.resolve(asked.model)
    if kept_s != 0:
        check_generates(model, asked.model, "chat" if isinstance(asked, NativeChat) else "generate")

    async def told() -> dict[str, Any]:
        if kept_s == 0:
            await unload(services, model.queue)
            return Objects(asked.model, piece).unloaded("unload")
        spec = job_of(request, services, model, tenant, Ask("load", asked.model, {"keep_alive": kept_s}))
        async with generation(services, spec, tenant) as events:
            async for _ in events:
                pass
        return Objects(asked.model, piece).unloaded("load")

    return await whole(request, told())
