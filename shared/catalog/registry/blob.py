"""A blob of a registry as a source of ranges."""

import re
from typing import Final

from shared.catalog.registry.answer import Answer, text_of
from shared.catalog.registry.client import Registry, failure
from shared.catalog.registry.errors import NotInRegistry, RegistryFailed
from shared.catalog.registry.http import Http
from shared.catalog.source import Broken

_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_EXPIRED: Final = (400, 401, 403, 404, 410)


class HttpStream:
    """A Stream: the body of a 200 or 206. Raises RegistryFailed unless it is of the blob and range asked for."""

    def __init__(self, response: Answer, start: int, end: int, size: int) -> None:
        self._response = response
        self.whole = response.status == 200
        self.start, self.end = (0, size) if self.whole else (start, end)
        try:
            self._check(response, size)
        except BaseException:
            response.close()
            raise
        self._left = self.end - self.start

    def _check(self, response: Answer, size: int) -> None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise RegistryFailed("the blob was sent compressed, unasked")
        if self.whole:
            length = response.headers.get("content-length", str(size))
            if length != str(size):
                raise RegistryFailed(f"the blob has {length} bytes, and the manifest says {size}")
            return
        found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
        if not found or int(found[1]) != self.start or int(found[2]) >= self.end:
            raise RegistryFailed("another range of the blob was sent than was asked for")
        if found[3] not in ("*", str(size)):
            raise RegistryFailed(f"the blob has {found[3]} bytes, and the manifest says {size}")
        self.end = int(found[2]) + 1

    def readinto(self, view: memoryview) -> int:
        count = self._response.readinto(view[: self._left])
        self._left -= count
        return count

    def close(self) -> None:
        self._response.close()


class BlobSource:
    """A Source. Where a redirect led is gone to directly afterwards, until it does not answer any more."""

    def __init__(self, registry: Registry, digest: str, size: int) -> None:
        self._registry, self._size = registry, size
        self._digest = digest
        self._url = f"{registry.url}/blobs/{digest}"
        self._direct = ""

    def open(self, start: int, end: int) -> HttpStream:
        headers = {"Range": f"bytes={start}-{end - 1}"}
        direct = self._direct
        if direct:
            response = self._registry.send("GET", direct, headers)
            if response.status not in _EXPIRED and response.status < 300:
                return self._stream(response, start, end)
            response.close()
            self._direct = ""
        response, self._direct = self._registry.follow("GET", self._url, headers)
        return self._stream(response, start, end)

    def abort(self) -> None:
        self._registry.http.abort()

    def _stream(self, response: Answer, start: int, end: int) -> HttpStream:
        if response.status in (200, 206):
            return HttpStream(response, start, end, self._size)
        self._direct = ""
        if response.status == 404:
            response.close()
            raise NotInRegistry(f"pull blob {self._digest}: file does not exist")
        if response.status == 416:
            response.close()
            raise RegistryFailed(f"the blob {self._digest} is shorter than the manifest says")
        raise failure(response, f"pull blob {self._digest}", text_of(response, 300))


class UrlSource:
    """A Source at a URL that needs nothing else, like a presigned one."""

    def __init__(self, http: Http, url: str, size: int) -> None:
        self._http, self._url, self._size = http, url, size

    def open(self, start: int, end: int) -> HttpStream:
        response = self._http.send("GET", self._url, {"Range": f"bytes={start}-{end - 1}"})
        if response.status in (200, 206):
            return HttpStream(response, start, end, self._size)
        response.close()
        raise Broken(f"the store answered {response.status}")

    def abort(self) -> None:
        self._http.abort()
