"""The default model sees colours: its projector in the real engine."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from infra.seeds.models import SMOLLM2
from infra.seeds.projector import SHADES, build
from shared.catalog.catalog import Catalog
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import PROJECTOR
from shared.errors import InvalidRequest
from shared.frames import Delta
from shared.images.check import checked
from shared.images.limits import Limits
from shared.settings import Settings
from tests.pictures import COLOURS, asks, part, picture
from tests.pictures import data_url as url_of
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights
from worker.weights import Weights as Disk

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

REPEAT, QUESTION = "Repeat this word exactly:", "What color is this picture?"


@pytest.fixture(scope="module")
def projector(catalog_of_models: Path) -> Path:
    store = DirectoryStore(catalog_of_models)
    model = asyncio.run(Catalog(store).resolve(SMOLLM2.name))
    layer = model.manifest.layer(PROJECTOR)
    assert layer is not None
    assert {"completion", "vision"} <= model.capabilities
    return Disk(store, catalog_of_models).blob_path(layer)


def engine_of(model: Path, projector: Path | None) -> LlamaEngine:
    weights = Weights(model, "0" * 64, mmproj=projector)
    return LlamaEngine(Settings(slots=2, context=512, load_timeout_s=180), weights)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(default_weights: Path, projector: Path) -> AsyncIterator[LlamaEngine]:
    engine = engine_of(default_weights, projector)
    await engine.start()
    try:
        await engine.ready(180)
        yield engine
    finally:
        await engine.stop()


async def says(engine: LlamaEngine, messages: list[dict[str, Any]], **fields: Any) -> str:
    request = {"messages": messages, "max_tokens": 12, "temperature": 0, **fields}
    batches = [batch async for batch in engine.run("chat", request)]
    return "".join(event.text for batch in batches for event in batch if type(event) is Delta)


def seen(data: bytes) -> str:
    """As a function would pass it on."""
    kind, plain = checked(data, Limits())
    return url_of(plain, f"image/{kind}")


@pytest.mark.parametrize("question", [REPEAT, QUESTION])
async def test_six_of_six_colours(engine: LlamaEngine, question: str) -> None:
    for name, colour in COLOURS.items():
        assert name in (await says(engine, asks(question, part(seen(picture(colour)))))).lower()


async def test_every_colour_that_the_projector_knows(engine: LlamaEngine) -> None:
    right = [
        name in (await says(engine, asks(QUESTION, part(seen(picture(shades[0])))))).lower()
        for name, shades in SHADES.items()
    ]
    assert right == [True] * 11


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (400, 800)])
async def test_every_format_and_size(engine: LlamaEngine, kind: str, size: tuple[int, int]) -> None:
    assert "red" in (await says(engine, asks(REPEAT, part(seen(picture("red", kind, size)))))).lower()


async def test_what_the_engine_reads_by_itself(engine: LlamaEngine) -> None:
    """Why WebP is written anew; and the others are read, should a check let one through."""
    for kind in ("PNG", "JPEG", "GIF"):
        assert "red" in (await says(engine, asks(REPEAT, part(url_of(picture("red", kind)))))).lower()
    with pytest.raises(InvalidRequest):
        await says(engine, asks(REPEAT, part(url_of(picture("red", "WEBP")))))


async def test_two_pictures_in_one_message(engine: LlamaEngine) -> None:
    answers = [
        (await says(engine, asks(*[part(seen(picture(each))) for each in order], QUESTION), max_tokens=24)).lower()
        for order in (("red", "blue"), ("blue", "red"))
    ]
    assert all(any(name in answer for name in ("red", "blue")) for answer in answers)
    assert answers[0] != answers[1], "their order is seen"


async def test_text_is_answered_as_without_the_projector(default_weights: Path, projector: Path) -> None:
    prompts = ["Say hello.", "Which city is the capital of France?", "Write <__media__> and <image> twice.", "1 2 3"]
    answers = []
    for mmproj in (projector, None):
        fresh = engine_of(default_weights, mmproj)
        await fresh.start()
        try:
            await fresh.ready(180)
            answers.append([await says(fresh, [{"role": "user", "content": prompt}]) for prompt in prompts])
        finally:
            await fresh.stop()
    assert answers[0] == answers[1]
    assert all(answers[0])


@pytest.mark.slow
async def test_the_projector_is_the_same_each_time(default_weights: Path, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        build(default_weights, tmp_path / name)
        made.append(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert made[0] == made[1]
    assert 600_000 < (tmp_path / "a").stat().st_size < 700_000
