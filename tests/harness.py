"""Real parts for tests: a Valkey server, workers and an API as processes, a catalog with a model to name.

Everything listens on loopback or a Unix socket, on ports that the kernel chose, and is stopped by its pid.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from redis.exceptions import RedisError

from infra.local import listen, valkey
from shared import keys
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, MODEL, Layer, blob_key, build_manifest, encode_config
from shared.catalog.names import ModelName
from shared.settings import Settings

ROOT = Path(__file__).parent.parent

FAKE_MODEL = "fake:latest"


def wait_for(true: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
    """Poll another process' state until it holds; what it gave. Fails the test saying what did not happen."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < give_up_at, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.01)


@contextmanager
def serving(
    words: Sequence[str],
    url: str,
    log: Path,
    *,
    ready: Collection[int] = (200,),
    timeout_s: float = 15.0,
    **environ: str,
) -> Iterator[None]:
    """A server of others, as a process of its own, once it answers at a URL with one of the statuses `ready`."""

    def answers() -> bool:
        try:
            return httpx.get(url, timeout=2, trust_env=False).status_code in ready
        except httpx.HTTPError:
            return False

    with log.open("wb") as file:
        server = subprocess.Popen(words, env={**os.environ, **environ}, stdout=file, stderr=file)
    try:
        wait_for(lambda: answers() or server.poll() is not None, f"{words[0]} answers", timeout_s)
        assert server.poll() is None, log.read_text()
        yield
    finally:
        server.terminate()
        server.wait()


async def until(true: Callable[[], Any], what: str, timeout_s: float = 15.0) -> Any:
    """The same on an event loop."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < give_up_at, f"{what}: not within {timeout_s:g} s"
        await asyncio.sleep(0.01)


class Valkey:
    """A server of its own with an append-only file, on a socket in a folder that is short enough for any system."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="puna-test-"))
        self.socket = self.folder / "valkey.sock"
        self.url = valkey.url(self.socket)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            valkey.command(valkey.binary(), self.socket, self.folder), stdout=subprocess.DEVNULL
        )
        wait_for(self._answers, "Valkey answers PING")

    def kill(self) -> None:
        """SIGKILL, once the append-only file holds what was written so far: a write may wait for a running fsync."""
        assert self._process is not None
        client = self.client()
        client.set("test:written", 1)
        client.execute_command("WAITAOF", 1, 0, 5000)
        client.close()
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> "Redis":
        return Redis.from_url(self.url)

    def _answers(self) -> bool:
        client = self.client()
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()


def add_model(root: Path, name: str = FAKE_MODEL, weights: bytes = b"GGUF not read by the fake engine") -> str:
    """A model whose weights nobody reads; the name of its queue."""
    store = DirectoryStore(root)
    layer = Layer.of(MODEL, weights)
    config = encode_config({"model_format": "gguf", "model_family": "llama", "model_type": "1", "file_type": "F16"})
    config_layer = Layer.of(CONFIG, config)
    for blob, data in ((layer, weights), (config_layer, config)):
        store.put(blob_key(blob.digest), data)
    store.put(ModelName.parse(name).manifest_key, build_manifest(config_layer, [layer]).raw)
    return f"model-{layer.digest[7:19]}"


class Process:
    """One part as a child process, with its output in a file."""

    def __init__(self, name: str, words: list[str], environ: Mapping[str, str], log: Path, fds: tuple[int, ...] = ()):
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *words],
                env={**os.environ, **environ},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 30) -> int:
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        if self.running:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout_s: float = 30) -> int:
        """SIGTERM, and wait for the end; its exit code."""
        if self.running:
            self._process.terminate()
        return self.wait(timeout_s)

    def output(self) -> str:
        return self.log.read_text()


class Stack:
    """API and workers of one Valkey, with settings of one's own. Nothing is started until it is asked for."""

    def __init__(self, folder: Path, valkey: Valkey, **environ: str) -> None:
        self.folder = folder
        self.valkey = valkey
        self.catalog = folder / "models"
        self.queue = add_model(self.catalog)
        self.environ = {
            "PUNA_HOME": str(folder),
            "PUNA_PORT": "0",
            "REDIS_URL": valkey.url,
            "PUNA_CATALOG": str(self.catalog),
            "PUNA_MODEL": FAKE_MODEL,
            "PUNA_ENGINE": "fake",
            "PUNA_LEASE": "2",
            "PUNA_RENEW": "0.5",
            "PUNA_REAP": "0.5",
            "PUNA_DRAIN": "5",
            **environ,
        }
        self.redis = valkey.client()
        self.processes: list[Process] = []
        self.url = ""

    @property
    def settings(self) -> Settings:
        return Settings.load(self.environ)

    def start_api(self, **environ: str) -> Process:
        with listen.bind("127.0.0.1", 0) as sock:
            listen.listen(sock)
            self.url = listen.url("127.0.0.1", sock.getsockname()[1])
            os.set_inheritable(sock.fileno(), True)
            words = ["-m", "infra.local.api", "--fd", str(sock.fileno())]
            api = self._start("api", words, environ, (sock.fileno(),))
        wait_for(lambda: self._healthy() or not api.running, "the API answers")
        assert api.running, api.output()
        return api

    def start_worker(self, *, ready: bool = True, **environ: str) -> Process:
        worker = self._start("worker", ["-m", "worker"], environ)
        if ready:
            wait_for(lambda: self.worker_state(worker) == "ready" or not worker.running, "the worker is ready", 60)
            assert worker.running, worker.output()
        return worker

    def worker_record(self, worker: Process) -> dict[str, Any]:
        for name in self.redis.zrange(keys.WORKERS, 0, -1):
            record = json.loads(self.redis.get(keys.worker(name.decode())) or "{}")
            if record.get("pid") == worker.pid and record["queue"] != keys.CATALOG_QUEUE:
                return record
        return {}

    def worker_state(self, worker: Process) -> str:
        return str(self.worker_record(worker).get("state", ""))

    def residue(self) -> dict[str, Any]:
        """What should be empty when nothing waits or runs: queues, RQ's registries, leases, reservations."""
        found: dict[str, Any] = {}
        for pattern in ("rq:queue:*", "rq:job:*", "rq:wip:*", "rq:execution*", "rq:failed:*", "rq:finished:*"):
            for key in self.redis.scan_iter(pattern):
                found[key.decode()] = self.redis.type(key).decode()
        for key in (keys.LEASES, keys.admitted(self.queue)):
            if self.redis.exists(key):
                found[key] = self.redis.zrange(key, 0, -1)
        return found

    def stop(self) -> None:
        for process in self.processes:
            if process.running:
                process.signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
        self.redis.close()

    def _start(self, name: str, words: list[str], environ: Mapping[str, str], fds: tuple[int, ...] = ()) -> Process:
        log = self.folder / f"{name}-{len(self.processes)}.log"
        process = Process(name, words, {**self.environ, **environ}, log, fds)
        self.processes.append(process)
        return process

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def running_stack(folder: Path, **environ: str) -> Iterator[Stack]:
    """A stack on a Valkey of its own, all of it stopped at the end."""
    with ExitStack() as leave:
        server = Valkey()
        leave.callback(server.stop)
        stack = Stack(folder, server, **environ)
        leave.callback(stack.stop)
        yield stack


def free_port() -> int:
    """A port nothing listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
