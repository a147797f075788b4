"""Frames survive their codec, and neighbouring text is joined without loss."""

import pytest

from shared.errors import BY_CODE, ContextLengthExceeded, InvalidRequest, PunaError
from shared.frames import (
    CancelledEvent,
    Delta,
    Done,
    Failed,
    Finish,
    Frame,
    Progress,
    Started,
    Thought,
    ToolDelta,
    Vectors,
)
from shared.stream.writer import merge

EVENTS = [
    Started("w-1", "fp_0123456789"),
    Progress("prefill", 10, 20),
    Delta("héllo\n\"'\u2028 😀", 3, 1),
    Delta("a", 1, 0, [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]),
    Thought("hm", 2, 1),
    ToolDelta(1, '{"a"', "call_1", "f", 2),
    Vectors(64, 2, "AAAA"),
    Finish("length", 1),
    Done(10, 3, 7, 2),
    Failed("engine_failed", "it broke", None),
    CancelledEvent("the client disconnected"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_survives_the_codec(event: object) -> None:
    frame = Frame(2, 17, (event,))  # type: ignore[arg-type]
    assert Frame.decode(frame.encode()) == frame


def test_only_the_last_events_of_a_job_are_terminal() -> None:
    assert [Frame(1, 0, (event,)).terminal for event in EVENTS] == [False] * 8 + [True] * 3  # type: ignore[arg-type]


def test_neighbouring_text_of_one_choice_is_joined() -> None:
    events = [Started("w", "f"), Delta("a"), Delta("b"), Delta("x", 2, 1), Delta("c"), Finish("stop")]
    assert merge(events) == (Started("w", "f"), Delta("ab", 2), Delta("x", 2, 1), Delta("c"), Finish("stop"))


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_an_error_that_crosses_redis_keeps_its_status(code: str) -> None:
    error = BY_CODE[code]("words", param="messages")
    back = Failed.of(error).error()
    assert (type(back).status, back.code, back.message, back.param) == (error.status, code, "words", "messages")


def test_an_invalid_request_without_a_code_stays_one() -> None:
    assert isinstance(Failed.of(InvalidRequest("no")).error(), InvalidRequest)
    assert isinstance(Failed.of(ContextLengthExceeded("no")).error(), ContextLengthExceeded)
    assert type(Failed(None, "x").error()) is PunaError


def test_pieces_of_one_tool_call_are_joined_and_others_are_not() -> None:
    events = [
        ToolDelta(0, "", "call_1", "f"),
        ToolDelta(0, '{"a"'),
        ToolDelta(0, ":1}"),
        ToolDelta(1, "{}", "call_2", "g"),
    ]
    assert merge(events) == (ToolDelta(0, '{"a":1}', "call_1", "f"), events[3])


def test_thoughts_are_not_joined_with_text() -> None:
    assert merge([Thought("a"), Thought("b"), Delta("c")]) == (Thought("ab", 2), Delta("c"))


def test_log_probabilities_are_joined_with_their_text() -> None:
    one, two = {"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.2}
    assert merge([Delta("a", logprobs=[one]), Delta("b", logprobs=[two])]) == (Delta("ab", 2, 0, [one, two]),)
