"""Ollama's protocol on the wire: bodies, types, statuses, and what a client that leaves leaves behind."""

import hashlib
import random
from typing import Any

import httpx
import orjson
import pytest

from tests.gguf_files import MINIMAL
from tests.harness import Stack, wait_for

pytestmark = pytest.mark.redis

HELLO: dict[str, Any] = {"model": "chatter", "messages": [{"role": "user", "content": "Hi"}]}


def refused(answer: httpx.Response, status: int) -> str:
    """The one word of an error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    assert isinstance(body["error"], str)
    return str(body["error"])


def test_a_stream_is_the_default_and_is_lines(http: httpx.Client) -> None:
    answer = http.post("/api/chat", json=HELLO)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [line["done"] for line in lines][-1] is True
    assert set(lines[0]) == {"model", "created_at", "message", "done"}
    assert all(type(lines[-1][name]) is int for name in lines[-1] if name.endswith(("_duration", "_count")))


def test_a_whole_answer_is_json(http: httpx.Client) -> None:
    for path, body in (("/api/chat", HELLO), ("/api/generate", {"model": "chatter", "prompt": "Hi"})):
        answer = http.post(path, json={**body, "stream": False})
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["done"] is True


def test_errors_are_one_word(http: httpx.Client) -> None:
    assert refused(http.post("/api/chat", content=b"{"), 400).startswith("the request body is not valid JSON")
    assert refused(http.post("/api/chat", json={"messages": []}), 400) == "model is required"
    assert refused(http.post("/api/create", content=b""), 400) == "missing request body"
    assert refused(http.post("/api/show", json={}), 400) == "model is required"
    assert refused(http.post("/api/show", json={"model": "nobody"}), 404) == "model 'nobody' not found"
    assert refused(http.post("/api/copy", json={"source": "a b", "destination": "x"}), 400) == 'source "a b" is invalid'
    assert refused(http.request("DELETE", "/api/delete", json={"model": "a b"}), 400) == 'name "a b" is invalid'
    assert refused(http.get("/api/nowhere"), 404).startswith("Unknown request URL")
    assert refused(http.get("/api/chat"), 405).startswith("Method not allowed")
    assert refused(http.post("/api/chat", content=b"x" * 6_000_001), 413)
    assert refused(http.post("/api/chat", json={**HELLO, "colour": 1}), 400) == "Unknown parameter: 'colour'."


def test_nobody_is_signed_in(http: httpx.Client) -> None:
    assert refused(http.post("/api/me"), 401).startswith("unauthorized")


def test_what_ollamas_command_sends_empty_asks_for_nothing(http: httpx.Client) -> None:
    shown = {"model": "", "name": "chatter", "system": "", "template": "", "verbose": False, "options": None}
    assert http.post("/api/show", json=shown).status_code == 200
    transfer = {"model": "", "name": "nobody", "username": "", "password": ""}
    assert refused(http.post("/api/push", json=transfer), 404) == "model 'nobody' not found"
    login = {**transfer, "password": "secret"}
    assert refused(http.post("/api/pull", json=login), 400).startswith("Unsupported parameter: 'password'")


def test_heads(http: httpx.Client) -> None:
    for path in ("/", "/api/version", "/api/tags"):
        answer = http.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert http.get("/api/version").json() == {"version": "0.1.0"}


def test_blobs(http: httpx.Client) -> None:
    data = MINIMAL + b"\0"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    other = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
    assert http.head(f"/api/blobs/{digest}").status_code == 404
    assert refused(http.post("/api/blobs/sha256:00", content=data), 400) == "invalid digest format"
    assert http.head("/api/blobs/sha256:00").status_code == 400
    wrong = http.post(f"/api/blobs/{other}", content=data)
    assert refused(wrong, 400) == f'digest mismatch, expected "{other}", got "{digest}"'
    assert http.head(f"/api/blobs/{other}").status_code == 404
    for status in (201, 200):
        answer = http.post(f"/api/blobs/{digest}", content=iter([data[:10], data[10:]]))
        assert (answer.status_code, answer.content) == (status, b"")
    assert http.head(f"/api/blobs/{digest.upper().replace('SHA256', 'sha256')}").status_code == 200


def test_a_blob_in_several_parts(http: httpx.Client) -> None:
    data = random.Random(1).randbytes((5 << 20) * 2 + 7)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert refused(http.post(f"/api/blobs/{digest}", content=data[:-1] + b"?"), 400).startswith("digest mismatch")
    assert http.post(f"/api/blobs/{digest}", content=data).status_code == 201
    assert http.head(f"/api/blobs/{digest}").status_code == 200


def test_an_empty_blob(http: httpx.Client) -> None:
    digest = f"sha256:{hashlib.sha256(b'').hexdigest()}"
    assert http.post(f"/api/blobs/{digest}", content=b"").status_code == 201
    assert http.head(f"/api/blobs/{digest}").status_code == 200


def test_larger_than_a_blob_may_be(stack: Stack) -> None:
    stack_url = stack.url
    try:
        stack.start_api(PUNA_MAX_BLOB="100")
        with httpx.Client(base_url=stack.url) as http:
            for content in (b"x" * 101, iter([b"x" * 60, b"x" * 60])):
                answer = http.post(f"/api/blobs/sha256:{'0' * 64}", content=content)
                assert refused(answer, 413)
    finally:
        stack.url = stack_url


def test_a_client_that_leaves_cancels(http: httpx.Client, stack: Stack) -> None:
    body = {**HELLO, "options": {"num_predict": 1_000_000}}
    with http.stream("POST", "/api/chat", json=body) as answer:
        assert next(answer.iter_lines())
    wait_for(lambda: not stack.residue(), "nothing of it is left in the queue")


def test_a_name_is_copied_over_another(http: httpx.Client) -> None:
    for source in ("chatter", "thinker"):
        answer = http.post("/api/copy", json={"source": source, "destination": "Over:1"})
        assert (answer.status_code, answer.content) == (200, b"")
    tags = {model["name"]: model for model in http.get("/api/tags").json()["models"]}
    assert tags["Over:1"]["digest"] == tags["thinker:latest"]["digest"]
    assert http.request("DELETE", "/api/delete", json={"name": "oVER:1"}).status_code == 200
