"""An upload into a file: of its full size from the start, with a journal of the parts that are in it.

Beside `NAME` lie `.NAME-partial` and `.NAME-parts`. The journal is the lock: it is held while an upload runs and ends
with its process. Its first line says sizes, each further one a part. A part is in the journal after it is in the file;
what a crash of the machine takes from the file all the same, the digest finds.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from shared.catalog.ordered import Buffer
from shared.catalog.store import Conflict
from shared.catalog.upload import Upload, part_bytes
from shared.errors import ServiceUnavailable

_PARTIAL, _JOURNAL = "-partial", "-parts"
_SPARE: Final = 64 << 20
"""Bytes of a disk that an upload does not count on."""


class FileUpload(Upload):
    """An Upload whose blob is the file `path`, in parts of `part_size` bytes or as large as in other stores.

    It is on the disk when `commit` returns, unless it need not be `durable`. Raises Conflict while another upload of it
    runs.
    """

    def __init__(self, path: Path, digest: str, size: int, part_size: int = 0, *, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._stored_s = 0.0
        self._partial, self._journal_path = _beside(path)
        with _disk():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._journal = _locked(self._journal_path)
            try:
                head = f"{size} {part_size or part_bytes(size)}"
                stored = self._read_journal(head)
                self._file = os.open(self._partial, os.O_RDWR | os.O_CREAT, 0o644)
                self._prepare(size)
            except BaseException:
                self._journal.close()
                raise
        super().__init__(digest, size, stored, part_size)

    def discard(self) -> None:
        with _disk():
            self._partial.unlink(missing_ok=True)
            self._journal_path.unlink(missing_ok=True)

    def close(self) -> None:
        if not self._journal.closed:
            os.close(self._file)
            self._journal.close()

    @property
    def busy_s(self) -> float:
        """A disk takes no more from several."""
        return super().busy_s + self._stored_s

    def _read_journal(self, head: str) -> set[int]:
        """Parts that are in the file. A journal of other sizes, or without its file, is begun anew."""
        self._journal.seek(0)
        lines = self._journal.read().decode("ascii", "replace").split("\n")[:-1]  # a line without an end was cut off
        if lines and lines[0] == head and self._partial.exists():
            return {int(line) for line in lines[1:] if line.isdecimal()}
        self._journal.truncate(0)
        self._journal.write(f"{head}\n".encode())
        self._journal.flush()
        self._partial.unlink(missing_ok=True)
        return set()

    def _prepare(self, size: int) -> None:
        info = os.fstat(self._file)
        missing = size - info.st_blocks * 512
        if missing > 0 and missing + _SPARE > shutil.disk_usage(self._partial.parent).free:
            raise ServiceUnavailable(f"the disk has no room for a blob of {size:,} bytes")
        os.ftruncate(self._file, size)

    def _store(self, number: int, data: Buffer) -> None:
        position, view = self.span(number)[0], memoryview(data)
        began = time.monotonic()
        with _disk():
            while view:
                written = os.pwrite(self._file, view, position)
                if self._durable:
                    _begin_sync(self._file, position, written)
                position, view = position + written, view[written:]
            os.write(self._journal.fileno(), b"%d\n" % number)
        self._stored_s += time.monotonic() - began

    def _recall(self, number: int) -> bytes | None:
        start, length = self.span(number)
        pieces = []
        with _disk():
            while length:
                piece = os.pread(self._file, length, start)
                if not piece:
                    raise ServiceUnavailable("a partial blob is shorter than it was made")
                pieces.append(piece)
                start, length = start + len(piece), length - len(piece)
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def _complete(self) -> None: ...

    def _rename(self, digest: str) -> None:
        super()._rename(digest)
        self._path = self._path.with_name(self.key.rpartition("/")[2])

    def _read_back(self) -> str:
        raise AssertionError("the parts of a file can always be read")

    def _publish(self) -> None:
        with _disk():
            if self._durable:
                os.fsync(self._file)
            self._partial.replace(self._path)
            self._journal_path.unlink()
            if self._durable:
                sync(self._path.parent)


def abandon(folder: Path, before: float, keep: Collection[str] = ()) -> int:
    """Remove partial files that nobody has written to since `before` (unix seconds) and nobody holds, but for those of
    the names in `keep`; how many."""
    removed = 0
    for journal in folder.glob(f".*{_JOURNAL}"):
        if journal.name[1:].removesuffix(_JOURNAL) in keep:
            continue
        with suppress(Conflict, FileNotFoundError), _locked(journal):
            partial = journal.with_name(journal.name.removesuffix(_JOURNAL) + _PARTIAL)
            written = max(path.stat().st_mtime for path in (journal, partial) if path.exists())
            if written <= before:
                partial.unlink(missing_ok=True)
                journal.unlink()
                removed += 1
    for partial in folder.glob(f".*{_PARTIAL}"):
        journal = partial.with_name(partial.name.removesuffix(_PARTIAL) + _JOURNAL)
        with suppress(FileNotFoundError):
            if not journal.exists() and partial.stat().st_mtime <= min(before, time.time() - 60):
                partial.unlink()
                removed += 1
    return removed


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(f".{path.name}{_PARTIAL}"), path.with_name(f".{path.name}{_JOURNAL}")


def _locked(path: Path) -> BinaryIO:
    """The journal, opened and locked. Raises Conflict when another holds it."""
    while True:
        file = path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except BlockingIOError:
            file.close()
            raise Conflict(f"{path.name[1:].removesuffix(_JOURNAL)} is being written by another process") from None
        except FileNotFoundError:
            pass
        file.close()  # its holder finished and removed it between the two calls


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begin_sync(file: int, start: int, length: int) -> None:
    """Let the disk begin with what was just written, so that there is little to wait for at the end.

    Linux takes the advice so: what is not on the disk yet is sent there, and stays in memory.
    """
    if sys.platform == "linux":
        os.posix_fadvise(file, start, length, os.POSIX_FADV_DONTNEED)


@contextmanager
def _disk() -> Iterator[None]:
    """A failure of the disk, told without its paths."""
    try:
        yield
    except OSError as error:
        raise ServiceUnavailable(f"the disk failed: {error.strerror or error}") from error
