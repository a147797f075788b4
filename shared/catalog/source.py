"""Where blobs are transferred from, and how hard that is tried."""

from dataclasses import dataclass
from typing import Final, Protocol

MEMORY: Final = 80 << 20
"""Bytes that the parts of one transfer may take: with boto3 loaded the process stays under 200 MB."""


class Broken(Exception):
    """A source failed in a way that may pass. `retry_after_s` is its own word on when."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Stream(Protocol):
    """Bytes `start` up to `end`: what was asked for, or all there is when the source knows no ranges (`whole`)."""

    start: int
    end: int
    whole: bool

    def readinto(self, view: memoryview) -> int:
        """How many bytes, at most what fits; 0 at the end. Raises Broken."""

    def close(self) -> None: ...


class Source(Protocol):
    """Where a blob comes from."""

    def open(self, start: int, end: int) -> Stream:
        """Bytes `start` up to `end`, exclusive. Raises Broken, or a PunaError when no retry would help."""

    def abort(self) -> None:
        """Break all that is open, or being opened, on other threads."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard to try: parts at once, attempts without a byte of progress, the first pause between them (s), and the
    memory that the parts may take (bytes)."""

    parts: int = 16
    tries: int = 6
    backoff_s: float = 1.0
    memory: int = MEMORY
