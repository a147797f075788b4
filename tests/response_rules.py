"""The rules of a response's stream, written once: order, numbers, indexes, ids, closure, and an object that is what the
events built. Every event is also held to the SDK's own types, strictly and without fields that they do not know."""

from collections.abc import Iterable, Sequence
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

LIFECYCLE = ("response.created", "response.queued", "response.in_progress")
TERMINAL = {
    "response.completed": ("completed",),
    "response.incomplete": ("incomplete", "cancelled"),
    "response.failed": ("failed",),
}
PREFIX = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_"}

BEYOND = {
    ("ResponseFunctionCallArgumentsDoneEvent", "name"),
    ("Response", "presence_penalty"),
    ("Response", "frequency_penalty"),
    ("Response", "store"),
    ("Logprob", "bytes"),
    ("LogprobTopLogprob", "bytes"),
}
"""Fields that OpenAI's document or its server has and the SDK's types leave out."""

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_RESPONSE: TypeAdapter[Any] = TypeAdapter(Response)


def check_stream(events: Sequence[dict[str, Any]], *, first: int = 0) -> dict[str, Any]:
    """Check a whole stream, or its rest from number `first` on; the final response object."""
    for event in events:
        check_types(_EVENT, event)
    assert [event["sequence_number"] for event in events] == list(range(first, first + len(events)))
    if first:
        return _final(events)
    body = _opening(events)
    final = _final(events)
    built = _Builder()
    for event in events[body:-1]:
        built.take(event)
    assert built.open is None, "an item was left open"
    assert final["output"] == built.items, "the object is not what the events built"
    check_response(final)
    heads = [_head(event["response"]) for event in events if "response" in event]
    assert all(head == heads[0] for head in heads)
    return final


def check_response(response: dict[str, Any]) -> None:
    """A response object that is over."""
    check_types(_RESPONSE, response)
    status, items = response["status"], response["output"]
    for index, item in enumerate(items):
        assert item["id"] == f"{PREFIX[item['type']]}{response['id'].removeprefix('resp_')}{index:04x}"
    assert len({item["id"] for item in items}) == len(items)
    cut = [item["status"] == "incomplete" for item in items]
    assert not any(cut[:-1]), "only the last item can be cut"
    assert set(item["status"] for item in items) <= {"completed", "incomplete"}
    assert not (status == "completed" and any(cut))
    assert not items or status != "incomplete" or cut[-1], "the item in which it was cut"
    assert (response["error"] is not None) == (status == "failed")
    assert (response["incomplete_details"] is not None) == (status == "incomplete")
    assert (response["completed_at"] is not None) == (status == "completed")
    assert (response["usage"] is not None) == (status in ("completed", "incomplete"))


def check_types(kind: TypeAdapter[Any], value: dict[str, Any]) -> None:
    """A value is one of the SDK's, with no coercion and no field that is not there."""
    for where, name in _extras(kind.validate_python(value, strict=True)):
        assert (where, name) in BEYOND, f"the SDK knows no {name} of {where}"


def _extras(value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield type(value).__name__, name
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from _extras(each)


def _head(response: dict[str, Any]) -> dict[str, Any]:
    grows = ("status", "output", "usage", "error", "incomplete_details", "completed_at")
    return {name: value for name, value in response.items() if name not in grows}


def _opening(events: Sequence[dict[str, Any]]) -> int:
    """The events before the first item: created, queued in the background, in progress unless it never ran."""
    kinds = [event["type"] for event in events]
    background = events[0]["response"]["background"]
    expected = ["response.created", *(["response.queued"] if background else []), "response.in_progress"]
    if kinds[: len(expected)] != expected:
        expected.pop()
        assert kinds[: len(expected)] == expected
        assert len(events) == len(expected) + 1, "it did something before it was in progress"
    states = ["queued" if background else "in_progress"] * (len(expected) - 1) + ["in_progress"]
    for event, state in zip(events, states, strict=False):
        if event["type"] in LIFECYCLE and event["type"] != "response.in_progress":
            assert event["response"]["status"] == ("queued" if background else "in_progress")
        assert event["response"]["output"] == [], state
    assert not set(kinds[len(expected) :]) & set(LIFECYCLE)
    return len(expected)


def _final(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    last = events[-1]
    assert last["type"] in TERMINAL, f"it ends with {last['type']}"
    assert not any(event["type"] in TERMINAL for event in events[:-1])
    final: dict[str, Any] = last["response"]
    assert final["status"] in TERMINAL[last["type"]]
    return final


class _Builder:
    """Builds the output from the events alone, and holds each to its place."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.open: dict[str, Any] | None = None
        self._steps: list[str] = []
        self._text = ""
        self._logprobs: list[Any] = []

    def take(self, event: dict[str, Any]) -> None:
        kind = event["type"].removeprefix("response.")
        assert event["output_index"] == len(self.items)
        if kind == "output_item.added":
            self._added(event["item"])
        elif kind == "output_item.done":
            self._done(event["item"])
        else:
            assert self.open is not None, f"{kind} outside of an item"
            assert event["item_id"] == self.open["id"]
            assert event.get("content_index", 0) == event.get("summary_index", 0) == 0
            self._inside(kind, event)

    def _added(self, item: dict[str, Any]) -> None:
        assert self.open is None, "the item before it is open"
        assert item["status"] == "in_progress"
        assert item["id"].startswith(PREFIX[item["type"]])
        assert not any(item.get(name) for name in ("content", "summary", "arguments"))
        self.open, self._steps, self._text, self._logprobs = item, [], "", []

    def _done(self, item: dict[str, Any]) -> None:
        assert self.open is not None
        assert (item["id"], item["type"]) == (self.open["id"], self.open["type"])
        shown, deltas = _shape(self.open)
        assert [step for step in self._steps if step not in deltas] == shown
        texts = [part["text"] for part in [*item.get("content", []), *item.get("summary", [])]]
        assert [self._text] == ([item["arguments"]] if item["type"] == "function_call" else texts)
        if item["type"] == "message":
            assert item["content"][0]["logprobs"] == self._logprobs
        assert {name: item[name] for name in ("name", "call_id") if name in self.open} == {
            name: self.open[name] for name in ("name", "call_id") if name in self.open
        }
        self.items.append(item)
        self.open = None

    def _inside(self, kind: str, event: dict[str, Any]) -> None:
        assert self.open is not None
        shown, deltas = _shape(self.open)
        assert kind in shown or kind in deltas, f"{kind} in a {self.open['type']}"
        self._steps.append(kind)
        if kind in deltas:
            assert all(not step.endswith(".done") for step in self._steps), "a piece after the end"
            assert event["delta"] or event.get("logprobs"), "a piece of nothing"
            self._text += event["delta"]
            self._logprobs += event.get("logprobs", [])
        elif kind.endswith("part.added"):
            assert self._steps == [kind]
            assert event["part"]["text"] == ""
        elif kind.endswith("part.done"):
            assert event["part"]["text"] == self._text
        else:
            assert event.get("text", event.get("arguments")) == self._text


def _shape(item: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The events inside an item in their order, but for the pieces; and the pieces."""
    if item["type"] == "function_call":
        return ["function_call_arguments.done"], ["function_call_arguments.delta"]
    part, text = "content_part", "output_text"
    if item["type"] == "reasoning":
        part, text = (
            ("content_part", "reasoning_text")
            if "content" in item
            else ("reasoning_summary_part", "reasoning_summary_text")
        )
    return [f"{part}.added", f"{text}.done", f"{part}.done"], [f"{text}.delta"]
