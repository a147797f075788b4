"""Before a job runs: its image references become the images that its submit left in Redis."""

from collections.abc import Mapping
from typing import Any, cast

from redis.asyncio import Redis

from shared import keys
from shared.errors import EngineFailed, JobLost
from shared.images.refs import data_url, images_of, referred, with_urls
from shared.redis import UNREACHABLE


async def with_images(redis: "Redis", request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with data URLs in place of references: one round trip, none without references.

    Raises JobLost when an image is no longer there, EngineFailed, which may be tried again, when Redis is not.
    """
    urls = [part["image_url"]["url"] for _, part in images_of(request.get("messages") or ())]
    found = {url: reference for url in urls if (reference := referred(url))}
    if not found:
        return request
    try:
        blobs = await redis.mget([keys.image(digest) for digest, _ in found.values()])
    except UNREACHABLE:
        raise EngineFailed("the request's images could not be read from the queue") from None
    if None in blobs:
        raise JobLost("an image of the request is no longer there; send the request again")
    full = {url: data_url(kind, cast(bytes, blob)) for (url, (_, kind)), blob in zip(found.items(), blobs, strict=True)}
    return {**request, "messages": with_urls(request["messages"], [full.get(url, url) for url in urls])}
