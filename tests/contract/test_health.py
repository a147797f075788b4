"""`/healthz`, `/readyz`, and what a chat is told while a part is missing."""

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.conftest import CHAT, HELLO, Api, refused
from tests.harness import Stack, wait_for

pytestmark = pytest.mark.redis


def ask(stack: Stack, **fields: object) -> httpx.Response:
    return httpx.post(f"{stack.url}{CHAT}", json={**HELLO, **fields}, timeout=20)


def ready(stack: Stack) -> tuple[int, dict[str, bool]]:
    answer = httpx.get(f"{stack.url}/readyz", timeout=10)
    body = answer.json()
    assert body["status"] == ("ok" if answer.status_code == 200 else "unavailable")
    return answer.status_code, body["checks"]


def test_all_is_well(api: Api) -> None:
    assert api.client.get("/healthz").json() == {"status": "ok"}
    assert ready(api.stack) == (200, {"redis": True, "catalog": True, "worker": True})


def test_without_a_worker(stack_of_its_own: Stack) -> None:
    stack = stack_of_its_own
    stack.start_api()
    assert httpx.get(f"{stack.url}/healthz").status_code == 200
    assert ready(stack) == (503, {"redis": True, "catalog": True, "worker": False})
    for stream in (False, True):
        answer = ask(stack, stream=stream)
        refused(answer, 503, param="model", code="model_unavailable", type="api_error")
        assert int(answer.headers["retry-after"]) > 0
    assert stack.residue() == {}, "a refused request stays behind"


def test_without_a_catalog(stack_of_its_own: Stack) -> None:
    stack = stack_of_its_own
    catalog = stack.folder / "elsewhere"
    stack.start_api(PUNA_CATALOG=str(catalog))
    assert ready(stack)[1]["catalog"]
    catalog.rmdir()
    assert ready(stack) == (503, {"redis": True, "catalog": False, "worker": False})


def test_without_redis(stack_of_its_own: Stack) -> None:
    stack = stack_of_its_own
    stack.start_api()
    assert ready(stack)[1]["redis"]
    stack.valkey.kill()
    assert httpx.get(f"{stack.url}/healthz").status_code == 200, "the process lives, whatever it needs"
    assert ready(stack) == (503, {"redis": False, "catalog": True, "worker": False})
    for stream in (False, True):
        answer = ask(stack, stream=stream)
        refused(answer, 503, param=None, code="service_unavailable", type="api_error")
        assert int(answer.headers["retry-after"]) > 0
    assert httpx.get(f"{stack.url}/v1/models").status_code == 200, "the catalog does not need Redis"
    stack.valkey.start()
    wait_for(lambda: ready(stack)[1]["redis"], "Redis is seen again")


def test_a_full_queue(stack_of_its_own: Stack) -> None:
    stack = stack_of_its_own
    stack.start_api(PUNA_QUEUE_MAX="1")
    worker = stack.start_worker(PUNA_LEASE="30")
    worker.signal(signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, stack)
        try:
            wait_for(lambda: stack.redis.llen(f"rq:queue:{stack.queue}"), "one request waits")
            for stream in (False, True):
                answer = ask(stack, stream=stream)
                refused(answer, 429, param=None, code="queue_full", type="rate_limit_error")
                assert 1 <= int(answer.headers["retry-after"]) <= 60
        finally:
            worker.signal(signal.SIGCONT)
        assert waiting.result().status_code == 200, waiting.result().text
    assert ask(stack).status_code == 200, "there is room again"
