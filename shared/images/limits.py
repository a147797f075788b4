"""What images a request may carry, and where they may come from."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request. Sizes are bytes of the file as it came, `seconds` covers one download with its redirects.

    `http` allows plain HTTP; `networks` are private networks that URLs may lead to all the same.
    """

    images: int = 16
    image_bytes: int = 10_000_000
    request_bytes: int = 32_000_000
    pixels: int = 25_000_000
    seconds: float = 10.0
    http: bool = False
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            images=settings.images_max,
            image_bytes=settings.image_bytes,
            request_bytes=settings.images_bytes,
            pixels=settings.image_pixels,
            seconds=settings.image_timeout_s,
            http=settings.image_http,
            networks=settings.image_networks,
        )
