"""How a job carries an image: inline as a data URL, or, above 8 KB, by the digest of bytes that Redis holds.

A reference is `puna:image:<sha256>;<kind>`. A caller cannot send one: `gather` takes no such URL.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

INLINE: Final = 8 << 10
"""Bytes of the largest image inside a job. A job is read and written whole several times in its life."""

_PREFIX: Final = "puna:image:"


def data_url(kind: str, data: bytes) -> str:
    """`kind` is `png` or `jpeg`."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def refer(kind: str, data: bytes) -> tuple[str, str]:
    """The reference of an image, and the digest that its bytes are kept by."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{_PREFIX}{digest};{kind}", digest


def referred(url: str) -> tuple[str, str] | None:
    """(digest, kind) of a reference; None for any other URL."""
    if not url.startswith(_PREFIX):
        return None
    digest, _, kind = url.removeprefix(_PREFIX).partition(";")
    return digest, kind


def images_of(messages: Sequence[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each image of a conversation in order: where it is, as `param` names it, and its part."""
    for i, message in enumerate(messages):
        content = message.get("content")
        for j, part in enumerate(content if isinstance(content, list) else ()):
            if part["type"] == "image_url":
                yield f"messages[{i}].content[{j}].image_url", part


def with_urls(messages: Sequence[dict[str, Any]], urls: Sequence[str]) -> list[dict[str, Any]]:
    """The same conversation with other URLs, one per image in order; the given one is left as it is."""
    left = iter(urls)
    return [_replaced(message, left) for message in messages]


def _replaced(message: dict[str, Any], urls: Iterator[str]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [
        {"type": "image_url", "image_url": {"url": next(urls)}} if part["type"] == "image_url" else part
        for part in content
    ]
    return {**message, "content": parts}
