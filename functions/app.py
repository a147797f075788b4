"""The making of an ASGI app: routers, errors in OpenAI's or Ollama's shape, CORS, and what surrounds every request."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from functions.errors import refusal
from functions.middleware import HostGuard, RequestContext, UnexpectedErrors
from functions.services import ServicesOfLoop
from shared.errors import MethodNotAllowed, NotFound, PunaError
from shared.settings import Settings

_LOCAL_ORIGINS = (
    r"(https?://(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(:\d+)?"
    r"|(app|file|tauri|vscode-webview|vscode-file)://.*)"
)
"""Origins that Ollama allows without being told."""

_CORS_HEADERS = [
    "Authorization",
    "Content-Type",
    "User-Agent",
    "Accept",
    "X-Requested-With",
    "X-Request-Id",
    "OpenAI-Beta",
    "OpenAI-Organization",
    "OpenAI-Project",
    "x-stainless-lang",
    "x-stainless-package-version",
    "x-stainless-os",
    "x-stainless-arch",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-async",
    "x-stainless-helper-method",
    "x-stainless-poll-helper",
    "x-stainless-custom-poll-interval",
    "x-stainless-timeout",
    "x-stainless-read-timeout",
]


TEXT_TYPES = ["text/", "application/json", "application/x-ndjson"]
"""Content that goes through API Gateway as text; Mangum makes base64 of any other."""


def create_app(settings: Settings, routers: Sequence[APIRouter], *, on_loopback: bool = False) -> FastAPI:
    """An app of the given routers. `on_loopback` adds the guard for a server on the user's own machine."""
    services = ServicesOfLoop(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        yield
        await services.close()

    middleware = [Middleware(RequestContext), _cors(settings), Middleware(UnexpectedErrors)]
    if on_loopback:
        middleware.insert(1, Middleware(HostGuard, settings=settings))
    app = FastAPI(
        title="Puna",
        version="0.1.0",
        lifespan=lifespan,
        middleware=middleware,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(PunaError, _known)
    app.add_exception_handler(HTTPException, _routing)
    return app


def _cors(settings: Settings) -> Middleware:
    anyone = "*" in settings.origins
    return Middleware(
        CORSMiddleware,
        allow_origins=["*"] if anyone else list(settings.origins),
        allow_origin_regex=None if anyone else _LOCAL_ORIGINS,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        allow_headers=_CORS_HEADERS,
        expose_headers=["x-request-id", "retry-after", "openai-processing-ms"],
    )


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, PunaError)
    return refusal(error, request.url.path)


async def _routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    asked = f"{request.method} {path}"
    if error.status_code == MethodNotAllowed.status:
        refused = refusal(MethodNotAllowed(f"Method not allowed: {asked}."), path)
        refused.headers.update(error.headers or {})
        return refused
    return refusal(NotFound(f"Unknown request URL: {asked}.", code="unknown_url"), path)
