"""Sequences to stop at, in chunks as llama.cpp sends them: what callers see, and what is counted."""

from collections.abc import Sequence
from typing import Any

import orjson

from shared.frames import Delta, Done, Event, Finish, Progress, Thought
from worker.runtime.llama_events import Answer
from worker.runtime.llama_stopper import Stopper


def chunk(delta: dict[str, Any], tokens: int, reason: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"finish_reason": reason, "index": index, "delta": delta, **more}
    return orjson.dumps({"choices": [choice], "timings": {"predicted_n": tokens}})


def said(*texts: str, index: int = 0) -> list[bytes]:
    return [chunk({"content": text}, at, index=index) for at, text in enumerate(texts, 1)]


def read(stopper: Stopper, payloads: Sequence[bytes], top: int | None = None) -> list[Event]:
    answer, events = Answer(top=top), list[Event]()
    for payload in payloads:
        found = answer.read([payload])
        stopper.note(payload)
        events += stopper.read(found)
    return events


def text(events: Sequence[Event], index: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.index == index)


def test_text_ends_before_the_sequence_and_nothing_comes_after_it() -> None:
    stopper = Stopper(["STOP"], 0, 1)
    events = read(stopper, said("a S", "T", "OP b", " c"))
    assert text(events) == "a "
    assert events[-1] == Finish("stop")
    assert stopper.over
    assert stopper.cut
    assert stopper.done(0) == Done(0, 3), "the sequence's own tokens were generated"


def test_what_a_limit_cuts_off_in_the_middle_of_a_sequence_is_text() -> None:
    stopper = Stopper(["STOP"], 0, 1)
    events = read(stopper, [*said("a ", "ST"), chunk({}, 2, "length")])
    assert text(events) == "a ST"
    assert events[-1] == Finish("length")
    assert not stopper.cut


def test_thoughts_are_not_searched() -> None:
    stopper = Stopper(["x"], 0, 1)
    assert read(stopper, [chunk({"reasoning_content": "x"}, 1)]) == [Thought("x")]
    assert not stopper.over


def test_choices_stop_one_by_one() -> None:
    stopper = Stopper(["."], 0, 2)
    payloads = [*said("a", "."), *said("b", index=1), chunk({"content": "c"}, 3), chunk({"content": "."}, 2, index=1)]
    events = read(stopper, payloads[:4])
    assert (text(events), text(events, 1), stopper.over) == ("a", "b", False)
    events = read(stopper, payloads[4:])
    assert events == [Finish("stop", 1)]
    assert stopper.over
    assert stopper.done(5) == Done(0, 4, 0, 5)
    assert stopper.corrected(Done(7, 9, 1)) == Done(7, 4, 1)


def test_entries_of_log_probabilities_stay_with_their_text() -> None:
    def token(piece: str, tokens: int) -> bytes:
        entry = {"token": piece, "bytes": list(piece.encode()), "logprob": -1.0, "top_logprobs": []}
        return chunk({"content": piece}, tokens, logprobs={"content": [entry]})

    events = read(Stopper(["bcX"], 0, 1), [token("a", 1), token("b", 2), token("c", 3), token("d", 4)], top=0)
    deltas = [event for event in events if isinstance(event, Delta)]
    assert [delta.text for delta in deltas] == ["a", "bcd"]
    assert [[entry["token"] for entry in delta.logprobs or ()] for delta in deltas] == [["a"], ["b", "c", "d"]]
    assert [delta.tokens for delta in deltas] == [1, 3]


def test_the_prompt_is_counted_from_its_progress() -> None:
    stopper = Stopper(["."], 0, 1)
    progress = {"total": 12, "cache": 5, "processed": 12, "time_ms": 1}
    opening = orjson.loads(chunk({"role": "assistant", "content": None}, 0))
    events = read(stopper, [orjson.dumps({**opening, "prompt_progress": progress}), *said(".")])
    assert events[0] == Progress("prefill", 12, 12)
    assert stopper.done(0) == Done(12, 1, 5)
