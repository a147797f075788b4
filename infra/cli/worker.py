"""`puna worker`: one worker in the foreground."""

import os

from infra.cli.place import redis_url
from infra.local.children import python
from shared.settings import settings


def run() -> None:
    """Become the worker: this process is replaced, so signals and the exit code are the worker's own.

    Raises CommandError when there is no queue to work on.
    """
    chosen = settings()
    environ = {**os.environ, **chosen.environ(), "REDIS_URL": redis_url(chosen)}
    command = python("-m", "worker")
    os.execve(command[0], command, environ)  # noqa: S606 no shell is wanted
