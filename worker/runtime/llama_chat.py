"""Chat on a llama.cpp server: `/v1/chat/completions`, one stream per group of choices.

The engine runs at most as many choices of a request as it has slots, so more of them come in groups. It computes
the prompt once for a group; later groups find it in its cache.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

from shared.constrain.answer import is_prefill
from shared.errors import ContextLengthExceeded, InvalidRequest
from shared.frames import Done, Event, Progress
from worker.runtime import llama_schema
from worker.runtime.llama_body import Plan
from worker.runtime.llama_events import Answer
from worker.runtime.llama_http import EngineClient
from worker.runtime.llama_stopper import Stopper
from worker.runtime.llama_truncate import shortened
from worker.runtime.llama_vocabulary import ensure_known
from worker.runtime.tool_calls import CallReader

PATH = "/v1/chat/completions"

Payloads: TypeAlias = AsyncGenerator[list[bytes], None]


async def chat(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    """The events of one chat, in batches. Raises InvalidRequest with `param` before the first one.

    With `truncate` of `auto` a conversation that is longer than the context loses its oldest turns until it fits.
    """
    asked = {name: value for name, value in request.items() if name != "truncate"}
    while True:
        try:
            async with aclosing(_chat(engine, asked)) as batches:
                async for events in batches:
                    yield events
            return
        except ContextLengthExceeded as error:  # comes before the first event
            shorter = shortened(asked, error) if request.get("truncate") == "auto" else None
            if shorter is None:
                raise
            asked = shorter


async def _chat(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    plan = Plan.of(request)
    await ensure_known(engine, [token for token, _ in plan.body.get("logit_bias", ())], "logit_bias")
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
    batches = _stopped(payloads, answer, Stopper(plan.stops, first, count)) if plan.stops else _read(payloads, answer)
    try:
        async for events in batches:
            if readers:
                events = _called(events, readers, first)
            if events:
                yield events
            if answer.failed is not None:
                raise answer.failed
    finally:
        await batches.aclose()
        await payloads.aclose()


async def _read(payloads: Payloads, answer: Answer) -> AsyncGenerator[list[Event], None]:
    async for batch in payloads:
        yield answer.read(batch)


async def _stopped(payloads: Payloads, answer: Answer, stopper: Stopper) -> AsyncGenerator[list[Event], None]:
    """The events up to a stop of every choice. One chunk at a time, so that the tokens before it can be counted."""
    async for batch in payloads:
        events: list[Event] = []
        for payload in batch:
            read = answer.read([payload])
            stopper.note(payload)
            events += stopper.read(read)
            if stopper.over and stopper.cut and not answer.done:
                yield [*events, stopper.done(answer.thoughts)]
                return
        if events and isinstance(done := events[-1], Done) and stopper.cut:
            events[-1] = stopper.corrected(done)
        yield events


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
