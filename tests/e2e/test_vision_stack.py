"""From an image's URL to the answer, with the real model: what a user of the default install sees."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from infra.seeds.models import SMOLLM2
from tests.harness import ROOT, Stack, running_stack
from tests.pictures import COLOURS, asks, noise, part, picture
from tests.pictures import data_url as url_of

pytestmark = pytest.mark.engine

QUESTION = "What color is this picture?"


class _Pictures(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.strip("/")
        data = picture(COLOURS[name], size=(640, 480)) if name in COLOURS else noise()
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def pictures() -> Iterator[str]:
    """A server on loopback, by its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pictures)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def seeing_stack(catalog_of_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {
        "PUNA_CATALOG": str(catalog_of_models),
        "PUNA_MODEL": SMOLLM2.name,
        "PUNA_ENGINE": "xllamacpp",
        "PUNA_CONTEXT": "1024",
        "PUNA_SLOTS": "2",
        "PUNA_IMAGE_HTTP": "1",
        "PUNA_IMAGE_NETWORKS": "127.0.0.0/8",
    }
    with running_stack(tmp_path_factory.mktemp("seeing"), **environ) as stack:
        stack.start_worker()
        stack.start_api()
        yield stack


def ask(stack: Stack, *parts: Any) -> str:
    with OpenAI(base_url=f"{stack.url}/v1", api_key="x", max_retries=0) as client:
        messages: Any = asks(*parts)
        answer = client.chat.completions.create(model=SMOLLM2.name, messages=messages, temperature=0, max_tokens=12)
    return (answer.choices[0].message.content or "").lower()


def test_six_of_six_by_data_url_and_by_web_url(seeing_stack: Stack, pictures: str) -> None:
    for name, colour in COLOURS.items():
        assert name in ask(seeing_stack, QUESTION, part(url_of(picture(colour))))
        assert name in ask(seeing_stack, QUESTION, part(f"{pictures}/{name}"))


def test_an_image_by_reference(seeing_stack: Stack, pictures: str) -> None:
    large = picture("yellow", "BMP", (64, 64))
    assert ask(seeing_stack, QUESTION, part(f"{pictures}/noise"))
    with pytest.raises(BadRequestError) as caught:
        ask(seeing_stack, QUESTION, part(url_of(large)))
    assert (caught.value.code, caught.value.param) == ("invalid_image_format", "messages[0].content[1].image_url")
    photo = picture("yellow", size=(3000, 3000))
    assert len(photo) > 8192
    assert "yellow" in ask(seeing_stack, QUESTION, part(url_of(photo)))


def test_the_example_runs(seeing_stack: Stack) -> None:
    environ = {**os.environ, "OPENAI_BASE_URL": f"{seeing_stack.url}/v1"}
    run = subprocess.run(
        [sys.executable, "examples/vision.py"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    for line in run.stdout.splitlines():
        name, _, answer = line.partition(":")
        assert name in answer.lower(), line
