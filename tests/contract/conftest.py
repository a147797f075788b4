"""The API as a client meets it: a real queue, worker and API process, one set for the whole folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import Stack, add_model, running_stack
from tests.sdk_types import every_answer_is_of_the_sdks_types

__all__ = ["every_answer_is_of_the_sdks_types"]

CHAT = "/v1/chat/completions"

HELLO: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}
"""A request that is in order. The fake engine answers it with `0 1 2 `."""

MAX_BODY = 2000
ORIGIN = "https://app.example.com"
HOST = "puna.test"


@dataclass(frozen=True)
class Api:
    """One API process: its address, and a client that keeps its connection."""

    stack: Stack
    url: str
    client: httpx.Client

    def chat(self, **fields: Any) -> httpx.Response:
        """HELLO with some fields changed; `...` leaves one out."""
        body = {name: value for name, value in {**HELLO, **fields}.items() if value is not ...}
        return self.client.post(CHAT, json=body)


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("contract")) as stack:
        stack.start_worker()
        yield stack


@pytest.fixture(scope="package")
def api(stack: Stack) -> Iterator[Api]:
    """With default settings, and a catalog of three models."""
    for name in ("someone/tiny:q4", "hf.co/Example/tiny-GGUF:Q4_K_M"):
        add_model(stack.catalog, name)
    stack.start_api()
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield Api(stack, stack.url, client)


@pytest.fixture(scope="package")
def other_api(stack: Stack) -> Iterator[Api]:
    """With settings of its own, and an empty catalog."""
    catalog = stack.folder / "empty"
    stack.start_api(
        PUNA_MAX_BODY=str(MAX_BODY),
        PUNA_ORIGINS=f"{ORIGIN},https://b.example",
        PUNA_HOSTS=HOST,
        PUNA_CATALOG=str(catalog),
    )
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        yield Api(stack, stack.url, client)


def refused(
    answer: httpx.Response, status: int, *, param: str | None, code: str | None, type: str = "invalid_request_error"
) -> str:
    """Check an error answer in every part but its message, which is given back."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert {**error, "message": ""} == {"message": "", "type": type, "param": param, "code": code}
    assert error["message"], "an error without words"
    message: str = error["message"]
    return message


@pytest.fixture
def stack_of_its_own(tmp_path: Path) -> Iterator[Stack]:
    """To be broken at will. Nothing is started yet."""
    with running_stack(tmp_path) as stack:
        yield stack
