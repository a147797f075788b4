"""The shapes of a chat's answer, whole and streamed: OpenAI API reference, "The chat completion (chunk) object"."""

import asyncio
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.contract.conftest import CHAT, HELLO, Api
from tests.harness import Stack

pytestmark = pytest.mark.redis

ID = re.compile(r"chatcmpl-[0-9a-f]{32}")


def whole(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.chat(**fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    return body


def streamed(api: Api, **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, whose form is checked: data lines only, `[DONE]` at the end and nowhere else."""
    answer = api.chat(stream=True, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.text.endswith("\n\n"), "the last event is not closed by an empty line"
    events = [event for event in answer.text.removesuffix("\n\n").split("\n\n") if not event.startswith(":")]
    assert all(event.startswith("data: ") and "\n" not in event for event in events), answer.text
    assert events[-1] == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events[:-1]]


def test_a_whole_answer(api: Api) -> None:
    body = whole(api)
    assert set(body) == {"id", "object", "created", "model", "system_fingerprint", "choices", "usage"}
    assert ID.fullmatch(body["id"])
    assert body["object"] == "chat.completion"
    assert type(body["created"]) is int
    assert abs(body["created"] - time.time()) < 30, "seconds of Unix time"
    assert re.fullmatch(r"fp_\w+", body["system_fingerprint"])
    (choice,) = body["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": "0 1 2 ", "refusal": None},
        "logprobs": None,
        "finish_reason": "length",
    }
    usage = body["usage"]
    assert usage["completion_tokens"] == 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + 3
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_an_answer_that_ends_by_itself_says_stop(api: Api) -> None:
    assert whole(api, max_tokens=...)["choices"][0]["finish_reason"] == "stop"
    assert streamed(api, max_tokens=...)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_both_limits_limit(field: str, api: Api) -> None:
    body = whole(api, **{"max_tokens": ..., field: 2})
    assert body["usage"]["completion_tokens"] == 2
    assert body["choices"][0]["message"]["content"] == "0 1 "


def test_ids_are_unique(api: Api) -> None:
    ids = [whole(api)["id"] for _ in range(20)] + [streamed(api)[0]["id"] for _ in range(20)]
    assert len(set(ids)) == 40


@pytest.mark.parametrize(
    "name", ["fake", "fake:latest", "FAKE", "library/fake", "registry.ollama.ai/library/fake:latest"]
)
def test_the_model_is_echoed_as_it_was_asked_for(name: str, api: Api) -> None:
    assert whole(api, model=name)["model"] == name
    assert {chunk["model"] for chunk in streamed(api, model=name)} == {name}


def test_an_alias_is_served_by_the_worker_of_its_weights(api: Api) -> None:
    name = "hf.co/Example/tiny-GGUF:Q4_K_M"
    assert whole(api, model=name)["model"] == name


def test_parts_of_text_are_one_message(api: Api) -> None:
    parts = [{"type": "text", "text": "one two"}, {"type": "text", "text": "three"}]
    one = whole(api, messages=[{"role": "user", "content": "one two\nthree"}])
    other = whole(api, messages=[{"role": "user", "content": parts}])
    assert one["usage"] == other["usage"]
    assert one["usage"]["prompt_tokens"] == 3, "the fake engine counts words"


def test_chunks_in_order(api: Api) -> None:
    first, *others, last = streamed(api, max_tokens=200)
    text = [first, *others]
    for chunk in [*text, last]:
        assert set(chunk) == {"id", "object", "created", "model", "system_fingerprint", "choices"}
        assert chunk["object"] == "chat.completion.chunk"
        (choice,) = chunk["choices"]
        assert set(choice) == {"index", "delta", "logprobs", "finish_reason"}
        assert (choice["index"], choice["logprobs"]) == (0, None)
    assert ID.fullmatch(first["id"])
    for name in ("id", "created", "model", "system_fingerprint"):
        assert len({chunk[name] for chunk in [*text, last]}) == 1, f"'{name}' changed within a stream"
    assert re.fullmatch(r"fp_\w+", first["system_fingerprint"])
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert all("role" not in chunk["choices"][0]["delta"] for chunk in [*others, last]), "the role came twice"
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in text)
    assert last["choices"][0]["delta"] == {}, "the finish chunk is its own"
    assert last["choices"][0]["finish_reason"] == "length"
    said = "".join(chunk["choices"][0]["delta"]["content"] for chunk in text)
    assert said == "".join(f"{k} " for k in range(200))


def test_no_usage_in_a_stream_that_was_not_asked_for_it(api: Api) -> None:
    for options in (..., None, {}, {"include_usage": False}):
        assert all("usage" not in chunk for chunk in streamed(api, stream_options=options)), options


def test_usage_at_the_end_of_a_stream(api: Api) -> None:
    *chunks, last = streamed(api, stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert all(chunk["choices"] for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == whole(api)["usage"]
    assert {chunk["id"] for chunk in chunks} == {last["id"]}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_a_stream_arrives_as_it_is_made(api: Api) -> None:
    """Chunked, no length: nothing waits for the end. (The pace is tested where tokens take time.)"""
    with api.client.stream("POST", CHAT, json={**HELLO, "stream": True}) as answer:
        assert answer.status_code == 200
        assert answer.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in answer.headers
        assert answer.headers["x-accel-buffering"] == "no", "a proxy in front would hold it back"
        answer.read()


def test_many_at_once(api: Api) -> None:
    """Answers do not mix on one subscription connection."""

    async def ask(client: httpx.AsyncClient, count: int) -> tuple[int, str]:
        body = {**HELLO, "stream": True, "max_tokens": count}
        answer = await client.post(CHAT, json=body)
        events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: {")]
        return count, "".join(json.loads(event)["choices"][0]["delta"].get("content", "") for event in events)

    async def all_of_them() -> list[tuple[int, str]]:
        async with httpx.AsyncClient(base_url=api.url, timeout=20) as client:
            return await asyncio.gather(*(ask(client, count) for count in range(1, 33)))

    for count, text in asyncio.run(all_of_them()):
        assert text == "".join(f"{k} " for k in range(count))


def test_nothing_is_left_behind(api: Api) -> None:
    whole(api)
    streamed(api)
    assert api.stack.residue() == {}


def test_a_worker_s_word_of_life_brings_no_finished_job_back(stack_of_its_own: Stack) -> None:
    """A renewal may reach Redis after the end of a job that it speaks of."""
    stack = stack_of_its_own
    stack.start_api()
    stack.start_worker(PUNA_RENEW="0.01")
    with httpx.Client(base_url=stack.url, timeout=20) as client, ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: client.post(CHAT, json=HELLO).status_code, range(200))
        assert set(answers) == {200}
    assert stack.residue() == {}


def test_a_stop_sequence_ends_the_text_before_it(api: Api) -> None:
    body = whole(api, stop=["3 "], max_tokens=20, n=2)
    assert [(each["message"]["content"], each["finish_reason"]) for each in body["choices"]] == [("0 1 2 ", "stop")] * 2
    assert body["usage"]["completion_tokens"] == 8
    assert body["usage"]["prompt_tokens"] == 1
    chunks = streamed(api, stop=["3 "], max_tokens=20)
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in chunks if each["choices"]) == "0 1 2 "
