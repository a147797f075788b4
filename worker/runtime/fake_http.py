"""The HTTP side of the fake engine: one connection, one request at a time, chunked answers, backpressure."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

import httptools
import orjson

Handler = Callable[["Connection", str, str, bytes], Awaitable[None]]
"""Answers one request: connection, method, path, body. It is cancelled when the client goes away."""


class Connection(asyncio.Protocol):
    """One client. A request that arrives before the last answer is complete closes the connection."""

    def __init__(self, handler: Handler, open_connections: "set[Connection]") -> None:
        self._handler = handler
        self._open = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.write = self.transport.write
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._writable.set()
        if self._task:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def on_message_begin(self) -> None:
        if self._task and not self._task.done():
            self.transport.close()
        self._url, self._body = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._keep_alive = self._parser.should_keep_alive()
        method = self._parser.get_method().decode()
        path = self._url.decode().partition("?")[0]
        self._task = asyncio.create_task(self._run(method, path))

    async def _run(self, method: str, path: str) -> None:
        await self._handler(self, method, path, b"".join(self._body))
        if not self._keep_alive:
            self.transport.close()

    async def drain(self) -> None:
        """Let other tasks run, and wait until the client has read enough."""
        await asyncio.sleep(0)
        await self._writable.wait()

    def send_json(self, status: int, value: object) -> None:
        """A whole answer."""
        body = orjson.dumps(value)
        phrase = HTTPStatus(status).phrase.encode()
        head = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.write(head % (status, phrase, len(body)) + body)

    def begin_events(self) -> None:
        """The head of an event stream."""
        self.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    def send_event(self, value: object) -> None:
        """One event, as one HTTP chunk."""
        self._chunk(b"data: %s\n\n" % orjson.dumps(value))

    def end_events(self) -> None:
        """`[DONE]` and the end of the body."""
        self._chunk(b"data: [DONE]\n\n")
        self.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.write(b"%x\r\n%s\r\n" % (len(data), data))
