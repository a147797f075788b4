"""The real engine with the default model."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest
from shared.frames import Delta, Done, Event, Finish, Progress
from shared.settings import Settings
from worker.runtime.engine import EngineState
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

CONTEXT = 256


def engine_of(model: str) -> LlamaEngine:
    return LlamaEngine(Settings(slots=2, context=CONTEXT, load_timeout_s=180), Weights(Path(model), "0" * 64))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(default_weights: Path) -> AsyncIterator[LlamaEngine]:
    engine = engine_of(str(default_weights))
    await engine.start()
    try:
        await engine.ready(180)
        yield engine
    finally:
        await engine.stop()


def request(prompt: str = "Say hello.", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], "max_tokens": 8, **fields}


async def collect(engine: LlamaEngine, *prompt: str, **fields: Any) -> list[Event]:
    return [event async for batch in engine.run("chat", request(*prompt, **fields)) for event in batch]


def text_of(events: list[Event], index: int = 0) -> str:
    return "".join(event.text for event in events if type(event) is Delta and event.index == index)


async def test_a_short_chat(engine: LlamaEngine) -> None:
    events = await collect(engine, temperature=0)
    assert text_of(events)
    assert Finish("length") in events
    progress = [event for event in events if type(event) is Progress]
    done = events[-1]
    assert type(done) is Done
    assert done.completion_tokens == 8
    assert done.prompt_tokens == progress[-1].done == progress[-1].total
    assert sum(event.tokens for event in events if type(event) is Delta) <= 8
    assert sum(type(event) is Done for event in events) == 1


async def test_a_repeated_prompt_is_cached(engine: LlamaEngine) -> None:
    await collect(engine, "Tell me about the sea.", max_tokens=1)
    *_, done = await collect(engine, "Tell me about the sea.", max_tokens=1)
    assert type(done) is Done
    assert 0 < done.cached_tokens < done.prompt_tokens


async def test_a_seed_makes_it_repeatable(engine: LlamaEngine) -> None:
    texts = [text_of(await collect(engine, seed=seed, temperature=1.5)) for seed in (11, 11, 11, 12)]
    assert len(set(texts[:3])) == 1
    assert texts[3] != texts[0]


async def test_stop_ends_the_answer_and_is_not_part_of_it(engine: LlamaEngine) -> None:
    whole = text_of(await collect(engine, temperature=0, max_tokens=12))
    word = whole.split()[2]
    events = await collect(engine, temperature=0, max_tokens=12, stop=[word])
    assert text_of(events) == whole[: whole.index(word)]
    assert Finish("stop") in events


async def test_two_choices(engine: LlamaEngine) -> None:
    events = await collect(engine, n=2, max_tokens=4, temperature=1.5, seed=3)
    assert text_of(events, 0)
    assert text_of(events, 1)
    assert {event.index for event in events if type(event) is Finish} == {0, 1}
    done = events[-1]
    assert type(done) is Done
    assert done.completion_tokens == 8


async def test_a_long_prompt_is_refused(engine: LlamaEngine) -> None:
    with pytest.raises(ContextLengthExceeded, match=rf"{CONTEXT} tokens.*\d+ tokens") as caught:
        await collect(engine, "word " * 2 * CONTEXT)
    assert caught.value.param == "messages"
    assert engine.state is EngineState.READY


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user"}]},
        {"messages": "no list"},
        {"temperature": "hot"},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "bogus"}}}},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
    ],
    ids=["content", "messages", "temperature", "schema", "image"],
)
async def test_bad_requests_are_the_callers_error(engine: LlamaEngine, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await collect(engine, **fields)


async def busy_slots(engine: LlamaEngine) -> int:
    assert engine._session
    async with engine._session.get(f"{engine.process.url}/slots") as response:
        return sum(slot["is_processing"] for slot in await response.json())


async def test_closing_the_generator_stops_the_generation(engine: LlamaEngine) -> None:
    answer = engine.run("chat", request("Count to one thousand.", max_tokens=200, logit_bias={"2": -100}))
    while not any(type(event) is Delta for event in await anext(answer)):
        pass
    assert await busy_slots(engine) == 1
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await answer.aclose()
    while await busy_slots(engine):
        pass
    took = loop.time() - begin
    print(f"generation stopped {took * 1000:.0f} ms after the close")
    assert took < 1


async def test_stop_fails_the_request_in_flight(engine: LlamaEngine) -> None:
    answer = engine.run("chat", request("Count to one thousand.", max_tokens=200, logit_bias={"2": -100}))
    await anext(answer)
    await engine.stop()
    with pytest.raises(EngineFailed):
        async for _ in answer:
            pass
    await engine.start()
    await engine.ready(180)


async def test_a_file_that_is_no_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF, but no more than that")
    engine = engine_of(str(broken))
    await engine.start()
    try:
        with pytest.raises(EngineFailed, match="exited with code 3"):
            await engine.ready(3)
    finally:
        await engine.stop()
    assert "cannot load broken.gguf" in caplog.text
