"""The fake engine's chat: the tokens `0 `, `1 `, `2 ` …, at a chosen pace, with chosen accidents."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worker.runtime.fake_http import Connection
from worker.runtime.fake_plan import Plan

BURST = 32
"""Tokens without a delay between two turns of the event loop: about 0.2 ms."""

_IDS: dict[str, Any] = {"created": 0, "id": "chatcmpl-fake", "model": "fake", "system_fingerprint": "fake"}


@dataclass(slots=True)
class Stats:
    """Counters of `/fake/stats`."""

    requests: int = 0
    tokens: int = 0
    active: int = 0
    waiting: int = 0
    most_active: int = 0
    aborted: int = 0
    completed: int = 0


def token(k: int) -> str:
    """The k-th token of every answer, from 0."""
    return f"{k} "


def text(count: int) -> str:
    """An answer of `count` tokens."""
    return "".join(token(k) for k in range(count))


def chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """One stream chunk, keys in llama.cpp's order."""
    return {"choices": choices, **_IDS, "object": "chat.completion.chunk", **more}


async def answer_whole(connection: Connection, plan: Plan, stats: Stats) -> None:
    """The answer as one JSON body."""
    knobs = plan.knobs
    await asyncio.sleep(knobs.delay + (plan.count / knobs.rate if knobs.rate else 0))
    stats.tokens += plan.count * plan.choices
    message = {"role": "assistant", "content": text(plan.count)}
    choices = [{"finish_reason": plan.reason, "index": index, "message": message} for index in range(plan.choices)]
    body = {"choices": choices, **_IDS, "object": "chat.completion", "usage": plan.usage()}
    connection.send_json(200, body)


async def answer_events(connection: Connection, plan: Plan, stats: Stats, crash: Callable[[], None]) -> None:
    """The answer as events, one write each."""
    connection.begin_events()
    role = {"role": "assistant", "content": None}
    for index in range(plan.choices):
        opening = chunk([{"finish_reason": None, "index": index, "delta": role}])
        if plan.progress:
            total = plan.prompt_tokens
            progress = {"total": total, "cache": 0, "processed": total, "time_ms": 0}
            connection.send_event(opening | {"prompt_progress": progress})
        connection.send_event(opening)
    await asyncio.sleep(plan.knobs.delay)
    if not await _tokens(connection, plan, stats, crash):
        return
    for index in range(plan.choices):
        connection.send_event(chunk([{"finish_reason": plan.reason, "index": index, "delta": {}}]))
        if plan.include_usage:
            connection.send_event(chunk([], usage=plan.usage()))
    connection.end_events()
    await connection.drain()


async def _tokens(connection: Connection, plan: Plan, stats: Stats, crash: Callable[[], None]) -> bool:
    """The tokens of all choices, or those before an accident. Whether the answer goes on."""
    loop = asyncio.get_running_loop()
    begin, knobs = loop.time(), plan.knobs
    accidents = {knobs.crash_after, knobs.silent_after, knobs.error_after}
    burst = 1 if knobs.rate else BURST
    writers = [_writer(connection, index) for index in range(plan.choices)]
    for k in range(plan.count + 1):
        if k in accidents:
            return await _accident(connection, plan, k, crash)
        if k == plan.count:
            break
        if knobs.rate:
            await asyncio.sleep(begin + k / knobs.rate - loop.time())
        if k % burst == 0:
            await connection.drain()
        for write in writers:
            write(k)
        stats.tokens += plan.choices
    return True


async def _accident(connection: Connection, plan: Plan, k: int, crash: Callable[[], None]) -> bool:
    await connection.drain()
    if k == plan.knobs.error_after:
        connection.send_event({"error": {"code": 500, "message": "told to fail", "type": "server_error"}})
        connection.end_events()
        await connection.drain()
    elif k == plan.knobs.crash_after:
        await asyncio.sleep(0)  # a loop that gathers its writes sends them now
        crash()
    else:
        await asyncio.Event().wait()
    return False


def _writer(connection: Connection, index: int) -> Callable[[int], None]:
    """Writes the k-th token's event. Only the number changes, and the chunk's length with its digits."""
    head = b'data: {"choices":[{"finish_reason":null,"index":%d,"delta":{"content":"' % index
    tail = (
        b' "}}],"created":0,"id":"chatcmpl-fake","model":"fake","system_fingerprint":"fake",'
        b'"object":"chat.completion.chunk"}\n\n'
    )
    heads = [b"%x\r\n%s" % (len(head) + digits + len(tail), head) for digits in range(20)]
    tail += b"\r\n"
    write = connection.write

    def event(k: int) -> None:
        number = b"%d" % k
        write(heads[len(number)] + number + tail)

    return event
