"""LlamaEngine: one model in a llama.cpp server, or in the fake engine, which answers alike."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import aiohttp

from shared.errors import EngineFailed
from shared.frames import Event
from shared.settings import Settings
from worker.runtime.engine import EngineState
from worker.runtime.llama_argv import Weights, command, fingerprint
from worker.runtime.llama_chat import chat
from worker.runtime.llama_completion import completion
from worker.runtime.llama_count import count
from worker.runtime.llama_embedding import embed
from worker.runtime.llama_http import EngineClient
from worker.runtime.llama_load import load
from worker.runtime.process import EngineProcess, Timing

CONNECT_S = 5.0
"""On loopback a connection takes microseconds; this long means that the engine's backlog is full."""

Run: TypeAlias = Callable[[EngineClient, Mapping[str, Any]], AsyncGenerator[list[Event], None]]

KINDS: dict[str, Run] = {"chat": chat, "completion": completion, "count": count, "embedding": embed, "load": load}
"""What an engine is asked to do, by `JobSpec.kind`."""


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

    async def run(self, kind: str, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
        """See `Engine.run`. An engine that is not READY raises EngineFailed."""
        if self.process.url is None or self._session is None:
            raise EngineFailed("the engine is not ready")
        client = EngineClient(self.process.url, self._session, self.slots, self.process.settle)
        batches = KINDS[kind](client, request)
        try:
            async for events in batches:
                yield events
        finally:
            await batches.aclose()

    async def _healthy(self, url: str) -> bool:
        assert self._session is not None
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.get(f"{url}/health") as response:
                return response.status == 200
        return False
