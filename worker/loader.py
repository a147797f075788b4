"""From a model of the catalog to an engine: its files on this machine's disk, held while it is loaded."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

from shared.catalog.capabilities import is_jinja
from shared.catalog.catalog import CatalogModel
from shared.catalog.manifest import ADAPTER, PROJECTOR, TEMPLATE, Layer
from shared.settings import Settings
from worker.aside import aside
from worker.member import OnBytes, OnState
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import FAKE, Weights, engine_words
from worker.weights import Weights as WeightsOnDisk
from worker.weights import unseen


class Loader:
    """Makes the engines of a worker. Models may share files: one is let go when the last that has it is unloaded."""

    def __init__(self, settings: Settings, disk: WeightsOnDisk) -> None:
        self._settings = settings
        self._disk = disk
        self._held: Counter[str] = Counter()
        self._stop = threading.Event()

    async def engine(
        self, model: CatalogModel, context: int, on_state: OnState, on_bytes: OnBytes = unseen
    ) -> LlamaEngine:
        """An engine, not started, with so many tokens of context for each slot. Raises what `worker.weights` does; then
        nothing is held."""
        layers = self._layers(model)
        self._held.update(layer.digest for layer in layers)
        try:
            weights = await aside(lambda: self._weights(model, on_bytes))
        except BaseException:
            await self.release(model)
            raise
        engine = LlamaEngine(replace(self._settings, models=(model.id,), context=context), weights)
        engine.process.on_state(on_state)
        return engine

    async def release(self, model: CatalogModel) -> None:
        """Its engine is gone."""
        last = []
        for layer in self._layers(model):
            self._held[layer.digest] -= 1
            if not self._held[layer.digest]:
                last.append(layer)
        if last:
            # Not here: the disk may be checking a file, and whoever lets go of one waits for that.
            await aside(lambda: self._let_go(last))

    def _let_go(self, layers: list[Layer]) -> None:
        for layer in layers:
            self._disk.release(layer)

    def close(self) -> None:
        """End downloads, and let go of everything."""
        self._stop.set()
        self._disk.close()

    def _layers(self, model: CatalogModel) -> list[Layer]:
        manifest = model.manifest
        found = [manifest.model, manifest.layer(PROJECTOR), manifest.layer(TEMPLATE), manifest.layer(ADAPTER)]
        return [layer for layer in found if layer is not None]

    def _weights(self, model: CatalogModel, on_bytes: OnBytes) -> Weights:
        layer = model.manifest.model
        embedding = "embedding" in model.capabilities and "completion" not in model.capabilities
        if engine_words(self._settings)[0] == FAKE:
            return Weights(self._settings.home, layer.digest, embedding=embedding)
        projector, template = model.manifest.layer(PROJECTOR), model.manifest.layer(TEMPLATE)
        adapter = model.manifest.layer(ADAPTER)

        def path(layer: Layer) -> Path:
            return self._disk.blob_path(layer, stop=self._stop)

        return Weights(
            self._disk.blob_path(layer, on_bytes, self._stop),
            layer.digest,
            mmproj=path(projector) if projector else None,
            # Another template language is Ollama's own: the weights' template serves then.
            template=path(template) if template and is_jinja(model.template) else None,
            lora=path(adapter) if adapter else None,
            embedding=embedding,
        )
