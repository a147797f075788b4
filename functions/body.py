"""Read a request's body, and stop as soon as it is too long."""

from fastapi import Request

from shared.errors import PayloadTooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """At most `limit` bytes. Raises PayloadTooLarge at once when the length is announced, else when it is reached."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise PayloadTooLarge(f"the request body has {announced} bytes; {limit} are allowed")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise PayloadTooLarge(f"the request body is longer than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)
