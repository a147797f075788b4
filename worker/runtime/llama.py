"""LlamaEngine: one model in a llama.cpp server, or in the fake engine, which answers alike."""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from shared.errors import EngineFailed
from shared.frames import Event
from shared.settings import Settings
from worker.runtime.engine import EngineState
from worker.runtime.llama_argv import Weights, command, fingerprint
from worker.runtime.llama_events import Answer, refusal
from worker.runtime.process import EngineProcess, Timing
from worker.runtime.sse import SSEParser

CONNECT_S = 5.0
"""On loopback a connection takes microseconds; this long means that the engine's backlog is full."""

_JSON = {"content-type": "application/json"}


def body_of(request: Mapping[str, Any]) -> bytes:
    """The chat request as the engine reads it: always a stream, with usage and progress of the prompt.

    `reasoning_format` none leaves thoughts in the text: frames have no other place for them.
    """
    body = {"reasoning_format": "none", **request}
    if (limit := body.pop("max_completion_tokens", None)) is not None:
        body["max_tokens"] = limit
    body["stream"] = True
    body["stream_options"] = {"include_usage": True}
    body["return_progress"] = True
    return orjson.dumps(body)


class LlamaEngine:
    """An `Engine`. `arguments` are further words for the engine's command line."""

    def __init__(
        self,
        settings: Settings,
        weights: Weights,
        *,
        arguments: Sequence[str] = (),
        timing: Timing | None = None,
    ) -> None:
        self.slots = settings.slots
        self._fingerprint = fingerprint(settings, weights, arguments)
        self.process = EngineProcess(
            settings.model,
            command(settings, weights, arguments),
            self._healthy,
            timing or Timing(load_s=settings.load_timeout_s),
        )
        self._session: aiohttp.ClientSession | None = None

    @property
    def state(self) -> EngineState:
        return self.process.state

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    async def start(self) -> None:
        """See `Engine.start`."""
        if self._session is None:
            # No keep-alive: the server drops an idle connection after 5 s, a request sent just then would be
            # lost, and each idle connection holds one of its threads until then.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        await self.process.start()

    async def ready(self, timeout_s: float) -> None:
        """See `Engine.ready`."""
        await self.process.ready(timeout_s)

    async def stop(self) -> None:
        """See `Engine.stop`. Requests in flight raise EngineFailed."""
        await self.process.stop()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
        """See `Engine.chat`. An engine that is not READY raises EngineFailed."""
        url, session = self.process.url, self._session
        if url is None or session is None:
            raise EngineFailed("the engine is not ready")
        answer, sse = Answer(), SSEParser()
        try:
            async with session.post(f"{url}/v1/chat/completions", data=body_of(request), headers=_JSON) as response:
                if response.status != 200:
                    raise refusal(response.status, await response.read())
                # Leaving this block early closes the connection, and with it ends the generation.
                while not answer.done and (data := await response.content.readany()):
                    if events := answer.read(sse.feed(data)):
                        yield events
        except (aiohttp.ClientError, OSError):
            pass  # the same as an end without `[DONE]`
        if not answer.done:
            await self.process.settle()
            raise EngineFailed("the engine stopped in the middle of the answer")

    async def _healthy(self, url: str) -> bool:
        assert self._session is not None
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.get(f"{url}/health") as response:
                return response.status == 200
        return False
