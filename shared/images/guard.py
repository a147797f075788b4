"""Where a URL of a stranger may lead: only to public addresses, or what the owner allows.

The name is resolved once and the connection is made to the address that was checked, so a name server that answers
differently the second time gains nothing.

Source: the IANA special-purpose address registries (RFC 6890); OWASP, "Server Side Request Forgery Prevention".
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import quote, urlsplit

from shared.images.errors import ImageRefused, bad_url

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to addresses, in the order of preference. Raises OSError or UnicodeError when there are none."""

LONGEST_URL: Final = 8192
"""Characters; what servers commonly take."""

# Beyond `is_global`, whose tables grow with Python's patch releases.
_REFUSED: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "100.64.0.0/10",  # carrier-grade NAT; clouds keep services here
        "168.63.129.16/32",  # the platform of Azure's machines
        "192.0.0.0/24",  # protocol assignments; the metadata of Oracle's cloud
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
_UNICAST: Final = IPv6Network("2000::/3")
"""All that is public in IPv6."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Holds an IPv4 address: where a network has only IPv6, every IPv4 host looks like this."""


@dataclass(frozen=True, slots=True)
class Place:
    """A URL, taken apart: `target` is its path and query, in ASCII."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The `Host` header: with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def place_of(url: str, *, http: bool) -> Place:
    """Take a URL apart. Raises ImageRefused for what is not a plain http(s) URL, or not https unless `http`."""
    if len(url) > LONGEST_URL or any(char <= " " or char in '\\\x7f"<>' for char in url):
        raise bad_url(f"it has a character that no URL has, or more than {LONGEST_URL}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise bad_url("it is malformed") from None
    if parts.scheme != "https" and not (http and parts.scheme == "http"):
        raise bad_url("only https is fetched" if not http else "only https and http are fetched")
    if "@" in parts.netloc:
        raise bad_url("it has credentials")
    if not host or "%" in host or port == 0:
        raise bad_url("it is malformed")
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._[]|^`{}")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]|^`{}")
    return Place(
        parts.scheme,
        _ascii(host),
        port or (443 if parts.scheme == "https" else 80),
        f"{target}?{query}" if query else target,
    )


def _ascii(host: str) -> str:
    if ":" in host:  # an address in brackets
        return host
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        raise bad_url("it is malformed") from None
    if not name or not all(char.isalnum() or char in "-._" for char in name):
        raise bad_url("it is malformed")
    return name


async def resolve(host: str, port: int) -> Sequence[str]:
    """What the system says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(entry[4][0]) for entry in found]


async def addresses_of(place: Place, networks: Sequence[Network], resolve: Resolve = resolve) -> list[Address]:
    """The addresses of a place, all of them allowed. One that is not condemns the rest: nobody mixes them by accident.

    Raises ImageRefused, in the same words whether there is no such host or it is not public.
    """
    try:
        found = list(dict.fromkeys(ip_address(text) for text in await resolve(place.host, place.port)))
    except (OSError, UnicodeError, ValueError):
        found = []
    if not found or not all(allowed(address, networks) for address in found):
        raise ImageRefused(
            "the image's URL cannot be used: its host has no public address", code="invalid_image_url"
        ) from None
    return found


def allowed(address: Address, networks: Sequence[Network] = ()) -> bool:
    """Whether a connection may be made: the address is public, or in one of the networks."""
    plain = getattr(address, "ipv4_mapped", None) or address
    if any(plain.version == network.version and plain in network for network in networks):
        return True
    return is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet. One that wraps another is judged by the inner one."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _UNICAST:
            return False
    return address.is_global and not any(address.version == net.version and address in net for net in _REFUSED)
