"""Where a wheel is: the package index of this machine, asked in JSON (PEP 691) or HTML (PEP 503)."""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import httpx

from shared.errors import PunaError

PYPI: Final = "https://pypi.org/simple"
INDEX_VARIABLES: Final = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
CERTIFICATE_VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
ACCEPT: Final = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


class SeedError(PunaError):
    """A default model could not be had. The message says what to do and holds no credentials."""

    default_code = "seed_failed"


def index_url(environ: Mapping[str, str] | None = None) -> str:
    """The index of pip's or uv's variables, else of pip's configuration, else PyPI."""
    environ = os.environ if environ is None else environ
    for variable in INDEX_VARIABLES:
        if environ.get(variable, "").strip():
            return environ[variable].strip()
    # pip alone knows its files and their order. Without pip this fails at once, and that is an answer.
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return PYPI
    return (told.stdout.strip() if told.returncode == 0 else "") or PYPI


def ssl_context(environ: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """The certificates that pip's or the usual variables name, else the operating system's."""
    environ = os.environ if environ is None else environ
    for variable in CERTIFICATE_VARIABLES:
        place = Path(environ.get(variable, "") or "/nonexistent")
        if place.exists():
            if place.is_dir():
                return ssl.create_default_context(capath=place)
            return ssl.create_default_context(cafile=place)
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Index:
    """One package index. Credentials in its URL go to its own host only, and never into a message."""

    def __init__(self, url: str, environ: Mapping[str, str] | None = None) -> None:
        try:
            given = httpx.URL(url if url.endswith("/") else f"{url}/")
        except httpx.InvalidURL as error:
            raise SeedError(f"the package index's URL is malformed: {error}") from None
        if given.scheme not in {"http", "https"} or not given.host:
            raise SeedError("the package index's URL must begin with http:// or https://")
        self.url = given.copy_with(userinfo=b"")
        self._auth = httpx.BasicAuth(given.username, given.password) if given.userinfo else None
        timeout = httpx.Timeout(30.0, connect=10.0)
        self.client = httpx.Client(verify=ssl_context(environ), follow_redirects=True, timeout=timeout)

    def auth(self, url: httpx.URL) -> httpx.Auth | None:
        """The credentials for a URL, if it is on the index's host."""
        own = (self.url.scheme, self.url.netloc)
        return self._auth if (url.scheme, url.netloc) == own else None

    def find(self, package: str, filename: str) -> httpx.URL:
        """The URL of a file. Raises SeedError when the index does not list it; httpx errors pass through."""
        page = self.url.join(f"{re.sub(r'[-_.]+', '-', package).lower()}/")
        answer = self.client.get(page, headers={"Accept": ACCEPT}, auth=self.auth(page))
        if answer.status_code == 404:
            raise SeedError(f"the package index {self.url} has no package {package}")
        answer.raise_for_status()
        for name, url in _files(answer):
            if name == filename:
                found = answer.url.join(url)
                return found.copy_with(fragment=None)
        raise SeedError(f"the package index {self.url} has no file {filename}")


def _files(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """(file name, absolute or relative URL) of each file on a project's page."""
    if "json" in answer.headers.get("content-type", ""):
        try:
            for file in answer.json()["files"]:
                yield str(file["filename"]), str(file["url"])
        except (ValueError, KeyError, TypeError) as error:
            raise SeedError(f"the package index answered with malformed JSON: {error!r}") from None
        return
    parser = _Anchors()
    parser.feed(answer.text)
    yield from parser.files


class _Anchors(HTMLParser):
    """The anchors of a PEP 503 page: the text is the file's name."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[tuple[str, str]] = []
        self._href: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._href = dict(attrs).get("href")

    def handle_data(self, data: str) -> None:
        if self._href and data.strip():
            self.files.append((data.strip(), self._href))

    def handle_endtag(self, tag: str) -> Any:
        if tag == "a":
            self._href = None
