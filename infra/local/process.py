"""Processes by their number: whether one still lives, and how it is stopped from outside."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

POLL_S = 0.05
"""How often a process that is not our child is looked at (s): there is nothing to wait on."""


def born(pid: int) -> str | None:
    """A mark that tells this process from a later one of the same number; None when it is gone or dead."""
    return _born_linux(pid) if sys.platform == "linux" else _born_ps(pid)


def _born_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # proc(5): the name in parentheses may hold anything; then field 3 is the state and 22 the start in ticks.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def _born_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 fixed words
    state, _, mark = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else mark.strip()


def kill_group(pid: int) -> None:
    """SIGKILL a child that leads its own session, and all that it has started in it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def stop_strange(pid: int, mark: str, grace_s: float) -> None:
    """Stop a process that is not our child: SIGTERM, `grace_s` seconds, SIGKILL. Returns when it is gone."""
    if born(pid) != mark:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while born(pid) == mark:
        if time.monotonic() > deadline:
            kill_group(pid)
        time.sleep(POLL_S)


def ended(code: int) -> str:
    """How a process ended, in words: `exited with code 1`, `was killed by SIGKILL`."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
