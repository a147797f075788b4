"""What the catalog needs from the place that remembers: blocking calls, alike for S3 and a directory."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from shared.errors import PunaError
from shared.settings import SettingError, Settings

if TYPE_CHECKING:
    from shared.catalog.upload import Upload


class Conflict(PunaError):
    """A conditional write came too late: another writer has been there."""

    status: ClassVar[int] = 409
    type: ClassVar[str] = "invalid_request_error"
    default_code: ClassVar[str | None] = "conflict"


class Object(NamedTuple):
    """A small object, read whole. `modified` is unix seconds."""

    data: bytes
    etag: str
    modified: float


class Entry(NamedTuple):
    """What is known of an object without its content: size in bytes, `modified` in unix seconds."""

    key: str
    size: int
    etag: str
    modified: float


class Store(Protocol):
    """Objects by key. Keys are `/`-separated parts (see `key_parts`); any other key raises ValueError.

    A writer is seen whole or not at all. Every call may raise ServiceUnavailable; all of them block.
    """

    def get(self, key: str) -> Object | None: ...

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """At most `length` bytes from `start`; empty past the end; None when there is no such object."""

    def head(self, key: str) -> Entry | None: ...

    def put(self, key: str, data: bytes, *, if_none_match: bool = False, if_match: str | None = None) -> str:
        """Write, and return the new ETag.

        Raises Conflict with `if_none_match` when the object exists, and with `if_match` when its ETag is not
        that one.
        """

    def put_file(self, key: str, source: Path, *, move: bool = False) -> None:
        """Write a file's content. With `move` the source is gone afterwards, which may save the copy."""

    def upload(self, digest: str, size: int) -> "Upload":
        """Begin a blob of `size` bytes, or go on with what an earlier upload of it left.

        Raises Conflict while another process writes it to a directory, and ValueError for what is no digest.
        """

    def abandon(self, before: float, keep: Collection[str] = ()) -> int:
        """Remove unfinished uploads that are older than `before` (unix seconds), but for those of the keys in `keep`;
        how many. One that a directory's writer holds stays too."""

    def url(self, key: str, seconds: int) -> str | None:
        """Where anybody can GET an object, in ranges too, for so long; None where there is no such place."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects whose key starts with a prefix, ordered by key."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def ping(self) -> None:
        """Raises ServiceUnavailable when the store cannot be reached."""


def key_parts(key: str) -> tuple[str, ...]:
    """A key's parts. Raises ValueError for an empty part or a leading dot in one, for NUL and backslash."""
    parts = tuple(key.split("/"))
    if any(not part or part[0] == "." or "\0" in part or "\\" in part for part in parts):
        raise ValueError(f"invalid key {key!r}")
    return parts


def open_store(settings: Settings) -> Store:
    """The store that `PUNA_CATALOG` names; its directory is made. Raises SettingError for another URL."""
    return _open(settings.catalog_url, "PUNA_CATALOG", settings)


def open_state(settings: Settings) -> Store:
    """The store that `PUNA_STATE` names: its directory, which will hold prompts, is made for its owner alone."""
    return _open(settings.state_url, "PUNA_STATE", settings, mode=0o700)


def _open(url: str, variable: str, settings: Settings, mode: int = 0o777) -> Store:
    scheme, separator, rest = url.partition("://")
    if not separator:
        from shared.catalog.directory import DirectoryStore

        root = Path(url).expanduser().absolute()
        root.mkdir(mode=mode, parents=True, exist_ok=True)
        return DirectoryStore(root)
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise SettingError(f"{variable}={url!r}: must be a directory or s3://bucket/prefix")
    from shared.catalog.s3 import S3Store

    return S3Store(bucket, prefix, endpoint=settings.s3_endpoint)
