"""Work on the catalog that tells how far it is: each line as it comes, or the last one alone."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

from fastapi import Request, Response

from functions.inference.endpoint import whole
from functions.inference.sse import Chunks
from functions.native.lines import LineStream, line
from functions.services import Services

Steps: TypeAlias = Callable[[], AsyncGenerator[dict[str, Any], None]]


async def told(request: Request, work: Steps, *, stream: bool) -> Response:
    """The answer of a route whose work yields its progress. A client that leaves stops it."""
    if stream:
        services: Services = request.app.state.services.get()
        return LineStream(lambda: _lines(work), services.settings.comment_s)
    return await whole(request, _last(work))


@asynccontextmanager
async def _lines(work: Steps) -> AsyncGenerator[Chunks, None]:
    async with aclosing(work()) as steps:

        async def lines() -> AsyncGenerator[bytes, None]:
            async for step in steps:
                yield line(step)

        yield lines()


async def _last(work: Steps) -> dict[str, Any]:
    last: dict[str, Any] = {}
    async with aclosing(work()) as steps:
        async for step in steps:
            last = step
    return last
