"""Bytes from a source into an upload: many parts at once, each resumed where its connection broke.

A part is in memory from its first byte until it is stored and hashed. Parts begin in order, and no part begins without
a buffer of its own: that bounds the memory, however late one of them is.
"""

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from shared.catalog.upload import Upload
from shared.errors import Cancelled, ServiceUnavailable

MEMORY: Final = 80 << 20
"""Bytes that the parts of one transfer may take: with boto3 loaded the process stays under 200 MB."""

_PIECE: Final = 256 << 10
"""Bytes read at once: between two pieces a transfer can be stopped."""

_LONGEST_PAUSE_S: Final = 60.0


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


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard to try: parts at once, attempts without a byte of progress, the first pause between them (s), and the
    memory that the parts may take (bytes)."""

    parts: int = 16
    tries: int = 6
    backoff_s: float = 1.0
    memory: int = MEMORY


def transfer(source: Source, upload: Upload, pace: Pace, arrived: Callable[[int], None], stop: threading.Event) -> None:
    """Bring the parts that an upload misses; the caller commits. `arrived` gets numbers of bytes, in any thread.

    Raises Cancelled after `stop`, ServiceUnavailable when the source kept failing, and what it raises.
    """
    if upload.missing:
        _Transfer(source, upload, pace, arrived, stop).run()


class _Transfer:
    def __init__(
        self, source: Source, upload: Upload, pace: Pace, arrived: Callable[[int], None], stop: threading.Event
    ) -> None:
        self.source, self._upload, self.pace, self.arrived, self._stop = source, upload, pace, arrived, stop
        self._left = list(reversed(upload.missing))
        self._turn = threading.Lock()
        self._error: BaseException | None = None
        largest = upload.span(0)[1]
        count = max(2, min(self.pace.parts, upload.at_once, self.pace.memory // max(1, largest)))
        self._threads = min(self.pace.parts, count, len(upload.missing))
        self._buffers: queue.LifoQueue[bytearray | None] = queue.LifoQueue()
        for _ in range(min(count, len(upload.missing))):
            self._buffers.put(bytearray(largest))

    def run(self) -> None:
        """This thread takes the first part, and the others join when the source turns out to know ranges."""
        first = _Reader(self)
        helpers: list[threading.Thread] = []
        try:
            taken = self._take()
            if taken:
                start, length = self._upload.span(taken[0])
                if length and not first.begin(start, start + length):
                    helpers = [threading.Thread(target=self._help, daemon=True) for _ in range(self._threads - 1)]
                    for helper in helpers:
                        helper.start()
            self._work(first, taken)
        except BaseException as error:
            self._fail(error)
        finally:
            first.close()
            for helper in helpers:
                helper.join()
        if self._error is not None:
            raise self._error

    @property
    def stopped(self) -> bool:
        return self._error is not None or self._stop.is_set()

    def _help(self) -> None:
        reader = _Reader(self)
        try:
            self._work(reader, self._take())
        except BaseException as error:
            self._fail(error)
        finally:
            reader.close()

    def _take(self) -> tuple[int, bytearray] | None:
        """The lowest part that nobody has, with a buffer, both together: the part all others wait for never waits."""
        with self._turn:
            buffer = self._buffers.get()
            if buffer is None or not self._left:
                self._buffers.put(buffer)
                return None
            return self._left.pop(), buffer

    def _work(self, reader: "_Reader", taken: tuple[int, bytearray] | None) -> None:
        while taken:
            number, buffer = taken
            start, length = self._upload.span(number)
            view = memoryview(buffer)[:length]
            reader.fill(start, view)
            self._upload.write(number, view, partial(self._buffers.put, buffer))
            taken = self._take()

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._buffers.put(None)  # wakes who waits for one

    def check(self) -> None:
        if self.stopped:
            raise Cancelled("the transfer was stopped")

    def wait(self, seconds: float) -> None:
        """Wait; the end of the transfer ends it."""
        waited = 0.0
        while waited < seconds and not self.stopped:
            self._stop.wait(min(0.2, seconds - waited))
            waited += 0.2


class _Reader:
    """One connection's worth of reading: goes on with an open stream where it can, opens another where it must."""

    def __init__(self, transfer: _Transfer) -> None:
        self._transfer = transfer
        self._stream: Stream | None = None
        self._at = 0
        self._failures = 0

    def begin(self, start: int, end: int) -> bool:
        """Open the first stream. True when it begins at 0 whatever is asked: there is no use in a second one."""
        while True:
            self._transfer.check()
            try:
                return self._opened(start, end).whole
            except Broken as error:
                self._failed(error)

    def fill(self, start: int, view: memoryview) -> None:
        """Read the bytes from `start` that fill a view."""
        got, end = 0, start + len(view)
        while got < len(view):
            self._transfer.check()
            try:
                stream = self._opened(start + got, end)
                count = stream.readinto(view[got : got + _PIECE])
                if not count:
                    raise Broken("the connection ended early")
            except Broken as error:
                self._failed(error)
                continue
            got, self._at = got + count, self._at + count
            self._failures = 0
            self._transfer.arrived(count)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _opened(self, start: int, end: int) -> Stream:
        """A stream that stands at `start`."""
        stream = self._stream
        ahead = stream is not None and stream.whole and self._at < start
        if stream is None or start >= stream.end or not (self._at == start or ahead):
            self.close()
            stream = self._stream = self._transfer.source.open(start, end)
            self._at = stream.start
        self._skip(stream, start)
        return stream

    def _skip(self, stream: Stream, start: int) -> None:
        scratch = memoryview(bytearray(min(_PIECE, start - self._at)))
        while self._at < start:
            self._transfer.check()
            count = stream.readinto(scratch[: start - self._at])
            if not count:
                raise Broken("the connection ended early")
            self._at += count

    def _failed(self, error: Broken) -> None:
        """Pause before the next attempt. Raises ServiceUnavailable after the last one."""
        self.close()
        self._failures += 1
        pace = self._transfer.pace
        if self._failures >= pace.tries:
            raise ServiceUnavailable(f"the download failed {self._failures} times without progress: {error}") from None
        longest = min(_LONGEST_PAUSE_S, pace.backoff_s * 2 ** (self._failures - 1))
        self._transfer.wait(max(error.retry_after_s, longest * random.uniform(0.5, 1.0)))  # noqa: S311 no secret
