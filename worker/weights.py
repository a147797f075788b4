"""Weights as the engine needs them: files on this machine's disk, of a catalog that may be elsewhere.

A directory's blobs are used in place. S3's are downloaded in parallel ranges into a folder that all workers of the
machine share. What is used holds a shared lock on its file, across processes and until its holder ends; what nobody
holds is removed when room is needed, the one that was not used for longest first.
"""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Final

from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import Layer, blob_key
from shared.catalog.partial import FileUpload
from shared.catalog.registry.blob import UrlSource
from shared.catalog.registry.http import Http
from shared.catalog.source import Broken, Pace, Source, Stream
from shared.catalog.store import Conflict, Store
from shared.catalog.transfer import transfer
from shared.catalog.upload import DigestMismatch
from shared.errors import Cancelled, ModelUnavailable

UNBOUNDED: Final = 1 << 62
PART: Final = 16 << 20
"""Bytes of one request (16 MiB): a worker has the memory for eight of them, and S3 answers few large ones fastest."""

_PACE: Final = Pace(parts=8, memory=8 * PART)
_STALL_S: Final = 30.0
_URL_S: Final = 6 * 3600
_SPARE: Final = 1 << 30
"""Bytes of the disk that are left to others."""


def _boot() -> str:
    """What this run of the machine is called; empty where the system does not say."""
    name = Path("/proc/sys/kernel/random/boot_id")
    return name.read_text().strip() if name.exists() else ""


BOOT: Final = _boot()


def unseen(completed: int, total: int) -> None:
    """Nobody watches."""


class Weights:
    """Paths of blobs. `most` is how many bytes the folder may hold. For several threads."""

    def __init__(self, store: Store, folder: Path, most: int = UNBOUNDED) -> None:
        self._store = store
        self._folder = folder
        self._most = most
        self._held: dict[str, BufferedReader] = {}
        self._lock = threading.Lock()

    def blob_path(
        self,
        layer: Layer,
        progress: Callable[[int, int], None] = unseen,
        stop: threading.Event | None = None,
    ) -> Path:
        """The file of a layer, which stays until `release`. Blocks while it is downloaded; `progress` gets the bytes
        that are there and their total, in several threads.

        Raises ModelUnavailable when the blob is not in the catalog, damaged there, or has no room here, Cancelled
        after `stop`, and ServiceUnavailable when the catalog cannot be reached; a later call goes on where this one
        stopped. A file that was changed since it was checked is checked again, and fetched again if it is damaged.
        """
        key = blob_key(layer.digest)
        if isinstance(self._store, DirectoryStore):
            path = self._store.path(key)
            if not path.is_file():
                raise ModelUnavailable(f"{layer.digest} is not in the catalog")
            return path
        path = self._folder / key.removeprefix("blobs/")
        stop = stop or threading.Event()
        while not self._hold(path, layer):
            try:
                self._fetch(layer, path, progress, stop)
            except Conflict:  # another worker of this machine downloads it
                if stop.wait(0.2):
                    raise Cancelled("the download was stopped") from None
        progress(layer.size, layer.size)
        return path

    def release(self, layer: Layer) -> None:
        """The file is not needed any more: it may be removed for another."""
        with self._lock:
            file = self._held.pop(blob_key(layer.digest).removeprefix("blobs/"), None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            while self._held:
                self._held.popitem()[1].close()

    def __del__(self) -> None:
        self.close()

    def _hold(self, path: Path, layer: Layer) -> bool:
        """Take hold of a file that is there and sound."""
        with self._lock:
            if path.name in self._held:
                return True
            try:
                file = path.open("rb")
            except FileNotFoundError:
                return False
            fcntl.flock(file, fcntl.LOCK_SH)
            if not path.exists() or not _sound(file, path, layer):
                file.close()
                return False
            os.utime(path, times=None)
            _stamp(path)
            self._held[path.name] = file
            return True

    def _fetch(self, layer: Layer, path: Path, progress: Callable[[int, int], None], stop: threading.Event) -> None:
        entry = self._store.head(blob_key(layer.digest))
        if entry is None or entry.size != layer.size:
            raise ModelUnavailable(f"{layer.digest} is not in the catalog, or has another size")
        self._make_room(layer.size)
        with FileUpload(path, layer.digest, layer.size, PART, durable=not BOOT) as upload:
            if path.exists():
                return
            there, lock = upload.stored_bytes, threading.Lock()

            def arrived(count: int) -> None:
                nonlocal there
                with lock:
                    there += count
                progress(there, layer.size)

            with _Opened(self._store, layer) as source:
                transfer(source, upload, _PACE, arrived, stop)
            try:
                upload.commit()
            except DigestMismatch as error:
                raise ModelUnavailable(f"{layer.digest} is damaged in the catalog: {error.message}") from None
            _stamp(path)

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest until a blob of `size` bytes fits. Raises ModelUnavailable."""
        self._folder.mkdir(parents=True, exist_ok=True)
        files = []
        for path in self._folder.glob("sha256-*"):
            with suppress(FileNotFoundError):
                if not path.suffix:
                    files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        used = sum(length for _, length, _ in files)
        most = min(self._most, used + max(0, shutil.disk_usage(self._folder).free - _SPARE))
        for _, length, path in sorted(files):
            if used + size <= most:
                return
            if _removed(path):
                used -= length
        if used + size > most:
            raise ModelUnavailable(
                f"no room for weights of {size:,} bytes: {used:,} of {most:,} are in use; see PUNA_WEIGHTS_BYTES"
            )


class _Opened:
    """A blob of a store as a Source."""

    def __init__(self, store: Store, layer: Layer) -> None:
        self._http = Http(None, _STALL_S, http=True)
        url = store.url(blob_key(layer.digest), _URL_S)
        self._source: Source = UrlSource(self._http, url, layer.size) if url else _Ranges(store, layer)

    def __enter__(self) -> Source:
        return self._source

    def __exit__(self, *_: object) -> None:
        self._http.close()


class _Ranges:
    """A Source of a store that has no URLs."""

    def __init__(self, store: Store, layer: Layer) -> None:
        self._store, self._key = store, blob_key(layer.digest)

    def open(self, start: int, end: int) -> Stream:
        data = self._store.get_range(self._key, start, end - start)
        if not data:
            raise Broken("the catalog gave nothing")
        return _Read(start, data)

    def abort(self) -> None: ...


class _Read:
    """A Stream of bytes that are here."""

    whole = False

    def __init__(self, start: int, data: bytes) -> None:
        self.start, self.end = start, start + len(data)
        self._left = memoryview(data)

    def readinto(self, view: memoryview) -> int:
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None: ...


def _stamp(path: Path) -> None:
    """Write down what a checked file looks like."""
    path.with_name(f"{path.name}.checked").write_text(_look(path.stat()))


def _look(info: os.stat_result) -> str:
    """A file as it is in this run of the machine: what is not on the disk yet when the machine stops is lost, and no
    start of an engine waits for the disk, so after a restart everything is checked again."""
    return f"{info.st_size} {info.st_mtime_ns} {info.st_ino} {BOOT}"


def _sound(file: BufferedReader, path: Path, layer: Layer) -> bool:
    """Whether a file is what was checked, or passes the check now. One that does not is removed."""
    info = path.stat()
    with suppress(FileNotFoundError):
        if path.with_name(f"{path.name}.checked").read_text() == _look(info) and info.st_size == layer.size:
            return True
    if info.st_size == layer.size and hashlib.file_digest(file, "sha256").hexdigest() == layer.digest[-64:].lower():
        return True
    path.unlink(missing_ok=True)
    return False


def _removed(path: Path) -> bool:
    """Remove a file unless somebody holds it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            path.with_name(f"{path.name}.checked").unlink(missing_ok=True)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass
    return True
