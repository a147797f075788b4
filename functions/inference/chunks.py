"""Chat chunks: the events of a generation as `chat.completion.chunk` objects (OpenAI API reference, "Streaming").

Order: per choice its thoughts, its text, its tool calls, the first piece with the role; a chunk with the finish
reason; then the usage, if asked for; `[DONE]`. Tokens that travelled in one frame travel in one chunk.
"""

from collections.abc import AsyncGenerator
from typing import Any

from functions.inference.chat_object import logprobs
from functions.inference.collect import usage
from functions.inference.generate import Events
from functions.inference.sse import DONE, comment, data
from shared.frames import Delta, Done, Event, Finish, Progress, Started, Thought, ToolDelta
from shared.job import JobSpec


class ChatChunks:
    """One stream's chunks."""

    def __init__(self, spec: JobSpec, *, include_usage: bool) -> None:
        self._frame: dict[str, Any] = {
            "id": f"chatcmpl-{spec.id}",
            "object": "chat.completion.chunk",
            "created": int(spec.created),
            "model": spec.model,
            "system_fingerprint": None,
        }
        self._include_usage = include_usage
        self._opened = 0
        """Choices whose role has been said: all below this index."""
        self._said: set[int] = set()
        """Choices with text or a tool call."""
        self._waiting_for = "queued"

    async def relay(self, events: Events) -> AsyncGenerator[bytes, None]:
        """Server-sent events, one piece of bytes per frame; comment lines while nothing comes."""
        async for batch in events:
            if batch:
                chunks = b"".join([self._chunk(event) for event in batch])
                if chunks:
                    yield chunks
            else:
                yield comment(self._waiting_for)

    def _chunk(self, event: Event) -> bytes:
        match event:
            case Delta(text, _, index, entries):
                self._said.add(index)
                return self._choice(index, {"content": text}, entries=entries)
            case Thought(text, _, index):
                return self._choice(index, {"reasoning": text, "reasoning_content": text})
            case ToolDelta():
                return self._call(event)
            case Started(_, fingerprint):
                self._frame["system_fingerprint"] = fingerprint
                self._waiting_for = "prefill"
            case Progress(stage):
                self._waiting_for = stage
            case Finish(reason, index):
                # An answer without text or calls is an empty text, not none.
                empty = b"" if index in self._said else self._choice(index, {"content": ""})
                return empty + self._choice(index, {}, reason)
            case Done() if self._include_usage:
                return data({**self._frame, "choices": [], "usage": usage(event)}) + DONE
            case Done():
                return DONE
        return b""

    def _call(self, piece: ToolDelta) -> bytes:
        call: dict[str, Any] = {"index": piece.call, "function": {"arguments": piece.arguments}}
        if piece.id:
            call |= {"id": piece.id, "type": "function"}
            call["function"]["name"] = piece.name
        words = {} if piece.index in self._said or piece.index < self._opened else {"content": None}
        self._said.add(piece.index)
        return self._choice(piece.index, {**words, "tool_calls": [call]})

    def _choice(
        self,
        index: int,
        delta: dict[str, Any],
        reason: str | None = None,
        entries: list[dict[str, Any]] | None = None,
    ) -> bytes:
        # The SDK's accumulator appends a choice that it has not seen: they must open in the order of their indexes.
        opening = b""
        while self._opened <= index:
            self._waiting_for = "generating"
            if self._opened == index and entries is None:
                delta = {"role": "assistant", **delta}
            elif self._opened == index:
                # As OpenAI does: Node's SDK counts log probabilities of a choice's first chunk twice.
                opening += self._data(index, {"role": "assistant", "content": ""}, None, None)
            else:
                opening += self._data(self._opened, {"role": "assistant"}, None, None)
            self._opened += 1
        return opening + self._data(index, delta, reason, entries)

    def _data(
        self, index: int, delta: dict[str, Any], reason: str | None, entries: list[dict[str, Any]] | None
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs(entries), "finish_reason": reason}
        chunk = {**self._frame, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return data(chunk)
