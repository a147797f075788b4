"""A stack to measure: the harness' processes with the product's own defaults, and how to find each of them."""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from shared.settings import Settings
from tests.bench.client import CHAT, BenchError
from tests.bench.cpu import children, listening_url
from tests.harness import Process, Stack, wait_for

Result = TypeVar("Result")

LOAD_S = 120.0
"""The first answer comes within this (s), the load of the model included."""

_DEFAULTS = Settings()

ENVIRON = {
    # The harness shortens these for tests of lapsed leases; here they cost what they cost in service.
    "PUNA_LEASE": str(_DEFAULTS.lease_s),
    "PUNA_RENEW": str(_DEFAULTS.renew_s),
    "PUNA_REAP": str(_DEFAULTS.reap_s),
    "PUNA_LOG_LEVEL": _DEFAULTS.log_level,
}


_HELLO = {"messages": [{"role": "user", "content": "Hello."}], "max_tokens": 1}


class Parts:
    """The running parts of a stack with one worker, warm: the first answer, to `body`, has been given."""

    def __init__(self, stack: Stack, path: str = CHAT, body: Mapping[str, Any] = _HELLO) -> None:
        self.api = stack.start_api()
        self.worker = stack.start_worker(ready=False)
        self.url = stack.url
        self._first_answer(path, {"model": stack.environ["PUNA_MODEL"], **body})
        self.engine, self.engine_url = _engine(self.worker.pid)
        self.valkey = int(stack.redis.info("server")["process_id"])

    @property
    def pids(self) -> dict[str, int]:
        """By the name under which their CPU is told."""
        return {"api": self.api.pid, "worker": self.worker.pid, "valkey": self.valkey, "engine": self.engine}

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a measurement. A BenchError that ends it gets the end of the worker's log, which is about to go."""
        try:
            return asyncio.run(work)
        except BenchError as error:
            raise BenchError(f"{error}\n{tail(self.worker)}") from None

    def _first_answer(self, path: str, body: Mapping[str, Any]) -> None:
        give_up_at = time.monotonic() + LOAD_S
        while True:
            try:
                answer = httpx.post(self.url + path, json=body, timeout=LOAD_S)
            except httpx.HTTPError as error:
                raise BenchError(f"no answer: {error!r}\n{tail(self.worker)}") from None
            if answer.status_code == 200:
                return
            # Until the worker has said that it is there, nothing serves the model.
            if answer.status_code != 503 or not self.worker.running or time.monotonic() > give_up_at:
                raise BenchError(f"no answer: {answer.text}\n{tail(self.worker)}")
            time.sleep(0.1)


def _engine(worker: int) -> tuple[int, str]:
    """Process id and URL of the engine: the one descendant of the worker that listens."""

    def find() -> tuple[int, str] | None:
        pids = children(worker)
        for pid in pids:  # grows: a binary runs below a guard process
            if url := listening_url(pid):
                return pid, url
            pids.extend(children(pid))
        return None

    found: tuple[int, str] = wait_for(find, "the worker's engine listens")
    return found


def tail(process: Process, lines: int = 20) -> str:
    """The end of a process' log."""
    return "\n".join(process.output().splitlines()[-lines:])


def folder_of(root: str, name: str) -> Path:
    """An empty folder for one stack."""
    folder = Path(root) / name
    folder.mkdir()
    return folder
