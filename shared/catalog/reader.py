"""Reading from a source: goes on with an open stream where that is possible, and tries again where it broke."""

import random
from collections.abc import Callable
from typing import Final

from shared.catalog.source import Broken, Pace, Source, Stream
from shared.errors import Cancelled, ServiceUnavailable

_PIECE: Final = 256 << 10
"""Bytes read at once: between two pieces a transfer can be stopped."""

_LONGEST_PAUSE_S: Final = 60.0


class Reader:
    """One connection's worth of reading: goes on with an open stream where it can, opens another where it must.

    `arrived` gets numbers of bytes; `wait` waits some seconds and says whether the transfer is to end.
    """

    def __init__(
        self, source: Source, pace: Pace, arrived: Callable[[int], None], wait: Callable[[float], bool]
    ) -> None:
        self._source, self._pace, self._arrived, self._wait = source, pace, arrived, wait
        self._stream: Stream | None = None
        self._at = 0
        self._failures = 0

    def begin(self, start: int, end: int) -> bool:
        """Open the first stream. True when it begins at 0 whatever is asked: there is no use in a second one."""
        while True:
            self._check()
            try:
                return self._opened(start, end).whole
            except Broken as error:
                self._failed(error)

    def fill(self, start: int, view: memoryview) -> None:
        """Read the bytes from `start` that fill a view."""
        got, end = 0, start + len(view)
        while got < len(view):
            self._check()
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
            self._arrived(count)

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
            stream = self._stream = self._source.open(start, end)
            self._at = stream.start
        self._skip(stream, start)
        return stream

    def _skip(self, stream: Stream, start: int) -> None:
        scratch = memoryview(bytearray(min(_PIECE, start - self._at)))
        while self._at < start:
            self._check()
            count = stream.readinto(scratch[: start - self._at])
            if not count:
                raise Broken("the connection ended early")
            self._at += count

    def _failed(self, error: Broken) -> None:
        """Pause before the next attempt. Raises ServiceUnavailable after the last one."""
        self.close()
        self._check()
        self._failures += 1
        pace = self._pace
        if self._failures >= pace.tries:
            raise ServiceUnavailable(f"the download failed {self._failures} times without progress: {error}") from None
        longest = min(_LONGEST_PAUSE_S, pace.backoff_s * 2 ** (self._failures - 1))
        self._wait(max(error.retry_after_s, longest * random.uniform(0.5, 1.0)))  # noqa: S311 no secret

    def _check(self) -> None:
        if self._wait(0):
            raise Cancelled("the transfer was stopped")
