"""Server-sent events as an ASGI response: opened late, so that an early failure is still a status.

Format: WHATWG HTML, "Server-sent events". Comment lines keep the connection open while there is nothing to say.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import orjson
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from functions.disconnect import ClientGone, unless_gone
from shared.errors import PunaError

Chunks: TypeAlias = AsyncGenerator[bytes, None]

DONE = b"data: [DONE]\n\n"

_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


def data(value: object) -> bytes:
    """One event without a name."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def comment(text: str) -> bytes:
    """A line that every client skips."""
    return f": {text}\n\n".encode()


class EventStream(Response):
    """Streams what `source` gives. Until its first chunk an error is answered with its own status; after that it
    becomes the last event of the stream. A client that leaves cancels the source."""

    stream_type = b"text/event-stream; charset=utf-8"

    def __init__(self, source: Callable[[], AbstractAsyncContextManager[Chunks]]) -> None:
        super().__init__()
        self._source = source
        self._opened = False

    def refusal(self, error: PunaError) -> Response:
        """The answer when nothing has been sent yet."""
        return JSONResponse(error.body(), error.status, error.headers())

    def failure(self, error: PunaError) -> bytes:
        """The end of a stream that cannot go on."""
        return data(error.body())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_gone(receive, self._stream(scope, receive, send))
        except ClientGone:
            return

    async def _open(self, send: Send) -> None:
        self._opened = True
        headers = [(b"content-type", self.stream_type), *_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._source() as chunks:
                async for chunk in chunks:
                    if not self._opened:
                        await self._open(send)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except PunaError as error:
            if not self._opened:
                await self.refusal(error)(scope, receive, send)
                return
            await send({"type": "http.response.body", "body": self.failure(error), "more_body": True})
        if not self._opened:  # the rest of a stream may be nothing
            await self._open(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
