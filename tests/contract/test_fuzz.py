"""Any body at all: no 5xx, no hang, nothing left in the queue. `FUZZ_CASES` sets how many bodies are tried."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.schema.chat import ChatRequest
from shared.schema.responses import ResponseRequest
from tests.harness import FAKE_MODEL, Stack, running_stack, wait_for

pytestmark = pytest.mark.redis

CASES = int(os.environ.get("FUZZ_CASES", "500"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

FIELDS = st.sampled_from(sorted(ChatRequest.model_fields)) | st.text(max_size=12)

PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "file", "refusal"])}
) | st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=8)})

MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "x"]),
            "content": st.text(max_size=20) | st.lists(PARTS | JSON, max_size=3) | JSON,
        },
        optional={"name": JSON, "tool_calls": JSON, "tool_call_id": JSON, "refusal": JSON},
    )
    | JSON,
    max_size=4,
)


KINDS = ["message", "function_call", "function_call_output", "reasoning", "item_reference", "computer_call"]

CONTENT = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["input_text", "output_text", "input_image", "input_file"])})
    | st.fixed_dictionaries({"type": st.just("input_text"), "text": st.text(max_size=8)})
    | JSON,
    max_size=3,
)

ITEMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(KINDS) | JSON,
            "role": st.sampled_from(["user", "assistant", "developer", "tool"]) | JSON,
            "content": st.text(max_size=20) | CONTENT | JSON,
            "call_id": st.sampled_from(["a", "b"]) | JSON,
            "name": st.text(max_size=8) | JSON,
            "arguments": st.sampled_from(["{}", "", "["]) | JSON,
            "output": st.text(max_size=8) | CONTENT | JSON,
            "summary": JSON,
            "encrypted_content": st.text(max_size=8) | JSON,
            "id": st.text(max_size=8) | JSON,
        },
    )
    | JSON,
    max_size=4,
)

RESPONSE_FIELDS = st.sampled_from(sorted(ResponseRequest.model_fields)) | st.text(max_size=12)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = {"PUNA_SLOTS": "8", "PUNA_REQUEST_TIMEOUT": "20", "PUNA_LOG_LEVEL": "warning"}
    with running_stack(tmp_path_factory.mktemp("fuzz"), **environ) as stack:
        stack.start_worker()
        stack.start_api()
        yield stack


@pytest.fixture(scope="module")
def client(fuzzed: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fuzzed.url, timeout=15) as client:
        yield client


def check(answer: httpx.Response) -> None:
    """A success, or an error of the caller's in OpenAI's shape."""
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.status_code == 200:
        return
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=MESSAGES, fields=st.dictionaries(FIELDS, JSON, max_size=4), good=st.booleans(), stream=st.booleans())
@pytest.mark.slow
def test_any_chat_body(client: httpx.Client, messages: Any, fields: Any, good: bool, stream: bool) -> None:
    body = {"model": FAKE_MODEL, "messages": messages, "max_tokens": 2, "stream": stream}
    if good:
        body["messages"] = [{"role": "user", "content": "hello"}]
    check(client.post("/v1/chat/completions", json={**body, **fields}))


@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(items=ITEMS, fields=st.dictionaries(RESPONSE_FIELDS, JSON, max_size=4), good=st.booleans(), stream=st.booleans())
@pytest.mark.slow
def test_any_response_body(client: httpx.Client, items: Any, fields: Any, good: bool, stream: bool) -> None:
    body = {"model": FAKE_MODEL, "input": "hello" if good else items, "max_output_tokens": 2, "stream": stream}
    check(client.post("/v1/responses", json={**body, **fields}))


@settings(max_examples=max(CASES // 5, 20), deadline=None, suppress_health_check=list(HealthCheck))
@given(body=JSON)
def test_any_json(client: httpx.Client, body: Any) -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"):
        check(client.post(path, json=body))


@settings(max_examples=max(CASES // 5, 20), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    items=ITEMS, fields=st.dictionaries(st.sampled_from(["metadata", "items"]) | st.text(max_size=8), JSON, max_size=2)
)
def test_any_conversation_body(client: httpx.Client, items: Any, fields: Any) -> None:
    id = client.post("/v1/conversations", json={}).json()["id"]
    for path in ("", f"/{id}", f"/{id}/items"):
        check(client.post(f"/v1/conversations{path}", json={"items": items, **fields}))
    check(client.post("/v1/responses/input_tokens", json={"model": FAKE_MODEL, "input": items, **fields}))


@settings(max_examples=max(CASES // 5, 20), deadline=None, suppress_health_check=list(HealthCheck))
@given(id=st.text(max_size=60), query=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=2))
def test_any_id_of_something_stored(client: httpx.Client, id: str, query: Any) -> None:
    for path in ("responses/ID", "responses/ID/input_items", "conversations/ID", "conversations/ID/items/ID"):
        url = f"/v1/{path.replace('ID', quote(id, safe='') or 'x')}"
        check(client.get(url, params=query))
        check(client.delete(url, params=query))


@settings(max_examples=max(CASES // 5, 20), deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=200))
def test_any_bytes(client: httpx.Client, body: bytes) -> None:
    check(client.post("/v1/chat/completions", content=body))


@settings(max_examples=max(CASES // 5, 20), deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.text(max_size=60))
def test_any_model_name(client: httpx.Client, name: str) -> None:
    check(client.post("/v1/chat/completions", json={"model": name, "messages": [{"role": "user", "content": "x"}]}))
    check(client.get("/v1/models/" + quote(name, safe="/")))


@pytest.mark.slow
def test_our_own_openapi_document(fuzzed: Stack, tmp_path: Path) -> None:
    """Schemathesis reads the document and tries what it allows, and what it does not."""
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{fuzzed.url}/openapi.json"),
            *("--checks", "not_a_server_error", "--max-examples", str(max(CASES // 20, 10)), "--no-color"),
            *("--request-timeout", "20", "--generation-deterministic"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]


def test_nothing_is_left_of_it_all(fuzzed: Stack) -> None:
    wait_for(lambda: not fuzzed.residue(), f"an empty queue: {json.dumps(fuzzed.residue(), default=str)[:300]}")
