"""A generation's events as Ollama's objects: one a frame and a last one with counts and times, or all in one.

    {"model", "created_at", <piece>, "done": false}
    {"model", "created_at", <empty piece>, "done": true, "done_reason", "total_duration", …}

Durations are nanoseconds as this function sees them: `load_duration` until a worker holds the job, so with its wait in
the queue; `prompt_eval_duration` until its first output; `eval_duration` from there to the end.
"""

import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson

from functions.inference.collect import Answer, Call, Choice
from functions.inference.generate import Events
from functions.native.lines import line
from shared.errors import EngineFailed
from shared.frames import OUTPUT, Delta, Done, Event, Finish, Started, Thought, ToolDelta

Piece: TypeAlias = Callable[[str, str, list[dict[str, Any]]], dict[str, Any]]
"""(text, thought, tool calls) → the fields that hold them."""


def chat_piece(text: str, thought: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """A message of `/api/chat`."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thought:
        message["thinking"] = thought
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def text_piece(text: str, thought: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """A response of `/api/generate`, which knows no tools."""
    return {"response": text, "thinking": thought} if thought else {"response": text}


class Objects:
    """The objects of one answer. `model` is its name as the caller wrote it."""

    def __init__(self, model: str, piece: Piece) -> None:
        self._model = model
        self._piece = piece
        self._calls: dict[int, Call] = {}
        self._reason = "stop"
        self._began = time.perf_counter()
        self._started: float | None = None
        self._first: float | None = None

    async def relay(self, events: Events) -> AsyncGenerator[bytes, None]:
        """Lines, one piece of bytes per frame; nothing while nothing comes."""
        async for batch in events:
            if lines := b"".join([self._line(event) for event in batch]):
                yield lines

    async def whole(self, events: Events) -> dict[str, Any]:
        """All in one object. Raises the error that the generation failed with."""
        answer, done = Answer(), Done(0, 0)
        async for batch in events:
            for event in batch:
                self._note(event)
                if isinstance(event, Started):
                    answer = Answer()
                elif isinstance(event, Done):
                    done = event
                answer.add(event)
        choice = answer.choices.get(0, Choice())
        calls = [_call(index, call) for index, call in sorted(choice.calls.items())]
        return self._object(choice.text, choice.thought, calls, choice.logprobs) | self._end(done)

    def unloaded(self, reason: str = "load") -> dict[str, Any]:
        """The answer to a request that asks for no text."""
        return self._object("", "", [], None) | {"done": True, "done_reason": reason}

    def _line(self, event: Event) -> bytes:
        self._note(event)
        match event:
            case Delta(text, _, _, entries):
                return line(self._object(text, "", [], entries))
            case Thought(text):
                return line(self._object("", text, [], None))
            case ToolDelta(call, arguments, id, name):
                self._calls.setdefault(call, Call(id, name)).parts.append(arguments)
            case Finish() if self._calls:
                calls = [_call(index, call) for index, call in sorted(self._calls.items())]
                return line(self._object("", "", calls, None))
            case Done():
                return line(self._object("", "", [], None) | self._end(event))
        return b""

    def _note(self, event: Event) -> None:
        """Keep the times and the reason."""
        if isinstance(event, Started):
            self._started, self._first = time.perf_counter(), None
            self._calls.clear()
        elif isinstance(event, OUTPUT) and self._first is None:
            self._first = time.perf_counter()
        elif isinstance(event, Finish):
            # Ollama ends with `stop` also where there are calls.
            self._reason = "length" if event.reason == "length" else "stop"

    def _object(
        self, text: str, thought: str, calls: list[dict[str, Any]], entries: list[dict[str, Any]] | None
    ) -> dict[str, Any]:
        told = {
            "model": self._model,
            "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **self._piece(text, thought, calls),
            "done": False,
        }
        return told if entries is None else {**told, "logprobs": entries}

    def _end(self, done: Done) -> dict[str, Any]:
        now = time.perf_counter()
        started = self._started or self._began
        first = self._first or now
        return {
            "done": True,
            "done_reason": self._reason,
            "total_duration": _ns(now - self._began),
            "load_duration": _ns(started - self._began),
            "prompt_eval_count": done.prompt_tokens,
            "prompt_eval_duration": _ns(first - started),
            "eval_count": done.completion_tokens,
            "eval_duration": _ns(now - first),
        }


def _ns(seconds: float) -> int:
    return max(0, round(seconds * 1e9))


def _call(index: int, call: Call) -> dict[str, Any]:
    """A whole tool call, its arguments as an object."""
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        raise EngineFailed("the model called a tool with arguments that are not JSON") from None
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments}}
