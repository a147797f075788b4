"""A digest of parts that arrive in any order."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview

AHEAD: Final = 16
"""Parts that are held until their turn comes; further ones are recalled from where they were stored."""


class OrderedHash:
    """sha256 over numbered parts. Whoever brings the part whose turn it is also hashes those that waited for it.

    `stored` are parts that are there already. `recall` reads a stored part, or gives None where that is not possible:
    then the digest is lost, and `result` is None.
    """

    def __init__(self, parts: int, stored: Iterable[int], recall: Callable[[int], bytes | None]) -> None:
        self._parts = parts
        self._stored = set(stored)
        self._recall = recall
        self._sum = hashlib.sha256()
        self.seconds = 0.0
        """What hashing has taken so far."""
        self._next = 0
        self._waiting: dict[int, tuple[Buffer, Callable[[], None]]] = {}
        self._lost = False
        self._busy = False
        self._lock = threading.Lock()

    def add(self, number: int, data: Buffer, release: Callable[[], None]) -> None:
        """Take a part that has been stored. `release` is called once its memory is not needed any more."""
        with self._lock:
            keep = not self._lost and (number == self._next or len(self._waiting) < AHEAD)
            if keep:
                self._waiting[number] = (data, release)
            else:
                self._stored.add(number)
        if not keep:
            release()
        self._advance()

    def result(self) -> str | None:
        """64 hex digits. Call it once all parts were added."""
        self._advance()
        with self._lock:
            if self._lost:
                return None
            assert self._next == self._parts, "a part is missing"
            return self._sum.hexdigest()

    def _advance(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy = True
        try:
            while self._step():
                pass
        except BaseException:
            self._busy = False
            raise

    def _step(self) -> bool:
        """Hash the next part. False, and no longer busy, when it is not there yet."""
        with self._lock:
            number = self._next
            found = self._waiting.pop(number, None)
            if self._lost or (found is None and number not in self._stored):
                self._busy = False
                return False
        data = found[0] if found else self._recall(number)
        if data is None:
            self.lose()
            return True
        began = time.monotonic()
        self._sum.update(data)
        self.seconds += time.monotonic() - began
        if found:
            found[1]()
        with self._lock:
            self._next += 1
        return True

    def lose(self) -> None:
        """Give up: there will be no digest."""
        with self._lock:
            self._lost = True
            waiting, self._waiting = self._waiting, {}
        for _, release in waiting.values():
            release()
