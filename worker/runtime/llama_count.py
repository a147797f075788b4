"""Tokens of a chat's prompt on a llama.cpp server: its template and its tokenizer, no generation."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from shared.frames import Done, Event
from shared.images.refs import images_of
from worker.runtime.llama_body import Plan
from worker.runtime.llama_chat import chat
from worker.runtime.llama_http import EngineClient

_ASIDE = ("stream", "stream_options", "return_progress", "cache_prompt")
"""Fields of a chat that a template has no use for."""


async def count(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    """One Done, with the tokens of the prompt. Raises what `chat` does.

    How many tokens an image takes is only known when it has been read: a prompt with images is computed, and one token
    generated.
    """
    request = {name: value for name, value in request.items() if name != "truncate"}
    if next(iter(images_of(request["messages"])), None) is not None:
        async for events in chat(engine, {**request, "max_tokens": 1, "n": 1}):
            if isinstance(done := events[-1], Done):
                yield [Done(done.prompt_tokens, 0)]
        return
    body = {name: value for name, value in Plan.of(request).body.items() if name not in _ASIDE}
    prompt = (await engine.call("/apply-template", body))["prompt"]
    answer = await engine.call("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
    yield [Done(len(answer["tokens"]), 0)]
