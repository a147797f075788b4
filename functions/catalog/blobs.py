"""`HEAD` and `POST /api/blobs/{digest}`: files that a model will be made of, before it is made.

Who is told that a file is there has a promise that it stays: the next request names it.
"""

import asyncio
import hashlib
import tempfile
from pathlib import Path

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.services import Services
from shared.catalog.lease import promise
from shared.catalog.manifest import DIGEST, blob_key
from shared.catalog.store import Store
from shared.catalog.upload import DigestMismatch, Upload
from shared.errors import InvalidRequest, NotFound, PayloadTooLarge

router = APIRouter()


@router.head("/api/blobs/{digest}", summary="Ask for a blob")
async def head(request: Request, digest: str) -> Response:
    """200 when a blob is there, 404 otherwise."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    if not await asyncio.to_thread(_found, services.store, _key(digest)):
        raise NotFound(f"blob {digest} not found")
    return Response()


@router.post("/api/blobs/{digest}", summary="Upload a blob")
async def upload(request: Request, digest: str) -> Response:
    """Take a file. 201 when it was new, 200 when it was there."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    key = _key(digest)
    if await asyncio.to_thread(_found, services.store, key):
        return Response(status_code=200)
    limit = services.settings.max_blob
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        if int(announced) > limit:
            raise PayloadTooLarge(f"the blob has {announced} bytes; {limit} are allowed")
        await _parts(request, services.store, key, int(announced))
    else:
        await _spooled(request, services.store, key, limit)
    return Response(status_code=201)


def _found(store: Store, key: str) -> bool:
    """Whether a blob is there; then it stays for as long as a promise lasts."""
    if store.head(key) is None:
        return False
    promise(store, _digest(key))
    return store.head(key) is not None


async def _parts(request: Request, store: Store, key: str, size: int) -> None:
    """Store a body of a known size as it comes, a part at a time. What an earlier request brought of it is skipped."""
    lease = await asyncio.to_thread(promise, store, _digest(key))
    with await asyncio.to_thread(store.upload, _digest(key), size) as upload:
        missing = set(upload.missing)
        part, number = bytearray(), 0
        async for piece in request.stream():
            part += piece
            if lease.due:
                await asyncio.to_thread(lease.renew)
            while len(part) >= upload.part_size and number < upload.parts - 1:
                await _write(upload, missing, number, part[: upload.part_size])
                part, number = part[upload.part_size :], number + 1
        await _write(upload, missing, number, part)
        try:
            await asyncio.to_thread(upload.commit)
        except DigestMismatch as error:
            raise _mismatch(key, error.message.rpartition("got ")[2]) from None


async def _write(upload: Upload, missing: set[int], number: int, part: bytearray) -> None:
    if number in missing:
        await asyncio.to_thread(upload.write, number, bytes(part))


async def _spooled(request: Request, store: Store, key: str, limit: int) -> None:
    """Store a body whose size nobody told: on this machine's disk first."""
    found, size = hashlib.sha256(), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "blob")
        with path.open("wb") as file:  # noqa: ASYNC230 a write to the page cache
            async for piece in request.stream():
                size += len(piece)
                if size > limit:
                    raise PayloadTooLarge(f"the blob is longer than {limit} bytes")
                found.update(piece)
                file.write(piece)
        if found.hexdigest() != key[-64:]:
            raise _mismatch(key, f"sha256:{found.hexdigest()}")
        await asyncio.to_thread(promise, store, _digest(key))
        await asyncio.to_thread(store.put_file, key, path, move=True)


def _mismatch(key: str, got: str) -> InvalidRequest:
    return InvalidRequest(f'digest mismatch, expected "{_digest(key)}", got "{got}"', param="digest")


def _digest(key: str) -> str:
    return f"sha256:{key[-64:]}"


def _key(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise InvalidRequest("invalid digest format", param="digest")
    return blob_key(digest)
