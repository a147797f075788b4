"""Connections to Redis, and the Lua scripts beside them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis import Redis as SyncRedis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError, TimeoutError

UNREACHABLE = (ConnectionError, TimeoutError, OSError)
"""What a command raises while Redis cannot be reached. A repeat may find that the first one had been carried out."""

_LUA = Path(__file__).parent / "lua"

_POOL_SIZE = 8
"""Connections for commands, per process. Commands last well under a millisecond: more would only add handshakes."""


def connect(url: str, *, retries: int = 0, pool_size: int = _POOL_SIZE) -> "Redis":
    """A client whose pool makes callers wait for a connection instead of opening ever more.

    `retries` repeats a command whose connection broke, with 20 to 500 ms between; only for commands that may run
    twice. Nothing is sent until the first command.
    """
    backoff = ExponentialWithJitterBackoff(base=0.02, cap=0.5)
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=10,
        socket_connect_timeout=2,
        socket_timeout=10,
        retry=Retry(backoff, retries),
        retry_on_error=list(UNREACHABLE) if retries else [],
        **_keepalive(url),
    )
    return Redis(connection_pool=pool)


def connect_pubsub(url: str) -> "Redis":
    """A client for one subscription: reads wait for ever, and a broken connection is the reader's to notice."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=1,
        timeout=10,
        socket_connect_timeout=2,
        socket_timeout=None,  # a write with a time limit yields first, and the reader may close the connection then
        protocol=2,
        retry=Retry(_no_backoff(), 0),
        **_keepalive(url),
    )
    return Redis(connection_pool=pool)


def connect_sync(url: str) -> "SyncRedis":
    """A blocking client, for RQ objects that only need one to hold, and for start-up and shutdown of a worker."""
    return SyncRedis.from_url(url, socket_connect_timeout=2, socket_timeout=10)


def _no_backoff() -> ExponentialWithJitterBackoff:
    return ExponentialWithJitterBackoff(base=0.02, cap=0.02)


def _keepalive(url: str) -> dict[str, Any]:
    return {} if url.startswith("unix:") else {"socket_keepalive": True}


@cache
def _sources() -> dict[str, str]:
    """All scripts, read when the process starts: they belong to the Python beside them."""
    return {path.stem: path.read_text() for path in _LUA.glob("*.lua")}


class Scripts:
    """The Lua scripts of one client, one EVALSHA each, with the source sent when it is new."""

    def __init__(self, redis: "Redis") -> None:
        self._scripts = {name: redis.register_script(source) for name, source in _sources().items()}

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run `lua/<name>.lua`. Strings in the answer are bytes."""
        script: AsyncScript = self._scripts[name]
        return await script(keys=keys, args=args)


def buffer(pipe: Any, name: str, keys: Sequence[str], args: Sequence[Any]) -> None:
    """Add a run of `lua/<name>.lua` to a transaction. Its source travels along: in a transaction a script that the
    server has forgotten could not be sent again."""
    pipe.eval(_sources()[name], len(keys), *keys, *args)
