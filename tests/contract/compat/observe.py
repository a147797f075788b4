"""The stack that is asked, and what it answers: a model that chats, one that thinks and one that embeds."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from infra.seeds.importer import ensure
from infra.seeds.models import SMOLLM2
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, MODEL, TEMPLATE, Layer, blob_key, build_manifest, encode_config
from shared.catalog.names import ModelName
from tests import minilm
from tests.contract.compat import rows_answers, rows_chat, rows_messages, rows_others
from tests.contract.compat.probe import CHAT, EMBED, THINKER, Ask
from tests.harness import ROOT, Stack, running_stack
from tests.pictures import picture
from tests.sdk_types import judging

TABLES = (
    rows_chat.REQUEST,
    rows_messages.MESSAGES,
    rows_answers.WHOLE,
    rows_answers.CHUNKS,
    rows_others.COMPLETIONS,
    rows_others.COMPLETION,
    rows_others.EMBEDDINGS,
    rows_others.VECTORS,
    rows_others.MODELS,
    rows_others.MODEL,
)

Outcomes = list[list[str]]
"""What each row of each table came to."""


def observe(folder: Path) -> Outcomes:
    """Ask for every row. Raises AssertionError for an answer that is not of the SDK's types."""
    with _stack(folder) as stack, _red_picture() as url, httpx.Client(base_url=stack.url, timeout=60) as client:
        with judging() as judge:
            found = [[row.outcome(Ask(client, table.path, url)) for row in table.rows] for table in TABLES]
        assert not judge.found, judge.found
    return found


@contextmanager
def _stack(folder: Path) -> Iterator[Stack]:
    environ = {
        "PUNA_CATALOG": str(_catalog(folder / "catalog")),
        "PUNA_ENGINE": "xllamacpp",
        "PUNA_CONTEXT": "1024",
        "PUNA_IMAGE_HTTP": "1",
        "PUNA_IMAGE_NETWORKS": "127.0.0.0/8",
    }
    with running_stack(folder, **environ) as stack:
        for model in (CHAT, THINKER, EMBED):
            stack.start_worker(PUNA_MODEL=model)
        stack.start_api()
        yield stack


def _catalog(folder: Path) -> Path:
    """The default models of the tests' catalog, and one that thinks: the same weights with another template."""
    kept = minilm.catalog()
    ensure(DirectoryStore(kept), SMOLLM2, kept.parent / "downloads")
    (folder / "blobs").mkdir(parents=True)
    for blob in (kept / "blobs").glob("sha256-*"):
        (folder / "blobs" / blob.name).symlink_to(blob.resolve())
    store = DirectoryStore(folder)
    for model in (CHAT, EMBED):
        key = ModelName.parse(model).manifest_key
        store.put(key, (kept / key).read_bytes())
    template = (ROOT / "infra/seeds/templates/smollm2-thinking.jinja").read_bytes()
    config = encode_config({**SMOLLM2.config, "capabilities": ["completion", "tools", "thinking"]})
    parts = {TEMPLATE: template, CONFIG: config}
    layers = {kind: Layer.of(kind, data) for kind, data in parts.items()}
    for kind, data in parts.items():
        store.put(blob_key(layers[kind].digest), data)
    weights = Layer(MODEL, f"sha256:{SMOLLM2.sha256}", SMOLLM2.size)
    store.put(ModelName.parse(THINKER).manifest_key, build_manifest(layers[CONFIG], [weights, layers[TEMPLATE]]).raw)
    return folder


class _Red(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = picture("red")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def _red_picture() -> Iterator[str]:
    """A server of a plain red picture, by its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Red) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
