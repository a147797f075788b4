"""Download an image: HTTP/1.1 over asyncio's streams, to exactly the address that the guard has checked.

h11 speaks the protocol and nothing more: no second resolution, no redirect, proxy, cookie or decompression happens
unless it is written here.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from shared.images.errors import ImageRefused, bad_url, not_downloaded, too_many_bytes
from shared.images.guard import Address, Place, Resolve, addresses_of, place_of, resolve
from shared.images.limits import Limits
from shared.tls import context as _tls

if TYPE_CHECKING:
    import h11

REDIRECTS: Final = 3
"""Followed by hand, each guarded like the first."""

CONNECT_S: Final = 3.0
"""Per address (s): a host with several is given up one by one."""

_READ: Final = 64 << 10
_HEADERS: Final = 32 << 10
"""Bytes of status line and headers."""

_HEADERS_SENT: Final = [
    ("user-agent", "puna"),
    ("accept", "image/png, image/jpeg, image/webp, image/gif;q=0.9, */*;q=0.1"),
    ("accept-encoding", "identity"),
    ("connection", "close"),
]


async def fetch(url: str, limits: Limits, resolve: Resolve = resolve) -> bytes:
    """The body behind a URL. Raises ImageRefused: not allowed, not there, no image, too large or too slow."""
    try:
        async with asyncio.timeout(limits.seconds):
            for _ in range(REDIRECTS + 1):
                place = place_of(url, http=limits.http)
                addresses = await addresses_of(place, limits.networks, resolve)
                answer = await _get(place, addresses, limits.image_bytes)
                if isinstance(answer, bytes):
                    return answer
                url = _joined(place, answer)
    except TimeoutError:
        raise not_downloaded(f"its server took longer than {limits.seconds:g} s") from None
    raise not_downloaded(f"more than {REDIRECTS} redirects")


def _joined(place: Place, location: str) -> str:
    try:
        return urljoin(place.url, location)
    except ValueError:
        raise bad_url("it redirects to a malformed one") from None


async def _get(place: Place, addresses: list[Address], most: int) -> bytes | str:
    """The body, or where a redirect leads."""
    import h11

    try:
        async with _connected(place, addresses) as (reader, writer):
            wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADERS)
            headers = [("host", place.authority), *_HEADERS_SENT]
            writer.write(wire.send(h11.Request(method="GET", target=place.target, headers=headers)) or b"")
            writer.write(wire.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            return await _answer(wire, reader, most)
    except h11.RemoteProtocolError:
        raise not_downloaded("its server broke off, or does not speak HTTP") from None
    except ssl.SSLError as error:
        raise not_downloaded(f"no secure connection: {error.reason or 'the handshake failed'}") from None
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise not_downloaded("its server cannot be reached, or broke off") from None


async def _answer(wire: "h11.Connection", reader: asyncio.StreamReader, most: int) -> bytes | str:
    import h11

    body = bytearray()
    while True:
        event: Any = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_READ))
        elif isinstance(event, h11.Response):
            if location := _check(event, most):
                return location
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > most:
                raise too_many_bytes(most)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return bytes(body)


def _check(response: "h11.Response", most: int) -> str:
    """Where a redirect leads; empty for an image. Raises ImageRefused for any other answer."""
    headers = {name: value.decode("latin-1").strip() for name, value in response.headers}
    status = response.status_code
    if status in (301, 302, 303, 307, 308) and headers.get(b"location"):
        return headers[b"location"]
    if status != 200:
        raise not_downloaded(f"its server answered with status {status}")
    kind = headers.get(b"content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind not in ("application/octet-stream", "binary/octet-stream"):
        raise ImageRefused("what the URL leads to is not an image", code="unsupported_image_media_type")
    if headers.get(b"content-encoding", "identity").lower() != "identity":
        raise not_downloaded("its server sent it compressed, unasked")
    if int(headers.get(b"content-length", "0")) > most:  # h11 has seen that it is a number
        raise too_many_bytes(most)
    return ""


@asynccontextmanager
async def _connected(
    place: Place, addresses: list[Address]
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """A connection to the first address that takes one. Raises OSError."""
    secure = _tls() if place.scheme == "https" else None
    for address in addresses:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    str(address), place.port, ssl=secure, server_hostname=place.host if secure else None
                )
        except ssl.SSLError:
            raise
        except (OSError, TimeoutError):
            if address == addresses[-1]:
                raise ConnectionError("no address took the connection") from None
            continue
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
        return
