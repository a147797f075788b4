"""The consumers of a worker process: one for each model that it serves, and what they share. They come and go."""

import asyncio
from functools import partial

from shared.catalog.catalog import CatalogModel
from shared.errors import PunaError
from shared.settings import Settings
from shared.stream.pubsub import Subscriptions
from worker.consumer import Consumer
from worker.estimate import Need
from worker.fleet import Fleet
from worker.loader import Loader
from worker.member import Member
from worker.runtime.engine import Engine


class Roster:
    """Consumers by their queue. Those that are added before `run` begin with it, later ones at once."""

    def __init__(self, settings: Settings, fleet: Fleet, loader: Loader, subscriptions: Subscriptions) -> None:
        self._settings = settings
        self._fleet = fleet
        self._loader = loader
        self._subscriptions = subscriptions
        self._consumers: dict[str, Consumer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._over: asyncio.Queue[str] = asyncio.Queue()
        self._running = False

    def __contains__(self, queue: str) -> bool:
        return queue in self._consumers

    def serve(self, model: CatalogModel, need: Need) -> Member:
        """Take jobs for a model, and load it when there are some."""
        slots = self._settings.slots
        make = partial(self._loader.engine, model, need.context)
        free = partial(self._loader.release, model)
        return self._attend(self._fleet.add(model.queue, model.id, need.size, slots, make, free, need.context))

    def refuse(self, queue: str, model: str, error: PunaError) -> Member:
        """Take jobs for a model that cannot be had, and have them fail."""
        return self._attend(self._fleet.refuse(queue, model, self._settings.slots, error))

    def engage(self, engine: Engine, queue: str) -> None:
        """Take jobs for an engine that is there and has no model."""
        self._add(queue, Consumer(self._settings, engine, self._subscriptions, model="", queue=queue))

    def retire(self, queue: str) -> None:
        """Serve a queue no more, whose model is not loaded; jobs that come meanwhile stay in the queue."""
        self._consumers[queue].drain()

    async def run(self) -> None:
        """Until all are drained. Raises what ends one of them."""
        self._running = True
        for queue in self._consumers:
            self._start(queue)
        while self._tasks:
            queue = await self._over.get()
            await self._tasks.pop(queue)
            del self._consumers[queue]
            if not self._fleet.frozen:
                self._fleet.remove(queue)

    def drain(self) -> None:
        """See `Consumer.drain`, for all. Nothing is loaded any more."""
        self._fleet.freeze()
        for each in self._consumers.values():
            each.drain()

    def _attend(self, member: Member) -> Member:
        subscriptions = self._subscriptions
        made = Consumer(self._settings, member, subscriptions, model=member.model, queue=member.queue, gate=member)
        member.changed = made.changed
        self._add(member.queue, made)
        return member

    def _add(self, queue: str, consumer: Consumer) -> None:
        self._consumers[queue] = consumer
        if self._running:
            self._start(queue)

    def _start(self, queue: str) -> None:
        task = asyncio.create_task(self._consumers[queue].run(), name=f"consumer {queue}")
        task.add_done_callback(lambda _: self._over.put_nowait(queue))
        self._tasks[queue] = task
