"""Work on the catalog that tells how far it is: each line as it comes, or the last one alone."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request, Response

from functions.inference.endpoint import whole
from functions.inference.sse import Chunks
from functions.native.lines import LineStream, line
from functions.services import Services
from shared.catalog.create import Progress


async def told(
    request: Request, services: Services, work: Callable[[], Iterator[Progress]], *, stream: bool
) -> Response:
    """The answer of a route whose work blocks and yields its progress."""
    if stream:
        return LineStream(lambda: _lines(services, work))
    return await whole(request, _last(services, work))


@asynccontextmanager
async def _lines(services: Services, work: Callable[[], Iterator[Progress]]) -> AsyncGenerator[Chunks, None]:
    async def lines() -> AsyncGenerator[bytes, None]:
        async for step in _steps(services, work):
            yield line(step)

    yield lines()


async def _last(services: Services, work: Callable[[], Iterator[Progress]]) -> dict[str, Any]:
    last: Progress = {}
    async for step in _steps(services, work):
        last = step
    return last


async def _steps(services: Services, work: Callable[[], Iterator[Progress]]) -> AsyncGenerator[Progress, None]:
    """Each step in a thread. What has begun goes on to its next line when the caller leaves, and stops there."""
    steps = work()
    try:
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            yield step
    finally:
        services.catalog.forget()
