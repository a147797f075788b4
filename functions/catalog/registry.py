"""`/v2/…`: the catalog as a registry that models are pulled from, by Ollama and by any client of OCI's protocol.

Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md (pull).
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from functions.authenticate import authenticate
from functions.errors import oci_body
from functions.services import Services
from shared.catalog.catalog import CatalogModel
from shared.catalog.manifest import MANIFEST, blob_key
from shared.catalog.names import ModelName
from shared.catalog.store import Entry, Store
from shared.errors import InvalidRequest, ModelNotFound

router = APIRouter()

_VERSION: Final = {"Docker-Distribution-API-Version": "registry/2.0"}
_PATH: Final = re.compile(r"(?P<name>[^:]+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_URL_S: Final = 3600
"""How long a presigned URL is good for: a client asks for another one, here, when it is not."""

_PIECE: Final = 1 << 20


@router.get("/v2/{path:path}", summary="Pull from the catalog as a registry")
@router.head("/v2/{path:path}", summary="Look into the catalog as a registry")
async def registry(request: Request, path: str) -> Response:
    """A manifest by tag or digest, a blob by digest. Errors have OCI's shape."""
    authenticate(request)
    services: Services = request.app.state.services.get()
    if not path:
        return JSONResponse({}, headers=_VERSION)
    found = _PATH.fullmatch(path)
    if found is None:
        return _error(404, "NAME_UNKNOWN", "no such resource")
    if found["kind"] == "blobs":
        return await _blob(request, services.store, found["reference"])
    return await _manifest(services, found["name"], found["reference"])


async def _manifest(services: Services, repository: str, reference: str) -> Response:
    name = _name(repository)
    if name is None:
        return _error(404, "NAME_UNKNOWN", "no such repository")
    model = await (_by_digest if reference.startswith("sha256:") else _by_tag)(services, name, reference)
    if model is None:
        return _error(404, "MANIFEST_UNKNOWN", "no such manifest")
    raw = model.manifest.raw
    digest = f"sha256:{model.manifest.digest}"
    headers = {**_VERSION, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
    return Response(raw, media_type=str(orjson.loads(raw).get("mediaType") or MANIFEST), headers=headers)


async def _by_tag(services: Services, repository: str, tag: str) -> CatalogModel | None:
    try:
        return await services.catalog.resolve(f"{repository}:{tag}")
    except (ModelNotFound, InvalidRequest):
        return None


async def _by_digest(services: Services, repository: str, digest: str) -> CatalogModel | None:
    wanted = ModelName.parse(repository).folded.rpartition("/")[0]
    for model in await services.catalog.list():
        if model.manifest.digest == digest[7:] and model.name.folded.rpartition("/")[0] == wanted:
            return model
    return None


def _name(repository: str) -> str | None:
    """A repository as the catalog names it: `namespace/model`, with a host before it for what came from elsewhere."""
    try:
        ModelName.parse(repository)
    except InvalidRequest:
        return None
    return repository


async def _blob(request: Request, store: Store, digest: str) -> Response:
    try:
        key = blob_key(digest)
    except ValueError:
        return _error(400, "DIGEST_INVALID", "invalid digest format")
    entry = await asyncio.to_thread(store.head, key)
    if entry is None:
        return _error(404, "BLOB_UNKNOWN", "no such blob")
    headers = {**_VERSION, "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(entry.size)}, media_type="application/octet-stream")
    url = await asyncio.to_thread(store.url, key, _URL_S)
    # Ollama's client follows a redirect by itself when the host has the same name, and then misses a `Location`.
    if url and urlsplit(url).hostname != request.url.hostname:
        return Response(status_code=307, headers={**headers, "Location": url})
    # It asks every answer for the blob's place, also the one that is the blob.
    return _ranged(store, entry, request.headers.get("range", ""), {**headers, "Location": request.url.path})


def _ranged(store: Store, entry: Entry, asked: str, headers: dict[str, str]) -> Response:
    """The bytes asked for. A range that is none is no range (RFC 9110, 14.2)."""
    span = _span(asked, entry.size)
    start, end = span or (0, entry.size)
    if span and start >= end:
        answer = _error(416, "RANGE_INVALID", "the blob has no such range")
        answer.headers["Content-Range"] = f"bytes */{entry.size}"
        return answer
    headers = {**headers, "Content-Length": str(end - start)}
    if span:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    body = _pieces(store, entry.key, start, end)
    return StreamingResponse(body, 206 if span else 200, headers, "application/octet-stream")


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """Start and end, exclusive; equal or crossed when there is nothing to send. None for what is not one range."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    if found[2] and int(found[2]) < int(found[1]):
        return None
    return int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)


async def _pieces(store: Store, key: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
    while start < end:
        data = await asyncio.to_thread(store.get_range, key, start, min(_PIECE, end - start))
        if not data:
            return  # removed meanwhile: the client sees a body that is too short
        yield data
        start += len(data)


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse(oci_body(code, message), status, headers=_VERSION)
