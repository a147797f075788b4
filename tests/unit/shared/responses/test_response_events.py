"""The events of a response, from frames alone: 500 streams of all kinds, each held to all rules."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import DeadlineExceeded, EngineFailed, QueueFull
from shared.frames import (
    CancelledEvent,
    Delta,
    Done,
    Event,
    Failed,
    Finish,
    Frame,
    Progress,
    Started,
    Thought,
    ToolDelta,
)
from shared.responses.events import ResponseEvents
from shared.responses.head import Head
from shared.responses.ids import Origin, origin
from shared.responses.seal import Seal
from tests.response_rules import check_stream

ID = "resp_" + "0123456789abcdef" * 2
SEAL = Seal(bytes(range(32)), "owner")


def head(**fields: Any) -> Head:
    return Head(**{"id": ID, "created_at": 1_700_000_000, "model": "m", **fields})


def entry(token: str) -> dict[str, Any]:
    plain = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    return {**plain, "top_logprobs": [plain]}


class Maker:
    """One stream by its number: the frames of a job, cut into batches at random."""

    KINDS = ("text", "reasoning", "tools", "mixed", "incomplete", "failed", "cancelled")

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)
        self.kind = self.KINDS[number % len(self.KINDS)]
        choose = self._random.choice
        self.head = head(
            background=choose([False, True]),
            reasoning={"effort": None, "summary": choose([None, "auto"])},
            logprobs=choose([False, True]),
            encrypted=choose([False, True]),
            instructions=choose([None, "Be brief."]),
            metadata=choose([{}, {"a": "b"}]),
        )

    def frames(self) -> list[Frame]:
        events = self._events()
        frames: list[Frame] = []
        while events:
            count = self._random.randint(1, 4)
            frames.append(Frame(1, len(frames), tuple(events[:count])))
            events = events[count:]
        return frames

    def _events(self) -> list[Event]:
        opening: list[Event] = [Started("w", "fp"), *self._random.choice([[], [Progress("loading")]])]
        if self.kind in ("failed", "cancelled") and self._random.random() < 0.2:
            opening = []
        body: list[Event] = [] if not opening else self._body()
        if self.kind == "failed":
            return [*opening, *self._cut(body), Failed("engine_failed", "the engine failed")]
        if self.kind == "cancelled":
            return [*opening, *self._cut(body), CancelledEvent("asked")]
        reason = "tool_calls" if any(isinstance(event, ToolDelta) for event in body) else "stop"
        return [*opening, *body, Finish("length" if self.kind == "incomplete" else reason), Done(5, 7, 1, 2, 9)]

    def _cut(self, events: list[Event]) -> list[Event]:
        return events[: self._random.randint(0, len(events))]

    def _body(self) -> list[Event]:
        runs: dict[str, list[Callable[[], list[Event]]]] = {
            "text": [self._texts],
            "reasoning": [self._thoughts, self._texts],
            "tools": [self._calls],
            "mixed": [self._thoughts, self._texts, self._calls, self._texts],
        }
        parts = runs.get(self.kind) or self._random.choice(list(runs.values()))
        return [event for part in parts for event in part()]

    def _texts(self) -> list[Event]:
        pieces = self._random.choices(["a", "é", "\n", "", "日本", '"'], k=self._random.randint(0, 6))
        return [Delta(piece, 1, 0, [entry(piece)] if self._random.random() < 0.5 else None) for piece in pieces]

    def _thoughts(self) -> list[Event]:
        return [Thought(piece) for piece in self._random.choices(["hm ", "so", ""], k=self._random.randint(0, 5))]

    def _calls(self) -> list[Event]:
        pieces: list[Event] = []
        for call in range(self._random.randint(1, 3)):
            pieces.append(ToolDelta(call, self._random.choice(["", "{"]), f"call_{call}", "look"))
            pieces += [ToolDelta(call, "}") for _ in range(self._random.randint(0, 2))]
        return pieces


def stream_of(view: ResponseEvents, frames: list[Frame]) -> list[dict[str, Any]]:
    return [event for frame in frames for event in view.read(frame.events)]


@pytest.mark.parametrize("number", range(500))
def test_every_stream_keeps_the_rules(number: int) -> None:
    made = Maker(number)
    frames = made.frames()
    view = ResponseEvents(made.head, SEAL.seal)
    events = stream_of(view, frames)
    final = check_stream(events)
    assert view.over
    assert view.response == final
    status = {"incomplete": "incomplete", "failed": "failed", "cancelled": "cancelled"}.get(made.kind, "completed")
    assert final["status"] == status
    texts = [event.text for frame in frames for event in frame.events if isinstance(event, Delta)]
    said = [part["text"] for item in final["output"] if item["type"] == "message" for part in item["content"]]
    assert "".join(said) == "".join(texts)
    for item in final["output"]:
        if item["type"] == "reasoning":
            assert (item["encrypted_content"] is not None) == made.head.encrypted


@pytest.mark.parametrize("number", range(0, 500, 25))
def test_whoever_replays_the_frames_gets_the_same_events(number: int) -> None:
    """Also when they come in other batches, as from the log, and crossed the wire."""
    made = Maker(number)
    frames = [Frame.decode(frame.encode()) for frame in made.frames()]
    first = stream_of(ResponseEvents(made.head, SEAL.seal), frames)
    again = ResponseEvents(Head.decode(made.head.encode()), SEAL.seal)
    whole = again.open() + again.read([event for frame in frames for event in frame.events])
    assert whole == first


def test_text_before_a_call_keeps_its_own_item() -> None:
    view = ResponseEvents(head())
    view.read([Started("w", "f"), Delta("Let me look."), ToolDelta(0, "{}", "call_a", "look"), Delta("Done.")])
    view.read([Finish("tool_calls"), Done(1, 2)])
    assert [item["type"] for item in view.response["output"]] == ["message", "function_call", "message"]
    assert view.response["output"][1] == {
        "id": f"fc_{ID.removeprefix('resp_')}0001",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_a",
        "name": "look",
        "arguments": "{}",
    }


def test_what_is_cut_is_incomplete_and_says_why() -> None:
    view = ResponseEvents(head())
    view.read([Started("w", "f"), Thought("hm"), Delta("On"), Finish("length"), Done(1, 2, 1, 1, 99)])
    response = view.response
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["usage"] == {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 3,
    }
    assert response["completed_at"] is None


def test_a_thought_is_content_or_summary() -> None:
    def thought(**fields: Any) -> dict[str, Any]:
        view = ResponseEvents(head(**fields), SEAL.seal)
        view.read([Started("w", "f"), Thought("so "), Thought("it is"), Delta("Yes"), Finish("stop"), Done(1, 3)])
        item: dict[str, Any] = view.response["output"][0]
        return item

    plain = thought()
    assert (plain["summary"], plain["content"]) == ([], [{"type": "reasoning_text", "text": "so it is"}])
    assert plain["encrypted_content"] is None
    short = thought(reasoning={"effort": None, "summary": "concise"}, encrypted=True)
    assert (short["summary"], "content" in short) == ([{"type": "summary_text", "text": "so it is"}], False)
    assert "so it is" not in short["encrypted_content"]
    assert SEAL.open(short["encrypted_content"]) == "so it is"


def test_an_answer_of_nothing_is_an_empty_text() -> None:
    view = ResponseEvents(head())
    check_stream(view.read([Started("w", "f"), Thought("hm"), Finish("stop"), Done(1, 1)]))
    assert view.response["output"][1]["content"][0]["text"] == ""


def test_a_job_that_starts_again_starts_its_answer_again() -> None:
    view = ResponseEvents(head())
    view.read([Started("a", "f"), Delta("lost")])
    view.read([Started("b", "f"), Delta("kept"), Finish("stop"), Done(1, 1)])
    assert [item["content"][0]["text"] for item in view.response["output"]] == ["kept"]


def test_a_piece_of_a_call_that_is_over_is_an_error() -> None:
    view = ResponseEvents(head())
    view.read([Started("w", "f"), ToolDelta(0, "{", "a", "f"), ToolDelta(1, "{", "b", "f")])
    with pytest.raises(EngineFailed):
        view.read([ToolDelta(0, "}")])
    assert view.fail(EngineFailed("odd"))[-1]["type"] == "response.failed"


def test_the_end_comes_once() -> None:
    view = ResponseEvents(head())
    assert [event["type"] for event in view.fail(QueueFull("full"))] == ["response.created", "response.failed"]
    assert view.response["error"] == {"code": "rate_limit_exceeded", "message": "full"}
    assert view.fail(DeadlineExceeded("late")) == view.cancelled() == []


def test_a_stream_that_breaks_off_says_so_and_the_response_goes_on() -> None:
    view = ResponseEvents(head())
    view.read([Started("w", "f"), Delta("a")])
    (event,) = view.error(DeadlineExceeded("late"))
    assert event == {
        "type": "error",
        "sequence_number": 5,
        "code": "deadline_exceeded",
        "message": "late",
        "param": None,
    }
    assert not view.over


def test_an_items_id_says_where_it_is_from() -> None:
    view = ResponseEvents(head())
    view.read([Started("w", "f"), Thought("a"), Delta("b"), Finish("stop"), Done(1, 1)])
    assert [origin(item["id"]) for item in view.response["output"]] == [Origin(ID, 0), Origin(ID, 1)]
    assert origin("msg_1") is None
    assert origin(ID) is None
