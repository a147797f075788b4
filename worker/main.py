"""A worker process: the model's weights on disk, the engine child, the consumer; SIGTERM drains and stops."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from shared import keys, lifeline, logs
from shared.catalog.capabilities import is_jinja
from shared.catalog.catalog import Catalog, CatalogModel
from shared.catalog.manifest import ADAPTER, PROJECTOR, TEMPLATE
from shared.catalog.store import open_store
from shared.errors import PunaError
from shared.redis import UNREACHABLE
from shared.settings import SettingError, Settings
from worker import collect
from worker.consumer import Consumer
from worker.librarian import Librarian
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import FAKE, Weights, engine_words
from worker.tasks import tasks
from worker.weights import Weights as WeightsOnDisk

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
    """Serve `settings.model` until told to stop. Raises ModelNotFound, ModelUnavailable or ServiceUnavailable."""
    store = open_store(settings)
    model = await Catalog(store).resolve(settings.model)
    disk = WeightsOnDisk(store, settings.home / "weights", settings.weights_bytes)
    weights = await asyncio.to_thread(_weights, settings, disk, model)
    if weights.embedding:
        settings = replace(settings, context=_longest_input(settings, model))
    engine = LlamaEngine(settings, weights)
    consumers = (
        Consumer(settings, engine, model=model.id, queue=model.queue),
        Consumer(settings, Librarian(store, tasks(settings)), model="", queue=keys.CATALOG_QUEUE),
    )
    loop = asyncio.get_running_loop()

    def drain() -> None:
        for consumer in consumers:
            consumer.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    await engine.start()
    collect.start(store, settings.collect_grace_s)
    try:
        async with asyncio.TaskGroup() as group:
            for consumer in consumers:
                group.create_task(consumer.run())
    finally:
        await engine.stop()
        disk.close()
    log.info("stopped")


def _weights(settings: Settings, disk: WeightsOnDisk, model: CatalogModel) -> Weights:
    layer = model.manifest.model
    embedding = "embedding" in model.capabilities and "completion" not in model.capabilities
    if engine_words(settings)[0] == FAKE:
        return Weights(settings.home, layer.digest, embedding=embedding)
    projector, template = model.manifest.layer(PROJECTOR), model.manifest.layer(TEMPLATE)
    adapter = model.manifest.layer(ADAPTER)
    return Weights(
        disk.weights_path(model),
        layer.digest,
        mmproj=disk.blob_path(projector) if projector else None,
        # Another template language is Ollama's own: the weights' template serves then.
        template=disk.blob_path(template) if template and is_jinja(model.template) else None,
        lora=disk.blob_path(adapter) if adapter else None,
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
