"""The official OpenAI SDK against the running stack with the real model."""

import asyncio
import os
import subprocess
import sys

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.harness import ROOT, Stack, until, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.redis]

MODEL = "smollm2:135m"


def test_a_chat_answers_the_question(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": [{"type": "text", "text": "Which city is the capital of France?"}]}],
        temperature=0,
        max_completion_tokens=24,
    )
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.model == MODEL
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.system_fingerprint


def test_a_stream_gives_the_same_text_as_the_whole_answer(client: OpenAI) -> None:
    ask = {"model": MODEL, "messages": [{"role": "user", "content": "Name a colour."}], "temperature": 0, "seed": 1}
    whole = client.chat.completions.create(**ask, max_tokens=20)
    chunks = list(client.chat.completions.create(**ask, max_tokens=20, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert len(chunks) > 3, "tokens come as they are made"


def test_the_sdks_accumulator_gives_the_whole_answer(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL,
        messages=[{"role": "user", "content": "Which city is the capital of France?"}],
        temperature=0,
        max_tokens=40,
        stream_options={"include_usage": True},
    ) as stream:
        final = stream.get_final_completion()
    assert "Paris" in (final.choices[0].message.content or "")
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None


def test_stop_and_length_are_told_apart(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "Which city is the capital of France?"}]
    cut = client.chat.completions.create(
        model=MODEL,
        messages=messages,
        temperature=0,
        max_tokens=3,  # type: ignore[arg-type]
    )
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 3
    stopped = client.chat.completions.create(
        model=MODEL,
        messages=messages,
        temperature=0,
        max_tokens=40,
        stop=["o", "e", "a"],  # type: ignore[arg-type]
    )
    assert stopped.choices[0].finish_reason == "stop"
    assert not set("oea") & set(stopped.choices[0].message.content or "")


def test_the_same_seed_gives_the_same_text(client: OpenAI) -> None:
    texts = {
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Invent a name for a cat."}],
            seed=1234,
            temperature=1.5,
            max_tokens=12,
        )
        .choices[0]
        .message.content
        for _ in range(3)
    }
    assert len(texts) == 1


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(client: OpenAI) -> None:
    words = "word " * 3000
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": words}], stream=stream)
        assert caught.value.code == "context_length_exceeded"
        assert "2048" in caught.value.message


async def test_eight_streams_at_once_all_flow_and_end(async_client: AsyncOpenAI, real_stack: Stack) -> None:
    async def one(k: int) -> str:
        stream = await async_client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": f"Say the number {k}."}],
            stream=True,
            max_tokens=16,
            temperature=0,
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    texts = await asyncio.gather(*(one(k) for k in range(8)))
    assert all(texts)
    subscribers = [client for client in real_stack.redis.client_list(_type="pubsub") if int(client["sub"])]
    assert len(subscribers) == 2, "one connection for all streams of the API, and one of the worker"
    await until(lambda: not real_stack.residue(), "nothing is left in the queue", 5)


async def test_a_stream_that_is_closed_stops_the_engine(async_client: AsyncOpenAI, real_stack: Stack) -> None:
    stream = await async_client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Write a very long story."}], stream=True, max_tokens=1500
    )
    await anext(aiter(stream))
    await stream.close()
    await until(lambda: not real_stack.residue(), "the job is over", 5)
    await until(lambda: real_stack.redis.zcard("puna:leases") == 0, "no lease is left")


def test_models_are_listed_and_retrieved(client: OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert models[MODEL].owned_by == "library"
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/nothing:here")


def test_an_unknown_model_and_an_unknown_field_are_the_sdks_own_errors(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nothing", messages=[{"role": "user", "content": "hi"}])
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as unknown:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}], extra_body={"frobnicate": 1}
        )
    assert unknown.value.param == "frobnicate"


@pytest.mark.parametrize(
    ("name", "printed"),
    [("basic", "Paris"), ("tools", "get_weather {'city': 'Paris'"), ("json_schema", "Person(name='Ada', age=36)")],
)
def test_the_examples_run_as_they_stand(real_stack: Stack, name: str, printed: str) -> None:
    example = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"],
        env={**os.environ, "OPENAI_BASE_URL": f"{real_stack.url}/v1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert example.returncode == 0, example.stderr
    assert printed in example.stdout


def test_readiness_is_told(real_stack: Stack) -> None:
    answer = wait_for(lambda: httpx.get(f"{real_stack.url}/readyz"), "an answer")
    assert answer.json() == {"status": "ok", "checks": {"redis": True, "catalog": True, "worker": True}}
