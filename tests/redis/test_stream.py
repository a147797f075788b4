"""Frames over a real server: order, gaps, repeats, fencing, reconnection."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from shared import keys
from shared.errors import JobLost
from shared.frames import Delta, Done, Frame, Started
from shared.redis import connect
from shared.settings import Settings
from shared.stream.pubsub import Subscriptions
from shared.stream.reader import FrameReader
from shared.stream.writer import Fenced, FrameWriter
from tests.harness import Valkey

pytestmark = pytest.mark.redis


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = connect(settings.redis_url)
    yield client
    await client.connection_pool.disconnect()


@pytest.fixture
async def subscriptions(settings: Settings) -> AsyncIterator[Subscriptions]:
    subscriptions = Subscriptions(settings.redis_url)
    yield subscriptions
    await subscriptions.close()


def writer(redis: Redis, attempt: int = 1, pace_s: float = 0.0) -> FrameWriter:
    return FrameWriter(redis, "j", attempt, run_ttl_s=60, log_ttl_s=60, pace_s=pace_s)


async def read_all(reader: FrameReader, tick_s: float = 5.0) -> list[Frame]:
    return [frame async for frame in reader.frames(lambda: tick_s, tick_s) if frame is not None]


async def test_frames_arrive_once_and_in_order(redis: Redis, subscriptions: Subscriptions) -> None:
    reader = FrameReader(redis, subscriptions, "j")
    await reader.open()
    out = writer(redis)
    for k in range(50):
        await out.send([Delta(f"{k} ")])
    await out.send([Done(1, 50)])
    frames = await read_all(reader)
    assert [frame.position for frame in frames] == [(1, seq) for seq in range(51)]
    await reader.close()


async def test_two_readers_of_one_job_hear_all_of_it_and_leave_one_by_one(
    redis: Redis, subscriptions: Subscriptions
) -> None:
    """A stream, and the same stream resumed by somebody else. No tick comes: what is heard must do."""
    await redis.hset(keys.rq_job("j"), "status", "started")  # type: ignore[misc]
    readers = [FrameReader(redis, subscriptions, "j") for _ in range(3)]
    for reader in readers:
        await reader.open()
    out = writer(redis)
    await out.send([Started("w", "fp")])
    await readers[1].close()
    reading = [asyncio.create_task(read_all(reader, tick_s=60)) for reader in (readers[0], readers[2])]
    await out.send([Delta("a")])
    await out.send([Done(1, 1)])
    async with asyncio.timeout(10):
        for frames in await asyncio.gather(*reading):
            assert [frame.seq for frame in frames] == [0, 1, 2]
    await readers[0].close()
    await readers[2].close()
    assert await redis.pubsub_numsub(keys.frame_channel("j")) == [(keys.frame_channel("j").encode(), 0)]


async def test_a_reader_that_comes_late_reads_the_log(redis: Redis, subscriptions: Subscriptions) -> None:
    out = writer(redis)
    await out.send([Started("w", "fp")])
    await out.send([Delta("a")])
    reader = FrameReader(redis, subscriptions, "j")
    await reader.open()
    await out.send([Delta("b"), Done(1, 2)])  # the first frame heard is the third: the gap is filled from the log
    assert [frame.seq for frame in await read_all(reader)] == [0, 1, 2]
    await reader.close()


async def test_a_reader_resumes_after_a_position(redis: Redis, subscriptions: Subscriptions) -> None:
    out = writer(redis)
    for k in range(5):
        await out.send([Delta(str(k))])
    await out.send([Done(1, 5)])
    from shared.frames import Position

    reader = FrameReader(redis, subscriptions, "j", after=Position(1, 2))
    await reader.open()
    reader.read_again()
    assert [frame.seq for frame in await read_all(reader)] == [3, 4, 5]
    await reader.close()


async def test_text_gathers_while_a_frame_is_under_way_and_nothing_is_lost(
    redis: Redis, subscriptions: Subscriptions
) -> None:
    reader = FrameReader(redis, subscriptions, "j")
    await reader.open()
    out = writer(redis, pace_s=0.01)
    for k in range(2000):
        out.put([Delta(f"{k} ")])
        if k % 100 == 0:
            await asyncio.sleep(0)
    await out.send([Done(1, 2000)])
    deltas = [event for frame in await read_all(reader) for event in frame.events if isinstance(event, Delta)]
    assert "".join(delta.text for delta in deltas) == "".join(f"{k} " for k in range(2000))
    assert sum(delta.tokens for delta in deltas) == 2000
    assert out.frames < 200, "tokens that come together travel together"
    await reader.close()


async def test_a_writer_that_was_overtaken_is_refused(redis: Redis) -> None:
    old, new = writer(redis, attempt=1), writer(redis, attempt=2)
    await old.send([Started("old", "fp")])
    await new.send([Started("new", "fp")])
    with pytest.raises(Fenced):
        await old.send([Delta("stale")])


async def test_a_stale_attempt_on_the_channel_is_not_read(redis: Redis, subscriptions: Subscriptions) -> None:
    reader = FrameReader(redis, subscriptions, "j")
    await reader.open()
    old, new = writer(redis, attempt=1), writer(redis, attempt=2)
    await old.send([Started("old", "fp")])
    await new.send([Started("new", "fp")])
    await redis.publish(keys.frame_channel("j"), Frame(1, 1, (Delta("stale"),)).encode())
    await new.send([Delta("fresh"), Done(1, 1)])
    texts = [event.text for frame in await read_all(reader) for event in frame.events if isinstance(event, Delta)]
    assert texts == ["fresh"]
    await reader.close()


async def test_frames_written_while_the_server_restarts_are_delivered_once(
    valkey: Valkey, redis: Redis, subscriptions: Subscriptions
) -> None:
    reader = FrameReader(redis, subscriptions, "j")
    await reader.open()
    out = writer(redis)
    await out.send([Started("w", "fp"), Delta("before ")])
    valkey.kill()
    sending = asyncio.create_task(out.send([Delta("during "), Done(1, 2)]))
    await asyncio.sleep(0)
    await asyncio.to_thread(valkey.start)
    await sending
    frames = await read_all(reader, tick_s=0.2)
    assert [frame.seq for frame in frames] == [0, 1]
    await reader.close()


async def test_a_job_that_is_nowhere_is_an_error_and_not_a_wait(redis: Redis, subscriptions: Subscriptions) -> None:
    reader = FrameReader(redis, subscriptions, "never")
    await reader.open()
    with pytest.raises(JobLost):
        await read_all(reader, tick_s=0.05)
    await reader.close()


async def test_one_connection_carries_all_subscriptions(
    valkey: Valkey, redis: Redis, subscriptions: Subscriptions
) -> None:
    heard: list[bytes | None] = []
    for k in range(100):
        await subscriptions.subscribe(f"c{k}", heard.append)
    clients = await redis.client_list(_type="pubsub")
    assert len(clients) == 1
    assert int(clients[0]["sub"]) == 101
    for k in range(100):
        await redis.publish(f"c{k}", str(k))
    await redis.ping()
    while len(heard) < 100:
        await asyncio.sleep(0.001)
    for k in range(100):
        await subscriptions.unsubscribe(f"c{k}", heard.append)
    (client,) = await redis.client_list(_type="pubsub")
    assert int(client["sub"]) == 1, "a finished stream leaves no subscription behind"


async def test_text_whose_write_failed_is_written_before_what_follows(
    valkey: Valkey, redis: Redis, subscriptions: Subscriptions
) -> None:
    out = FrameWriter(redis, "j", 1, run_ttl_s=60, log_ttl_s=60, patience_s=0.05)
    await out.send([Started("w", "fp")])
    valkey.kill()
    with pytest.raises((ConnectionError, OSError, RedisConnectionError)):
        await out.send([Delta("a")])
    await asyncio.to_thread(valkey.start)
    await out.send([Delta("b"), Done(1, 2)])
    reader = FrameReader(redis, subscriptions, "j")
    await reader.open()
    reader.read_again()
    texts = [event.text for frame in await read_all(reader) for event in frame.events if isinstance(event, Delta)]
    assert "".join(texts) == "ab"
    await reader.close()


async def test_the_first_text_waits_for_no_timer(redis: Redis, subscriptions: Subscriptions) -> None:
    reader = FrameReader(redis, subscriptions, "j")
    await reader.open()
    out = writer(redis, pace_s=3600.0)
    await out.send([Started("w", "fp")])
    out.put([Delta("first")])
    frames = reader.frames(lambda: 60.0, 60.0)
    async with asyncio.timeout(5):
        seen = [await anext(frames), await anext(frames)]
    assert isinstance(seen[1].events[0], Delta)
    out.put([Delta("second")])  # this one has to wait for the pace; the end does not
    await out.send([Done(1, 2)])
    async with asyncio.timeout(5):
        last = await anext(frames)
    assert last.events == (Delta("second"), Done(1, 2))
    await frames.aclose()
    await reader.close()
