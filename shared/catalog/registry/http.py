"""HTTP to the address that was checked, over connections that are kept, on several threads."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection
from ipaddress import ip_address
from select import POLLIN, poll
from socket import IPPROTO_TCP, SHUT_RDWR, SOCK_STREAM, TCP_NODELAY, create_connection, getaddrinfo, socket
from ssl import SSLCertVerificationError, SSLEOFError, SSLError, SSLSyscallError, SSLZeroReturnError
from typing import Any, Final, TypeAlias
from weakref import WeakSet

from shared.catalog.registry.answer import Answer, breaking
from shared.catalog.registry.errors import RegistryFailed, RegistryRefused
from shared.images.errors import ImageRefused
from shared.images.guard import Network, Place, allowed, place_of
from shared.tls import context as _tls

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
_Key: TypeAlias = tuple[str, str, int]

_CONNECT_S: Final = 10.0
_KEPT: Final = 16
"""Connections to one host that are kept."""


def resolve(host: str, port: int) -> list[str]:
    """What the system says. Raises OSError or UnicodeError."""
    return [str(entry[4][0]) for entry in getaddrinfo(host, port, type=SOCK_STREAM)]


class Http:
    """Requests, one at a time per call and thread. Nothing is followed, decoded or repeated by itself.

    `networks` None trusts every address: for a place that the owner has set.
    """

    def __init__(
        self, networks: Sequence[Network] | None, stall_s: float, *, http: bool, resolve: Resolve = resolve
    ) -> None:
        self._networks, self._stall_s, self._http, self._resolve = networks, stall_s, http, resolve
        self._known: dict[_Key, list[str]] = {}
        self._idle: dict[_Key, list[HTTPConnection]] = {}
        self._open: WeakSet[socket] = WeakSet()
        self._closed = False
        self._lock = threading.Lock()

    def send(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """The answer with its body unread: close it. Raises Broken, or RegistryRefused for an address that is not
        gone to."""
        place = self.place(url)
        sent = {"Host": place.authority, "User-Agent": "puna", "Accept-Encoding": "identity", **(headers or {})}
        connection = self._kept(place) or self._connected(place)
        try:
            with breaking():
                with suppress(BrokenPipeError):  # who does not read a body may have answered all the same
                    connection.request(method, place.target, body=body, headers=sent)
                return Answer(connection, connection.getresponse(), partial(self._keep, place))
        except BaseException:
            connection.close()
            raise

    def place(self, url: str) -> Place:
        """Raises RegistryRefused for a URL that is none, or of plain HTTP where that is not allowed."""
        try:
            return place_of(url, http=self._http)
        except ImageRefused as error:
            raise RegistryRefused(error.message.replace("the image's URL", "the registry's URL")) from None

    def abort(self) -> None:
        """Break all connections, in whatever thread they are waited for."""
        with self._lock:
            open_now = list(self._open)
        for sock in open_now:
            with suppress(OSError):
                socket.shutdown(sock, SHUT_RDWR)  # not TLS' own, which would let go of what the other thread uses

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for connection in (connection for kept in self._idle.values() for connection in kept):
                connection.close()
            self._idle.clear()

    def _kept(self, place: Place) -> HTTPConnection | None:
        """A connection that is not in use, and that its server has not ended."""
        while True:
            with self._lock:
                idle = self._idle.get(_key(place))
                if not idle:
                    return None
                connection = idle.pop()
            if not _readable(connection.sock):
                return connection
            connection.close()

    def _keep(self, place: Place, connection: HTTPConnection) -> None:
        with self._lock:
            idle = self._idle.setdefault(_key(place), [])
            if not self._closed and len(idle) < _KEPT:
                idle.append(connection)
                return
        connection.close()

    def _connected(self, place: Place) -> HTTPConnection:
        """A connection to the first address that takes one, in the system's order. Raises Broken or RegistryFailed."""
        connection = HTTPConnection(place.host, place.port)
        with breaking():
            sock = _dialled(self._addresses(place), place.port)
            try:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                if place.scheme == "https":
                    sock = _secured(sock, place)
                sock.settimeout(self._stall_s)
            except BaseException:
                sock.close()
                raise
        with self._lock:
            self._open.add(sock)
        connection.sock = sock
        return connection

    def _addresses(self, place: Place) -> list[str]:
        """Looked up once."""
        known = self._known.get(_key(place))
        if known is None:
            known = self._known[_key(place)] = self._look_up(place)
        return known

    def _look_up(self, place: Place) -> list[str]:
        try:
            found = [ip_address(text) for text in dict.fromkeys(self._resolve(place.host, place.port))]
        except (OSError, UnicodeError, ValueError):
            found = []
        if self._networks is None and found:
            return [str(address) for address in found]
        if not found:
            raise RegistryRefused(f"the host {place.host} cannot be found")
        if not all(allowed(address, self._networks or ()) for address in found):
            raise RegistryRefused(
                f"the host {place.host} has no public address; PUNA_REGISTRY_NETWORKS can allow a network"
            )
        return [str(address) for address in found]


def _key(place: Place) -> _Key:
    return place.scheme, place.host, place.port


def _dialled(addresses: Sequence[str], port: int) -> socket:
    """Raises OSError when no address takes a connection."""
    for address in addresses[:-1]:
        with suppress(OSError):
            return create_connection((address, port), _CONNECT_S)
    return create_connection((addresses[-1], port), _CONNECT_S)


def _secured(sock: socket, place: Place) -> socket:
    """TLS to a server. Raises RegistryFailed where asking again would not help."""
    try:
        return _tls().wrap_socket(sock, server_hostname=place.host)
    except SSLCertVerificationError as error:
        raise RegistryFailed(f"the certificate of {place.authority} is not trusted: {error.verify_message}") from None
    except (SSLEOFError, SSLZeroReturnError, SSLSyscallError):
        raise  # it went away, and may come back
    except SSLError:
        raise RegistryFailed(
            f"{place.authority} does not speak TLS; a registry without it has to be allowed as insecure"
        ) from None


def _readable(sock: socket) -> bool:
    """Whether an idle connection has something to say: that it has ended."""
    waiting = poll()
    waiting.register(sock, POLLIN)
    return bool(waiting.poll(0))
