"""A worker process: weights on disk, an engine child and a consumer per model; SIGTERM drains and stops."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from shared import lifeline, logs
from shared.catalog.capabilities import is_jinja
from shared.catalog.catalog import Catalog, CatalogModel
from shared.catalog.manifest import PROJECTOR, TEMPLATE
from shared.catalog.store import Store, open_store
from shared.catalog.weights import Weights as WeightsOnDisk
from shared.errors import PunaError
from shared.redis import UNREACHABLE
from shared.settings import SettingError, Settings
from worker.aside import aside
from worker.consumer import Consumer
from worker.estimate import budget, estimate
from worker.fleet import Fleet, OnState
from worker.residency import Rules
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import FAKE, Weights, engine_words

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
    catalog = Catalog(store)
    runners: dict[str, CatalogModel] = {}
    for name in settings.models:
        model = await catalog.resolve(name)
        runners.setdefault(model.queue, model)
    models = list(runners.values())
    rules = Rules(budget(settings, len(models)), settings.keep_alive_s, settings.residence_s, settings.patience_s)
    fleet = Fleet(rules)
    consumers = [await _member(settings, store, fleet, model) for model in models]
    # Before the signals are caught: until then they end a download at once, and the next start resumes it.
    await fleet.members[models[0].queue].start()
    loop = asyncio.get_running_loop()

    def drain() -> None:
        for consumer in consumers:
            consumer.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    try:
        await asyncio.gather(*(consumer.run() for consumer in consumers))
    finally:
        await fleet.close()
    log.info("stopped")


async def _member(settings: Settings, store: Store, fleet: Fleet, model: CatalogModel) -> Consumer:
    """The consumer of one model, whose engine the fleet loads and unloads."""
    size = await asyncio.to_thread(estimate, settings, store, model)

    async def make(on_state: OnState) -> LlamaEngine:
        weights = await aside(partial(_weights, settings, store, model))
        context = _longest_input(settings, model) if weights.embedding else settings.context
        engine = LlamaEngine(replace(settings, models=(model.id,), context=context), weights)
        engine.process.on_state(on_state)
        return engine

    member = fleet.add(model.queue, model.id, size, settings.slots, make)
    consumer = Consumer(settings, member, model=model.id, queue=model.queue, gate=member)
    member.changed = consumer.changed
    return consumer


def _weights(settings: Settings, store: Store, model: CatalogModel) -> Weights:
    layer = model.manifest.model
    embedding = "embedding" in model.capabilities and "completion" not in model.capabilities
    if engine_words(settings)[0] == FAKE:
        return Weights(settings.home, layer.digest, embedding=embedding)
    disk = WeightsOnDisk(store, settings.home / "weights")
    projector, template = model.manifest.layer(PROJECTOR), model.manifest.layer(TEMPLATE)
    return Weights(
        disk.weights_path(model),
        layer.digest,
        mmproj=disk.blob_path(projector) if projector else None,
        # Another template language is Ollama's own: the weights' template serves then.
        template=disk.blob_path(template) if template and is_jinja(model.template) else None,
        embedding=embedding,
    )


def _longest_input(settings: Settings, model: CatalogModel) -> int:
    """Tokens. A model that embeds says what it was made for, and an engine must hold that much in one step."""
    told = model.defaults.get("num_ctx") or model.config.get("context_length")
    return min(told, settings.context) if isinstance(told, int) and told > 0 else settings.context


def _run(work: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is a wheel for it; the standard loop serves as well, slower."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
