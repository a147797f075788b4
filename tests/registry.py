"""A registry to pull from and push to, on loopback, of several kinds, which counts what it serves."""

import hashlib
import os
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.catalog.manifest import CONFIG, MANIFEST, MODEL, TEMPLATE, Layer, Manifest, build_manifest, digest_of

_PIECE = 1 << 20

TOKEN = "a-token"


@dataclass
class State:
    """What the registry holds, how it behaves, and what it saw. `cut` and `stall` are numbers of accidents to come:
    a body that breaks off, or falls silent, after half of it."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes | Path] = field(default_factory=dict)
    ranges: bool = True
    chunked: bool = False
    """Whole blobs are sent in chunks, without their length."""
    redirect: str = ""
    cut: int = 0
    stall: int = 0
    fail: int = 0
    slow_s: float = 0.0
    """A pause after each MiB."""
    challenge: bool = False
    login: str = ""
    realm: str = ""
    storage: str = ""
    served: int = 0
    connections: int = 0
    silent: int = 0
    """Answers that have fallen silent, and are so still."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    waiting: threading.Event = field(default_factory=threading.Event)
    """Ends every silence."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def takes(self, accident: str) -> bool:
        with self.lock:
            left: int = getattr(self, accident)
            setattr(self, accident, max(0, left - 1))
            return left > 0

    def add(self, repository: str, data: bytes | Path, **small: bytes) -> Manifest:
        """A model of some weights, under the tag `latest`."""
        if isinstance(data, Path):
            with data.open("rb") as file:
                layer = Layer(MODEL, f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}", data.stat().st_size)
        else:
            layer = Layer.of(MODEL, data)
        texts = {CONFIG: b'{"model_format":"gguf"}\n', TEMPLATE: b"{{ .Prompt }}", **small}
        layers = [Layer.of(kind, text) for kind, text in texts.items()]
        manifest = build_manifest(layers[0], [layer, *layers[1:]])
        # With a space that nobody would write, so that only the very bytes will do.
        raw = manifest.raw.replace(b'"layers":', b'"layers": ')
        self.blobs |= {layer.digest: data} | {digest_of(text): text for text in texts.values()}
        self.manifests[f"{repository}:latest"] = raw
        return Manifest.from_bytes(raw)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def setup(self) -> None:
        super().setup()
        with self.state.lock:
            self.state.connections += 1

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        state, path = self.state, urlsplit(self.path).path
        self._note()
        if path == "/token":
            good = not state.login or self.headers.get("Authorization") == state.login
            self._answer(200 if good else 401, b'{"token":"%s"}' % TOKEN.encode() if good else b"")
        elif path.startswith("/storage/"):
            self._blob(path.removeprefix("/storage/"))
        elif not self._authorized():
            return
        elif state.takes("fail"):
            self._answer(503, b"busy")
        elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            raw = state.manifests.get(f"{found[1]}:{found[2]}")
            self._answer(200 if raw else 404, raw or b"{}", {"Content-Type": MANIFEST})
        elif found := re.fullmatch(r"/v2/(.+)/blobs/(sha256:[0-9a-f]+)", path):
            if self.command == "GET" and state.redirect:
                self._answer(307, b"", {"Location": f"{state.redirect}/storage/{found[2]}"})
            else:
                self._blob(found[2])
        else:
            self._answer(404, b"{}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._note()
        self._body()
        if self._authorized():
            name = f"/upload/{len(self.state.uploads)}"
            self.state.uploads[name] = bytearray()
            self._answer(202, b"", {"Location": f"{name}?state=0"})

    def do_PATCH(self) -> None:
        self._note()
        body, name = self._body(), urlsplit(self.path).path
        if self.state.storage:
            location = {"Location": f"{self.state.storage}/stored{name}", "Docker-Upload-Location": f"{name}?state=1"}
            self._answer(307, b"", location)
            return
        self.state.uploads[name] += body
        self._answer(202, b"", {"Location": f"{name}?state=1"})

    def do_PUT(self) -> None:
        self._note()
        body, split = self._body(), urlsplit(self.path)
        if split.path.startswith("/stored"):
            self.state.uploads[split.path.removeprefix("/stored")] += body
        elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", split.path):
            self.state.manifests[f"{found[1]}:{found[2]}"] = body
        else:
            data, digest = bytes(self.state.uploads[split.path] + body), parse_qs(split.query)["digest"][0]
            if digest_of(data) != digest:
                self._answer(400, b"digest invalid")
                return
            self.state.blobs[digest] = data
        self._answer(201, b"")

    def _note(self) -> None:
        with self.state.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.state.requests.append((self.command, self.path, headers))

    def _authorized(self) -> bool:
        if not self.state.challenge or self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        realm = self.state.realm or f"http://{self.headers['Host']}/token"
        told = f'Bearer realm="{realm}",service="test",scope="repository:library/m:pull"'
        self._answer(401, b"", {"WWW-Authenticate": told})
        return False

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _blob(self, digest: str) -> None:
        data = self.state.blobs.get(digest)
        if data is None:
            self._answer(404, b"{}")
            return
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        start, end, status = 0, size, 200
        if self.state.ranges and (found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))):
            start, end, status = int(found[1]), min(size, int(found[2]) + 1), 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        if self.state.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command != "HEAD":
            self._bytes(data, start, end)

    def _bytes(self, data: bytes | Path, start: int, end: int) -> None:
        cut, stall = self.state.takes("cut"), self.state.takes("stall")
        length = (end - start) // 2 if cut or stall else end - start
        with self.state.lock:
            self.state.served += length
        if isinstance(data, Path):
            self.wfile.flush()
            with data.open("rb") as file:
                while length:
                    sent = os.sendfile(self.connection.fileno(), file.fileno(), start, length)
                    start, length = start + sent, length - sent
        else:
            for at in range(start, start + length, _PIECE):
                piece = memoryview(data)[at : min(at + _PIECE, start + length)]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.state.chunked else piece)
                if self.state.slow_s:
                    self.state.waiting.wait(self.state.slow_s)
        if stall:
            self._be_silent()
        if cut or stall:
            self.close_connection = True
        elif self.state.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _be_silent(self) -> None:
        with self.state.lock:
            self.state.silent += 1
        self.state.waiting.wait(20)
        with self.state.lock:
            self.state.silent -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """A client that went away is none of ours."""


@contextmanager
def registry(state: State, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """`127.0.0.1:port` of a registry that serves a state."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        state.waiting.set()
        server.shutdown()
        server.server_close()
        thread.join()
