"""A consumer inside the test's own process, with the fake engine as its child, and the functions' side of the queue."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from functions.services import Services
from shared import keys
from shared.ids import new_id
from shared.job import JobSpec
from shared.limits import Tenant, admit
from shared.settings import Settings
from shared.stream.pubsub import Subscriptions
from shared.stream.reader import FrameReader
from tests.harness import until
from worker.consumer import Consumer
from worker.runtime.engine import EngineState
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights

QUEUE = "model-test"
TENANT = Tenant("default")


@asynccontextmanager
async def consuming(settings: Settings, **changes: Any) -> AsyncIterator[Consumer]:
    """A consumer of QUEUE that is ready, and drained at the end."""
    settings = replace(settings, **changes)
    engine = LlamaEngine(settings, Weights(Path("none"), "0" * 64))
    await engine.start()
    subscriptions = Subscriptions(settings.redis_url)
    consumer = Consumer(settings, engine, subscriptions, model="fake:latest", queue=QUEUE)
    running = asyncio.create_task(consumer.run())
    try:
        await until(lambda: engine.state is EngineState.READY or running.done(), "the engine is ready")
        await until(lambda: hasattr(consumer, "executor"), "the consumer has registered")
        yield consumer
    finally:
        consumer.drain()
        await running
        await subscriptions.close()
        await engine.stop()


@asynccontextmanager
async def functions_side(settings: Settings) -> AsyncIterator[Services]:
    services = Services.open(settings)
    try:
        yield services
    finally:
        await services.close()


def spec(*, stream: bool = True, deadline_s: float = 30, **fake: Any) -> JobSpec:
    """A job for the fake engine, whose knobs are `fake`."""
    now = time.time()
    request = {"messages": [{"role": "user", "content": "secret words"}], "fake": {"tokens": 3, **fake}}
    return JobSpec(new_id(), QUEUE, "fake", request, now, now + deadline_s, stream=stream)


async def submit(services: Services, job: JobSpec, queue_max: int = 100) -> None:
    await admit(services.scripts, job_id=job.id, queue=job.queue, model=job.model, tenant=TENANT, queue_max=queue_max)
    await services.queue.submit(job)


async def events_of(services: Services, job: JobSpec) -> list[Any]:
    """All events of a job, to its terminal one."""
    reader = FrameReader(services.redis, services.subscriptions, job.id)
    await reader.open()
    reader.read_again()
    async with asyncio.timeout(20):
        events = [
            event async for frame in reader.frames(lambda: 0.2, 0.2) if frame is not None for event in frame.events
        ]
    await reader.close()
    return events


async def rq_keys(services: Services) -> set[str]:
    """RQ's keys, without those of workers and the set of queue names."""
    found = [key.decode() async for key in services.redis.scan_iter("rq:*")]
    return {key for key in found if not key.startswith("rq:worker") and key != "rq:queues"}


async def leases(services: Services) -> list[Any]:
    return list(await services.redis.zrange(keys.LEASES, 0, -1))
