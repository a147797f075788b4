"""A blob on its way into a store: written in parts, in any order and at once, seen when its digest has been checked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Final, Self

from shared.catalog.manifest import blob_key
from shared.catalog.ordered import Buffer, OrderedHash
from shared.errors import PunaError

PART_LEAST: Final = 5 << 20
"""Bytes (5 MiB). S3 takes no smaller part but the last."""

PARTS_MOST: Final = 10_000
"""S3 takes no more of one object."""


class DigestMismatch(PunaError):
    """What arrived is not what its digest says."""

    status: ClassVar[int] = 502
    default_code: ClassVar[str | None] = "digest_mismatch"


def part_bytes(size: int) -> int:
    """The part size for a blob: as small as S3 allows, so that many parts fit in memory; whole MiB."""
    least = -(-size // PARTS_MOST)
    return max(PART_LEAST, -(-least >> 20) << 20)


def _nothing() -> None: ...


class Upload(ABC):
    """One attempt. `write` may be called from several threads, for each of `missing` once; then `commit`.

    What was written stays until `commit` or `discard`: the next upload of the same digest goes on from there. Every
    call may raise ServiceUnavailable, and Conflict when another process finished the same upload, or gave it up.
    """

    at_once: ClassVar[int] = 1 << 10
    """Parts that may be under way at once: where storing one takes more memory than its own there are few."""

    def __init__(self, digest: str, size: int, stored: Iterable[int] = (), part_size: int = 0) -> None:
        self.key = blob_key(digest)
        self.size = size
        self.part_size = part_size or part_bytes(size)
        self.parts = max(1, -(-size // self.part_size))
        done = set(stored)
        self.missing = [number for number in range(self.parts) if number not in done]
        """Numbers of the parts that were not there when the upload was opened, ascending."""
        self._hash = OrderedHash(self.parts, done, self._recall)

    def span(self, number: int) -> tuple[int, int]:
        """Where a part starts, and its length; the last is shorter."""
        start = number * self.part_size
        return start, min(self.part_size, self.size - start)

    @property
    def stored_bytes(self) -> int:
        """Bytes that were there when the upload was opened."""
        return self.size - sum(self.span(number)[1] for number in self.missing)

    @property
    def busy_s(self) -> float:
        """Seconds of work so far that more readers would not hasten."""
        return self._hash.seconds

    def write(self, number: int, data: Buffer, release: Callable[[], None] = _nothing) -> None:
        """Store a part of exactly its length. `data` is left alone until `release` is called, which is soon."""
        if len(data) != self.span(number)[1]:
            raise ValueError(f"part {number} has {len(data)} bytes, not {self.span(number)[1]}")
        self._store(number, data)
        self._hash.add(number, data, release)

    def commit(self) -> None:
        """Make the blob visible. Raises DigestMismatch when it is another, of which nothing is kept."""
        self._complete()
        found, wanted = self._hash.result() or self._read_back(), self.key[-64:]
        if found != wanted:
            self.discard()
            raise DigestMismatch(
                f"digest mismatch, file must be downloaded again: want sha256:{wanted}, got sha256:{found}"
            )
        self._publish()

    def finish(self) -> str:
        """The digest of what was written, for a blob that was begun under a digest of nothing; `publish` follows."""
        self._complete()
        return f"sha256:{self._hash.result() or self._read_back()}"

    def publish(self, digest: str) -> None:
        """Make a finished blob visible under its own digest."""
        self._rename(digest)
        self._publish()

    @abstractmethod
    def discard(self) -> None:
        """Forget what was written."""

    def close(self) -> None:  # noqa: B027
        """Let go of the upload; what was written stays."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rename(self, digest: str) -> None:
        """From now on it is this blob."""
        self.key = blob_key(digest)

    @abstractmethod
    def _store(self, number: int, data: Buffer) -> None: ...

    @abstractmethod
    def _recall(self, number: int) -> bytes | None:
        """A stored part; None where parts cannot be read."""

    @abstractmethod
    def _complete(self) -> None:
        """All parts were written: make one of them, which nobody sees yet."""

    @abstractmethod
    def _read_back(self) -> str:
        """The sha256 of what was completed, for uploads whose parts cannot be read."""

    @abstractmethod
    def _publish(self) -> None: ...
