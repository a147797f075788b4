"""What a run that was killed left behind: stopped before the next one starts."""

import asyncio
from collections.abc import Callable

from infra.local import record, valkey
from infra.local.home import Home
from infra.local.process import born, stop_strange

ORDER = ("api", "worker", "queue")
"""As in an orderly stop: the API and the workers still need the queue to end well."""


def clear(home: Home, grace_s: float, say: Callable[[str], None]) -> None:
    """Stop the children that `run/stack.json` names and that still live, then a Valkey on the home's socket.

    Only with the home locked: then no supervisor is left that could own them. Takes up to `grace_s` seconds
    per child.
    """
    left = record.read(home.record)
    pids, marks = (left.pids, left.born) if left else ({}, {})
    for name in sorted(pids, key=_turn):
        pid, mark = pids.get(name), marks.get(name)
        if pid and mark and born(pid) == mark:
            say(f"stopping {name} (pid {pid}), left by a run that was killed")
            stop_strange(pid, mark, grace_s)
    if left:
        valkey.remove_folder(left.redis_url)
    if asyncio.run(valkey.stop_orphan(home)):
        say("stopped a queue server that nobody owned")
    record.remove(home.record)


def _turn(name: str) -> int:
    """`worker-2` has the turn of `worker`; what has none comes first."""
    role = name.partition("-")[0]
    return ORDER.index(role) if role in ORDER else -1
