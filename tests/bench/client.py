"""The client of every measurement: one event loop, bare aiohttp, the same code for the API and for the engine.

While answers come, only bytes and their times are kept; they are read when the round is over, so that the client's
own work never delays a timestamp.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp
import orjson

from worker.runtime.sse import DONE, SSEParser

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"

TIMEOUT_S = 120.0
"""One request may take so long (s). Far more than any takes: a measurement must not hang."""

_JSON = {"content-type": "application/json"}


class BenchError(Exception):
    """Nothing was measured; the message says why."""


@dataclass(slots=True)
class Raw:
    """One answer as it arrived. Times are `perf_counter` seconds; `reads` are pieces with their times."""

    status: int
    began: float
    ended: float
    reads: list[tuple[float, bytes]]


@dataclass(slots=True)
class Answer:
    """One answer, read. Seconds; `itl_s` are the gaps between events with text, 0 for two in one read."""

    took_s: float
    tokens: int
    prompt_tokens: int
    cached_tokens: int
    ttft_s: float = 0.0
    itl_s: list[float] = field(default_factory=list)

    @property
    def events(self) -> int:
        """Events with text. Fewer than `tokens` where tokens travel together."""
        return len(self.itl_s) + 1


@dataclass(slots=True)
class Round:
    """Requests that started together, and the seconds until the last of them had ended."""

    took_s: float
    answers: list[Answer]
    cpu_s: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process, where they were metered."""

    @property
    def tokens(self) -> int:
        return sum(answer.tokens for answer in self.answers)

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.took_s


class Client:
    """Sends requests to any base URL."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, base: str, body: Mapping[str, Any], path: str = CHAT) -> Raw:
        """One request, read to the end. Raises BenchError on any status but 200."""
        data = orjson.dumps(body)
        reads: list[tuple[float, bytes]] = []
        now = time.perf_counter
        began = now()
        async with self._session.post(base + path, data=data, headers=_JSON) as response:
            content = response.content
            while piece := await content.readany():
                reads.append((now(), piece))
        if response.status != 200:
            raise BenchError(f"{base} answered {response.status}: {b''.join(piece for _, piece in reads)[:300]!r}")
        return Raw(response.status, began, now(), reads)

    async def round(self, base: str, bodies: Sequence[Mapping[str, Any]]) -> Round:
        """Stream all of `bodies` at once."""
        began = time.perf_counter()
        raws = await asyncio.gather(*(self.post(base, body) for body in bodies))
        took_s = time.perf_counter() - began
        return Round(took_s, [read_stream(raw) for raw in raws])


@asynccontextmanager
async def connected(*, keep_alive: bool) -> AsyncGenerator[Client, None]:
    """A client. Without `keep_alive` each request makes its connection, within its time."""
    connector = aiohttp.TCPConnector(limit=0, force_close=not keep_alive)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Client(http)


def read_stream(raw: Raw) -> Answer:
    """An answer of server-sent chunks. Raises BenchError when it has no text, no usage or no end."""
    sse, times, usage, done = SSEParser(), [], None, False
    for at, piece in raw.reads:
        for payload in sse.feed(piece):
            if payload == DONE:
                done = True
                continue
            chunk = orjson.loads(payload)
            usage = chunk.get("usage") or usage
            choices = chunk.get("choices")
            if choices and choices[0]["delta"].get("content"):
                times.append(at)
    if not (times and usage and done):
        raise BenchError(f"an incomplete answer: {b''.join(piece for _, piece in raw.reads)[-300:]!r}")
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return _answer(raw, usage, times[0] - raw.began, gaps)


def read_whole(raw: Raw) -> Answer:
    """An answer of one JSON body."""
    return _answer(raw, orjson.loads(b"".join(piece for _, piece in raw.reads))["usage"], 0.0, [])


def _answer(raw: Raw, usage: Mapping[str, Any], ttft_s: float, itl_s: list[float]) -> Answer:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return Answer(raw.ended - raw.began, usage["completion_tokens"], usage["prompt_tokens"], cached, ttft_s, itl_s)
