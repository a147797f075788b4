"""`/healthz`: the process answers. `/readyz`: a chat would be served."""

import asyncio
import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from functions.services import Services
from shared import keys
from shared.errors import PunaError
from shared.redis import UNREACHABLE

router = APIRouter(include_in_schema=False)

_PATIENCE_S = 3.0


@router.api_route("/", methods=["GET", "HEAD"])
async def root() -> Response:
    return PlainTextResponse("Puna is running")


@router.get("/healthz")
async def healthz() -> Response:
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 when Redis and the catalog can be reached and a worker is there; 503 otherwise, naming what is missing."""
    services: Services = request.app.state.services.get()
    redis, catalog = await asyncio.gather(_workers(services), _catalog(services))
    checks = {"redis": redis is not None, "catalog": catalog, "worker": bool(redis)}
    ready = all(checks.values())
    return JSONResponse({"status": "ok" if ready else "unavailable", "checks": checks}, 200 if ready else 503)


async def _workers(services: Services) -> int | None:
    """Live workers; None when Redis cannot be reached."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return int(await services.redis.zcount(keys.WORKERS, time.time() * 1000, "+inf"))
    except (*UNREACHABLE, TimeoutError):
        return None


async def _catalog(services: Services) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await services.catalog.ping()
    except (PunaError, OSError, TimeoutError):
        return False
    return True
