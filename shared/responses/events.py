"""The events of a response (OpenAI API reference, "Streaming events"): a function of its head and its frames alone.

    created (queued) in_progress { item added … item done } completed | incomplete | failed

Items follow one another: each is closed before the next begins. What ends early closes its open item as incomplete.
There is no event for a response that is cancelled: it ends with `response.incomplete`, its status `cancelled`.
Whoever replays the frames gets the same events with the same numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shared.errors import EngineFailed, PunaError
from shared.frames import CancelledEvent, Delta, Done, Event, Failed, Finish, Started, Thought, ToolDelta
from shared.responses.call import FunctionCall
from shared.responses.failure import error_event, in_its_terms, response_error
from shared.responses.head import Head
from shared.responses.ids import item_id
from shared.responses.message import Message
from shared.responses.place import Place
from shared.responses.reasoning import Reasoning

_Item = TypeVar("_Item", Message, Reasoning, FunctionCall)


class ResponseEvents:
    """Frames in, events out. `seal(thought, item_id)` encrypts a thought, where the head asks for it."""

    def __init__(self, head: Head, seal: Callable[[str, str], str] | None = None) -> None:
        self._head = head
        self._seal = seal if head.encrypted else None
        self._next = 0
        self._out: list[dict[str, Any]] = []
        self._status = "queued" if head.background else "in_progress"
        self._begun = False
        self._begin()

    @property
    def response(self) -> dict[str, Any]:
        """The response object as it is now."""
        open_items = [] if self._open is None else [self._open.item("in_progress")]
        return self._head.response(self._status, [*self._items, *open_items], **self._end)

    @property
    def over(self) -> bool:
        """Whether the last event has been."""
        return self._status not in ("queued", "in_progress")

    def open(self) -> list[dict[str, Any]]:
        """What can be said before any frame has come; nothing the second time."""
        self._opening()
        return self._taken()

    def read(self, batch: Sequence[Event]) -> list[dict[str, Any]]:
        """The events of a batch. Raises EngineFailed on a piece of a call that is over."""
        self._opening()
        for event in batch:
            self._read(event)
        return self._taken()

    def fail(self, error: PunaError) -> list[dict[str, Any]]:
        """The end of a response that failed; nothing if it is over."""
        self._opening()
        self._failed(error)
        return self._taken()

    def cancelled(self) -> list[dict[str, Any]]:
        """The end of a response that was cancelled; nothing if it is over."""
        self._opening()
        self._cancelled()
        return self._taken()

    def error(self, error: PunaError) -> list[dict[str, Any]]:
        """The stream breaks off here; the response may go on without it."""
        self._opening()
        self._say(error_event(in_its_terms(error)))
        return self._taken()

    def _begin(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._open: Message | Reasoning | FunctionCall | None = None
        self._finish = "stop"
        self._end: dict[str, Any] = {}

    def _opening(self) -> None:
        if self._next == 0:
            self._lifecycle("created")
            if self._head.background:
                self._lifecycle("queued")

    def _read(self, event: Event) -> None:
        match event:
            case Delta() | Thought() | ToolDelta():
                self._output(event)
            case Started():
                self._start()
            case Finish(reason):
                self._finished(reason)
            case Done():
                self._done(event)
            case Failed():
                self._failed(event.error())
            case CancelledEvent():
                self._cancelled()

    def _output(self, event: Delta | Thought | ToolDelta) -> None:
        match event:
            case Delta(text, _, _, logprobs):
                entries = (logprobs or []) if self._head.logprobs else []
                if text or entries:
                    self._say(self._current(Message, "msg", Message).add(text, entries))
            case Thought(text):
                if text:
                    self._say(self._current(Reasoning, "rs", self._reasoning).add(text))
            case ToolDelta():
                self._called(event)

    def _start(self) -> None:
        """A worker has it. A job that begins anew, which no stream's job does once it has said something, begins its
        answer anew."""
        if self._items or self._open is not None:
            self._begin()
        if not self._begun:
            self._begun = True
            self._status = "in_progress"
            self._lifecycle("in_progress")

    def _called(self, piece: ToolDelta) -> None:
        current = self._open
        if not isinstance(current, FunctionCall) or current.number != piece.call:
            if not piece.id:
                raise EngineFailed("the engine went on with a tool call that was over")
            current = FunctionCall(self._place("fc"), piece.call, piece.id, piece.name)
            self._enter(current)
        if piece.arguments:
            self._say(current.add(piece.arguments))

    def _reasoning(self, place: Place) -> Reasoning:
        return Reasoning(place, summarised=self._head.summarised, seal=self._seal)

    def _current(self, kind: type[_Item], prefix: str, make: Callable[[Place], _Item]) -> _Item:
        """The open item, if it is of this kind; otherwise a new one."""
        if isinstance(self._open, kind):
            return self._open
        item = make(self._place(prefix))
        self._enter(item)
        return item

    def _place(self, prefix: str) -> Place:
        index = len(self._items) + (self._open is not None)
        return Place(item_id(prefix, self._head.id, index), index)

    def _enter(self, item: Message | Reasoning | FunctionCall) -> None:
        self._close("completed")
        self._open = item
        self._say(*item.open())

    def _close(self, status: str) -> None:
        if self._open is not None:
            self._say(*self._open.close(status))
            self._items.append(self._open.item(status))
            self._open = None

    def _finished(self, reason: str) -> None:
        self._finish = reason
        silent = all(item["type"] == "reasoning" for item in self._items)
        if reason == "stop" and silent and not isinstance(self._open, Message | FunctionCall):
            # An answer without text or calls is an empty text, not none.
            self._current(Message, "msg", Message)
        self._close("incomplete" if reason == "length" else "completed")

    def _done(self, done: Done) -> None:
        self._end["usage"] = {
            "input_tokens": done.prompt_tokens,
            "input_tokens_details": {"cached_tokens": done.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": done.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": done.reasoning_tokens},
            "total_tokens": done.prompt_tokens + done.completion_tokens,
        }
        if self._finish == "length":
            self._end["incomplete_details"] = {"reason": "max_output_tokens"}
            self._terminal("incomplete", "incomplete", "incomplete")
        else:
            self._end["completed_at"] = done.at or self._head.created_at
            self._terminal("completed", "completed", "completed")

    def _failed(self, error: PunaError) -> None:
        if not self.over:
            self._end["error"] = response_error(in_its_terms(error))
            self._terminal("failed", "failed", "incomplete")

    def _cancelled(self) -> None:
        if not self.over:
            self._terminal("incomplete", "cancelled", "incomplete")

    def _terminal(self, kind: str, status: str, of_item: str) -> None:
        self._close(of_item)
        self._status = status
        self._lifecycle(kind)

    def _lifecycle(self, kind: str) -> None:
        self._say({"type": f"response.{kind}", "response": self.response})

    def _say(self, *events: dict[str, Any]) -> None:
        for event in events:
            self._out.append({"type": event["type"], "sequence_number": self._next, **event})
            self._next += 1

    def _taken(self) -> list[dict[str, Any]]:
        out, self._out = self._out, []
        return out
