"""Wire: one connection that carries the frames of all streams of a worker.

An engine gives every running request its next token in the same step, so frames become ready together. What is ready
while the last exchange is under way travels in the next one: a round trip for all of it, and a fraction of the CPU of
a pipeline each.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.redis import UNREACHABLE

Command: TypeAlias = tuple[str | bytes | int, ...]


class Wire:
    """Sends commands in the order given. Belongs to the event loop it is first used in; opens its connection then."""

    def __init__(self, redis: "Redis") -> None:
        self._pool: Any = redis.connection_pool
        self._connection: Any = None
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._task: asyncio.Task[None] | None = None
        self.exchanges = 0
        """Round trips so far."""

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to some commands; an error of the server is an answer.

        Raises one of UNREACHABLE when the connection breaks: the commands may have been carried out or not.
        """
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answers))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="wire")
        return await answers

    async def close(self) -> None:
        """Close the connection once nothing waits any more."""
        if self._task is not None:
            await asyncio.wait((self._task,))
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await self._exchange(batch)
                except UNREACHABLE as error:
                    await self._connection.disconnect(nowait=True)
                    for _, answers in batch:
                        if not answers.done():
                            answers.set_exception(error)
        finally:
            self._task = None

    async def _exchange(self, batch: Sequence[tuple[Sequence[Command], asyncio.Future[list[Any]]]]) -> None:
        if self._connection is None:
            self._connection = self._pool.make_connection()
        connection = self._connection
        if not connection.is_connected:
            await connection.connect()
        self.exchanges += 1
        packed = connection.pack_commands([command for commands, _ in batch for command in commands])
        await connection.send_packed_command(packed, check_health=False)
        for commands, answers in batch:
            received = [await self._answer(connection) for _ in commands]
            if not answers.done():
                answers.set_result(received)

    @staticmethod
    async def _answer(connection: Any) -> Any:
        try:
            return await connection.read_response()
        except ResponseError as error:
            return error
