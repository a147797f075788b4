"""The fake engine as a server in the caller's event loop, with the routes of llama.cpp's.

A chat's prompt tokens are the words of all messages, a text's its bytes. `GET /fake/stats` gives counters.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

import orjson

from worker.runtime.fake_chat import Stats, answer_events, answer_whole
from worker.runtime.fake_http import Connection
from worker.runtime.fake_plan import Knobs, Plan
from worker.runtime.fake_text import TextPlan, complete, embeddings, look, tokens_of


class FakeEngineServer:
    """The server. `load_s` seconds pass before it is healthy; `context` is a slot's, in words."""

    def __init__(
        self,
        *,
        slots: int = 4,
        context: int = 4096,
        load_s: float = 0.0,
        knobs: Knobs | None = None,
        crash: Callable[[], None] | None = None,
    ) -> None:
        self.stats = Stats()
        self.url = ""
        self._slot_count = slots
        self._slots = asyncio.Semaphore(slots)
        self._context = context
        self._load_s = load_s
        self._knobs = knobs or Knobs()
        self._crash = crash or self.abort
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; 0 lets the kernel choose the port. The base URL."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self._handle, self._connections), "127.0.0.1", port)
        self._healthy_at = loop.time() + self._load_s
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self.url

    def abort(self) -> None:
        """Stop listening and cut every connection, as a crash does."""
        if self._server:
            self._server.close()
        for connection in list(self._connections):
            connection.transport.abort()

    async def stop(self) -> None:
        """As `abort`; returns when it is done."""
        self.abort()
        if self._server:
            await self._server.wait_closed()

    async def __aenter__(self) -> "FakeEngineServer":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def _handle(self, connection: Connection, method: str, path: str, body: bytes) -> None:
        if (method, path) == ("POST", "/v1/chat/completions"):
            await self._chat(connection, body)
        elif method == "POST":
            await self._post(connection, path, body)
        elif answer := self._look(method, path):
            connection.send_json(*answer)
        else:
            connection.send_json(404, _error(404, "File Not Found", "not_found_error"))

    def _look(self, method: str, path: str) -> tuple[int, Any] | None:
        loading = asyncio.get_running_loop().time() < self._healthy_at
        if method != "GET":
            return None
        if path == "/health":
            if loading:
                return 503, _error(503, "Loading model", "unavailable_error")
            return 200, {"status": "ok"}
        busy = self.stats.active
        slots = [{"id": i, "n_ctx": self._context, "is_processing": i < busy} for i in range(self._slot_count)]
        answers: dict[str, Any] = {
            "/v1/models": {"object": "list", "data": [{"id": "fake", "object": "model"}]},
            "/props": {"total_slots": self._slot_count, "model_alias": "fake"},
            "/slots": slots,
            "/fake/stats": asdict(self.stats),
        }
        return (200, answers[path]) if path in answers else None

    async def _post(self, connection: Connection, path: str, body: bytes) -> None:
        """The routes of text."""
        if self._loading(connection):
            return
        try:
            asked = orjson.loads(body)
            if path == "/completion":
                await self._complete(connection, TextPlan.of(asked, self._knobs))
            elif path == "/v1/embeddings":
                self._embed(connection, asked)
            elif (told := look(path, asked)) is not None:
                connection.send_json(200, told)
            else:
                connection.send_json(404, _error(404, "File Not Found", "not_found_error"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            status = 500 if path == "/detokenize" else 400  # as llama.cpp does
            connection.send_json(status, _error(status, f"invalid tokens: {error!r}", "invalid_request_error"))

    async def _complete(self, connection: Connection, plan: TextPlan) -> None:
        self.stats.requests += 1
        if plan.prompt_tokens > self._context:
            connection.send_json(400, _too_long(plan.prompt_tokens, self._context))
            return
        await self._in_slot(lambda: complete(connection, plan, self.stats, self._crash))

    def _embed(self, connection: Connection, asked: dict[str, Any]) -> None:
        self.stats.requests += 1
        given = asked["input"]
        inputs = [tokens_of(each) for each in (given if isinstance(given, list) else [given])]
        longest = max(len(each) for each in inputs)
        if longest > self._context:
            connection.send_json(400, _too_long(longest, self._context))
            return
        connection.send_json(200, embeddings(inputs, as_base64=asked.get("encoding_format") == "base64"))

    def _loading(self, connection: Connection) -> bool:
        """Whether a request came before the model is there; it is refused then."""
        loading = asyncio.get_running_loop().time() < self._healthy_at
        if loading:
            connection.send_json(503, _error(503, "Loading model", "unavailable_error"))
        return loading

    async def _chat(self, connection: Connection, body: bytes) -> None:
        self.stats.requests += 1
        if self._loading(connection):
            return
        try:
            plan = Plan.of(orjson.loads(body), self._knobs)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            connection.send_json(400, _error(400, f"bad request: {error!r}", "invalid_request_error"))
            return
        if plan.choices > self._slot_count:
            connection.send_json(400, _error(400, f"Field 'n': at most {self._slot_count}", "invalid_request_error"))
            return
        if plan.prompt_tokens > self._context:
            connection.send_json(400, _too_long(plan.prompt_tokens, self._context))
            return
        await self._in_slot(lambda: self._answer(connection, plan))

    async def _answer(self, connection: Connection, plan: Plan) -> None:
        if plan.stream:
            await answer_events(connection, plan, self.stats, self._crash)
        else:
            await answer_whole(connection, plan, self.stats)

    async def _in_slot(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        stats = self.stats
        stats.waiting += 1
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            stats.aborted += 1
            raise
        finally:
            stats.waiting -= 1
        stats.active += 1
        stats.most_active = max(stats.most_active, stats.active)
        try:
            await work()
            stats.completed += 1
        except asyncio.CancelledError:
            stats.aborted += 1
            raise
        finally:
            stats.active -= 1
            self._slots.release()


def _error(code: int, message: str, kind: str, **more: int) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "type": kind, **more}}


def _too_long(tokens: int, context: int) -> dict[str, Any]:
    message = f"request ({tokens} tokens) exceeds the available context size ({context} tokens), try increasing it"
    return _error(400, message, "exceed_context_size_error", n_prompt_tokens=tokens, n_ctx=context)
