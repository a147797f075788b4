"""FrameReader: the frames of one job, each once and in order, from the live channel with the log behind it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from redis.asyncio import Redis

from shared import keys
from shared.errors import JobLost
from shared.frames import BEFORE_FIRST, Frame, Position
from shared.redis import UNREACHABLE
from shared.stream.pubsub import Subscriptions

_READ_AGAIN = b""
"""In the inbox: something may be missing, read the log."""


class FrameReader:
    """Follow a job from `after` (exclusive), between `open` and `close`.

    The channel brings frames at once; whatever it drops (a reconnection, a frame published before the subscription)
    is found in the log, because every frame is written there first.
    """

    def __init__(
        self, redis: "Redis", subscriptions: Subscriptions, job_id: str, *, after: Position = BEFORE_FIRST
    ) -> None:
        self._redis = redis
        self._subscriptions = subscriptions
        self._job_id = job_id
        self._last = after
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue()

    async def open(self) -> None:
        """Subscribe: what is published from now on is heard."""
        await self._subscriptions.subscribe(keys.frame_channel(self._job_id), self._hear)

    async def close(self) -> None:
        await self._subscriptions.unsubscribe(keys.frame_channel(self._job_id), self._hear)

    async def frames(self, tick: Callable[[], float], first_tick_s: float) -> AsyncGenerator[Frame | None, None]:
        """Frames up to and with the terminal one; None when none came for `first_tick_s`, and then `tick()`, seconds.

        Every tick also reads the log once, so that nothing depends on the channel alone. Raises JobLost when the job
        is neither over nor anywhere.
        """
        wait = first_tick_s
        while True:
            try:
                async with asyncio.timeout(wait):
                    data = await self._inbox.get()
            except TimeoutError:
                data = _READ_AGAIN
            for frame in self._next(data) or await self._missed():
                self._last = frame.position
                yield frame
                if frame.terminal:
                    return
            if data is _READ_AGAIN:
                yield None
            wait = tick()

    def read_again(self) -> None:
        """Look into the log now: for a reader that starts after the job did."""
        self._inbox.put_nowait(_READ_AGAIN)

    def _hear(self, data: bytes | None) -> None:
        self._inbox.put_nowait(_READ_AGAIN if data is None else data)

    def _next(self, data: bytes) -> list[Frame] | None:
        """The frame heard, if it is the next one; nothing, if it is old; None, if the log must tell."""
        if data is _READ_AGAIN:
            return None
        frame = Frame.decode(data)
        if frame.position <= self._last:
            return []
        return [frame] if self._follows(frame.position) else None

    def _follows(self, position: Position) -> bool:
        if position.attempt == self._last.attempt:
            return position.seq == self._last.seq + 1
        return position.seq == 0

    async def _missed(self) -> list[Frame]:
        """What the log holds after the last frame seen. While Redis is away: nothing yet; a later tick asks again."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.xrange(keys.frame_log(self._job_id), min=f"({self._last}")
        pipe.exists(keys.rq_job(self._job_id))
        try:
            entries, alive = await pipe.execute()
        except UNREACHABLE:
            return []
        frames = [Frame.decode(_data(entry)) for entry in entries]
        if not frames and not alive:
            raise JobLost("the request was lost: neither its job nor its answer is in the queue any more")
        if frames and not self._follows(frames[0].position):
            raise JobLost("the beginning of the answer is no longer kept")
        return frames


async def read_log(redis: "Redis", job_id: str) -> list[Frame]:
    """All frames of a job that are kept, once."""
    entries: Any = await redis.xrange(keys.frame_log(job_id))
    return [Frame.decode(_data(entry)) for entry in entries]


async def last_frame(redis: "Redis", job_id: str) -> tuple[Frame | None, bool]:
    """The newest frame of a job, and whether RQ has a record of the job."""
    pipe = redis.pipeline(transaction=True)
    pipe.xrevrange(keys.frame_log(job_id), count=1)
    pipe.exists(keys.rq_job(job_id))
    entries, alive = await pipe.execute()
    return (Frame.decode(_data(entries[0])) if entries else None), bool(alive)


def _data(entry: tuple[bytes, dict[bytes, bytes]]) -> bytes:
    fields: dict[Any, bytes] = entry[1]
    (data,) = fields.values()
    return data
