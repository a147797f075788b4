"""llama.cpp's chunks and refusals, as it sends them, to events and errors."""

from typing import Any

import orjson
import pytest

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest
from shared.frames import Delta, Done, Finish, Progress, Thought, ToolDelta
from worker.runtime.llama_events import Answer, refusal


def chunk(delta: dict[str, Any], reason: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"finish_reason": reason, "index": index, "delta": delta}
    return orjson.dumps({"choices": [choice], "id": "chatcmpl-1", "object": "chat.completion.chunk", **more})


def text(content: str, index: int = 0) -> bytes:
    return chunk({"content": content}, index=index)


def usage(prompt: int, completion: int, cached: int = 0) -> bytes:
    details = {"cached_tokens": cached}
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}
    return orjson.dumps({"choices": [], "usage": counts})


ROLE = {"role": "assistant", "content": None}


def test_one_read_gives_one_delta() -> None:
    assert Answer().read([chunk(ROLE), text("a"), text("b"), text("c")]) == [Delta("abc", 3)]


def test_reads_are_not_merged() -> None:
    answer = Answer()
    assert answer.read([text("a")]) == [Delta("a", 1)]
    assert answer.read([text("b")]) == [Delta("b", 1)]


def test_choices_are_kept_apart() -> None:
    payloads = [text("a"), text("b", 1), text("c", 1), text("d")]
    assert Answer().read(payloads) == [Delta("a", 1), Delta("bc", 2, 1), Delta("d", 1)]


def test_the_end_comes_after_the_text() -> None:
    answer = Answer()
    payloads = [text("a"), chunk({}, "stop"), usage(7, 3, 5), b"[DONE]"]
    assert answer.read(payloads) == [Delta("a", 1), Finish("stop"), Done(7, 3, 5)]
    assert answer.done


def test_each_choice_reports_its_own_usage() -> None:
    payloads = [chunk({}, "length", 1), usage(7, 3, 6), chunk({}, "stop"), usage(7, 2, 0), b"[DONE]"]
    assert Answer().read(payloads) == [Finish("length", 1), Finish("stop"), Done(7, 5, 0)]


def test_a_group_of_choices_has_its_own_first_index() -> None:
    assert Answer(4).read([text("a"), text("b", 1), chunk({}, "stop", 1)]) == [
        Delta("a", 1, 4),
        Delta("b", 1, 5),
        Finish("stop", 5),
    ]


def test_thoughts_come_apart_and_are_counted() -> None:
    answer = Answer()
    payloads = [chunk({"reasoning_content": "hm"}), chunk({"reasoning_content": ", so"}), text("a"), usage(7, 5)]
    assert answer.read([*payloads, b"[DONE]"]) == [Thought("hm, so", 2), Delta("a", 1), Done(7, 5, 0, 2)]


def call(arguments: str, index: int = 0, **function: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments, **function}}]}


def test_the_engines_own_calls() -> None:
    first, second = Answer().read(
        [
            text("Well: "),
            chunk(call("{", name="get_time")),
            chunk(call('"zone"')),
            chunk(call("{}", 1, name="now")),
            chunk({}, "tool_calls"),
        ]
    )[1:3]
    assert isinstance(first, ToolDelta)
    assert isinstance(second, ToolDelta)
    assert (first.call, first.name, first.arguments) == (0, "get_time", '{"zone"')
    assert (second.call, second.name, second.arguments) == (1, "now", "{}")
    assert len({first.id, second.id}) == 2
    assert first.id.startswith("call_")
    assert len(first.id) == len("call_") + 24


def probs(token: str, *others: str) -> dict[str, Any]:
    entries = [{"id": 1, "token": t, "bytes": list(t.encode()), "logprob": -0.5} for t in (token, *others)]
    return {"content": [{**entries[0], "top_logprobs": entries}]}


def with_probs(content: str, *others: str) -> bytes:
    choice = {"finish_reason": None, "index": 0, "delta": {"content": content}, "logprobs": probs(content, *others)}
    return orjson.dumps({"choices": [choice]})


def test_log_probabilities_take_openais_form() -> None:
    payloads = [with_probs("a", "b", "c"), with_probs("漢", "d", "e")]
    [delta] = Answer(top=2).read(payloads)
    assert isinstance(delta, Delta)
    assert delta.tokens == 2
    assert delta.logprobs
    assert [entry["token"] for entry in delta.logprobs] == ["a", "漢"]
    assert delta.logprobs[1]["bytes"] == [230, 188, 162]
    assert [[each["token"] for each in entry["top_logprobs"]] for entry in delta.logprobs] == [["a", "b"], ["漢", "d"]]
    assert all(set(each) == {"token", "logprob", "bytes"} for each in delta.logprobs[0]["top_logprobs"])


def test_no_alternatives_were_asked_for() -> None:
    [delta] = Answer(top=0).read([with_probs("a", "b")])
    assert isinstance(delta, Delta)
    assert delta.logprobs == [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]


def test_progress_of_the_prompt() -> None:
    progress = {"total": 32, "cache": 0, "processed": 16, "time_ms": 9}
    assert Answer().read([chunk(ROLE, prompt_progress=progress)]) == [Progress("prefill", 16, 32)]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"error":{"code":500,"message":"boom","type":"server_error"}}',
        b'{"error":"boom"}',
        b"not json",
        b"[]",
        b"7",
        b'{"choices":[{}]}',
        b'{"choices":7}',
        b"[DONE]",
    ],
)
def test_what_is_not_understood_is_an_engine_failure(payload: bytes) -> None:
    with pytest.raises(EngineFailed):
        Answer().read([payload])


def error(code: int, message: str, kind: str, **more: int) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, "type": kind, **more}})


def test_a_long_prompt_is_refused_with_both_numbers() -> None:
    body = error(400, "request (631 tokens) exceeds …", "exceed_context_size_error", n_prompt_tokens=631, n_ctx=256)
    failure = refusal(400, body)
    assert type(failure) is ContextLengthExceeded
    assert failure.param == "messages"
    assert "631" in failure.message
    assert "256" in failure.message


def test_an_image_for_a_text_model_is_the_callers_error() -> None:
    failure = refusal(500, error(500, "image input is not supported - hint: …", "server_error"))
    assert type(failure) is InvalidRequest
    assert failure.param == "messages"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(400, "Field 'temperature': …", "invalid_request_error"), InvalidRequest),
        (503, error(503, "Loading model", "unavailable_error"), EngineFailed),
        (500, error(500, "boom", "server_error"), EngineFailed),
        (502, b"<html>", EngineFailed),
        (400, b"[]", EngineFailed),
        (404, b'{"error":null}', EngineFailed),
    ],
)
def test_other_refusals(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(refusal(status, body)) is kind


def test_text_that_came_with_an_error_is_not_lost() -> None:
    answer = Answer()
    error = orjson.dumps({"error": {"code": 500, "message": "out of memory"}})
    assert answer.read([text("a"), text("b"), error, b"[DONE]"]) == [Delta("ab", 2)]
    with pytest.raises(EngineFailed, match="out of memory"):
        answer.read([b"[DONE]"])
