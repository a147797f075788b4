"""How registries are spoken to."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from shared.catalog.source import Pace
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """`networks` are those besides the public internet that a registry may be in; `logins` are user and password by
    the host they are for; `stall_s` is the longest silence of a connection; `grace_s` how long a blob that nobody
    names is spared when a replaced model's are removed."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    logins: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    stall_s: float = 30.0
    pace: Pace = field(default_factory=Pace)
    grace_s: float = 3600.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            networks=settings.registry_networks,
            logins=settings.registry_logins,
            stall_s=settings.registry_stall_s,
            pace=Pace(parts=settings.registry_parts),
            grace_s=settings.collect_grace_s,
        )

    def login(self, host: str) -> str:
        """`user:password` for a host, with its port if it has one; empty when there is none."""
        return dict(self.logins).get(host.lower(), "")
