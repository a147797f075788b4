"""OpenAI's clients of the stack with the real model. Every answer that a test here gets is held against their types."""

from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.harness import Stack
from tests.sdk_types import every_answer_is_of_the_sdks_types

__all__ = ["every_answer_is_of_the_sdks_types"]


@pytest.fixture
def client(real_stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{real_stack.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(real_stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{real_stack.url}/v1", api_key="any", max_retries=0) as client:
        yield client
