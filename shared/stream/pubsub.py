"""One Redis connection for all the subscriptions of a process, which survives a restart of the server.

redis-py's `PubSub` reconnects without saying so, and then whatever was published meanwhile is missing silently. Here
a listener is told, and reads what it missed from the replay log.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from redis.asyncio import Connection

from shared import keys
from shared.redis import UNREACHABLE, connect_pubsub

Listener: TypeAlias = Callable[[bytes | None], None]
"""Called with each message of a channel, or with None after a reconnection: messages may be missing before it."""

log = logging.getLogger("puna.pubsub")

_RECONNECT_S = (0.05, 0.1, 0.2, 0.5)
"""Pauses before tries to reconnect (s); the last one repeats."""


@dataclass(slots=True)
class _Subscription:
    listener: Listener
    confirmed: asyncio.Future[None]


class Subscriptions:
    """Subscribe many listeners over one connection; a channel may have several.

    Belongs to the event loop it is first used in. The connection is opened by the first subscription and kept.
    """

    def __init__(self, url: str) -> None:
        self._pool: Any = connect_pubsub(url).connection_pool
        self._channels: dict[bytes, list[_Subscription]] = {}
        self._connection: Connection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def subscribe(self, channel: str, listener: Listener) -> None:
        """Returns when the server has confirmed: every later message reaches `listener`. Waits while Redis is away."""
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        listening = self._channels.setdefault(channel.encode(), [])
        heard = any(each.confirmed.done() and not each.confirmed.cancelled() for each in listening)
        listening.append(_Subscription(listener, confirmed))
        if heard:  # the server has it already
            confirmed.set_result(None)
            return
        if self._reader is None:
            self._reader = asyncio.create_task(self._run(), name="subscriptions")
        else:
            await self._send("SUBSCRIBE", channel)
        await confirmed

    async def unsubscribe(self, channel: str, listener: Listener) -> None:
        """Stop listening. Never fails: a channel left behind on a broken connection is gone with it."""
        listening = self._channels.get(channel.encode(), [])
        listening[:] = [each for each in listening if each.listener != listener]
        if not listening and self._channels.pop(channel.encode(), None) is not None:
            await self._send("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """Close the connection. Listeners hear nothing more."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self._pool.disconnect()

    async def _send(self, command: str, channel: str) -> None:
        """Send on a live connection; on a broken one the reader subscribes anew to all that is wanted by then."""
        connection = self._connection
        if connection is not None and connection.is_connected:
            with contextlib.suppress(*UNREACHABLE):
                await connection.send_command(command, channel, check_health=False)

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                connection = await self._connect()
                tries = 0
                await self._read(connection)
            except UNREACHABLE as error:
                pause = _RECONNECT_S[min(tries, len(_RECONNECT_S) - 1)]
                tries += 1
                if tries == 1:
                    log.warning("subscriptions lost: %s; reconnecting", error)
                self._connection = None
                await asyncio.sleep(pause)

    async def _connect(self) -> Connection:
        connection: Any = self._pool.make_connection()
        await connection.connect()
        # Channels asked for from here on are sent by `subscribe` itself; asking twice does no harm.
        self._connection = connection
        await connection.send_command("SUBSCRIBE", keys.API_CHANNEL, *self._channels, check_health=False)
        return cast(Connection, connection)

    async def _read(self, connection: Connection) -> None:
        try:
            while True:
                kind, channel, data = await connection.read_response(
                    disable_decoding=True, timeout=math.inf, disconnect_on_error=False
                )
                for subscription in tuple(self._channels.get(channel, ())):
                    if kind == b"message":
                        subscription.listener(data)
                    elif kind == b"subscribe":
                        self._confirm(subscription)
        finally:
            await connection.disconnect(nowait=True)

    @staticmethod
    def _confirm(subscription: _Subscription) -> None:
        if subscription.confirmed.done():
            subscription.listener(None)
        else:
            subscription.confirmed.set_result(None)
