"""What surrounds every request, as plain ASGI: a request id, one log line, and a guard against DNS rebinding."""

import logging
import time
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.errors import refusal
from shared.errors import PunaError
from shared.ids import request_id
from shared.settings import Settings

log = logging.getLogger("puna.api")

_PROBES = {"/healthz", "/readyz"}
"""Asked every few seconds by whoever watches the process: no news at the usual level."""

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class RequestContext:
    """Takes the caller's `x-request-id` or makes one, returns it, and logs the request when it is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        name = scope["puna.request_id"] = request_id(Headers(scope=scope).get("x-request-id"))
        status = 499

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = name
                headers["openai-processing-ms"] = str(round((time.perf_counter() - began) * 1000))
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            took_ms = (time.perf_counter() - began) * 1000
            level = logging.DEBUG if scope["path"] in _PROBES else logging.INFO
            log.log(level, "%s %s %d %.0f ms %s", scope["method"], scope["path"], status, took_ms, name)


class UnexpectedErrors:
    """What nobody foresaw becomes a 500 that names the request and nothing else; the log has the rest.

    Inside CORS and the request's context, unlike an exception handler of the app, so that its headers are complete.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            log.exception("%s %s failed", scope["method"], scope["path"])
            error = PunaError(f"internal error; request id {scope['puna.request_id']}")
            await refusal(error, scope["path"])(scope, receive, send)


class HostGuard:
    """While the API listens on loopback, only names of this machine are answered: 403 with no body otherwise.

    A web page whose name was rebound to 127.0.0.1 still sends its own `Host`. Same rule as Ollama's.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._guards = settings.host in _LOOPBACK
        self._names = _LOOPBACK | {name.lower() for name in settings.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._guards and not self._ours(Headers(scope=scope).get("host", "")):
            await Response(status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _ours(self, host: str) -> bool:
        name = host_name(host)
        return (
            not name
            or name in self._names
            or _is_loopback(name)
            or name.endswith((".localhost", ".local", ".internal"))
        )


def _is_loopback(name: str) -> bool:
    """An address, not a name that looks like one: `127.0.0.1.example.org` is anybody's."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a `Host` header, without port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
