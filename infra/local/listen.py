"""The API's listening socket. The parent holds it, so a restarting API refuses no client."""

import errno
import socket

from infra.local.home import StackError

BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """Take the port (0: any free one) without listening yet. Raises StackError saying what to do."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StackError(f"PUNA_HOST={host!r} is no address of this machine: {error.strerror}") from None
    # `localhost` gives ::1 and 127.0.0.1; most clients try the second.
    family, kind, proto, _, address = sorted(found, key=lambda item: item[0] != socket.AF_INET)[0]
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise refused(error, host, port) from None
    return sock


def listen(sock: socket.socket) -> None:
    """Begin to queue connections. Raises StackError: a port only bound can still be lost."""
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        host, port = sock.getsockname()[:2]
        raise refused(error, host, port) from None


def refused(error: OSError, host: str, port: int) -> StackError:
    """Why the port cannot be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        who = " (Ollama?)" if port == 11434 else ""
        return StackError(f"port {port} is in use{who}. Set PUNA_PORT=… to another one, or 0 for any.")
    if error.errno == errno.EACCES:
        return StackError(f"port {port} needs more rights than this user has. Set PUNA_PORT=… above 1023.")
    if error.errno == errno.EADDRNOTAVAIL:
        return StackError(f"PUNA_HOST={host!r} is no address of this machine.")
    return StackError(f"cannot listen on {host} port {port}: {error.strerror}")


def url(host: str, port: int) -> str:
    """The address a client on this machine uses: the wildcard addresses answer on loopback."""
    name = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 compared, not bound
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
