"""A stream whose frames are gone, told again from the final object: by the same rules as any other."""

from dataclasses import replace
from typing import Any

import pytest

from functions.state.rebuild import rebuilt
from shared.frames import CancelledEvent, Delta, Done, Event, Failed, Finish, Started, Thought, ToolDelta
from shared.responses.events import ResponseEvents
from shared.responses.head import Head
from tests.response_rules import check_stream

HEAD = Head("resp_" + "0" * 32, 1, "m", background=True)
DONE = Done(5, 7, 1, 2, at=9)


@pytest.mark.parametrize("summary", [None, "auto"])
@pytest.mark.parametrize(
    "frames",
    [
        [Delta("a"), Delta("b"), Finish("stop"), DONE],
        [Thought("t"), Delta("a"), ToolDelta(0, "{", "c1", "f"), ToolDelta(0, "}"), Finish("tool_calls"), DONE],
        [Delta("a"), Finish("length"), DONE],
        [Thought("t"), Finish("stop"), DONE],
        [Delta("a"), Failed("job_lost", "gone")],
        [ToolDelta(0, "{", "c1", "f"), CancelledEvent("x")],
        [Failed("job_lost", "gone")],
        [CancelledEvent("x")],
    ],
)
def test_it_keeps_the_rules_and_ends_with_the_stored_object(frames: list[Event], summary: Any) -> None:
    head = replace(HEAD, reasoning={"effort": None, "summary": summary})
    live = ResponseEvents(head)
    live.read([Started("w", "f"), *frames])
    again = rebuilt(live.response, ResponseEvents(head))
    assert check_stream(again) == live.response
