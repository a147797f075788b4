"""What holds for every route: unknown ones, request ids, CORS, the guard of `Host`, the body's limit, API keys."""

import re
import socket
from typing import Any

import httpx
import pytest

from tests.contract.conftest import CHAT, HELLO, HOST, MAX_BODY, ORIGIN, Api, refused

pytestmark = pytest.mark.redis

MADE = re.compile(r"req_[0-9a-f]{32}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("GET", "/nowhere"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/chat"),
        ("GET", "/v1/chat/completions/chatcmpl-1"),
        ("GET", "/v1/responses/resp_1/what"),
        ("POST", "/chat/completions"),
        ("GET", "/v1/%ff"),
    ],
)
def test_an_unknown_route(method: str, path: str, api: Api) -> None:
    words = refused(api.client.request(method, path), 404, param=None, code="unknown_url", type="not_found_error")
    assert method in words


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST"),
        ("PUT", CHAT, "POST"),
        ("DELETE", CHAT, "POST"),
        ("POST", "/v1/models", "GET"),
        ("PATCH", "/v1/models/fake", "GET"),
        ("POST", "/healthz", "GET"),
    ],
)
def test_a_wrong_method(method: str, path: str, allowed: str, api: Api) -> None:
    answer = api.client.request(method, path)
    refused(answer, 405, param=None, code="method_not_allowed")
    assert allowed in answer.headers["allow"]


@pytest.mark.parametrize("name", ["a", "req-1", "0f1e:2d3c.4b_5A", "x" * 128])
def test_a_safe_request_id_is_kept(name: str, api: Api) -> None:
    for answer in (
        api.client.get("/healthz", headers={"x-request-id": name}),
        api.client.get("/nowhere", headers={"X-Request-ID": name}),
        api.client.post(CHAT, json=HELLO, headers={"x-request-id": name}),
        api.client.post(CHAT, json={**HELLO, "stream": True}, headers={"x-request-id": name}),
        api.client.post(CHAT, json={**HELLO, "model": "nobody"}, headers={"x-request-id": name}),
    ):
        assert answer.headers["x-request-id"] == name, answer.request.url


@pytest.mark.parametrize(
    "name", [None, "", "a b", "x" * 129, "<script>", "a\tb", 'a"b', "a,b", "$(id)", "ä".encode(), "é".encode("latin-1")]
)
def test_an_unsafe_request_id_is_replaced(name: Any, api: Api) -> None:
    headers = {} if name is None else {"x-request-id": name}
    answer = api.client.get("/healthz", headers=headers)
    assert answer.status_code == 200
    assert MADE.fullmatch(answer.headers["x-request-id"])


def test_request_ids_differ_and_times_are_told(api: Api) -> None:
    answers = [api.client.get("/healthz") for _ in range(5)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 5
    assert all(answer.headers["openai-processing-ms"].isdecimal() for answer in answers)


@pytest.mark.parametrize("key", [None, "Bearer sk-any", "Bearer", "Basic dXNlcjpwYXNz", "nonsense"])
def test_any_key_or_none_is_accepted(key: str | None, api: Api) -> None:
    headers = {} if key is None else {"authorization": key}
    assert api.client.get("/v1/models", headers=headers).status_code == 200
    assert api.client.post(CHAT, json=HELLO, headers=headers).status_code == 200


STAINLESS = (
    *("x-stainless-lang", "x-stainless-package-version", "x-stainless-os", "x-stainless-arch"),
    *("x-stainless-retry-count", "x-stainless-runtime", "x-stainless-runtime-version", "x-stainless-timeout"),
    *("x-stainless-async", "x-stainless-helper-method", "x-stainless-poll-helper", "x-stainless-read-timeout"),
)
OURS = ("authorization", "content-type", "openai-beta", "openai-organization", "openai-project", "x-request-id")

LOCAL = [
    *("http://localhost", "https://localhost", "http://localhost:5173", "http://127.0.0.1:3000", "https://0.0.0.0:1"),
    *("http://[::1]:8080", "app://obsidian.md", "file://", "tauri://localhost", "vscode-webview://0a1b2c"),
    "vscode-file://vscode-app",
]
FOREIGN = [
    *("https://evil.example", "http://localhost.evil.example", "http://evil.example/http://localhost", "null"),
    *("https://127.0.0.1.evil.example", "http://localhost:3000.evil.example", "xapp://obsidian.md", "http://10.0.0.1"),
]


def preflight(api: Api, origin: str, path: str = CHAT, headers: tuple[str, ...] = OURS) -> httpx.Response:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": ", ".join(headers),
    }
    return api.client.options(path, headers=asked)


@pytest.mark.parametrize("origin", LOCAL)
def test_a_local_origin_may_ask(origin: str, api: Api) -> None:
    before = preflight(api, origin, headers=OURS + STAINLESS)
    assert before.status_code == 200, before.text
    assert before.headers["access-control-allow-origin"] == origin
    assert "POST" in before.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in before.headers["access-control-allow-headers"].split(",")}
    assert set(OURS + STAINLESS) <= allowed
    answer = api.client.post(CHAT, json=HELLO, headers={"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert "origin" in answer.headers["vary"].lower(), "a cache would give one origin's answer to another"
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_origin_may_not(origin: str, api: Api) -> None:
    before = preflight(api, origin)
    assert before.status_code == 400
    assert "access-control-allow-origin" not in before.headers
    answer = api.client.get("/v1/models", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/a/b:c", "/nowhere"])
def test_every_path_has_a_preflight(path: str, api: Api) -> None:
    assert preflight(api, "http://localhost", path).status_code == 200


def test_errors_and_streams_can_be_read_by_a_browser(api: Api) -> None:
    headers = {"origin": "http://localhost:5173"}
    for fields in ({"temperature": 3}, {"model": "nobody"}, {"stream": True}):
        answer = api.client.post(CHAT, json={**HELLO, **fields}, headers=headers)
        assert answer.headers["access-control-allow-origin"] == headers["origin"], fields


def test_further_origins_are_a_setting(other_api: Api) -> None:
    for origin in (ORIGIN, "https://b.example", "http://localhost:1234"):
        assert preflight(other_api, origin).headers["access-control-allow-origin"] == origin
    for origin in ("https://evil.example", ORIGIN + ".evil.example", ORIGIN + ":8443", ORIGIN.replace("https", "http")):
        assert preflight(other_api, origin).status_code == 400, origin


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:11434", "127.1.2.3", "[::1]", "[::1]:11434"),
        *("puna.localhost:80", "laptop.local", "host.docker.internal:11434"),
    ],
)
def test_a_host_of_this_machine(host: str, api: Api) -> None:
    assert api.client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:11434", "localhost.evil.example", "local", "internal", "xlocalhost", HOST),
        *("127.0.0.1.evil.example", "127.evil.example", "[::2]", "8.8.8.8"),
    ],
)
def test_a_foreign_host_is_refused(host: str, api: Api) -> None:
    answer = api.client.post(CHAT, json=HELLO, headers={"host": host})
    assert (answer.status_code, answer.content) == (403, b""), "a rebound name reached the API"


def test_further_hosts_are_a_setting(other_api: Api) -> None:
    for host in (HOST, f"{HOST.upper()}:8080"):
        assert other_api.client.get("/healthz", headers={"host": host}).status_code == 200
    assert other_api.client.get("/healthz", headers={"host": f"x.{HOST}"}).status_code == 403


def sized(size: int) -> bytes:
    """A request of so many bytes."""
    start = b'{"model":"nobody","messages":[{"role":"user","content":"'
    end = b'"}]}'
    return start + b"a" * (size - len(start) - len(end)) + end


def test_a_body_at_its_limit(other_api: Api) -> None:
    answer = other_api.client.post(CHAT, content=sized(MAX_BODY))
    refused(answer, 404, param="model", code="model_not_found", type="not_found_error")


def test_a_body_over_its_limit(other_api: Api) -> None:
    refused(other_api.client.post(CHAT, content=sized(MAX_BODY + 1)), 413, param=None, code="payload_too_large")
    body = (sized(1000) for _ in range(3))
    refused(other_api.client.post(CHAT, content=body), 413, param=None, code="payload_too_large")


def test_the_default_limit(api: Api) -> None:
    refused(api.client.post(CHAT, content=b" " * 6_000_001), 413, param=None, code="payload_too_large")


def status_of_half(api: Api, head: str, *pieces: bytes) -> str:
    """Send a request by hand, but not its end, and read the status."""
    url = httpx.URL(api.url)
    with socket.create_connection((url.host, url.port or 80), timeout=3) as sock:
        sock.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        for piece in pieces:
            sock.sendall(piece)
        try:
            return sock.recv(100).decode().split()[1]
        except TimeoutError:
            return "nothing within 3 s"


def test_a_body_that_says_it_is_too_long_is_not_waited_for(other_api: Api) -> None:
    assert status_of_half(other_api, "Content-Length: 10000000000") == "413"


def test_a_body_that_grows_too_long_is_not_kept(other_api: Api) -> None:
    chunk = b"800\r\n" + b"a" * 0x800 + b"\r\n"
    assert status_of_half(other_api, "Transfer-Encoding: chunked", chunk) == "413"


def test_the_root_says_who_it_is(api: Api) -> None:
    answer = api.client.get("/")
    assert (answer.status_code, answer.text) == (200, "Puna is running")
    assert api.client.head("/").status_code == 200
