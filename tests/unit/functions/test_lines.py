"""A stream of lines that has nothing to say: when it opens, and what it says then."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message

from functions.inference.sse import Chunks
from functions.native.lines import LineStream, line
from shared.errors import ModelUnavailable


class Wire:
    """What was sent; `enough` is set once there are so many spaces."""

    def __init__(self, spaces: int) -> None:
        self.messages: list[Message] = []
        self.enough = asyncio.Event()
        self._spaces = spaces

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if self.body.count(b" ") >= self._spaces:
            self.enough.set()

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


async def streamed(wire: Wire, *, fails: bool = False, at_once: bool = False) -> None:
    """A line once the wire has had enough spaces; or an error."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        if not at_once:
            await wire.enough.wait()
        if fails:
            raise ModelUnavailable("no worker")
        yield line({"done": True})

    @asynccontextmanager
    async def source() -> AsyncGenerator[Chunks, None]:
        yield chunks()

    scope: dict[str, Any] = {"type": "http"}
    async with asyncio.timeout(10):
        await LineStream(source, every_s=0.01)(scope, wire.receive, wire.send)


async def test_spaces_until_there_is_a_line() -> None:
    wire = Wire(3)
    await streamed(wire)
    assert wire.messages[0]["status"] == 200
    assert wire.body.lstrip(b" ") == b'{"done":true}\n'
    assert wire.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_an_error_behind_a_space_is_a_line() -> None:
    wire = Wire(1)
    await streamed(wire, fails=True)
    assert wire.messages[0]["status"] == 200
    assert wire.body.lstrip(b" ") == b'{"error":"no worker"}\n'


async def test_an_error_before_anything_is_a_status() -> None:
    wire = Wire(1)
    await streamed(wire, fails=True, at_once=True)
    assert [message["type"] for message in wire.messages] == ["http.response.start", "http.response.body"]
    assert wire.messages[0]["status"] == 503


async def test_a_line_at_once_comes_alone() -> None:
    wire = Wire(1)
    await streamed(wire, at_once=True)
    assert wire.body == b'{"done":true}\n'
