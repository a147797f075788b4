"""Chat chunks: the events of a generation as `chat.completion.chunk` objects (OpenAI API reference, "Streaming").

Order: text, the first piece with the role; per choice a chunk with the finish reason; the usage, if asked for;
`[DONE]`. Tokens that travelled in one frame travel in one chunk.
"""

from collections.abc import AsyncGenerator
from typing import Any

from functions.inference.collect import usage
from functions.inference.generate import Events
from functions.inference.sse import DONE, comment, data
from shared.frames import Delta, Done, Event, Finish, Progress, Started
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
        self._begun: set[int] = set()
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
            case Delta(text, _, index):
                return self._choice(index, {"content": text}, None)
            case Started(_, fingerprint):
                self._frame["system_fingerprint"] = fingerprint
                self._waiting_for = "prefill"
            case Progress(stage):
                self._waiting_for = stage
            case Finish(reason, index):
                # An answer without a token still opens with the role.
                opening = b"" if index in self._begun else self._choice(index, {"content": ""}, None)
                return opening + self._choice(index, {}, reason)
            case Done() if self._include_usage:
                return data({**self._frame, "choices": [], "usage": usage(event)}) + DONE
            case Done():
                return DONE
        return b""

    def _choice(self, index: int, delta: dict[str, str], reason: str | None) -> bytes:
        if index not in self._begun:
            self._begun.add(index)
            self._waiting_for = "generating"
            delta = {"role": "assistant", **delta}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = {**self._frame, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return data(chunk)
