"""The fake engine's chat: the tokens `0 `, `1 `, `2 ` …, at a chosen pace, with chosen accidents."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worker.runtime.fake_http import Connection
from worker.runtime.fake_plan import Knobs, Plan

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
    content = text(plan.count) if plan.pieces is None else "".join(plan.pieces[: plan.count])
    message = {"role": "assistant", "content": content}
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
    for k in range(plan.knobs.thoughts):
        for index in range(plan.choices):
            thought = {"finish_reason": None, "index": index, "delta": {"reasoning_content": token(k)}}
            connection.send_event(chunk([thought]))
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
    writers = [_writer(connection, plan, index) for index in range(plan.choices)]
    for k in range(plan.count + 1):
        if k in accidents:
            return await accident(connection, knobs, k, crash)
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


async def accident(connection: Connection, knobs: Knobs, k: int, crash: Callable[[], None]) -> bool:
    """What the knobs have in store for the k-th token. The answer does not go on."""
    await connection.drain()
    if k == knobs.error_after:
        connection.send_event({"error": {"code": 500, "message": "told to fail", "type": "server_error"}})
        connection.end_events()
        await connection.drain()
    elif k == knobs.crash_after:
        await asyncio.sleep(0)  # a loop that gathers its writes sends them now
        crash()
    else:
        await asyncio.Event().wait()
    return False


def _writer(connection: Connection, plan: Plan, index: int) -> Callable[[int], None]:
    """Writes the k-th token's event."""
    if plan.pieces is None and not plan.alternatives:
        return _fast_writer(connection, index)

    def event(k: int) -> None:
        piece = plan.pieces[k] if plan.pieces else token(k)
        choice: dict[str, Any] = {"finish_reason": None, "index": index, "delta": {"content": piece}}
        if plan.alternatives:
            choice["logprobs"] = {"content": [entry(piece, plan.alternatives)]}
        connection.send_event(chunk([choice]))

    return event


def entry(piece: str, alternatives: int) -> dict[str, Any]:
    """Log probabilities in llama.cpp's form: the token itself, and made-up others."""
    tokens = [piece, *(f"{piece}{i}" for i in range(1, alternatives))]
    entries = [
        {"id": i, "token": each, "bytes": list(each.encode()), "logprob": -0.5 - i} for i, each in enumerate(tokens)
    ]
    return {**entries[0], "top_logprobs": entries}


def _fast_writer(connection: Connection, index: int) -> Callable[[int], None]:
    """Only the number changes, and the chunk's length with its digits."""
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
