"""The consumer against a real server: round trips, RQ's books, cancellation, failures, fencing, draining."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection
from rq import Queue, Worker
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from shared import keys
from shared.errors import ModelUnavailable, QueueFull
from shared.frames import CancelledEvent, Delta, Done, Failed, Started
from shared.job import JobSpec
from shared.queue import rq_queue
from shared.settings import Settings
from tests.harness import Valkey, until
from tests.redis import looking
from tests.redis.worker_in_test import (
    QUEUE,
    consuming,
    events_of,
    functions_side,
    leases,
    rq_keys,
    spec,
    submit,
)

pytestmark = pytest.mark.redis


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[Any]:
    """Sends per connection pool, each one a round trip."""
    sends: Counter[Any] = Counter()
    original = AbstractConnection.send_packed_command

    async def counting(self: Any, *args: Any, **kwargs: Any) -> None:
        sends[id(self)] += 1
        await original(self, *args, **kwargs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counting)
    return sends


def total(sent: Counter[Any], client: Any) -> int:
    pool = client.connection_pool
    connections = {*pool._available_connections, *pool._in_use_connections}
    return sum(sent[id(connection)] for connection in connections)


async def test_admission_and_submit_are_two_round_trips(settings: Settings, sent: Counter[Any]) -> None:
    async with consuming(settings), functions_side(settings) as services:
        await submit(services, spec())
        before = total(sent, services.redis)
        await submit(services, spec())
        assert total(sent, services.redis) - before == 2


async def test_a_job_costs_the_worker_three_round_trips_besides_its_text(
    settings: Settings, sent: Counter[Any]
) -> None:
    quiet = {"lease_s": 60.0, "renew_s": 50.0, "reap_s": 50.0}
    async with consuming(settings, **quiet) as consumer, functions_side(settings) as services:
        warm = spec()
        await submit(services, warm)
        await events_of(services, warm)
        before, frames = total(sent, consumer._redis), consumer.executor.frames
        exchanges = consumer.executor.wire.exchanges
        began = time.monotonic()
        for _ in range(20):
            job = spec()
            await submit(services, job)
            await events_of(services, job)
        await until(lambda: not consumer._running, "all jobs are over")
        trips = total(sent, consumer._redis) - before
        text_frames = consumer.executor.frames - frames - 2 * 20  # the first and the last frame carry RQ's books
        polls = 2 + int(time.monotonic() - began)  # one a second at most
        assert trips <= 3 * 20 + polls, "text travels on the wire, not on these connections"
        assert consumer.executor.wire.exchanges - exchanges <= text_frames


async def test_a_finished_job_leaves_nothing(settings: Settings) -> None:
    async with consuming(settings) as consumer, functions_side(settings) as services:
        job = spec()
        await submit(services, job)
        events = await events_of(services, job)
        assert isinstance(events[0], Started)
        assert isinstance(events[-1], Done)
        assert "".join(event.text for event in events if isinstance(event, Delta)) == "0 1 2 "
        await until(lambda: not consumer._running, "the job is over")
        assert await rq_keys(services) == set()
        assert await leases(services) == []


async def test_rqs_registries_and_info_show_a_running_job(settings: Settings, valkey: Valkey) -> None:
    async with consuming(settings) as consumer, functions_side(settings) as services:
        job = spec(rate=20, tokens=1000)
        await submit(services, job)
        queue = Queue(QUEUE, connection=valkey.client(), serializer=JSONSerializer)
        started = StartedJobRegistry(queue=queue)
        await until(lambda: started.get_job_ids() == [job.id], "the job is in RQ's started registry")
        assert queue.count == 0
        assert queue.fetch_job(job.id).get_status() is JobStatus.STARTED
        (worker,) = Worker.all(connection=queue.connection)
        assert worker.name == consumer.name
        assert [execution.job_id for execution in worker.get_current_executions()] == [job.id]
        info = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "rq.cli", "info", "-u", valkey.url, "--raw"],
            capture_output=True,
            text=True,
        )
        assert QUEUE in info.stdout, info.stdout + info.stderr
        assert consumer.name in info.stdout
        assert await services.queue.cancel(job.id, QUEUE, "test") == "running"
        assert isinstance((await events_of(services, job))[-1], CancelledEvent)
        assert started.get_job_ids() == []


async def test_a_running_job_looks_to_rq_as_under_its_own_worker(settings: Settings, valkey: Valkey) -> None:
    """Same keys and hash fields as RQ's SimpleWorker keeps while it runs a job; `attempt` is ours."""
    theirs = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.redis.looking", valkey.url],
        capture_output=True,
        text=True,
    )
    assert theirs.stdout, theirs.stderr
    expected = json.loads(theirs.stdout)
    valkey.client().flushall()

    async with consuming(settings) as consumer, functions_side(settings) as services:
        ours = spec(rate=20, tokens=1000)
        await submit(services, ours)
        await until(lambda: consumer._running, "the job runs")
        async with asyncio.timeout(5):
            while await services.redis.hget(keys.rq_job(ours.id), "status") != b"started":
                await asyncio.sleep(0.01)
        seen = looking.snapshot(valkey.url, QUEUE, ours.id, consumer.name)
        await services.queue.cancel(ours.id, QUEUE, "test")
    assert seen["keys"] == expected["keys"]
    retries = {"retries_left", "retry_intervals", "enqueue_at_front_on_retry"}
    assert set(seen["fields"]) - {"attempt", "failure_ttl"} - retries == set(expected["fields"])


async def test_a_waiting_job_is_cancelled_in_the_queue(settings: Settings) -> None:
    async with consuming(settings, slots=1), functions_side(settings) as services:
        first, second = spec(rate=20, tokens=1000), spec()
        await submit(services, first)
        await submit(services, second)
        assert await services.queue.cancel(second.id, QUEUE, "test") == "queued"
        assert await events_of(services, second) == [CancelledEvent("test")]
        assert await services.queue.cancel(first.id, QUEUE, "test") == "running"
        assert isinstance((await events_of(services, first))[-1], CancelledEvent)
        assert await services.queue.cancel(first.id, QUEUE, "test") == "unknown"


async def test_a_cancellation_whose_message_is_lost_is_found_with_the_lease(settings: Settings) -> None:
    async with consuming(settings, renew_s=0.2) as consumer, functions_side(settings) as services:
        job = spec(rate=20, tokens=1000)
        await submit(services, job)
        await until(lambda: consumer._running, "the job runs")
        await services.redis.set(keys.cancel_flag(job.id), 1)
        assert isinstance((await events_of(services, job))[-1], CancelledEvent)


async def test_renewals_bring_no_finished_job_back(settings: Settings) -> None:
    async with consuming(settings, renew_s=0.005, slots=8) as consumer, functions_side(settings) as services:
        for _ in range(10):
            jobs = [spec(tokens=1) for _ in range(20)]
            await asyncio.gather(*(submit(services, job) for job in jobs))
            await asyncio.gather(*(events_of(services, job) for job in jobs))
        await until(lambda: not consumer._running, "all jobs are over")
        assert await rq_keys(services) == set()


async def test_a_renewal_keeps_rqs_record_alive(settings: Settings) -> None:
    async with consuming(settings, renew_s=0.1) as consumer, functions_side(settings) as services:
        job = spec(rate=20, tokens=1000)
        await submit(services, job)
        await until(lambda: consumer._running and consumer._running[job.id].execution, "the job runs")
        record = f"rq:execution:{job.id}:{consumer._running[job.id].execution_id}"
        await services.redis.expire(record, 5)
        async with asyncio.timeout(5):
            while await services.redis.ttl(record) <= 5:
                await asyncio.sleep(0.01)
        await services.queue.cancel(job.id, QUEUE, "test")
        await events_of(services, job)
        assert await rq_keys(services) == set()


async def test_choices_take_slots_and_nobody_overtakes_a_wide_job(settings: Settings) -> None:
    def wide(n: int) -> JobSpec:
        job = spec(tokens=10_000, rate=50)
        return replace(job, request={**job.request, "n": n})

    async with consuming(settings, slots=4) as consumer, functions_side(settings) as services:
        first, second, third = wide(3), wide(2), wide(1)
        await submit(services, first)
        await until(lambda: set(consumer._running) == {first.id}, "the first runs")
        await submit(services, second)
        await submit(services, third)
        probe = wide(9)
        await submit(services, probe)
        taken, more = await consumer._leases.claim([QUEUE], 1, 4)
        assert (taken, more) == ([], True), "two choices do not fit in one slot, and the others wait their turn"
        assert await services.redis.llen(keys.rq_queue(QUEUE)) == 3
        await services.queue.cancel(first.id, QUEUE, "test")
        await until(lambda: set(consumer._running) == {second.id, third.id}, "the others run")
        for job in (second, third):
            await services.queue.cancel(job.id, QUEUE, "test")
        await until(lambda: set(consumer._running) == {probe.id}, "more choices than slots run alone")
        await services.queue.cancel(probe.id, QUEUE, "test")
        await until(lambda: not consumer._running, "all have ended")


async def test_the_bound_of_the_queue_is_strict(settings: Settings) -> None:
    async with consuming(settings, slots=1), functions_side(settings) as services:
        running = spec(rate=20, tokens=1000)
        await submit(services, running)
        async with asyncio.timeout(5):
            while await leases(services) == []:
                await asyncio.sleep(0.01)
        results = await asyncio.gather(
            *(submit(services, spec(), queue_max=5) for _ in range(20)), return_exceptions=True
        )
        full = [result for result in results if isinstance(result, QueueFull)]
        assert len(full) == 15, results
        assert all(error.retry_after_s and error.retry_after_s >= 1 for error in full)
        await services.queue.cancel(running.id, QUEUE, "test")


async def test_without_a_worker_a_request_is_refused(settings: Settings) -> None:
    async with functions_side(settings) as services:
        with pytest.raises(ModelUnavailable):
            await submit(services, spec())


async def test_a_crash_before_the_first_token_runs_the_job_again(settings: Settings) -> None:
    async with consuming(settings) as consumer, functions_side(settings) as services:
        job = spec(crash_after=0)
        await submit(services, job)
        events = await events_of(services, job)
        # The fake engine crashes on every attempt: first run and two retries, then an error.
        assert sum(isinstance(event, Started) for event in events) == 3
        assert events[-1] == Failed("engine_failed", events[-1].message)
        await until(lambda: not consumer._running, "the job is over")
        failed = FailedJobRegistry(QUEUE, connection=consumer._sync, serializer=JSONSerializer)
        assert failed.get_job_ids() == [job.id]
        kept = Job.fetch(job.id, connection=consumer._sync, serializer=JSONSerializer)
        assert "secret words" not in str(kept.args), "a failed job must not keep the prompt"


async def test_a_crash_after_the_first_token_is_an_error_in_the_stream(settings: Settings) -> None:
    async with consuming(settings), functions_side(settings) as services:
        job = spec(crash_after=5, tokens=10, rate=50)
        await submit(services, job)
        events = await events_of(services, job)
        assert sum(isinstance(event, Started) for event in events) == 1
        assert isinstance(events[-1], Failed)
        assert events[-1].code == "engine_failed"


async def test_a_crash_in_an_answer_nobody_has_seen_runs_again(settings: Settings) -> None:
    async with consuming(settings), functions_side(settings) as services:
        job = spec(stream=False, crash_after=2, tokens=10)
        await submit(services, job)
        events = await events_of(services, job)
        assert sum(isinstance(event, Started) for event in events) == 3


async def test_a_silent_engine_is_an_error(settings: Settings) -> None:
    async with consuming(settings, token_timeout_s=0.3), functions_side(settings) as services:
        job = spec(silent_after=2, tokens=10)
        await submit(services, job)
        last = (await events_of(services, job))[-1]
        assert (last.code, "silent" in last.message) == ("engine_failed", True)


async def test_the_deadline_ends_a_job(settings: Settings) -> None:
    async with consuming(settings), functions_side(settings) as services:
        job = spec(rate=20, tokens=1000, deadline_s=0.5)
        await submit(services, job)
        assert (await events_of(services, job))[-1].code == "deadline_exceeded"


async def test_a_prompt_that_is_too_long_is_the_callers_error(settings: Settings) -> None:
    async with consuming(settings, context=1) as consumer, functions_side(settings) as services:
        job = spec()
        await submit(services, job)
        last = (await events_of(services, job))[-1]
        assert last.code == "context_length_exceeded"
        await until(lambda: not consumer._running, "the job is over")
        assert await rq_keys(services) == set(), "a refused request is not a failed job"


async def test_a_job_that_names_another_function_is_never_called(settings: Settings, valkey: Valkey) -> None:
    async with consuming(settings) as consumer:
        queue = Queue(QUEUE, connection=valkey.client(), serializer=JSONSerializer)
        job = queue.enqueue("os.system", "touch /tmp/never")
        consumer._wake.set()
        failed = FailedJobRegistry(queue=queue)
        await until(lambda: failed.get_job_ids() == [job.id], "the job is refused")


async def test_the_caller_of_a_job_that_cannot_be_read_is_told(settings: Settings) -> None:
    """In a rolling deployment, a function may know a field that the worker does not."""
    async with consuming(settings), functions_side(settings) as services:
        job = spec()
        pipe = services.redis.pipeline()
        data = Queue.prepare_data("puna.generate", args=[{**job.encode(), "newer": 1}], job_id=job.id)
        rq_queue(QUEUE, settings.redis_url).enqueue_many([data], pipeline=pipe)
        pipe.publish(keys.WAKE_CHANNEL, QUEUE)
        await pipe.execute()
        last = (await events_of(services, job))[-1]
        assert (type(last), last.code) == (Failed, "internal_error")


async def test_frames_of_several_jobs_travel_together(settings: Settings) -> None:
    async with consuming(settings, slots=8) as consumer, functions_side(settings) as services:
        jobs = [spec(tokens=500) for _ in range(8)]
        for job in jobs:
            await submit(services, job)
        for job in jobs:
            text = "".join(event.text for event in await events_of(services, job) if isinstance(event, Delta))
            assert text == "".join(f"{k} " for k in range(500))
        await until(lambda: not consumer._running, "all jobs are over")
        assert consumer.executor.wire.exchanges <= consumer.executor.frames


async def test_a_worker_that_lost_its_lease_says_no_more(settings: Settings) -> None:
    async with consuming(settings, renew_s=0.2) as consumer, functions_side(settings) as services:
        job = spec(rate=50, tokens=1000)
        await submit(services, job)
        await until(lambda: consumer._running, "the job runs")
        await services.redis.hincrby(keys.rq_job(job.id), "attempt", 1)  # what a reaper does first
        await until(lambda: not consumer._running, "the worker drops the job")
        last = (await services.redis.xrevrange(keys.frame_log(job.id), count=1))[0][1]
        assert b'["D"' not in last.get(b"d", b"") + last.get(b"c", b"")
        assert await services.redis.exists(keys.rq_job(job.id)), "its record is the new holder's to remove"


async def test_a_drained_worker_gives_back_what_nobody_has_seen(settings: Settings) -> None:
    async with functions_side(settings) as services:
        async with consuming(settings, slots=2, drain_s=0.2) as consumer:
            seen, unseen = spec(rate=20, tokens=1000), spec(stream=False, rate=20, tokens=1000)
            await submit(services, seen)
            await submit(services, unseen)
            await until(lambda: len(consumer._running) == 2, "both run")
            await asyncio.sleep(0.3)  # time for the first tokens
        last = (await events_of(services, seen))[-1]
        assert (last.code, "stopped" in last.message) == ("job_lost", True)
        assert await services.redis.lrange(keys.rq_queue(QUEUE), 0, -1) == [unseen.id.encode()]
        assert await leases(services) == []
        async with consuming(settings):
            job = unseen.id
            await services.redis.publish(keys.WAKE_CHANNEL, QUEUE)
            async with asyncio.timeout(5):
                while await services.redis.hget(keys.rq_job(job), "status") != b"started":
                    await asyncio.sleep(0.01)
            await services.queue.cancel(job, QUEUE, "test")
