"""The official `openai` package, sync and async, against the running API: the happy paths, and its error classes."""

from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.contract.conftest import Api

pytestmark = pytest.mark.redis

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def client(api: Api) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{api.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(api: Api) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{api.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_a_chat(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="fake", messages=HELLO, max_completion_tokens=3, seed=1, stop="x")
    assert completion.choices[0].message.content == "0 1 2 "
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3


def test_a_stream(client: OpenAI) -> None:
    with client.chat.completions.create(model="fake", messages=HELLO, max_tokens=3, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "0 1 2 "
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "length"


def test_the_helper_that_gathers_a_stream(client: OpenAI) -> None:
    with client.chat.completions.stream(model="fake", messages=HELLO, stream_options={"include_usage": True}) as stream:
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content == "".join(f"{k} " for k in range(16))
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 16


def test_the_raw_answer_has_the_request_id(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="fake", messages=HELLO, max_tokens=1, extra_headers={"x-request-id": "mine"}
    )
    assert raw.request_id == "mine"
    assert raw.parse().choices[0].message.content == "0 "


def test_models(client: OpenAI) -> None:
    ids = {model.id for model in client.models.list()}
    assert "fake:latest" in ids
    for name in ids:
        assert client.models.retrieve(name).id == name


def test_errors_are_the_sdk_s_own(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature") as wrong:
        client.chat.completions.create(model="fake", messages=HELLO, temperature=3)
    assert (wrong.value.param, wrong.value.type) == ("temperature", "invalid_request_error")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=HELLO, stream=True)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="fake", input="Hi")


async def test_an_asynchronous_chat(async_client: AsyncOpenAI) -> None:
    completion = await async_client.chat.completions.create(model="fake", messages=HELLO, max_tokens=3)
    assert completion.choices[0].message.content == "0 1 2 "


async def test_an_asynchronous_stream(async_client: AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model="fake", messages=HELLO, max_tokens=3, stream=True, stream_options={"include_usage": True}
    )
    async with stream:
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "0 1 2 "
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


async def test_asynchronous_models(async_client: AsyncOpenAI) -> None:
    ids = [model.id async for model in async_client.models.list()]
    assert (await async_client.models.retrieve(ids[0])).id == ids[0]
