"""Ollama's streams: one JSON object a line (NDJSON), and while there is nothing to say a space before the next line.

White space before a value means nothing in JSON (RFC 8259, 2), and clients read line by line; a proxy that ends idle
connections sees one that is not.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from functions.errors import NATIVE, native_body, refusal
from functions.inference.generate import FIRST_TICK_S
from functions.inference.sse import Chunks, EventStream
from shared.errors import PunaError

SPACE: Final = b" "


def line(value: Any) -> bytes:
    """One object of a stream."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


class LineStream(EventStream):
    """As EventStream, in lines. After FIRST_TICK_S without one the answer opens with a space; later there is a space
    whenever nothing has been sent for `every_s` (s)."""

    stream_type = b"application/x-ndjson"

    def __init__(self, source: Callable[[], AbstractAsyncContextManager[Chunks]], every_s: float) -> None:
        super().__init__(source)
        self._every_s = every_s
        self._sent_at = 0.0
        self._ended = False
        self._turn = asyncio.Lock()

    def refusal(self, error: PunaError) -> Response:
        return refusal(error, NATIVE)

    def failure(self, error: PunaError) -> bytes:
        return line(native_body(error))

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            async with self._turn:
                self._note(message)
                await send(message)

        self._sent_at = asyncio.get_running_loop().time()
        spaces = asyncio.create_task(self._spaces(send))
        try:
            await super()._stream(scope, receive, noted)
        finally:
            spaces.cancel()
            await asyncio.wait((spaces,))

    async def _spaces(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        while not self._ended:
            bound = self._every_s if self._opened else min(FIRST_TICK_S, self._every_s)
            left = self._sent_at + bound - loop.time()
            if left > 0:
                await asyncio.sleep(left)
                continue
            async with self._turn:
                if self._ended:
                    return
                if not self._opened:
                    await self._open(send)
                self._note({})
                await send({"type": "http.response.body", "body": SPACE, "more_body": True})

    def _note(self, message: Message) -> None:
        """Keep when something was sent, and whether it was the last."""
        self._sent_at = asyncio.get_running_loop().time()
        self._ended = message.get("type") == "http.response.body" and not message.get("more_body", False)
