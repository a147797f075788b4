"""`HEAD` and `POST /api/blobs/{digest}`: files that a model will be made of, before it is made."""

import asyncio
import hashlib
import tempfile
from pathlib import Path

from fastapi import APIRouter, Request, Response

from functions.authenticate import authenticate
from functions.services import Services
from shared.catalog.manifest import DIGEST, blob_key
from shared.errors import InvalidRequest, NotFound, PayloadTooLarge

router = APIRouter()


@router.head("/api/blobs/{digest}", summary="Ask for a blob")
async def head(request: Request, digest: str) -> Response:
    """200 when a blob is there, 404 otherwise."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    if await asyncio.to_thread(services.store.head, _key(digest)) is None:
        raise NotFound(f"blob {digest} not found")
    return Response()


@router.post("/api/blobs/{digest}", summary="Upload a blob")
async def upload(request: Request, digest: str) -> Response:
    """Take a file. 201 when it was new, 200 when it was there."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    key = _key(digest)
    if await asyncio.to_thread(services.store.head, key):
        return Response(status_code=200)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "blob")
        found = await _receive(request, path, services.settings.max_blob)
        wanted = f"sha256:{key[-64:]}"
        if found != wanted:
            raise InvalidRequest(f'digest mismatch, expected "{wanted}", got "{found}"', param="digest")
        await asyncio.to_thread(services.store.put_file, key, path, move=True)
    return Response(status_code=201)


async def _receive(request: Request, path: Path, limit: int) -> str:
    """Write the body to a file; its digest. Raises PayloadTooLarge."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise PayloadTooLarge(f"the blob has {announced} bytes; {limit} are allowed")
    sum_ = hashlib.sha256()
    size = 0
    with path.open("wb") as file:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise PayloadTooLarge(f"the blob is longer than {limit} bytes")
            sum_.update(piece)
            file.write(piece)
    return f"sha256:{sum_.hexdigest()}"


def _key(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise InvalidRequest("invalid digest format", param="digest")
    return blob_key(digest)
