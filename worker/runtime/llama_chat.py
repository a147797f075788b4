"""Chat on a llama.cpp server: `/v1/chat/completions`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from shared.frames import Event
from worker.runtime.llama_events import Answer
from worker.runtime.llama_http import EngineClient


def body_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """The chat request as the engine reads it: always a stream, with usage and progress of the prompt.

    `reasoning_format` none leaves thoughts in the text.
    """
    body = {"reasoning_format": "none", **request}
    if (limit := body.pop("max_completion_tokens", None)) is not None:
        body["max_tokens"] = limit
    body["stream"] = True
    body["stream_options"] = {"include_usage": True}
    body["return_progress"] = True
    return body


async def chat(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    """The events of one chat, in batches."""
    answer = Answer()
    payloads = engine.stream("/v1/chat/completions", body_of(request))
    try:
        async for batch in payloads:
            if events := answer.read(batch):
                yield events
    finally:
        await payloads.aclose()
