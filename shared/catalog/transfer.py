"""Bytes from a source into an upload: many parts at once, each resumed where its connection broke.

A part is in memory from its first byte until it is stored and hashed. Parts begin in order, and no part begins without
a buffer of its own: that bounds the memory, however late one of them is.
"""

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from shared.catalog.reader import Reader
from shared.catalog.source import Pace, Source
from shared.catalog.upload import Upload

_APART_S: Final = 0.05
"""How long readers work before the next may join them (s)."""


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
        self._source, self._upload, self._pace, self._arrived, self._stop = source, upload, pace, arrived, stop
        self._left = list(reversed(upload.missing))
        self._turn = threading.Lock()
        self._error: BaseException | None = None
        largest = upload.span(0)[1]
        count = max(2, min(self._pace.parts, upload.at_once, self._pace.memory // max(1, largest)))
        self._most = min(self._pace.parts, count, len(upload.missing))
        self._buffers: queue.LifoQueue[bytearray | None] = queue.LifoQueue()
        for _ in range(min(count, len(upload.missing))):
            self._buffers.put(bytearray(largest))
        self._allowed = 1
        """Readers that may be: one until the source turns out to know ranges."""
        self._readers = 0
        self._count = threading.Lock()
        self._news = threading.Event()

    def run(self) -> None:
        """Readers on threads of their own. This one adds others while they bring less than can be hashed and written,
        since more would only be in the way, and ends what they wait for when the transfer is stopped."""
        threads = [self._begin(self._first)]
        while self._readers:
            since, busy_s = time.monotonic(), self._upload.busy_s
            self._news.wait(_APART_S)
            self._news.clear()
            busy = self._upload.busy_s - busy_s > (time.monotonic() - since) / 2
            if self._stopped:
                self._source.abort()
            elif len(threads) < self._allowed and not busy:
                threads.append(self._begin(self._next))
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    @property
    def _stopped(self) -> bool:
        return self._error is not None or self._stop.is_set()

    def _begin(self, work: Callable[[Reader], None]) -> threading.Thread:
        with self._count:
            self._readers += 1
        thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        thread.start()
        return thread

    def _run(self, work: Callable[[Reader], None]) -> None:
        reader = Reader(self._source, self._pace, self._arrived, self._wait)
        try:
            work(reader)
        except BaseException as error:
            self._fail(error)
        finally:
            reader.close()
            with self._count:
                self._readers -= 1
            self._news.set()

    def _first(self, reader: Reader) -> None:
        taken = self._take()
        if taken:
            start, length = self._upload.span(taken[0])
            if length and not reader.begin(start, start + length):
                self._allowed = self._most
                self._news.set()
        self._work(reader, taken)

    def _next(self, reader: Reader) -> None:
        self._work(reader, self._take())

    def _take(self) -> tuple[int, bytearray] | None:
        """The lowest part that nobody has, with a buffer, both together: the part all others wait for never waits."""
        with self._turn:
            buffer = self._buffers.get()
            if buffer is None or not self._left:
                self._buffers.put(buffer)
                return None
            return self._left.pop(), buffer

    def _work(self, reader: Reader, taken: tuple[int, bytearray] | None) -> None:
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

    def _wait(self, seconds: float) -> bool:
        """Wait, at most until the transfer is to end: then True."""
        until = time.monotonic() + seconds
        while not self._stopped and (left := until - time.monotonic()) > 0:
            self._stop.wait(min(0.2, left))
        return self._stopped
