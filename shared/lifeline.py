"""The lifeline: a child notices that its parent is gone, however that died.

The parent holds the write end of a pipe that is the child's stdin and never writes to it. When the parent
ends, `kill -9` included, the kernel closes the pipe and the child reads end of file. `PUNA_LIFELINE=1` says
that stdin is such a pipe; it is a word from parent to child, not a setting.
"""

import os
import signal
from collections.abc import Callable
from threading import Thread

ENV = "PUNA_LIFELINE"


def terminate() -> None:
    """Send this process SIGTERM: the end of the parent is then handled as any other request to stop."""
    os.kill(os.getpid(), signal.SIGTERM)


def watch(callback: Callable[[], None] = terminate) -> bool:
    """Call `callback` once, on a thread of its own, when the parent is gone. Returns at once.

    Does nothing and returns False where `PUNA_LIFELINE` is not `1`. Children of this process get neither the
    variable nor the pipe: its place at fd 0 is taken by the null device.
    """
    if os.environ.pop(ENV, "") != "1":
        return False
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    on_end(pipe, callback)
    return True


def exit_with_parent() -> None:
    """Leave at once, without clean-up, when standard input ends: for an engine, whose parent is its worker."""
    on_end(0, lambda: os._exit(0))


def on_end(pipe: int, callback: Callable[[], None]) -> None:
    """Call `callback` once, on a thread of its own, when the read end `pipe` has reached its end."""
    Thread(target=_wait, args=(pipe, callback), name="lifeline", daemon=True).start()


def _wait(pipe: int, callback: Callable[[], None]) -> None:
    while os.read(pipe, 1024):
        pass
    os.close(pipe)
    callback()
