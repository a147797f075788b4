"""`$PUNA_HOME` as the stack uses it: where things lie, and the lock that lets one stack at a time use it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import record
from shared.errors import PunaError


class StackError(PunaError):
    """The stack cannot start or go on here. The message is one line that says what to do."""

    default_code = "stack"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one stack. Paths may be long and may contain spaces."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def queue(self) -> Path:
        """Valkey's append-only file: the jobs that wait."""
        return self.root / "queue"

    @property
    def state_key(self) -> Path:
        """The secret of this home's own, where the settings name none."""
        return self.root / "state.key"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def record(self) -> Path:
        return self.run / "stack.json"

    @property
    def socket(self) -> Path:
        return self.run / "valkey.sock"

    def make(self) -> None:
        """Create the folders; prompts wait in `queue`, so they are the owner's alone. Raises StackError."""
        try:
            for folder in (self.run, self.logs, self.queue):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"PUNA_HOME={str(self.root)!r} cannot be used: {error.strerror}") from None


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the home for this process. Raises StackError naming the pid and URL of the stack that has it.

    The lock is the kernel's (flock): it ends with the process, so it cannot be stale.
    """
    fd = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(_taken(home, os.pread(fd, 32, 0).decode().strip())) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)


def is_locked(home: Home) -> bool:
    """Whether a stack runs on this home now. Advisory: the answer may be old when it arrives."""
    try:
        fd = os.open(home.lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _taken(home: Home, pid: str) -> str:
    running = record.read(home.record)
    place = f" at {running.url}" if running and str(running.pid) == pid else ""
    return (
        f"Puna already runs on {home.root} (pid {pid or 'unknown'}){place}. "
        "Stop it, or set PUNA_HOME and PUNA_PORT for a second one."
    )
