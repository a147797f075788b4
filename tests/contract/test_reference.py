"""The reference's table of errors, row by row: status and type as Ollama has them, its words where they help.

Left out: rows of endpoints that are not here, and rows that a model must be made for (tests/e2e). `UPGRADED` are rows
where this API does as OpenAI's does; each says how.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.conftest import CHAT, HELLO, Api
from tests.contract.test_chat_fields import PNG, add
from tests.harness import Stack, running_stack

pytestmark = pytest.mark.redis

TEXT, EMBED = "/v1/completions", "/v1/embeddings"
BASE: dict[str, dict[str, Any]] = {
    CHAT: HELLO,
    TEXT: {"model": "fake", "prompt": "Hi"},
    EMBED: {"model": "embedder", "input": "Hi"},
}
FULL = "registry.ollama.ai/library/fake:latest"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BAD_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_stack(tmp_path_factory.mktemp("reference")) as stack:
        add(stack, "embedder", "embedding")
        add(stack, "seeing", "completion", "vision")
        stack.start_worker()
        stack.start_api()
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            yield Api(stack, stack.url, client)


def send(api: Api, path: str, fields: dict[str, Any]) -> httpx.Response:
    body = {name: value for name, value in {**BASE[path], **fields}.items() if value is not ...}
    return api.client.post(path, json=body)


def content(value: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    message = {"role": role, "content": value, **more}
    return {"messages": [{name: each for name, each in message.items() if each is not ...}]}


def image(url: str) -> dict[str, Any]:
    return {"model": "seeing", **content([{"type": "image_url", "image_url": {"url": url}}])}


KEPT: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("messages absent", CHAT, {"messages": ...}, 400, "[] is too short - 'messages'"),
    ("messages empty", CHAT, {"messages": []}, 400, "[] is too short - 'messages'"),
    ("content a number", CHAT, content(5), 400, "invalid message content type: …"),
    ("content a boolean", CHAT, content(True), 400, "invalid message content type: …"),
    ("content an object", CHAT, content({}), 400, "invalid message content type: …"),
    ("content null", CHAT, content(None), 400, "invalid message content type: …"),
    ("content absent", CHAT, content(...), 400, "invalid message content type: …"),
    ("part malformed", CHAT, content(["Hi"]), 400, "invalid message format: …"),
    ("part unknown", CHAT, content([{"type": "poem"}]), 400, "invalid message format: …"),
    ("arguments empty", CHAT, content(None, "assistant", tool_calls=[BAD_CALL]), 400, "invalid tool call arguments"),
    ("top_logprobs high", CHAT, {"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
    ("top_logprobs low", CHAT, {"logprobs": True, "top_logprobs": -1}, 400, "top_logprobs must be between 0 and 20"),
    (
        "effort unknown",
        CHAT,
        {"reasoning_effort": "extreme"},
        400,
        'invalid reasoning value: "extreme" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", '
        'or "none")',
    ),
    ("chat, no model", CHAT, {"model": ...}, 400, "model is required"),
    ("chat, empty model", CHAT, {"model": ""}, 400, "model is required"),
    ("completions, no model", TEXT, {"model": ...}, 404, "model '' not found"),
    ("embeddings, no model", EMBED, {"model": ""}, 404, "model '' not found"),
    ("chat, name malformed", CHAT, {"model": "a b"}, 400, "invalid model name"),
    ("completions, name malformed", TEXT, {"model": "a b"}, 400, "invalid model name"),
    ("embeddings, name malformed", EMBED, {"model": "a b"}, 400, "invalid model name"),
    ("chat, not found", CHAT, {"model": "x"}, 404, "model 'x' not found"),
    ("completions, not found", TEXT, {"model": "x"}, 404, "model 'x' not found"),
    ("embeddings, not found", EMBED, {"model": "x"}, 404, 'model "x" not found, try pulling it first'),
    ("no tools", CHAT, {"tools": [TOOL]}, 400, f"{FULL} does not support tools"),
    ("no insert", TEXT, {"suffix": "end"}, 400, f"{FULL} does not support insert"),
    ("no thinking", CHAT, {"reasoning_effort": "high"}, 400, '"fake" does not support thinking'),
    ("chat, embeds only", CHAT, {"model": "embedder"}, 400, '"embedder" does not support chat'),
    ("completions, embeds only", TEXT, {"model": "embedder"}, 400, '"embedder" does not support generate'),
    (
        "encoding_format",
        EMBED,
        {"encoding_format": "hex"},
        400,
        "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].",
    ),
    ("input absent", EMBED, {"input": ...}, 400, "invalid input"),
    ("input null", EMBED, {"input": None}, 400, "invalid input"),
    ("input empty", EMBED, {"input": []}, 400, "invalid input"),
    ("input a number", EMBED, {"input": 5}, 400, "invalid input type"),
    ("input mixed", EMBED, {"input": ["a", 5]}, 400, "invalid input type"),
]
"""The condition; where, with what; the status and the words of the reference. `…` is where ours say more."""


@pytest.mark.parametrize(("path", "fields", "status", "words"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT])
def test_the_reference_s_status_and_words(path: str, fields: dict[str, Any], status: int, words: str, api: Api) -> None:
    answer = send(api, path, fields)
    said = answer.json()["error"]["message"]
    assert answer.status_code == status
    assert said.startswith(words[:-1]) if words.endswith("…") else said == words
    assert answer.json()["error"]["type"] == ("not_found_error" if status == 404 else "invalid_request_error")


UPGRADED: list[tuple[str, str, dict[str, Any], str | None, str]] = [
    ("a wrong type names its field", CHAT, {"max_tokens": "5"}, None, "max_tokens"),
    ("a stop that is no string is not dropped", CHAT, {"stop": [5]}, None, "stop"),
    ("a stop that is no string", TEXT, {"stop": [5]}, None, "stop"),
    ("audio is refused by name", CHAT, content([{"type": "input_audio"}]), "unsupported_parameter", "content[0]"),
    ("an unknown role is refused", CHAT, content("Hi", "robot"), None, "messages[0].role"),
    ("an unknown field is refused", CHAT, {"frobnicate": 1}, "unknown_parameter", "frobnicate"),
    ("names of fields are case-sensitive", CHAT, {"Temperature": 1}, "unknown_parameter", "Temperature"),
    ("an unknown field is refused", TEXT, {"tools": []}, "unknown_parameter", "tools"),
    ("an unknown field is refused", EMBED, {"frobnicate": 1}, "unknown_parameter", "frobnicate"),
    ("an option's type is the caller's fault", CHAT, {"options": {"num_ctx": "5"}}, None, "options.num_ctx"),
    ("an image of another type", CHAT, image("data:text/plain;base64,AAAA"), "invalid_image_url", "image_url"),
    ("an image that is no base64", CHAT, image("data:image/png;base64,===="), "invalid_base64_image", "image_url"),
    ("an image's URL leads out only", CHAT, image("http://127.0.0.1/a.png"), "invalid_image_url", "image_url"),
    ("what is stored is refused", CHAT, {"store": True}, "unsupported_parameter", "store"),
]
"""What is better here, where, with what; the code, and the end of `param`. Each is a 400."""


@pytest.mark.parametrize(
    ("path", "fields", "code", "param"), [row[1:] for row in UPGRADED], ids=[row[0] for row in UPGRADED]
)
def test_where_it_does_as_openai_does(
    path: str, fields: dict[str, Any], code: str | None, param: str, api: Api
) -> None:
    answer = send(api, path, fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", code)
    assert error["param"].endswith(param)


@pytest.mark.parametrize("path", [CHAT, TEXT, EMBED])
@pytest.mark.parametrize("raw", [b"", b"{", b"x"], ids=["empty", "cut off", "no JSON"])
def test_a_body_that_cannot_be_read(path: str, raw: bytes, api: Api) -> None:
    error = api.client.post(path, content=raw).json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_json")


@pytest.mark.parametrize("kind", ["png", "jpeg", "jpg", "webp", ""])
def test_the_reference_s_data_urls(kind: str, api: Api) -> None:
    """The content decides, whatever type is claimed; without one, too."""
    url = PNG.replace("data:image/png;", f"data:image/{kind};" if kind else "data:;")
    assert send(api, CHAT, image(url)).status_code == 200


def test_fields_that_the_reference_ignores_work(api: Api) -> None:
    body = send(api, CHAT, {"n": 2, "max_tokens": ..., "max_completion_tokens": 2}).json()
    assert len(body["choices"]) == 2
    assert {choice["finish_reason"] for choice in body["choices"]} == {"length"}
    assert body["usage"]["completion_tokens"] == 4


def test_nothing_was_queued_in_vain(api: Api) -> None:
    stack: Stack = api.stack
    assert stack.residue() == {}
