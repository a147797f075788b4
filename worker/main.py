"""A worker process: an engine child for each model that is loaded, a consumer per queue; SIGTERM drains and stops."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any

from shared import keys, lifeline, logs
from shared.catalog.catalog import Catalog, CatalogModel
from shared.catalog.store import open_store
from shared.errors import PunaError
from shared.redis import UNREACHABLE
from shared.settings import SettingError, Settings
from shared.stream.pubsub import Subscriptions
from worker import collect
from worker.consumer import Consumer
from worker.estimate import budget, estimate
from worker.fleet import Fleet
from worker.librarian import Librarian
from worker.loader import Loader
from worker.residency import Rules
from worker.tasks import tasks
from worker.weights import Weights

log = logging.getLogger("puna.worker")


def main() -> None:
    """Run until SIGTERM or SIGINT. Exit status 1 with one line when it cannot serve at all."""
    try:
        settings = Settings.load()
        logs.configure(settings.log_level)
        if not settings.redis_url:
            raise SettingError("REDIS_URL is not set: a worker needs to know where its queue is")
        lifeline.watch()
        _run(serve(settings))
    except PunaError as error:
        sys.exit(f"worker: {error.message}")
    except UNREACHABLE as error:
        sys.exit(f"worker: Redis cannot be reached: {error}")


async def serve(settings: Settings) -> None:
    """Serve `settings.models` until told to stop. Raises ModelNotFound, ModelUnavailable or ServiceUnavailable."""
    store = open_store(settings)
    models = await _runners(Catalog(store), settings)
    rules = Rules(budget(settings, len(models)), settings.keep_alive_s, settings.residence_s, settings.patience_s)
    fleet = Fleet(rules)
    loader = Loader(settings, Weights(store, settings.home / "weights", settings.weights_bytes))
    subscriptions = Subscriptions(settings.redis_url)

    async def consumer(model: CatalogModel) -> Consumer:
        """Of one model, whose engine the fleet loads and unloads."""
        size = await asyncio.to_thread(estimate, settings, store, model)
        make, free = partial(loader.engine, model), partial(loader.release, model)
        member = fleet.add(model.queue, model.id, size, settings.slots, make, free)
        made = Consumer(settings, member, subscriptions, model=model.id, queue=model.queue, gate=member)
        member.changed = made.changed
        return made

    consumers = [await consumer(model) for model in models]
    # Before the signals are caught: until then they end a download at once, and the next start resumes it.
    await fleet.members[models[0].queue].start()
    librarian = Librarian(store, tasks(settings))
    consumers.append(Consumer(settings, librarian, subscriptions, model="", queue=keys.CATALOG_QUEUE))
    loop = asyncio.get_running_loop()

    def drain() -> None:
        fleet.freeze()
        for each in consumers:
            each.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    collect.start(store, settings.collect_grace_s)
    try:
        await asyncio.gather(*(each.run() for each in consumers))
    finally:
        await subscriptions.close()
        await fleet.close()
        loader.close()
    log.info("stopped")


async def _runners(catalog: Catalog, settings: Settings) -> list[CatalogModel]:
    """The models that are named, one for each queue: others of its names and defaults share its engine."""
    runners: dict[str, CatalogModel] = {}
    for name in settings.models:
        model = await catalog.resolve(name)
        runners.setdefault(model.queue, model)
    return list(runners.values())


def _run(work: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is a wheel for it; the standard loop serves as well, slower."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
