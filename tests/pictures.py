"""Pictures, and a server that gives them out, breaks off, lies and dawdles as a test asks."""

import asyncio
import base64
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from PIL import Image

from shared.images.limits import Limits

LOOPBACK = Limits(http=True, networks=(ip_network("127.0.0.0/8"),), seconds=5)
"""What a test needs: plain HTTP to this machine."""

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def picture(colour: Any = "red", kind: str = "PNG", size: tuple[int, int] = (16, 16), mode: str = "RGB") -> bytes:
    """A plain one."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(out, kind)
    return out.getvalue()


def noise(side: int = 80) -> bytes:
    """A PNG over 8 KB: content that does not compress, the same each time."""
    out = io.BytesIO()
    grey = bytes((i * i * 31 + i // 7) % 251 for i in range(side * side * 3))
    Image.frombytes("RGB", (side, side), grey).save(out, "PNG", compress_level=0)
    return out.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def asks(*parts: Any) -> list[dict[str, Any]]:
    """A conversation of one message; strings are texts."""
    content = [{"type": "text", "text": each} if isinstance(each, str) else each for each in parts]
    return [{"role": "user", "content": content}]


def head(body: bytes | None = None, status: str = "200 OK", **headers: str) -> bytes:
    """A response's head, and its body."""
    fields = {"Content-Type": "image/png", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None:
        fields.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + (body or b"")


class Site:
    """Answers by path: with bytes as they stand, or with what a function does. `asked` is each request's head."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(request)
            page = self.pages.get(request.split()[1], head(b"", "404 Not Found"))
            if isinstance(page, bytes):
                writer.write(page)
                await writer.drain()
            else:
                await page(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()


@asynccontextmanager
async def site(tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """A site on loopback, in the test's own loop."""
    one = Site()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()


def names(**addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A name server: labels, with `_` for `.`, to an address."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [addresses[host.replace(".", "_")]]

    return resolve
