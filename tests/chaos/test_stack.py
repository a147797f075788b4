"""The whole path under accidents: every request that was accepted ends, and says how."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.harness import FAKE_MODEL, Stack, until, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.redis]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        yield client


def chat(tokens: int, *, stream: bool = True) -> dict[str, Any]:
    return {
        "model": FAKE_MODEL,
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": tokens,
        "stream": stream,
    }


class Outcome:
    """What a client saw of one request: `ending` is `done`, an error's code, or how the connection broke."""

    def __init__(self) -> None:
        self.status = 0
        self.text = ""
        self.ending = "cut off"
        self.comments: list[str] = []
        self.headers: httpx.Headers = httpx.Headers()


async def ask(client: httpx.AsyncClient, stack: Stack, body: dict[str, Any], outcome: Outcome | None = None) -> Outcome:
    """One request to its end."""
    outcome = outcome or Outcome()
    async with client.stream("POST", f"{stack.url}/v1/chat/completions", json=body) as answer:
        outcome.status, outcome.headers = answer.status_code, answer.headers
        if "event-stream" not in answer.headers.get("content-type", ""):
            value = json.loads(await answer.aread())
            outcome.ending = value["error"]["code"] if "error" in value else "done"
            return outcome
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                outcome.comments.append(line[2:])
            elif line == "data: [DONE]":
                assert outcome.ending == "cut off", "a second ending"
                outcome.ending = "done"
            elif line.startswith("data: "):
                value = json.loads(line[6:])
                if "error" in value:
                    assert outcome.ending == "cut off", "a second ending"
                    outcome.ending = value["error"]["code"]
                else:
                    outcome.text += "".join(choice["delta"].get("content", "") for choice in value["choices"])
    return outcome


def text(tokens: int) -> str:
    return "".join(f"{k} " for k in range(tokens))


async def test_200_requests_against_a_bound_of_32_with_4_slots(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_QUEUE_MAX": "32", "PUNA_ENGINE": "fake --rate 200", "PUNA_SLOTS": "4"}
    stack.start_worker()
    stack.start_api()
    outcomes = await asyncio.gather(*(ask(client, stack, chat(20, stream=bool(k % 2))) for k in range(200)))
    assert {(outcome.status, outcome.ending) for outcome in outcomes} == {(200, "done"), (429, "queue_full")}
    refused = [outcome for outcome in outcomes if outcome.status == 429]
    assert all(int(outcome.headers["retry-after"]) >= 1 for outcome in refused)
    assert len(outcomes) - len(refused) >= 36
    assert stack.residue() == {}


@pytest.mark.slow
async def test_20_kills_of_the_worker_leave_no_request_without_an_end(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {
        "PUNA_ENGINE": "fake --rate 100",
        "PUNA_SLOTS": "2",
        "PUNA_LEASE": "1",
        "PUNA_RENEW": "0.25",
        "PUNA_REAP": "0.25",
    }
    worker = stack.start_worker()
    stack.start_api()
    endings: Counter[str] = Counter()
    for _ in range(20):
        asked = [asyncio.create_task(ask(client, stack, chat(30, stream=bool(k % 2)))) for k in range(6)]
        await until(lambda: _running(stack), "a request runs")
        worker.kill()
        worker = await asyncio.to_thread(stack.start_worker)
        for outcome in await asyncio.gather(*asked):
            assert outcome.status in (200, 500), outcome.ending
            assert outcome.ending in ("done", "job_lost")
            if outcome.ending == "done" and outcome.text:
                assert outcome.text == text(30), "an answer that ran again must not repeat"
            endings[outcome.ending] += 1
    assert endings["done"] > endings["job_lost"], endings
    wait_for(lambda: not [key for key in stack.residue() if "failed" not in key and "rq:job" not in key], "empty queue")


def _running(stack: Stack) -> bool:
    return bool(stack.redis.zcard("puna:leases"))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_engine(stack: Stack, client: httpx.AsyncClient, stream: bool) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 100"}
    stack.start_worker()
    stack.start_api()
    asking = asyncio.create_task(ask(client, stack, chat(10_000, stream=stream)))
    await until(lambda: _running(stack), "the request runs")
    await asyncio.sleep(0.2)
    left_at = time.monotonic()
    asking.cancel()
    await until(lambda: not _running(stack), "the job is over", 5)
    took_s = time.monotonic() - left_at
    assert stack.residue() == {}
    print(f"\ncancelled after {took_s * 1000:.0f} ms")


async def test_a_waiting_client_that_leaves_leaves_the_queue(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 100", "PUNA_SLOTS": "1"}
    stack.start_worker()
    stack.start_api()
    first = asyncio.create_task(ask(client, stack, chat(10_000)))
    await until(lambda: _running(stack), "the first runs")
    second = asyncio.create_task(ask(client, stack, chat(10)))
    await until(lambda: stack.redis.llen(f"rq:queue:{stack.queue}"), "the second waits")
    second.cancel()
    await until(lambda: not stack.redis.llen(f"rq:queue:{stack.queue}"), "the second is gone", 5)
    first.cancel()
    await until(lambda: not stack.residue(), "nothing is left", 5)


async def test_a_restart_of_redis_does_not_break_a_running_stream(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 50", "PUNA_LEASE": "10", "PUNA_COMMENT": "0.5"}
    stack.start_worker()
    stack.start_api()
    outcomes = [Outcome() for _ in range(4)]
    asked = [asyncio.create_task(ask(client, stack, chat(100), outcome)) for outcome in outcomes]
    await until(lambda: all(outcome.text for outcome in outcomes), "all streams flow")
    stack.valkey.kill()
    await asyncio.sleep(0.3)
    await asyncio.to_thread(stack.valkey.start)
    await asyncio.gather(*asked)
    assert [outcome.ending for outcome in outcomes] == ["done"] * 4
    assert [outcome.text for outcome in outcomes] == [text(100)] * 4, "no gap and no repeat"


async def test_redis_that_forgets_everything_is_an_error_in_the_stream(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 50", "PUNA_COMMENT": "0.5"}
    worker = stack.start_worker()
    stack.start_api()
    outcome = Outcome()
    asked = asyncio.create_task(ask(client, stack, chat(10_000), outcome))
    await until(lambda: outcome.text, "the stream flows")
    stack.redis.flushall()
    await asked
    assert outcome.ending == "job_lost"
    assert worker.running


async def test_while_redis_is_away_a_request_is_refused_and_does_not_hang(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.environ |= {"PUNA_COMMENT": "1"}
    stack.start_worker()
    stack.start_api()
    stack.valkey.kill()
    outcome = await ask(client, stack, chat(5))
    assert (outcome.status, outcome.ending) == (503, "service_unavailable")
    await asyncio.to_thread(stack.valkey.start)
    await until(lambda: httpx.get(f"{stack.url}/readyz").status_code == 200, "ready again")
    assert (await ask(client, stack, chat(5))).ending == "done"


async def test_an_engine_that_crashes_in_the_middle_is_an_error_in_the_stream(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 100 --crash-after 20"}
    stack.start_worker()
    stack.start_api()
    outcome = await ask(client, stack, chat(50))
    assert (outcome.status, outcome.text, outcome.ending) == (200, text(20), "engine_failed")
    assert (await ask(client, stack, chat(10))).ending == "done", "the engine was started again"


async def test_an_engine_that_falls_silent_is_an_error_in_the_stream(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 100 --silent-after 20", "PUNA_TOKEN_TIMEOUT": "0.5"}
    stack.start_worker()
    stack.start_api()
    outcome = await ask(client, stack, chat(50))
    assert (outcome.text, outcome.ending) == (text(20), "engine_failed")


async def test_comment_lines_say_what_a_stream_waits_for(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 20 --load 1.5 --delay 0.6", "PUNA_SLOTS": "1", "PUNA_COMMENT": "0.2"}
    stack.start_worker(ready=False)
    stack.start_api()
    await until(lambda: httpx.get(f"{stack.url}/readyz").status_code == 200, "a worker is there")
    outcomes = await asyncio.gather(ask(client, stack, chat(20)), ask(client, stack, chat(20)))
    assert {outcome.ending for outcome in outcomes} == {"done"}
    comments = {comment for outcome in outcomes for comment in outcome.comments}
    assert {"queued", "loading", "prefill"} <= comments


async def test_a_stopped_worker_finishes_what_runs_and_leaves_the_rest(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 50", "PUNA_SLOTS": "1", "PUNA_DRAIN": "10"}
    worker = stack.start_worker()
    stack.start_api()
    running, waiting = Outcome(), Outcome()
    first = asyncio.create_task(ask(client, stack, chat(50), running))
    await until(lambda: running.text, "the first runs")
    second = asyncio.create_task(ask(client, stack, chat(5), waiting))
    await until(lambda: stack.redis.llen(f"rq:queue:{stack.queue}"), "the second waits")
    worker.signal(signal.SIGTERM)
    await first
    assert (running.ending, running.text) == ("done", text(50))
    assert await asyncio.to_thread(worker.wait) == 0
    assert stack.redis.llen(f"rq:queue:{stack.queue}") == 1, "a waiting request stays in the queue"
    refused = await ask(client, stack, chat(5))
    assert (refused.status, refused.ending) == (503, "model_unavailable")
    await asyncio.to_thread(stack.start_worker)
    await second
    assert waiting.ending == "done"


async def test_a_killed_api_process_leaves_jobs_that_end(stack: Stack, client: httpx.AsyncClient) -> None:
    stack.environ |= {"PUNA_ENGINE": "fake --rate 100"}
    stack.start_worker()
    api = stack.start_api()
    asked = [asyncio.create_task(ask(client, stack, chat(50))) for _ in range(4)]
    await until(lambda: _running(stack), "requests run")
    api.kill()
    await asyncio.gather(*asked, return_exceptions=True)
    await until(lambda: not stack.residue(), "the jobs run to their end")
