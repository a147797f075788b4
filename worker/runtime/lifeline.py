"""No engine outlives its worker: a child holds the read end of a pipe whose only writer is the worker.

The kernel closes the pipe however the worker ends, SIGKILL included, and the child reads the end of file.
"""

import os
import threading
from collections.abc import Callable

STDIN = 0


def watch(on_end: Callable[[], None]) -> None:
    """Call `on_end` from a thread when standard input ends."""
    threading.Thread(target=_wait, args=(on_end,), name="lifeline", daemon=True).start()


def exit_with_parent() -> None:
    """Leave at once, without clean-up, when standard input ends."""
    watch(lambda: os._exit(0))


def _wait(on_end: Callable[[], None]) -> None:
    while os.read(STDIN, 4096):
        pass
    on_end()
