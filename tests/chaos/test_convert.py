"""A worker that is killed while it converts: another one begins anew, and whoever asked sees it through."""

import json
import time

import httpx
import pytest

from shared.catalog.collect import collect
from shared.catalog.store import open_store
from tests.harness import Stack
from tests.large_model import large_model

pytestmark = [pytest.mark.chaos, pytest.mark.redis]


def test_another_worker_takes_a_conversion_over(stack: Stack) -> None:
    store = open_store(stack.settings)
    files, _ = large_model(store, stack.folder, 20)
    stack.start_api()
    first = stack.start_worker()
    second = None
    lines = []
    body = {"model": "m", "files": files, "quantize": "q8_0"}
    with httpx.stream("POST", f"{stack.url}/api/create", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            lines.append(json.loads(line))
            if second is None:
                first.kill()
                second = stack.start_worker()
    assert lines[-1] == {"status": "success"}, lines[-1]
    done = [line["completed"] for line in lines if "completed" in line]
    assert done[-1] == next(line["total"] for line in lines if "total" in line)
    shown = httpx.post(f"{stack.url}/api/show", json={"model": "m"}).json()
    assert shown["details"]["quantization_level"] == "Q8_0"
    assert store.abandon(time.time() + 60) == 1, "the upload of the one that was killed is what is left"
    assert collect(store, grace_s=-5, lease_s=-5).complete
    assert len(list(store.list("blobs/"))) == 4, "the other model has a config and weights too"
