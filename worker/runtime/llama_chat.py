"""Chat on a llama.cpp server: `/v1/chat/completions`, one stream per group of choices.

The engine runs at most as many choices of a request as it has slots, so more of them come in groups. It computes
the prompt once for a group; later groups find it in its cache.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from shared.constrain.answer import is_prefill
from shared.errors import InvalidRequest
from shared.frames import Done, Event, Progress
from worker.runtime import llama_schema
from worker.runtime.llama_body import Plan
from worker.runtime.llama_events import Answer
from worker.runtime.llama_http import EngineClient
from worker.runtime.tool_calls import CallReader

PATH = "/v1/chat/completions"


async def chat(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    """The events of one chat, in batches. Raises InvalidRequest with `param` before the first one."""
    plan = Plan.of(request)
    if "grammar" in plan.body:
        await llama_schema.ensure(engine, {"grammar": plan.body["grammar"]})
    total = Done(0, 0)
    for first in range(0, plan.choices, engine.slots):
        count = min(engine.slots, plan.choices - first)
        group = _group(engine, plan, first, count)
        try:
            async for events in group:
                if type(events[-1]) is Done:
                    total = _sum(total, events.pop(), first)
                    if first + count == plan.choices:
                        events.append(total)
                if events:
                    yield events
        except InvalidRequest as error:
            raise _blamed(error, plan) from None
        finally:
            await group.aclose()


async def _group(engine: EngineClient, plan: Plan, first: int, count: int) -> AsyncGenerator[list[Event], None]:
    answer = Answer(first, plan.top)
    readers = [CallReader(index) for index in range(first, first + count)] if plan.calls else None
    payloads = engine.stream(PATH, plan.group(first, count))
    try:
        async for batch in payloads:
            events = answer.read(batch)
            if readers:
                events = _called(events, readers, first)
            if events:
                yield events
    finally:
        await payloads.aclose()


def _called(events: list[Event], readers: list[CallReader], first: int) -> list[Event]:
    """Events with the calls that were text."""
    read: list[Event] = []
    for event in events:
        if isinstance(event, Progress | Done):
            read.append(event)
        else:
            read += readers[getattr(event, "index", first) - first].read(event)
    return read


def _sum(total: Done, done: Any, first: int) -> Done:
    """The prompt counts once, as the first group met it."""
    start = total if first else done
    return Done(
        start.prompt_tokens,
        total.completion_tokens + done.completion_tokens,
        start.cached_tokens,
        total.reasoning_tokens + done.reasoning_tokens,
    )


_FIELD = re.compile(r"^Field '(\w+)'")


def _blamed(error: InvalidRequest, plan: Plan) -> InvalidRequest:
    """A refusal of the engine's, with the field it speaks of."""
    if error.param is not None:
        return error
    constrained = not plan.body.keys().isdisjoint(("response_format", "grammar"))
    if found := _FIELD.match(error.message):
        return InvalidRequest(error.message, param=found[1])
    if "Failed to initialize samplers" in error.message and constrained:
        if is_prefill(plan.body["messages"]):
            return InvalidRequest("The last message begins no answer that 'response_format' allows.", param="messages")
        return InvalidRequest("The schema is too large or leads back to itself.", param="response_format")
    if "JSON schema error" in error.message:
        message = error.message[error.message.index("JSON schema error") :]
        return InvalidRequest(message, param="response_format" if constrained else "tools")
    return InvalidRequest(error.message, param="messages")
