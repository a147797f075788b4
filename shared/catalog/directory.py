"""The catalog in a directory: a laptop's store, laid out as Ollama lays out its own."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from shared.catalog.lock import locked
from shared.catalog.manifest import blob_key
from shared.catalog.partial import FileUpload, abandon, sync
from shared.catalog.store import Conflict, Entry, Object, key_parts
from shared.errors import ServiceUnavailable

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

T = TypeVar("T")


class DirectoryStore:
    """A Store. Files are never changed in place: a new version is a new file under the old name.

    Names that begin with a dot (temporary files, the writers' lock) are no keys and are never listed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """The file of a key, there or not, always inside the root. Raises ValueError for an invalid key."""
        return self.root.joinpath(*key_parts(key))

    def get(self, key: str) -> Object | None:
        def read(path: Path) -> Object:
            with path.open("rb") as file:
                info = os.fstat(file.fileno())
                return Object(file.read(), _etag(info), info.st_mtime)

        return _unless_absent(read, self.path(key))

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        def read(path: Path) -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(length)

        return _unless_absent(read, self.path(key))

    def head(self, key: str) -> Entry | None:
        def read(path: Path) -> Entry | None:
            info = path.stat()
            return _entry(key, info) if path.is_file() else None

        return _unless_absent(read, self.path(key))

    def put(self, key: str, data: bytes, *, if_none_match: bool = False, if_match: str | None = None) -> str:
        path = self.path(key)
        with _reachable(), _temporary(path) as temporary:
            temporary.write_bytes(data)
            sync(temporary)
            with self._writing():
                self._check(key, if_none_match, if_match)
                temporary.replace(path)
                sync(path.parent)
                return _etag(path.stat())

    def put_file(self, key: str, source: Path, *, move: bool = False) -> None:
        path = self.path(key)
        with _reachable(), _temporary(path) as temporary:
            if not (move and _renamed(source, temporary)):
                shutil.copyfile(source, temporary)
            sync(temporary)
            with self._writing():
                temporary.replace(path)
                sync(path.parent)
            if move:
                source.unlink(missing_ok=True)

    def upload(self, digest: str, size: int) -> FileUpload:
        return FileUpload(self.path(blob_key(digest)), digest, size)

    def abandon(self, before: float, keep: Collection[str] = ()) -> int:
        with _reachable():
            return abandon(self.root / "blobs", before, {key.removeprefix("blobs/") for key in keep})

    def url(self, key: str, seconds: int) -> None:
        return None

    def list(self, prefix: str) -> Iterator[Entry]:
        folder = prefix.rpartition("/")[0]
        with _reachable():
            yield from sorted(self._walk(self.path(folder) if folder else self.root, prefix))

    def delete(self, key: str) -> None:
        path = self.path(key)
        with _reachable():
            try:
                with self._writing():
                    path.unlink()
            except _ABSENT:
                return

    def ping(self) -> None:
        if not os.access(self.root, os.R_OK | os.X_OK) or not self.root.is_dir():
            raise ServiceUnavailable("the model catalog's directory cannot be read")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time between a condition's check and its rename."""
        with locked(self.root / ".lock"):
            yield

    def _check(self, key: str, if_none_match: bool, if_match: str | None) -> None:
        if not if_none_match and if_match is None:
            return
        found = self.head(key)
        if (if_none_match and found) or (if_match is not None and (not found or found.etag != if_match)):
            raise Conflict(f"{key} was changed by another writer")

    def _walk(self, folder: Path, prefix: str) -> Iterator[Entry]:
        for parent, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name[0] != "."]
            for name in names:
                path = Path(parent, name)
                key = path.relative_to(self.root).as_posix()
                if name[0] == "." or not key.startswith(prefix):
                    continue
                try:
                    yield _entry(key, path.stat())
                except FileNotFoundError:
                    continue  # deleted since the directory was read


def _etag(info: os.stat_result) -> str:
    """Differs between any two versions that followed each other: both files existed at the rename."""
    return f"{info.st_mtime_ns:x}-{info.st_size:x}-{info.st_ino:x}"


def _entry(key: str, info: os.stat_result) -> Entry:
    return Entry(key, info.st_size, _etag(info), info.st_mtime)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A name beside a file for its next version; what is left there at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _renamed(source: Path, target: Path) -> bool:
    """False when the two are on different file systems."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _unless_absent(read: Callable[[Path], T], path: Path) -> T | None:
    """What `read` makes of a file; None when there is none, or can be none of such a name."""
    with _reachable():
        try:
            return read(path)
        except _ABSENT:
            return None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return None


@contextmanager
def _reachable() -> Iterator[None]:
    """Any other failure of the disk is the catalog's, told without its paths."""
    try:
        yield
    except OSError as error:
        raise ServiceUnavailable(f"the model catalog failed: {error.strerror or error}") from error
