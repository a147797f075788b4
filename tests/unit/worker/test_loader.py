"""Files are held while an engine has them, and let go with the last one."""

from pathlib import Path
from typing import Any

import pytest

from shared.catalog.catalog import CatalogModel
from shared.catalog.manifest import CONFIG, MODEL, TEMPLATE, Layer, build_manifest
from shared.catalog.names import ModelName
from shared.errors import ModelUnavailable
from shared.settings import Settings
from worker.loader import Loader


class Disk:
    """What is held, by content."""

    def __init__(self, *, missing: bytes = b"") -> None:
        self.held: set[str] = set()
        self._missing = Layer.of(MODEL, missing).digest

    def blob_path(self, layer: Layer, *_: Any, **__: Any) -> Path:
        if layer.digest == self._missing:
            raise ModelUnavailable("not in the catalog")
        self.held.add(layer.digest)
        return Path("/dev/null")

    def release(self, layer: Layer) -> None:
        self.held.discard(layer.digest)


def model(name: str, weights: bytes, template: bytes) -> CatalogModel:
    layers = [Layer.of(MODEL, weights), Layer.of(TEMPLATE, template)]
    manifest = build_manifest(Layer.of(CONFIG, b"{}"), layers)
    return CatalogModel(ModelName.parse(name), manifest, 0.0, template=template.decode())


async def test_a_shared_file_is_held_until_the_last_engine_is_gone() -> None:
    disk = Disk()
    loader = Loader(Settings(), disk)  # type: ignore[arg-type]
    one, two = model("one", b"same", b"{% one %}"), model("two", b"same", b"{% two %}")
    await loader.engine(one, 64, lambda state: None)
    await loader.engine(two, 64, lambda state: None)
    assert len(disk.held) == 3
    await loader.release(one)
    assert disk.held == {layer.digest for layer in two.manifest.layers}
    await loader.release(two)
    assert disk.held == set()


async def test_nothing_is_held_for_a_model_that_cannot_be_had() -> None:
    disk = Disk(missing=b"{% gone %}")
    loader = Loader(Settings(), disk)  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable):
        await loader.engine(model("one", b"weights", b"{% gone %}"), 64, lambda state: None)
    assert disk.held == set()
