"""The supervisor with real processes: restarts, the order and the ladder of a stop, and a parent that is killed."""

import asyncio
import json
import os
import signal
import socket
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from infra.local import children, listen, ready, record, valkey
from infra.local.backoff import Backoff
from infra.local.child import Effects
from infra.local.home import Home, StackError, locked
from infra.local.leftovers import clear
from infra.local.process import born
from infra.local.spawn import ChildSpec
from infra.local.supervisor import Supervisor
from shared.settings import Settings

pytestmark = pytest.mark.chaos

LIMIT_S = 20.0
WAITS = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"


class Said:
    """Everything the supervisor tells, in order; `until` waits for a line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = asyncio.Event()
        self.effects = Effects(lambda name, text: self._tell(f"{name}: {text}"), self._tell, lambda: None)

    def _tell(self, line: str) -> None:
        self.lines.append(line)
        self._news.set()

    async def until(self, text: str, times: int = 1) -> None:
        async with asyncio.timeout(LIMIT_S):
            while sum(text in line for line in self.lines) < times:
                self._news.clear()
                await self._news.wait()


def spec(name: str, code: str, grace_s: float = 10.0) -> ChildSpec:
    command = (sys.executable, "-c", textwrap.dedent(code))
    return ChildSpec(name, command, {**os.environ, "PUNA_LIFELINE": "1"}, grace_s)


async def until(holds: Callable[[], bool]) -> None:
    """Poll for what nothing announces: the end of a process that is not our child."""
    async with asyncio.timeout(LIMIT_S):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
async def said() -> Said:
    return Said()


@pytest.fixture
async def supervisor(said: Said) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(said.effects)
    yield supervisor
    supervisor.hasten()
    await supervisor.stop()


async def test_a_child_that_dies_is_restarted_with_growing_pauses(supervisor: Supervisor, said: Said) -> None:
    child = await supervisor.start(spec("api", "raise SystemExit(3)"), Backoff(first_s=0.01))
    await said.until("api exited with code 3; starting it again in 0.01 s")
    await said.until("api exited with code 3; starting it again in 0.02 s")
    await said.until("api exited with code 3; starting it again in 0.04 s")
    assert child.starts >= 3


async def test_a_child_that_is_killed_is_said_to_be_and_comes_back(supervisor: Supervisor, said: Said) -> None:
    child = await supervisor.start(spec("worker", WAITS), Backoff(first_s=0.01))
    await said.until("worker: up")
    first = child.pid
    assert first
    os.kill(first, signal.SIGKILL)
    await said.until("worker was killed by SIGKILL; starting it again in 0.01 s")
    await said.until("worker: up", times=2)
    assert child.pid != first


async def test_what_a_dead_child_had_started_dies_too(supervisor: Supervisor, said: Said) -> None:
    code = f"""
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE)
        child.stdout.readline()
        print("engine", child.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    await supervisor.start(spec("worker", code), Backoff(first_s=30))
    await said.until("worker was killed by SIGKILL")
    engine = next(int(line.split()[-1]) for line in said.lines if "engine" in line)
    await until(lambda: born(engine) is None)


async def test_the_last_started_is_stopped_first_and_alone(supervisor: Supervisor, said: Said) -> None:
    for name in ("queue", "worker", "api"):
        await supervisor.start(spec(name, WAITS))
        await said.until(f"{name}: up")
    await supervisor.stop()
    assert said.lines[3:] == ["stopping api", "stopping worker", "stopping queue"]
    assert supervisor.marks() == {}


async def test_a_child_that_ignores_sigterm_is_killed_after_its_time(supervisor: Supervisor, said: Said) -> None:
    child = await supervisor.start(spec("worker", STUBBORN, grace_s=0.2))
    await said.until("worker: up")
    pid = child.pid
    assert pid
    await supervisor.stop()
    assert said.lines[-2:] == ["stopping worker", "worker does not stop; killing it"]
    assert born(pid) is None


async def test_a_second_request_hastens_all_that_are_left(supervisor: Supervisor, said: Said) -> None:
    for name in ("worker", "api"):
        await supervisor.start(spec(name, STUBBORN, grace_s=LIMIT_S * 10))
        await said.until(f"{name}: up")
    stopping = asyncio.create_task(supervisor.stop())
    await said.until("stopping api")
    supervisor.hasten()
    async with asyncio.timeout(LIMIT_S):
        await stopping
    assert said.lines[-3:] == ["api does not stop; killing it", "stopping worker", "worker does not stop; killing it"]


async def test_a_stop_in_a_pause_does_not_wait_for_it(supervisor: Supervisor, said: Said) -> None:
    await supervisor.start(spec("api", "raise SystemExit(1)"), Backoff(first_s=600, longest_s=600))
    await said.until("starting it again in 600 s")
    async with asyncio.timeout(LIMIT_S):
        await supervisor.stop()


async def test_a_program_that_is_not_there_is_an_error_at_once(supervisor: Supervisor) -> None:
    with pytest.raises(StackError, match=r"api cannot be started: .*nowhere"):
        await supervisor.start(ChildSpec("api", ("/nowhere/api",), {}, 1.0))


PARENT = """
import asyncio, json, sys
from infra.local.child import Effects
from infra.local.spawn import ChildSpec
from infra.local.supervisor import Supervisor

CHILD = '''
import signal
from shared import lifeline
signal.signal(15, lambda *_: exit(0))
lifeline.watch()
print("up", flush=True)
while True: signal.pause()
'''

async def main():
    up = asyncio.Semaphore(0)
    supervisor = Supervisor(Effects(lambda name, text: up.release(), lambda text: None, lambda: None))
    for name in ("worker", "api"):
        await supervisor.start(ChildSpec(name, (sys.executable, "-c", CHILD), {"PUNA_LIFELINE": "1"}, 10.0))
    await up.acquire()
    await up.acquire()
    print(json.dumps([pid for pid, _ in supervisor.marks().values()]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_children_go_when_the_parent_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    async with asyncio.timeout(LIMIT_S):
        pids = json.loads(await parent.stdout.readline())
    assert len(pids) == 2
    assert all(born(pid) for pid in pids)
    parent.kill()
    await parent.wait()
    await until(lambda: not any(born(pid) for pid in pids))


async def _command(path: Path, *words: str) -> str:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(" ".join(words).encode() + b"\r\n")
    answer = (await reader.readline()).decode().strip()
    if answer.startswith("$") and answer != "$-1":
        answer = (await reader.readline()).decode().strip()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_valkey_keeps_what_it_was_told_over_a_stop_and_a_kill(
    tmp_path: Path, supervisor: Supervisor, said: Said
) -> None:
    home = Home(tmp_path / "a home")
    home.make()
    with valkey.socket_path(home) as path:
        server = await supervisor.start(children.queue(Settings(), path, home.queue), Backoff(first_s=0.01))
        await valkey.until_up(path, lambda: server.starts)
        assert path.stat().st_mode & 0o777 == 0o700
        assert await _command(path, "SET", "job", "1") == "+OK"
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
        await said.until("queue was killed by SIGKILL")
        await valkey.until_up(path, lambda: server.starts)
        assert await _command(path, "GET", "job") == "1"
        assert await _command(path, "SET", "job", "2") == "+OK"
        await supervisor.stop()
        again = await supervisor.start(children.queue(Settings(), path, home.queue))
        await valkey.until_up(path, lambda: again.starts)
        assert await _command(path, "GET", "job") == "2"


async def test_a_valkey_that_cannot_start_is_given_up_with_a_line(tmp_path: Path, supervisor: Supervisor) -> None:
    broken = children.queue(Settings(), tmp_path / "v.sock", tmp_path / "absent")
    server = await supervisor.start(broken, Backoff(first_s=0.01))
    with pytest.raises(StackError, match=r"logs/queue\.log"):
        await valkey.until_up(tmp_path / "v.sock", lambda: server.starts)


async def test_the_next_start_stops_what_a_killed_run_has_left(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    home.make()
    with valkey.socket_path(home) as path:
        words = children.queue(Settings(), path, home.queue).command
        orphan = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        await valkey.until_up(path, lambda: 1)
        stubborn = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", STUBBORN), stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        assert stubborn.stdout
        await stubborn.stdout.readline()
        marks = {"worker": (stubborn.pid, born(stubborn.pid) or ""), "queue": (orphan.pid, born(orphan.pid) or "")}
        pids = {name: pid for name, (pid, _) in marks.items()}
        left = record.StackRecord(1, "", "", 0.0, pids, {name: mark for name, (_, mark) in marks.items()})
        # Ours: a number that is used again, and not by a child of that run.
        left.pids["api"], left.born["api"] = os.getpid(), "another life"
        record.write(home.record, left)
        lines: list[str] = []
        with locked(home):
            await asyncio.to_thread(clear, home, 0.2, lines.append)
        assert await stubborn.wait() == -signal.SIGKILL
        assert await orphan.wait() == 0
    assert [line.split()[1] for line in lines] == ["worker", "queue"]
    assert record.read(home.record) is None


async def test_an_orphan_that_no_record_names_is_found_by_its_socket(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    home.make()
    with valkey.socket_path(home) as path:
        if path != home.socket:
            pytest.skip("the temporary folder's path is too long for a socket")
        words = children.queue(Settings(), path, home.queue).command
        orphan = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        await valkey.until_up(path, lambda: 1)
        assert await valkey.stop_orphan(home)
        assert await orphan.wait() == 0
        assert not await valkey.stop_orphan(home)


ECHO = """
import socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
print("up", flush=True)
while True:
    peer, _ = sock.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\nready")
    peer.close()
"""


async def test_a_connection_waits_while_the_api_is_restarted(supervisor: Supervisor, said: Said) -> None:
    with listen.bind("127.0.0.1", 0) as sock:
        listen.listen(sock)
        command = (sys.executable, "-c", ECHO, str(sock.fileno()))
        api = await supervisor.start(ChildSpec("api", command, {}, 5.0, (sock.fileno(),)), Backoff(first_s=0.3))
        await said.until("api: up")
        port = sock.getsockname()[1]
        assert await ready.probe("127.0.0.1", port) == (200, "ready")
        assert api.pid
        os.kill(api.pid, signal.SIGKILL)
        await said.until("api was killed")
        began = time.monotonic()
        assert await ready.probe("127.0.0.1", port) == (200, "ready")
        assert time.monotonic() - began > 0.1
        await supervisor.stop()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass
