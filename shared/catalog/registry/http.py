"""HTTP to the address that was checked, over connections that are kept, on several threads."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shared.catalog.registry.errors import RegistryRefused
from shared.catalog.transfer import Broken
from shared.images.errors import ImageRefused
from shared.images.guard import Network, Place, allowed, place_of
from shared.tls import context as _tls

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]

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
        self._pools: dict[tuple[str, str, int], list[HTTPConnectionPool]] = {}
        self._lock = threading.Lock()

    def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Any = None
    ) -> "BaseHTTPResponse":
        """The answer with its body unread: read it to the end or close it. Raises Broken, or RegistryRefused for an
        address that is not gone to."""
        from urllib3.exceptions import NewConnectionError

        place = self.place(url)
        sent = {"Host": place.authority, "User-Agent": "puna", "Accept-Encoding": "identity", **(headers or {})}
        pools = self._of(place)
        for pool in pools:
            try:
                with breaking():
                    return pool.urlopen(
                        method,
                        place.target,
                        body=body,
                        headers=sent,
                        redirect=False,
                        retries=False,
                        assert_same_host=False,
                        preload_content=False,
                        decode_content=False,
                    )
            except Broken as error:
                if pool is pools[-1] or not isinstance(error.__cause__, NewConnectionError):
                    raise
        raise AssertionError("a place has an address")

    def place(self, url: str) -> Place:
        """Raises RegistryRefused for a URL that is none, or of plain HTTP where that is not allowed."""
        try:
            return place_of(url, http=self._http)
        except ImageRefused as error:
            raise RegistryRefused(error.message.replace("the image's URL", "the registry's URL")) from None

    def close(self) -> None:
        with self._lock:
            for pool in (pool for pools in self._pools.values() for pool in pools):
                pool.close()
            self._pools.clear()

    def _of(self, place: Place) -> "list[HTTPConnectionPool]":
        """A pool per address, in the system's order; looked up once."""
        key = (place.scheme, place.host, place.port)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = [self._pool(place, address) for address in self._addresses(place)]
            return self._pools[key]

    def _addresses(self, place: Place) -> list[str]:
        try:
            found = [ip_address(text) for text in dict.fromkeys(self._resolve(place.host, place.port))]
        except (OSError, UnicodeError, ValueError):
            found = []
        if self._networks is None and found:
            return [str(address) for address in found]
        if not found or not all(allowed(address, self._networks or ()) for address in found):
            raise RegistryRefused(
                f"the host {place.host} has no public address; PUNA_REGISTRY_NETWORKS can allow a network"
            )
        return [str(address) for address in found]

    def _pool(self, place: Place, address: str) -> "HTTPConnectionPool":
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout

        common: dict[str, Any] = {"timeout": Timeout(connect=_CONNECT_S, read=self._stall_s), "maxsize": _KEPT}
        if place.scheme == "http":
            return HTTPConnectionPool(address, place.port, **common)
        names: dict[str, Any] = {"server_hostname": place.host, "assert_hostname": place.host}
        return HTTPSConnectionPool(address, place.port, ssl_context=_tls(), **names, **common)


@contextmanager
def breaking() -> Iterator[None]:
    """What goes wrong on a connection, as Broken."""
    from urllib3.exceptions import HTTPError, TimeoutError

    try:
        yield
    except TimeoutError as error:
        raise Broken("the connection stalled, or was not accepted in time") from error
    except (HTTPError, OSError) as error:
        raise Broken("the connection failed") from error


def text_of(response: "BaseHTTPResponse", most: int) -> bytes:
    """A whole body of at most so many bytes; a longer one is cut after one more. Raises Broken."""
    with breaking():
        pieces, got = [], 0
        while got <= most and (piece := response.read(min(most + 1 - got, 1 << 16), decode_content=False)):
            pieces.append(piece)
            got += len(piece)
    if got > most:
        response.close()
    response.release_conn()
    return b"".join(pieces)
