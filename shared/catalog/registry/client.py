"""One repository of a registry."""

import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from shared.catalog.manifest import MANIFEST
from shared.catalog.names import ModelName
from shared.catalog.registry.answer import Answer, text_of
from shared.catalog.registry.auth import answer
from shared.catalog.registry.errors import NotInRegistry, RegistryFailed
from shared.catalog.registry.http import Http
from shared.catalog.registry.options import Options
from shared.catalog.source import Broken
from shared.errors import InvalidRequest

REDIRECTS: Final = (301, 302, 303, 307, 308)
ACCEPTED: Final = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"

_HOPS: Final = 5
_LARGEST_MANIFEST: Final = 4 << 20
_TOLD: Final = 300
"""Bytes of a registry's own words that an error repeats."""


class Registry:
    """The repository of a model: `https://host/v2/namespace/model`, or `http` when `insecure`. For several threads."""

    def __init__(self, name: ModelName, options: Options, *, insecure: bool = False) -> None:
        self.name = name
        self.options = options
        self.http = Http(options.networks, options.stall_s, http=insecure)
        scheme = "http" if insecure else "https"
        self.url = f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}"
        self._authority = self.http.place(self.url).authority
        self._authorization = ""
        self._lock = threading.Lock()

    def manifest(self) -> bytes:
        """The manifest's text. Raises NotInRegistry, RegistryFailed or Broken."""
        response = self.follow("GET", f"{self.url}/manifests/{self.name.tag}", {"Accept": ACCEPTED})[0]
        if response.status == 404:
            response.close()
            raise NotInRegistry("pull model manifest: file does not exist", param="model")
        body = self.body(response, "pull model manifest", (200,), _LARGEST_MANIFEST)
        if len(body) > _LARGEST_MANIFEST:
            raise RegistryFailed("pull model manifest: it is too large to be one")
        return body

    def follow(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[Answer, str]:
        """The answer behind redirects, and where it was. Another host gets no authorization."""
        for _ in range(_HOPS):
            response = self.send(method, url, headers)
            location = response.headers.get("location")
            if response.status not in REDIRECTS or not location:
                return response, url
            response.close()
            url = urljoin(url, location)
        raise RegistryFailed(f"{self.name.host} redirects more than {_HOPS} times")

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Answer:
        """One request, a second time when it was answered with a challenge. `body` can be sent twice."""
        ours = self.http.place(url).authority == self._authority
        used = self._authorization if ours else ""
        response = self.http.send(method, url, {**headers, **_authorized(used)}, body)
        challenge = response.headers.get("www-authenticate", "")
        if response.status != 401 or not ours or not challenge:
            return response
        response.close()
        with self._lock:
            if self._authorization == used:  # no other thread has answered it meanwhile
                self._authorization = answer(challenge, self._authority, self.http, self.options)
        if hasattr(body, "rewind"):
            body.rewind()
        return self.http.send(method, url, {**headers, **_authorized(self._authorization)}, body)

    def body(self, response: Answer, what: str, good: tuple[int, ...], most: int = _LARGEST_MANIFEST) -> bytes:
        """The body of an answer that is as hoped for. Raises RegistryFailed, or Broken where a retry may help."""
        body = text_of(response, most if response.status in good else _TOLD)
        if response.status in good:
            return body
        raise failure(response, what, body)

    def close(self) -> None:
        self.http.close()


def failure(response: Answer, what: str, body: bytes) -> Exception:
    """What an answer of another status means."""
    told = f"{what}: {response.status}: {body[:_TOLD].decode('utf-8', 'replace').strip()}".rstrip(": ")
    if response.status in (408, 429) or response.status >= 500:
        wait = response.headers.get("retry-after", "")
        return Broken(told, min(60.0, float(wait)) if wait.isdecimal() else 0.0)
    return RegistryFailed(told)


def parse(name: str, *, insecure: bool) -> ModelName:
    """A name that is to be gone to. Raises InvalidRequest; `http://` needs `insecure`, as with Ollama."""
    if urlsplit(name).scheme.lower() == "http" and "://" in name and not insecure:
        raise InvalidRequest("insecure protocol http", param="model")
    return ModelName.parse(name)


def _authorized(authorization: str) -> dict[str, str]:
    return {"Authorization": authorization} if authorization else {}
