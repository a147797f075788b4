"""Part `fake`: an engine without a delay, so that what is left is Puna's own work.

A token relayed is an engine token (`usage.completion_tokens`), however many share a frame and a chunk. Connections
are kept alive, as SDKs do. The client runs on the same cores and is told with the other processes.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.client import Answer, Client, Raw, connected, read_stream, read_whole
from tests.bench.cpu import Meter
from tests.bench.parts import ENVIRON, Parts
from tests.bench.stats import median, summary
from tests.harness import FAKE_MODEL, running_stack

STREAMS = 8

WARM_S = 1.0
"""Requests before the first one that counts (s): connections, caches, and Python's specialised bytecode."""


@dataclass(slots=True)
class Window:
    """A stretch of one measurement. `units` are requests or tokens, `cpu_s` is by process."""

    took_s: float
    units: int
    cpu_s: dict[str, float]
    answers: list[Answer]


def run(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Measure; the results, ready for JSON."""
    with running_stack(folder, **ENVIRON, PUNA_MODEL=FAKE_MODEL, PUNA_SLOTS=str(STREAMS)) as stack:
        parts = Parts(stack)
        return parts.run(_measure(parts, quick))


async def _measure(parts: Parts, quick: bool) -> dict[str, Any]:
    windows, seconds, tokens = (3, 1.0, 1000) if quick else (9, 1.5, 4000)
    async with connected(keep_alive=True) as client:
        await _requests(client, parts, WARM_S, stream=True)
        whole = [await _requests(client, parts, seconds, stream=False) for _ in range(windows)]
        streamed = [await _requests(client, parts, seconds, stream=True) for _ in range(windows)]
        await _tokens(client, parts, tokens)
        give_up_at = time.monotonic() + windows * seconds
        relayed: list[Window] = []
        while len(relayed) < 3 or time.monotonic() < give_up_at:
            relayed.append(await _tokens(client, parts, tokens))
    return {
        "streams": STREAMS,
        "requests": {"whole": _result(whole), "stream": _result(streamed)},
        "tokens": {"max_tokens": tokens, **_result(relayed)},
    }


def _body(max_tokens: int, *, stream: bool) -> dict[str, Any]:
    body = {
        "model": FAKE_MODEL,
        "messages": [{"role": "user", "content": "Write a long story about a lighthouse keeper."}],
        "max_tokens": max_tokens,
    }
    return {**body, "stream": True, "stream_options": {"include_usage": True}} if stream else body


async def _requests(client: Client, parts: Parts, seconds: float, *, stream: bool) -> Window:
    """Requests of one token, each caller sending the next one when it has its answer."""
    body = _body(1, stream=stream)
    read: Callable[[Raw], Answer] = read_stream if stream else read_whole
    raws: list[Raw] = []
    began = time.perf_counter()

    async def caller() -> None:
        while time.perf_counter() - began < seconds:
            raws.append(await client.post(parts.url, body))

    meter = Meter(parts.pids)
    await asyncio.gather(*(caller() for _ in range(STREAMS)))
    took_s, cpu_s = time.perf_counter() - began, meter.read()
    return Window(took_s, len(raws), cpu_s, [read(raw) for raw in raws])


async def _tokens(client: Client, parts: Parts, tokens: int) -> Window:
    """One round of long answers."""
    meter = Meter(parts.pids)
    done = await client.round(parts.url, [_body(tokens, stream=True)] * STREAMS)
    return Window(done.took_s, done.tokens, meter.read(), done.answers)


def _result(windows: list[Window]) -> dict[str, Any]:
    """Medians over the windows; times of single requests over all of them."""
    answers = [answer for window in windows for answer in window.answers]
    names = windows[0].cpu_s
    return {
        "windows": len(windows),
        "units": sum(window.units for window in windows),
        "per_s": summary([window.units / window.took_s for window in windows]),
        "cpu_us": {name: median([window.cpu_s[name] / window.units for window in windows]) * 1e6 for name in names},
        "cpu_us_windows": {
            name: summary([window.cpu_s[name] / window.units for window in windows], 1e6) for name in names
        },
        "took_ms": summary([answer.took_s for answer in answers], 1e3),
        "tokens_per_event": sum(answer.tokens for answer in answers) / sum(answer.events for answer in answers),
    }
