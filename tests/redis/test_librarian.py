"""Work on the catalog as jobs: its steps reach whoever asked, it stops when nobody does, and another worker goes on."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.inference.generate import generation
from shared import keys
from shared.catalog.directory import DirectoryStore
from shared.catalog.store import Store
from shared.errors import Cancelled, InvalidRequest, PunaError
from shared.frames import Done, Event, Step
from shared.ids import new_id
from shared.job import JobSpec
from shared.redis import connect_sync
from shared.settings import Settings
from shared.steps import Tell
from shared.stream.pubsub import Subscriptions
from tests.harness import until
from tests.redis.worker_in_test import TENANT, functions_side
from worker.consumer import Consumer
from worker.librarian import Librarian

pytestmark = pytest.mark.redis


class Tasks:
    """Counts to a number, as a task; waits at `gate` before each step. Notes what became of it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = 0
        self.stopped = 0

    def count(self, store: Store, request: Mapping[str, Any], tell: Tell, stop: threading.Event) -> None:
        self.begun += 1
        tell({"status": "beginning"})
        for k in range(request["to"]):
            while not self.gate.wait(0.01):
                if stop.is_set():
                    self.stopped += 1
                    raise Cancelled("stopped")
            tell({"status": "counting", "digest": "sha256:0", "total": request["to"], "completed": k + 1})
        if request.get("fail"):
            raise InvalidRequest("cannot count further")
        tell({"status": "success"})


def spec(to: int, **more: Any) -> JobSpec:
    now = time.time()
    request = {"to": to, **more}
    return JobSpec(new_id(), keys.CATALOG_QUEUE, "m", request, now, now + 60, kind="count", stream=True)


@asynccontextmanager
async def librarian(settings: Settings, tasks: Tasks, tmp_path: Path) -> AsyncIterator[Consumer]:
    engine = Librarian(DirectoryStore(tmp_path), {"count": tasks.count})
    subscriptions = Subscriptions(settings.redis_url)
    consumer = Consumer(settings, engine, subscriptions, model="", queue=keys.CATALOG_QUEUE)
    running = asyncio.create_task(consumer.run())
    redis = connect_sync(settings.redis_url)
    serving = keys.serving(keys.CATALOG_QUEUE)
    try:
        await until(lambda: redis.zscore(serving, consumer.name) or running.done(), "the consumer serves its queue")
        yield consumer
    finally:
        redis.close()
        consumer.drain()
        await running
        await subscriptions.close()


async def events_of(settings: Settings, job: JobSpec) -> list[Event]:
    async with functions_side(settings) as services, generation(services, job, TENANT) as events:
        return [event async for batch in events for event in batch]


async def test_steps_arrive_in_order(settings: Settings, tmp_path: Path) -> None:
    async with librarian(settings, Tasks(), tmp_path):
        events = await events_of(settings, spec(3))
    steps = [event for event in events if isinstance(event, Step)]
    assert steps == [
        Step("beginning"),
        *(Step("counting", "sha256:0", 3, k) for k in (1, 2, 3)),
        Step("success"),
    ]
    assert isinstance(events[-1], Done)


async def test_a_failure_is_the_caller_s(settings: Settings, tmp_path: Path) -> None:
    async with librarian(settings, Tasks(), tmp_path):
        with pytest.raises(InvalidRequest, match="cannot count further"):
            await events_of(settings, spec(1, fail=True))
        with pytest.raises(PunaError, match="knows no 'sing'"):
            await events_of(settings, replace(spec(1), kind="sing"))


async def test_a_caller_that_leaves_stops_it(settings: Settings, tmp_path: Path) -> None:
    tasks = Tasks()
    tasks.gate.clear()
    async with librarian(settings, tasks, tmp_path), functions_side(settings) as services:
        async with generation(services, spec(1), TENANT) as events:
            async for batch in events:
                if any(isinstance(event, Step) for event in batch):
                    break
        await until(lambda: tasks.stopped, "the task has stopped")


async def test_another_worker_goes_on(settings: Settings, tmp_path: Path) -> None:
    """A worker that is told to stop gives the job back, though its caller has seen steps; the next one does it."""
    settings = replace(settings, drain_s=0.1)
    first, second = Tasks(), Tasks()
    first.gate.clear()
    async with librarian(settings, first, tmp_path) as leaving:
        asked = asyncio.create_task(events_of(settings, spec(2)))
        await until(lambda: first.begun, "the first worker has begun")
        async with librarian(settings, second, tmp_path):
            leaving.drain()
            events = await asked
    assert (first.stopped, second.begun) == (1, 1)
    assert [event for event in events if isinstance(event, Step)][-1] == Step("success")
