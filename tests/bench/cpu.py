"""CPU time, children and listening addresses of other processes, from what the system has: no package, no log lines.

Linux: the process' own CPU clock (nanoseconds, all threads, also ended ones; see clock_getcpuclockid(3)) and /proc.
macOS: `ps` (hundredths of a second), `pgrep` and `lsof`, all part of the system.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_LINUX = sys.platform == "linux"

_CLOCK_OF_PROCESS = 2
"""Linux' CPUCLOCK_SCHED: with the inverted pid above it, the id of a process' CPU clock."""

_LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


class Meter:
    """CPU seconds of named processes since the meter was made or last read."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._last = self._now()

    def read(self) -> dict[str, float]:
        """Seconds by name since the last reading; this process is `client`."""
        last, self._last = self._last, self._now()
        return {name: seconds - last[name] for name, seconds in self._last.items()}

    def _now(self) -> dict[str, float]:
        return {"client": time.process_time(), **{name: cpu_s(pid) for name, pid in self._pids.items()}}


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, without its children's. Raises OSError when it is gone."""
    if _LINUX:
        return time.clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)
    return seconds_of(_output("ps", "-o", "time=", "-p", str(pid)))


def seconds_of(text: str) -> float:
    """`[[hours:]minutes:]seconds` as `ps` prints it. Raises OSError for nothing at all."""
    if not text.strip():
        raise ProcessLookupError("no such process")
    seconds = 0.0
    for part in text.strip().split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    if not _LINUX:
        return [int(word) for word in _output("pgrep", "-P", str(pid)).split()]
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything; the parent is the second word after it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def listening_url(pid: int) -> str | None:
    """Base URL of the TCP port on IPv4 loopback that a process listens on, if there is one."""
    if _LINUX:
        inodes = _sockets(pid)
        ports = [port for inode, port in listening(Path(f"/proc/{pid}/net/tcp").read_text()) if inode in inodes]
    else:
        names = _output("lsof", "-nP", "-a", "-p", str(pid), "-iTCP", "-sTCP:LISTEN", "-Fn").splitlines()
        ports = [int(name.rpartition(":")[2]) for name in names if name.startswith("n")]
    return f"http://127.0.0.1:{ports[0]}" if ports else None


def listening(table: str) -> list[tuple[str, int]]:
    """Inode and port of the listening sockets in the text of /proc/net/tcp (proc_net_tcp, kernel documentation)."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return [(row[9], int(row[1].rpartition(":")[2], 16)) for row in rows if row[3] == _LISTEN]


def _sockets(pid: int) -> set[str]:
    """Inodes of a process' sockets."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    return inodes


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout
