"""All images of a request, fetched and checked before anything is queued."""

import asyncio
import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, Final

from shared.images.check import checked
from shared.images.errors import INVALID_IMAGE, ImageRefused, too_many_bytes
from shared.images.fetch import fetch
from shared.images.guard import Resolve, resolve
from shared.images.limits import Limits
from shared.images.refs import INLINE, data_url, images_of, refer, with_urls

AT_ONCE: Final = 4
"""Images of one request that are fetched at once. They are decoded one by one: each takes up to 4 bytes a pixel."""

_DATA: Final = re.compile(r"data:(?:image/(?:jpeg|jpg|png|webp|gif))?;base64,", re.IGNORECASE)
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)


async def gather(
    messages: Sequence[dict[str, Any]], limits: Limits, resolve: Resolve = resolve
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Messages with every image inline or by reference, and the referred bytes by their sha256 in hex.

    `messages` are in the engine's form, with URLs as the caller wrote them: `data:` or http(s). Raises ImageRefused
    with `param` for the first image that cannot be used.
    """
    places = list(images_of(messages))
    if not places:
        return list(messages), {}
    if len(places) > limits.images:
        param = places[limits.images][0]
        raise ImageRefused(f"more than {limits.images} images in one request", param=param)
    wanted: dict[str, str] = {}
    for param, part in places:
        wanted.setdefault(part["image_url"]["url"], param)
    images = await _all(wanted, limits, resolve)
    blobs: dict[str, bytes] = {}
    urls: dict[str, str] = {}
    for url, (kind, data) in images.items():
        if len(data) > INLINE:
            urls[url], digest = refer(kind, data)
            blobs[digest] = data
        else:
            urls[url] = data_url(kind, data)
    return with_urls(messages, [urls[part["image_url"]["url"]] for _, part in places]), blobs


async def _all(wanted: dict[str, str], limits: Limits, resolve: Resolve) -> dict[str, tuple[str, bytes]]:
    """Each URL's image. The first that fails, in their order, is the error; the rest is given up."""
    one = _Gatherer(limits, resolve).one
    tasks = {url: asyncio.create_task(one(url)) for url in wanted}
    try:
        done: dict[str, tuple[str, bytes]] = {}
        for url, task in tasks.items():
            try:
                done[url] = await task
            except ImageRefused as error:
                error.param = wanted[url]
                raise
        return done
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


class _Gatherer:
    """Fetches and checks the images of one request, within its bounds."""

    def __init__(self, limits: Limits, resolve: Resolve) -> None:
        self._limits = limits
        self._resolve = resolve
        self._left = limits.request_bytes
        self._fetching = asyncio.Semaphore(AT_ONCE)
        self._checking = asyncio.Lock()

    async def one(self, url: str) -> tuple[str, bytes]:
        """Kind and file. Raises ImageRefused."""
        async with self._fetching:
            data = await self._bytes(url)
            self._left -= len(data)
            if self._left < 0:
                most = self._limits.request_bytes
                raise ImageRefused(
                    f"the images of the request are larger than {most:,} bytes together", code="image_file_too_large"
                )
            async with self._checking:
                return await asyncio.to_thread(checked, data, self._limits)

    async def _bytes(self, url: str) -> bytes:
        if _WEB.match(url):
            return await fetch(url, self._limits, self._resolve)
        return await asyncio.to_thread(_decoded, url, self._limits)


def _decoded(url: str, limits: Limits) -> bytes:
    head = _DATA.match(url)
    if head is None:
        raise ImageRefused(INVALID_IMAGE, code="invalid_image_url")
    text = url[head.end() :].replace("\n", "").replace("\r", "")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ImageRefused(INVALID_IMAGE, code="invalid_base64_image") from None
    if len(data) > limits.image_bytes:
        raise too_many_bytes(limits.image_bytes)
    return data
