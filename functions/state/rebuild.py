"""The events of a response whose frames are no longer kept, made from its final object."""

from collections.abc import Iterator
from typing import Any, Final

from shared.frames import CancelledEvent, Delta, Done, Event, Failed, Finish, Started, Thought, ToolDelta
from shared.responses.events import ResponseEvents

_TERMINAL: Final = {"completed": "completed", "incomplete": "incomplete", "cancelled": "incomplete", "failed": "failed"}
"""What the last event is called, by the response's status."""


def terminal(response: dict[str, Any], number: int) -> dict[str, Any]:
    """The last event of a response."""
    kind = f"response.{_TERMINAL[response['status']]}"
    return {"type": kind, "sequence_number": number, "response": response}


def rebuilt(response: dict[str, Any], events: ResponseEvents) -> list[dict[str, Any]]:
    """All events, with each text in one piece. The last one has the very object that is stored."""
    said = events.read(list(_frames(response)))
    return [*said[:-1], terminal(response, said[-1]["sequence_number"])]


def _frames(response: dict[str, Any]) -> Iterator[Event]:
    yield Started("", "")
    calls = 0
    for item in response["output"]:
        match item["type"]:
            case "reasoning":
                parts = item["summary"] or item.get("content") or ()
                yield Thought("".join(part["text"] for part in parts))
            case "message":
                for part in item["content"]:
                    yield Delta(part["text"], logprobs=part["logprobs"] or None)
            case "function_call":
                yield ToolDelta(calls, item["arguments"], item["call_id"], item["name"])
                calls += 1
    match response["status"]:
        case "cancelled":
            yield CancelledEvent("cancelled")
        case "failed":
            yield Failed(None, response["error"]["message"])
        case status:
            yield Finish("length" if status == "incomplete" else "stop")
            yield Done(0, 0)
