"""What becomes of the engine child, and of its requests, when something dies, hangs or will not listen."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ContextLengthExceeded, EngineFailed, InvalidRequest
from shared.frames import Delta, Done, Event, Finish
from shared.settings import Settings
from worker.runtime.backoff import Backoff
from worker.runtime.child import Child
from worker.runtime.engine import EngineState
from worker.runtime.fake_chat import text
from worker.runtime.llama import LlamaEngine
from worker.runtime.llama_argv import Weights
from worker.runtime.process import EngineProcess, Timing

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(30)]

READY, BACKOFF, LOADING, STOPPED = (
    EngineState.READY,
    EngineState.BACKOFF,
    EngineState.LOADING,
    EngineState.STOPPED,
)
QUICK = Timing(load_s=10, load_poll_s=0.02, health_s=0.05, probe_s=0.2, stop_s=0.5, backoff=lambda: Backoff(first=0.05))
GUARDED = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("listening on http://127.0.0.1:9 from", child.pid, flush=True)
child.wait()
"""


def request(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "three little words"}], **fields}


@asynccontextmanager
async def running(*arguments: str, timing: Timing = QUICK, **settings: Any) -> AsyncIterator[LlamaEngine]:
    engine = LlamaEngine(
        Settings(engine="fake", **settings), Weights(Path("none"), "0"), arguments=arguments, timing=timing
    )
    await engine.start()
    try:
        await engine.ready(10)
        yield engine
    finally:
        await engine.stop()


async def collect(engine: LlamaEngine, **fields: Any) -> list[Event]:
    return [event async for batch in engine.run("chat", request(**fields)) for event in batch]


def kill(engine: LlamaEngine, number: int) -> int:
    pid = engine.process.pid
    assert pid
    os.kill(pid, number)
    return pid


def states(engine: LlamaEngine) -> "asyncio.Queue[EngineState]":
    queue: asyncio.Queue[EngineState] = asyncio.Queue()
    engine.process.on_state(queue.put_nowait)
    return queue


def wait_gone(pidfd: int, timeout_s: float) -> None:
    """A pidfd becomes readable when its process has ended."""
    try:
        assert select.select([pidfd], [], [], timeout_s)[0], "the process is still there"
    finally:
        os.close(pidfd)


async def test_an_answer_through_the_real_child() -> None:
    async with running() as engine:
        *texts, finish, done = await collect(engine, max_tokens=100)
        deltas = [event for event in texts if type(event) is Delta]
        assert "".join(delta.text for delta in deltas) == text(100)
        assert sum(delta.tokens for delta in deltas) == 100
        assert (finish, done) == (Finish("length"), Done(3, 100))


async def test_a_dead_child_fails_its_requests_and_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as engine:
        seen = states(engine)
        answer = engine.run("chat", request(fake={"silent_after": 2}))
        while not any(type(event) is Delta for event in await anext(answer)):
            pass
        old = kill(engine, signal.SIGKILL)
        with pytest.raises(EngineFailed, match="in the middle"):
            await anext(answer)
        assert [await seen.get() for _ in range(3)] == [BACKOFF, LOADING, READY]
        assert engine.process.pid != old
        assert (await collect(engine, max_tokens=1))[-1] == Done(3, 1)
    assert any("starting it again" in r.message and r.levelno == logging.WARNING for r in caplog.records)


async def test_a_crash_of_its_own() -> None:
    async with running() as engine:
        with pytest.raises(EngineFailed):
            await collect(engine, fake={"crash_after": 3})
        assert engine.state is not READY
        await engine.ready(10)
        assert engine.process.restarts == 1


async def test_an_error_in_the_stream() -> None:
    async with running() as engine:
        with pytest.raises(EngineFailed, match="told to fail"):
            await collect(engine, fake={"error_after": 3})
        assert engine.state is READY


async def test_a_sick_child_is_replaced() -> None:
    async with running() as engine:
        seen = states(engine)
        old = kill(engine, signal.SIGSTOP)
        assert [await seen.get() for _ in range(3)] == [BACKOFF, LOADING, READY]
        assert engine.process.pid != old


async def test_one_that_ignores_sigterm_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    async with running("--ignore-sigterm") as engine:
        pid = engine.process.pid
        assert pid
        pidfd = os.pidfd_open(pid)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await engine.stop()
        assert 0.5 <= loop.time() - begin < 3
        wait_gone(pidfd, 0)
    assert "ignores SIGTERM" in caplog.text
    assert engine.state is STOPPED


async def test_stop_is_quick_and_repeatable() -> None:
    async with running() as engine:
        begin = asyncio.get_running_loop().time()
        answer = engine.run("chat", request(fake={"silent_after": 0}))
        await anext(answer)
        await engine.stop()
        await engine.stop()
        assert asyncio.get_running_loop().time() - begin < 0.5
        with pytest.raises(EngineFailed):
            async for _ in answer:
                pass
        with pytest.raises(EngineFailed, match="not ready"):
            await collect(engine)
        with pytest.raises(EngineFailed, match="stopped"):
            await engine.ready(1)
        await engine.start()
        await engine.ready(10)


async def test_an_abandoned_stop_still_stops() -> None:
    async with running("--ignore-sigterm") as engine:
        pid = engine.process.pid
        assert pid
        pidfd = os.pidfd_open(pid)
        stop = asyncio.create_task(engine.stop())
        await asyncio.sleep(0)
        stop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stop
        await asyncio.to_thread(wait_gone, pidfd, 5)


async def test_a_closed_generator_aborts() -> None:
    async with running() as engine:
        answer = engine.run("chat", request(fake={"silent_after": 1}))
        await anext(answer)
        await answer.aclose()
        while (stats := await fake_stats(engine))["aborted"] != 1:
            await asyncio.sleep(0)
        assert stats["active"] == 0


async def fake_stats(engine: LlamaEngine) -> dict[str, int]:
    assert engine._session
    async with engine._session.get(f"{engine.process.url}/fake/stats") as response:
        stats: dict[str, int] = await response.json()
    return stats


async def test_loading_shows() -> None:
    engine = LlamaEngine(Settings(engine="fake"), Weights(Path("none"), "0"), arguments=["--load", "0.3"], timing=QUICK)
    seen = states(engine)
    await engine.start()
    try:
        with pytest.raises(EngineFailed, match=r"not ready within 0\.05 s"):
            await engine.ready(0.05)
        with pytest.raises(EngineFailed, match="not ready"):
            await collect(engine)
        await engine.ready(10)
    finally:
        await engine.stop()
    assert [seen.get_nowait() for _ in range(seen.qsize())] == [LOADING, READY, STOPPED]


async def test_refusals() -> None:
    async with running(context=2) as engine:
        with pytest.raises(ContextLengthExceeded, match=r"2 tokens.*3 tokens"):
            await collect(engine)
        with pytest.raises(InvalidRequest):
            await collect(engine, messages=7)


@pytest.mark.parametrize("argv", [["/nowhere/engine"], [sys.executable, "-c", "raise SystemExit(3)"]])
async def test_one_that_never_starts(argv: list[str]) -> None:
    async def healthy(_url: str) -> bool:
        return True

    process = EngineProcess("broken", argv, healthy, QUICK)
    await process.start()
    try:
        with pytest.raises(EngineFailed, match=r"cannot be started|exited with code 3"):
            await process.ready(1)
        assert process.restarts >= 2
    finally:
        await process.stop()


async def test_one_that_never_becomes_healthy() -> None:
    timing = Timing(load_s=0.4, load_poll_s=0.02, backoff=lambda: Backoff(first=0.05))
    engine = LlamaEngine(Settings(engine="fake"), Weights(Path("none"), "0"), arguments=["--load", "60"], timing=timing)
    seen = states(engine)
    await engine.start()
    try:
        assert [await seen.get() for _ in range(3)] == [LOADING, BACKOFF, LOADING]
        with pytest.raises(EngineFailed, match=r"did not load within 0\.4 s"):
            await engine.ready(0.1)
    finally:
        await engine.stop()


LISTENER = "import time; print('listening on http://127.0.0.1:9', flush=True); time.sleep(600)"
PARENT = """
import asyncio, sys
from pathlib import Path
from worker.runtime.child import Child

async def main():
    child = await Child.spawn(sys.argv[1:])
    await child.url
    print(child.pid, Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("guard", [False, True], ids=["fake", "guarded"])
def test_the_child_dies_with_its_parent(guard: bool) -> None:
    fake = [sys.executable, "-m", "worker.runtime.fake", "--ignore-sigterm"]
    listener = [sys.executable, "-m", "worker.runtime.guard", "--", sys.executable, "-c", LISTENER]
    argv = [sys.executable, "-c", PARENT, *(listener if guard else fake)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 1 + guard
        pidfds = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
        for pidfd in pidfds:
            wait_gone(pidfd, 10)


async def test_the_kill_reaches_what_the_child_started() -> None:
    child = await Child.spawn([sys.executable, "-c", GUARDED])
    await child.url
    os.kill(child.pid, signal.SIGSTOP)
    group = [int(pid) for pid in children_of(child.pid)]
    fds = [os.pidfd_open(pid) for pid in group]
    assert fds
    await child.stop(grace_s=0.1)
    for fd in fds:
        wait_gone(fd, 5)


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_the_guard_passes_the_exit_code_on() -> None:
    for code, expected in [("7", 7), ("__import__('os').kill(__import__('os').getpid(), 9)", 137)]:
        command = [sys.executable, "-c", f"raise SystemExit({code})"]
        guard = [sys.executable, "-m", "worker.runtime.guard", "--", *command]
        with subprocess.Popen(guard, stdin=subprocess.PIPE) as process:
            assert process.wait(10) == expected


def test_the_guard_passes_sigterm_on() -> None:
    command = [sys.executable, "-c", GUARDED]
    guard = [sys.executable, "-m", "worker.runtime.guard", "--", *command]
    with subprocess.Popen(guard, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        grandchild = int(process.stdout.readline().split()[-1])
        process.terminate()
        assert process.wait(10) == 128 + signal.SIGTERM
        with contextlib.suppress(ProcessLookupError):
            os.kill(grandchild, signal.SIGKILL)
