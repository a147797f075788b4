"""Literal events of API Gateway's REST and HTTP APIs through the handlers, with a real queue and worker behind them."""

import json
import signal
from typing import Any

import pytest

from tests.events.conftest import SLASHED
from tests.events.lambda_like import Instance, event
from tests.harness import Stack

pytestmark = pytest.mark.redis

KINDS = ("rest", "http")
both = pytest.mark.parametrize("kind", KINDS)

ANSWER = "0 1 2 3 "
"""Four tokens of the fake engine."""


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    assert not answer["isBase64Encoded"], "a text answer came as base64"
    headers: dict[str, str] = answer["headers"]
    return headers


def body_of(answer: dict[str, Any]) -> Any:
    assert headers_of(answer)["content-type"] == "application/json"
    return json.loads(answer["body"])


def refused(answer: dict[str, Any], status: int) -> dict[str, Any]:
    assert answer["statusCode"] == status, answer
    error: dict[str, Any] = body_of(answer)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


@both
def test_chat(kind: str, inference: Instance) -> None:
    answer = inference(event(f"{kind}_chat"))
    assert answer["statusCode"] == 200, answer
    assert headers_of(answer)["x-request-id"] == "client-4f1a"
    body = body_of(answer)
    assert body["choices"][0]["message"]["content"] == ANSWER
    assert body["choices"][0]["finish_reason"] == "length"
    assert (body["object"], body["model"]) == ("chat.completion", "fake")
    assert body["usage"]["completion_tokens"] == 4


@both
def test_a_stream_comes_whole(kind: str, inference: Instance) -> None:
    answer = inference(event(f"{kind}_chat_stream"))
    assert answer["statusCode"] == 200, answer
    assert headers_of(answer)["content-type"] == "text/event-stream; charset=utf-8"
    lines = [line for line in answer["body"].split("\n\n") if line and not line.startswith(":")]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == ANSWER
    assert chunks[-1]["usage"]["completion_tokens"] == 4


@both
def test_a_wrong_value_is_refused_by_name(kind: str, inference: Instance) -> None:
    error = refused(inference(event(f"{kind}_chat_invalid")), 400)
    assert (error["param"], error["type"]) == ("temperature", "invalid_request_error")


@both
def test_no_body_is_refused(kind: str, inference: Instance) -> None:
    assert refused(inference(event(f"{kind}_chat_no_body")), 400)["code"] == "invalid_json"


@both
def test_an_unknown_model_is_not_found(kind: str, inference: Instance) -> None:
    error = refused(inference(event(f"{kind}_chat_unknown_model")), 404)
    assert error == {
        "message": "model 'nobody/here:q4' not found",
        "type": "not_found_error",
        "param": "model",
        "code": "model_not_found",
    }


@both
def test_a_base64_body_is_read(kind: str, inference: Instance) -> None:
    body = body_of(inference(event(f"{kind}_chat_base64")))
    assert body["choices"][0]["message"]["content"] == ANSWER


@both
def test_a_preflight_is_answered(kind: str, inference: Instance) -> None:
    answer = inference(event(f"{kind}_chat_preflight"))
    assert answer["statusCode"] == 200, answer
    headers = headers_of(answer)
    assert headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "POST" in headers["access-control-allow-methods"]
    assert "x-stainless-lang" in headers["access-control-allow-headers"].lower()


@both
def test_a_request_id_is_made_where_none_came(kind: str, catalog: Instance) -> None:
    ids = {headers_of(catalog(event(f"{kind}_models")))["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(each.startswith("req_") for each in ids)


@both
def test_models_are_listed(kind: str, catalog: Instance) -> None:
    body = body_of(catalog(event(f"{kind}_models")))
    assert body["object"] == "list"
    assert {model["id"] for model in body["data"]} == {"fake:latest", SLASHED}


@both
@pytest.mark.parametrize("name", ["model", "model_escaped"])
def test_a_name_with_slashes_is_retrieved(kind: str, name: str, catalog: Instance) -> None:
    body = body_of(catalog(event(f"{kind}_{name}")))
    assert (body["id"], body["owned_by"]) == (SLASHED, "example")


@both
def test_readiness(kind: str, inference: Instance) -> None:
    body = body_of(inference(event(f"{kind}_ready")))
    assert body == {"status": "ok", "checks": {"redis": True, "catalog": True, "worker": True}}


@both
def test_each_function_has_its_own_routes_only(kind: str, inference: Instance, catalog: Instance) -> None:
    assert refused(inference(event(f"{kind}_models")), 404)["code"] == "unknown_url"
    assert refused(catalog(event(f"{kind}_chat")), 404)["code"] == "unknown_url"


def test_an_instance_survives_a_sleep_that_outlasts_its_connections(behind: Stack, inference: Instance) -> None:
    """Between invocations Lambda freezes an instance; load balancers and servers drop its connections meanwhile."""
    probe = event("rest_chat_stream")
    before = {client["id"] for client in behind.redis.client_list()}
    fresh = Instance("functions.inference.handler.handler", behind.environ)
    try:
        assert fresh(probe)["statusCode"] == 200
        theirs = {client["id"] for client in behind.redis.client_list()} - before
        assert len(theirs) >= 2, "commands and a subscription were expected"
        fresh.signal(signal.SIGSTOP)
        for each in theirs:
            behind.redis.client_kill_filter(_id=each)
        fresh.signal(signal.SIGCONT)
        answer = fresh(probe)
        assert answer["statusCode"] == 200, answer
        assert answer["body"].endswith("data: [DONE]\n\n")
    finally:
        fresh.stop()


def test_each_invocation_leaves_one_line(behind: Stack) -> None:
    """In the function's log: what was asked and what came of it, never the prompt."""
    fresh = Instance("functions.inference.handler.handler", {**behind.environ, "PUNA_LOG_LEVEL": "info"})
    try:
        assert fresh(event("http_chat"))["statusCode"] == 200
        lines = fresh.errors().splitlines()
    finally:
        fresh.stop()
    assert len(lines) == 1, lines
    assert "POST /v1/chat/completions 200" in lines[0]
    assert "client-4f1a" in lines[0]
    assert "Köln" not in lines[0]


def test_nothing_is_left_behind(behind: Stack, inference: Instance) -> None:
    assert inference(event("rest_chat"))["statusCode"] == 200
    assert behind.residue() == {}


def test_lines_come_as_text(inference: Instance) -> None:
    """API Gateway would hand on base64 as it is."""
    sent = event("rest_chat")
    body = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}], "options": {"num_predict": 2}}
    sent |= {"path": "/api/chat", "resource": "/api/chat", "body": json.dumps(body)}
    answer = inference(sent)
    assert answer["statusCode"] == 200, answer
    assert headers_of(answer)["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer["body"].splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "0 1 "
    assert lines[-1]["done"]


def test_models_are_managed(catalog: Instance) -> None:
    def call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        sent = event("rest_chat") | {"httpMethod": method, "path": path, "resource": path}
        return catalog(sent | {"body": json.dumps(body) if body else None})

    assert call("POST", "/api/copy", {"source": "fake", "destination": "again"})["statusCode"] == 200
    made = call("POST", "/api/create", {"model": "again", "from": "again", "system": "Be kind."})
    assert json.loads(made["body"].splitlines()[-1]) == {"status": "success"}
    assert json.loads(call("POST", "/api/show", {"model": "again"})["body"])["system"] == "Be kind."
    refusal = call("POST", "/api/show", {"model": "nobody"})
    assert (refusal["statusCode"], body_of(refusal)) == (404, {"error": "model 'nobody' not found"})
    assert call("DELETE", "/api/delete", {"model": "again"})["statusCode"] == 200
