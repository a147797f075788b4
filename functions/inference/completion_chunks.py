"""Completions as objects: the events of a generation as `text_completion`, whole or in chunks of the same shape.

Order of chunks: text as it comes, choices interleaved; per choice a last one with the finish reason and no text; the
usage, if asked for; `[DONE]`.
"""

from collections.abc import AsyncGenerator
from typing import Any

from functions.inference.collect import Answer, usage
from functions.inference.generate import Events
from functions.inference.legacy_logprobs import LegacyLogprobs
from functions.inference.sse import DONE, comment, data
from shared.frames import Delta, Done, Event, Finish, Progress, Started
from shared.job import JobSpec


def head(spec: JobSpec, fingerprint: str | None) -> dict[str, Any]:
    """What every object of an answer has."""
    return {
        "id": f"cmpl-{spec.id}",
        "object": "text_completion",
        "created": int(spec.created),
        "model": spec.model,
        "system_fingerprint": fingerprint,
    }


def completion(spec: JobSpec, answer: Answer) -> dict[str, Any]:
    """The answer as one object."""
    count = spec.request.get("logprobs")
    choices = [
        {
            "text": choice.text,
            "index": index,
            "logprobs": None if count is None else LegacyLogprobs(count).read(choice.logprobs or []),
            "finish_reason": choice.finish_reason,
        }
        for index, choice in sorted(answer.choices.items())
    ]
    return {**head(spec, answer.fingerprint), "choices": choices, "usage": usage_of(answer.usage)}


def usage_of(counts: dict[str, Any]) -> dict[str, Any]:
    """A completion never thinks."""
    return {name: value for name, value in counts.items() if name != "completion_tokens_details"}


class CompletionChunks:
    """One stream's chunks."""

    def __init__(self, spec: JobSpec, *, include_usage: bool) -> None:
        self._frame = head(spec, None)
        self._include_usage = include_usage
        self._count: int | None = spec.request.get("logprobs")
        self._logprobs: dict[int, LegacyLogprobs] = {}
        self._waiting_for = "queued"

    async def relay(self, events: Events) -> AsyncGenerator[bytes, None]:
        """Server-sent events, one piece of bytes per frame; comment lines while nothing comes."""
        async for batch in events:
            if batch:
                if chunks := b"".join([self._chunk(event) for event in batch]):
                    yield chunks
            else:
                yield comment(self._waiting_for)

    def _chunk(self, event: Event) -> bytes:
        match event:
            case Delta():
                self._waiting_for = "generating"
                return self._choice(event.index, event.text, self._read(event), None)
            case Started(_, fingerprint):
                self._frame["system_fingerprint"] = fingerprint
                self._waiting_for = "prefill"
            case Progress(stage):
                self._waiting_for = stage
            case Finish(reason, index):
                return self._choice(index, "", None, reason)
            case Done() if self._include_usage:
                return data({**self._frame, "choices": [], "usage": usage_of(usage(event))}) + DONE
            case Done():
                return DONE
        return b""

    def _read(self, event: Delta) -> dict[str, Any] | None:
        if self._count is None:
            return None
        return self._logprobs.setdefault(event.index, LegacyLogprobs(self._count)).read(event.logprobs or [])

    def _choice(self, index: int, text: str, logprobs: dict[str, Any] | None, reason: str | None) -> bytes:
        choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}
        chunk = {**self._frame, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return data(chunk)
