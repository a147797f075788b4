"""A worker process: an engine child for each model that is loaded, a consumer per queue; SIGTERM drains and stops."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from shared import keys, lifeline, logs
from shared.catalog.catalog import Catalog, CatalogModel
from shared.catalog.store import open_store
from shared.errors import PunaError
from shared.redis import UNREACHABLE, connect
from shared.settings import SettingError, Settings
from shared.stream.pubsub import Subscriptions
from worker import collect
from worker.estimate import budget, estimate
from worker.fleet import Fleet
from worker.librarian import Librarian
from worker.loader import Loader
from worker.residency import Rules
from worker.roster import Roster
from worker.seeker import Seeker
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
    rules = Rules(budget(settings), settings.keep_alive_s, settings.residence_s, settings.patience_s)
    fleet = Fleet(rules)
    loader = Loader(settings, Weights(store, settings.home / "weights", settings.weights_bytes))
    subscriptions = Subscriptions(settings.redis_url)
    roster = Roster(settings, fleet, loader, subscriptions)
    for model in models:
        roster.serve(model, await asyncio.to_thread(estimate, settings, store, model))
    if models:
        # Before the signals are caught: until then they end a download at once, and the next start resumes it.
        await fleet.members[models[0].queue].start()
    roster.engage(Librarian(store, tasks(settings)), keys.CATALOG_QUEUE)
    redis = connect(settings.redis_url)
    seeker = Seeker(settings, store, fleet, roster, redis, subscriptions)
    loop = asyncio.get_running_loop()

    def drain() -> None:
        seeker.drain()
        roster.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    collect.start(store, settings.collect_grace_s)
    works = [roster.run(), seeker.run()] if settings.any_model else [roster.run()]
    try:
        await asyncio.gather(*works)
    finally:
        await subscriptions.close()
        await redis.connection_pool.disconnect()
        await fleet.close()
        loader.close()
    log.info("stopped")


async def _runners(catalog: Catalog, settings: Settings) -> list[CatalogModel]:
    """The models that are named, one for each queue: others of its names and defaults share its engine."""
    runners: dict[str, CatalogModel] = {}
    for name in settings.names:
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
