"""What an app makes of errors, whoever raises them, and of settings for browsers. In this process, over ASGI."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from mangum import Mangum

from functions.app import create_app
from functions.inference.sse import EventStream, comment, data
from shared.errors import EngineFailed, QueueFull, ServiceUnavailable
from shared.settings import Settings

router = APIRouter()


@router.get("/known")
async def known() -> None:
    raise QueueFull("too many", retry_after_s=7)


@router.get("/unknown")
async def unknown() -> None:
    raise RuntimeError("a secret detail")


def stream_of(*steps: bytes | Exception) -> EventStream:
    """A stream that gives bytes and raises exceptions, in order."""

    async def chunks() -> AsyncIterator[bytes]:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step

    @asynccontextmanager
    async def source() -> AsyncIterator[Any]:
        yield chunks()

    return EventStream(source)


@router.get("/stream/{name}")
async def stream(name: str, request: Request) -> EventStream:
    failure = ServiceUnavailable("away", retry_after_s=2)
    broken = EngineFailed("broken")
    steps: dict[str, tuple[bytes | Exception, ...]] = {
        "at-once": (failure,),
        "later": (comment("queued"), data({"n": 1}), broken),
        "well": (data({"n": 1}),),
    }
    return stream_of(*steps[name])


def app_with(**environ: str) -> Any:
    return create_app(Settings.load(environ), [router])


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_with(PUNA_HOME=str(tmp_path)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_an_error_of_ours_keeps_its_status_and_its_retry_after(client: httpx.AsyncClient) -> None:
    answer = await client.get("/known")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json() == {
        "error": {"message": "too many", "type": "rate_limit_error", "param": None, "code": "queue_full"}
    }


async def test_an_unexpected_error_says_nothing_but_its_request_id(client: httpx.AsyncClient) -> None:
    headers = {"x-request-id": "mine", "origin": "http://localhost:5173"}
    answer = await client.get("/unknown", headers=headers)
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("api_error", None, "internal_error")
    assert "mine" in error["message"]
    assert "secret" not in answer.text
    assert answer.headers.get("x-request-id") == "mine", "the id that the message names is not in the header"
    assert answer.headers.get("access-control-allow-origin"), "a browser cannot read the error"


def test_an_unexpected_error_behind_lambda(tmp_path: Path) -> None:
    event = {
        **{"resource": "/unknown", "path": "/unknown", "httpMethod": "GET", "headers": {}, "body": None},
        "requestContext": {"identity": {"sourceIp": "203.0.113.17"}},
    }
    with asyncio.Runner() as runner:
        runner.run(asyncio.sleep(0))
        asyncio.set_event_loop(runner.get_loop())
        answer = Mangum(app_with(PUNA_HOME=str(tmp_path)), lifespan="off")(event, None)  # type: ignore[arg-type]
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["error"]["code"] == "internal_error"
    assert answer["headers"].get("x-request-id"), "a failure that cannot be looked up"


async def test_a_stream_that_fails_at_once_has_the_failure_s_status(client: httpx.AsyncClient) -> None:
    answer = await client.get("/stream/at-once")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["error"]["code"] == "service_unavailable"


async def test_a_stream_that_fails_later_says_so_and_ends(client: httpx.AsyncClient) -> None:
    answer = await client.get("/stream/later")
    assert answer.status_code == 200
    *before, last = answer.text.removesuffix("\n\n").split("\n\n")
    assert before == [": queued", 'data: {"n":1}']
    assert json.loads(last.removeprefix("data: ")) == EngineFailed("broken").body()


async def test_a_stream_that_goes_well(client: httpx.AsyncClient) -> None:
    answer = await client.get("/stream/well")
    assert answer.text == 'data: {"n":1}\n\n'
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_any_origin_where_the_setting_says_so(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(app_with(PUNA_HOME=str(tmp_path), PUNA_ORIGINS="*"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/known", headers={"origin": "https://anyone.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_public_address_has_no_guard_of_the_host(tmp_path: Path) -> None:
    for host, status in (("127.0.0.1", 403), ("0.0.0.0", 429)):
        app = create_app(Settings.load({"PUNA_HOME": str(tmp_path), "PUNA_HOST": host}), [router], on_loopback=True)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example.com") as client:
            assert (await client.get("/known")).status_code == status
