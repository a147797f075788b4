"""The shapes of a response, whole and streamed: OpenAI API reference, "The response object" and "Streaming events".

Every stream, whoever made it, is held to the same rules (`tests/response_rules.py`).
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.queue import JobQueue
from shared.redis import Scripts, connect
from tests.contract.conftest import Api
from tests.contract.test_chat_fields import add
from tests.harness import Stack, running_stack
from tests.response_rules import check_response, check_stream

pytestmark = pytest.mark.redis

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

TOOL = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"a": {"const": "b"}}, "required": ["a"]},
}


@pytest.fixture(scope="module")
def able(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An engine that thinks before it answers, a model that may do everything, and a key."""
    environ = {"PUNA_ENGINE": "fake --thoughts 3", "PUNA_STATE_KEY": KEY}
    with running_stack(tmp_path_factory.mktemp("able"), **environ) as stack:
        add(stack, "able", "completion", "tools", "thinking")
        stack.start_worker()
        stack.start_api()
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            yield Api(stack, stack.url, client)


def whole(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.client.post("/v1/responses", json={"model": "fake", "input": "Hi", **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    check_response(body)
    return body


def events_of(text: str) -> list[dict[str, Any]]:
    """A stream's events, whose form is checked: a name that is the type, one line of data, and no `[DONE]`."""
    assert text.endswith("\n\n"), "the last event is not closed by an empty line"
    blocks = [block for block in text.removesuffix("\n\n").split("\n\n") if not block.startswith(":")]
    events = []
    for block in blocks:
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def streamed(api: Api, **fields: Any) -> list[dict[str, Any]]:
    answer = api.client.post("/v1/responses", json={"model": "fake", "input": "Hi", "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    return events_of(answer.text)


def test_a_whole_response(api: Api) -> None:
    body = whole(api, metadata={"a": "b"}, user="me", instructions="Count.")
    assert re.fullmatch(r"resp_[0-9a-f]{32}", body["id"])
    assert abs(body["created_at"] - time.time()) < 30
    assert body["created_at"] <= body["completed_at"] <= time.time()
    (item,) = body["output"]
    assert item["content"] == [
        {"type": "output_text", "text": "".join(f"{k} " for k in range(16)), "annotations": [], "logprobs": []}
    ]
    assert body["usage"]["output_tokens"] == 16
    assert body["usage"]["total_tokens"] == body["usage"]["input_tokens"] + 16
    assert (body["metadata"], body["user"], body["instructions"]) == ({"a": "b"}, "me", "Count.")
    assert body["status"] == "completed"


def test_what_was_not_asked_is_said_as_openai_says_it(api: Api) -> None:
    body = whole(api)
    expected = {
        "object": "response",
        "background": False,
        "conversation": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": "fake",
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "truncation": "disabled",
        "user": None,
    }
    assert {name: body[name] for name in expected} == expected


def test_what_was_asked_is_said_again(able: Api) -> None:
    asked = {
        "max_output_tokens": 40,
        "max_tool_calls": 3,
        "metadata": {"k": "v"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "p",
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "s",
        "store": False,
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}, "verbosity": "medium"},
        "tool_choice": {"type": "function", "name": "look"},
        "top_logprobs": 2,
        "top_p": 0.25,
        "truncation": "auto",
        "user": "u",
    }
    body = whole(able, model="able", tools=[TOOL], include=["message.output_text.logprobs"], **asked)
    assert {name: body[name] for name in asked} == asked
    assert body["tools"] == [{**TOOL, "description": None, "strict": None}]


def test_a_stream_ends_with_what_a_whole_response_is(api: Api) -> None:
    final = check_stream(streamed(api, max_output_tokens=4))
    body = whole(api, max_output_tokens=4)
    assert (final["status"], final["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    for response in (final, body):
        del response["id"], response["created_at"], response["output"][0]["id"]
    assert final == body


def test_log_probabilities_when_they_are_included(api: Api) -> None:
    final = check_stream(streamed(api, include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=3))
    entries = final["output"][0]["content"][0]["logprobs"]
    assert [entry["token"] for entry in entries] == ["0 ", "1 ", "2 "]
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)


@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_call_and_what_follows_it(able: Api, stream: bool) -> None:
    asked = {"model": "able", "tools": [TOOL], "tool_choice": "required"}
    final = check_stream(streamed(able, **asked)) if stream else whole(able, **asked)
    assert [item["type"] for item in final["output"]] == ["reasoning", "function_call"]
    call = final["output"][1]
    assert (call["name"], call["arguments"]) == ("look", '{"a":"b"}')
    result = {
        "type": "function_call_output",
        "call_id": call["call_id"],
        "output": [{"type": "input_text", "text": "5"}],
    }
    items = [{"role": "user", "content": "?"}, *final["output"], result]
    assert whole(able, model="able", tools=[TOOL], input=items)["status"] == "completed"


def test_thoughts_are_an_item_of_their_own(able: Api) -> None:
    plain = check_stream(streamed(able, max_output_tokens=2))
    assert [item["type"] for item in plain["output"]] == ["reasoning", "message"]
    assert plain["output"][0]["content"] == [{"type": "reasoning_text", "text": "0 1 2 "}]
    assert plain["usage"]["output_tokens_details"] == {"reasoning_tokens": 3}
    short = check_stream(streamed(able, reasoning={"summary": "auto"}))
    assert short["output"][0]["summary"] == [{"type": "summary_text", "text": "0 1 2 "}]


def test_an_encrypted_thought_comes_back_and_opens(able: Api) -> None:
    asked = {"include": ["reasoning.encrypted_content"], "store": False}
    first = check_stream(streamed(able, **asked))
    thought = first["output"][0]
    assert "0 1 2" not in thought["encrypted_content"]
    kept = {"type": "reasoning", "id": thought["id"], "summary": [], "encrypted_content": thought["encrypted_content"]}
    items = [{"role": "user", "content": "Hi"}, kept, first["output"][1], {"role": "user", "content": "And now?"}]
    assert whole(able, input=items)["status"] == "completed"
    kept["encrypted_content"] = kept["encrypted_content"][:-8] + "AAAAAAA="
    answer = able.client.post("/v1/responses", json={"model": "fake", "input": items})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "input[1].encrypted_content"
    assert answer.json()["error"]["code"] == "invalid_encrypted_content"


def test_what_the_model_cannot_do_is_refused_by_its_field(api: Api) -> None:
    picture = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}]
    fields: list[tuple[dict[str, Any], str]] = [
        ({"tools": [TOOL]}, "tools"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"input": picture}, "input[0].content[0].image_url"),
    ]
    for field, param in fields:
        answer = api.client.post("/v1/responses", json={"model": "fake", "input": "Hi", **field})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert "does not support" in answer.json()["error"]["message"]


def test_a_response_that_fails_says_so_in_its_stream(stack_of_its_own: Stack) -> None:
    """And closes what it had begun. Before its first word it is the status of the answer; whole, it always is."""
    stack = stack_of_its_own
    stack.start_worker(PUNA_ENGINE="fake --error-after 3 --rate 50")
    stack.start_api()
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        answer = client.post("/v1/responses", json={"model": "fake", "input": "Hi", "stream": True})
        whole = client.post("/v1/responses", json={"model": "fake", "input": "Hi"})
    final = check_stream(events_of(answer.text))
    assert (final["status"], final["error"]["code"]) == ("failed", "server_error")
    assert final["output"][0]["content"][0]["text"].startswith("0 1 ")
    assert whole.status_code == 502
    assert whole.json()["error"]["code"] == "engine_failed"


async def test_a_response_that_is_cancelled_says_so_in_its_stream(stack_of_its_own: Stack) -> None:
    stack = stack_of_its_own
    stack.start_worker(PUNA_ENGINE="fake --tokens 100000 --rate 50")
    stack.start_api()
    redis = connect(stack.valkey.url)
    queue = JobQueue(redis, Scripts(redis), stack.settings)
    body = {"model": "fake", "input": "Hi", "stream": True}
    text = ""
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream("POST", f"{stack.url}/v1/responses", json=body) as answer,
    ):
        async for piece in answer.aiter_text():
            if "output_text.delta" in piece and "output_text.delta" not in text:
                job = re.search(r"resp_([0-9a-f]{32})", text + piece)
                assert job is not None
                assert await queue.cancel(job[1], stack.queue, "asked") == "running"
            text += piece
    await redis.connection_pool.disconnect()
    final = check_stream(events_of(text))
    assert (final["status"], final["incomplete_details"]) == ("cancelled", None)
    assert final["output"][0]["status"] == "incomplete"


def test_a_client_that_waits_hears_comments(stack_of_its_own: Stack) -> None:
    stack = stack_of_its_own
    stack.start_worker(PUNA_ENGINE="fake --delay 2.5 --tokens 2")
    stack.start_api(PUNA_COMMENT="0.2")
    answer = httpx.post(f"{stack.url}/v1/responses", json={"model": "fake", "input": "Hi", "stream": True}, timeout=20)
    blocks = answer.text.split("\n\n")
    assert any(block.startswith(": prefill") for block in blocks)
    assert blocks[0].startswith("event: response.created")
    check_stream(events_of(answer.text))


def test_streams_at_once_are_each_in_order(api: Api) -> None:
    finals: list[dict[str, Any]] = []

    def one(count: int) -> None:
        answer = httpx.post(
            f"{api.url}/v1/responses",
            json={"model": "fake", "input": "Hi", "stream": True, "max_output_tokens": count},
            timeout=20,
        )
        finals.append(check_stream(events_of(answer.text)))

    threads = [threading.Thread(target=one, args=(count,)) for count in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({final["id"] for final in finals}) == 12
    assert sorted(final["usage"]["output_tokens"] for final in finals) == list(range(1, 13))
