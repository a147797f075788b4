"""HTTP to the engine: a stream of server-sent events, or one JSON answer. Errors are those of `shared.errors`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import orjson

from shared.errors import EngineFailed
from worker.runtime.llama_events import refusal
from worker.runtime.sse import DONE, SSEParser

_JSON = {"content-type": "application/json"}


class EngineClient:
    """One engine that is READY. `slots` is how many requests it runs at once; more wait inside it.

    `settle` is awaited when a connection breaks, so that a caller who tries again meets the engine's new state.
    """

    def __init__(
        self, url: str, session: aiohttp.ClientSession, slots: int, settle: Callable[[], Awaitable[None]]
    ) -> None:
        self.slots = slots
        self._url = url
        self._session = session
        self._settle = settle

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[list[bytes], None]:
        """Post, and give the payloads of each network read, `[DONE]` included as the last one.

        Closing the generator closes the connection, which ends the generation. Raises a refusal before the first
        payload, EngineFailed when the stream ends without `[DONE]`.
        """
        sse = SSEParser()
        done = False
        try:
            async with self._session.post(self._url + path, data=orjson.dumps(body), headers=_JSON) as response:
                if response.status != 200:
                    raise refusal(response.status, await response.read())
                while not done and (data := await response.content.readany()):
                    if payloads := sse.feed(data):
                        done = DONE in payloads
                        yield payloads
        except (aiohttp.ClientError, OSError):
            pass  # the same as an end without `[DONE]`
        if not done:
            await self._settle()
            raise EngineFailed("the engine stopped in the middle of the answer")

    async def call(self, path: str, body: Mapping[str, Any]) -> Any:
        """Post, and give the JSON answer. Raises a refusal, or EngineFailed when the connection breaks."""
        try:
            async with self._session.post(self._url + path, data=orjson.dumps(body), headers=_JSON) as response:
                answer = await response.read()
                if response.status != 200:
                    raise refusal(response.status, answer)
                return orjson.loads(answer)
        except (aiohttp.ClientError, OSError, ValueError):
            await self._settle()
            raise EngineFailed("the engine stopped in the middle of the answer") from None
