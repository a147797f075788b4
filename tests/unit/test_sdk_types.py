"""The tests' own judge: it names what is wrong, and sees what the clients of a test get."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import openai
import pytest

from tests.sdk_types import judging, problems, problems_of_stream

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "Hi", "reasoning": "Hm"},
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
TEXT: dict[str, Any] = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
VECTORS: dict[str, Any] = {"object": "list", "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def changed(body: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    """A deep copy with one value set."""
    copy: dict[str, Any] = json.loads(json.dumps(body))
    at: Any = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return copy


@pytest.mark.parametrize(
    "body",
    [
        CHAT,
        {"error": {"message": "no", "type": "api_error", "param": None, "code": None}},
        {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "library"}]},
        {**TEXT, "choices": [{"text": "Hi", "index": 0, "finish_reason": None, "logprobs": None}]},
        {**VECTORS, "data": [{"object": "embedding", "index": 0, "embedding": "AAAA"}]},
        {**VECTORS, "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]},
    ],
)
def test_what_is_right(body: dict[str, Any]) -> None:
    assert problems(body) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (changed(CHAT, "choices", 0, "message", "thinking", to="x"), "chat.completion: 'choices.0.message.thinking'"),
        (changed(CHAT, "usage", "total_tokens", to="2"), "chat.completion: 'usage.total_tokens'"),
        (changed(CHAT, "usage", "ms", to=2), "chat.completion: 'usage.ms' is not in"),
        (changed(CHAT, "choices", 0, "finish_reason", to="load"), "chat.completion: 'choices.0.finish_reason'"),
        ({**CHAT, "created": None}, "chat.completion: 'created'"),
        ({"object": "poem"}, "object 'poem'"),
        ({"object": "list", "data": None}, "'data' is no array"),
        ({"object": "list", "data": [], "first": 1}, "'first'"),
        ({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "x"}]}, "model: 'created'"),
        ({**VECTORS, "data": [{"object": "embedding", "index": 0, "embedding": ["a"]}]}, "'data.0.embedding.0'"),
        ({"error": {"message": "no", "type": "x", "status": 400}}, "error: 'status'"),
        ({"error": {"message": 5, "type": "x"}}, "error: 'message'"),
        ([], "no object"),
    ],
)
def test_what_is_wrong_is_named(body: Any, told: str) -> None:
    assert told in "\n".join(problems(body))


EVENT = 'data: {"error": {"message": "no", "type": "x"}}\n\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (": queued\n\ndata: [DONE]\n\n", ""),
        (EVENT, ""),
        ("data: [DONE]\n\ndata: [DONE]\n\n", "after [DONE]"),
        ("data: [DONE]", "neither [DONE] nor an error"),
        ("", "neither [DONE] nor an error"),
        ("event: x\ndata: {}\n\ndata: [DONE]\n\n", "not one line of data"),
        ('data: {"object": "x"}\n\ndata: [DONE]\n\n', "object 'x'"),
    ],
)
def test_streams(text: str, told: str) -> None:
    found = problems_of_stream(text)
    assert told in "\n".join(found)
    assert bool(found) == bool(told)


class _Wrong(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(changed(CHAT, "surprise", to=1)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def wrong() -> Iterator[str]:
    """A server whose every answer has a field too many."""
    with HTTPServer(("127.0.0.1", 0), _Wrong) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


async def test_whoever_asks_the_answer_is_seen(wrong: str) -> None:
    ask: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    told = ["chat.completion: 'surprise' is not in the SDK's type"]
    with judging() as judge:
        httpx.post(f"{wrong}/chat/completions", json=ask)
    assert judge.found == told
    with judging() as judge, openai.OpenAI(base_url=wrong, api_key="any") as client:
        client.chat.completions.create(**ask)
    assert judge.found == told
    with judging() as judge:
        async with openai.AsyncOpenAI(base_url=wrong, api_key="any") as asynchronous:
            await asynchronous.chat.completions.create(**ask)
    assert judge.found == told
