"""Downloads that several pulls of one process share: whoever asks for a digest that is on its way waits for it."""

import threading
from collections.abc import Callable
from typing import Final

from shared.catalog.store import Store
from shared.errors import Cancelled

_LOOK_S: Final = 0.06
"""How often a waiting pull tells its progress (s)."""


class Flight:
    """One download on a thread of its own. It is stopped when the last of those who wait for it leaves."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.waiting = 0
        self.error: BaseException | None = None
        self._ended = threading.Event()
        self._completed = 0
        self._lock = threading.Lock()

    @property
    def completed(self) -> int:
        return self._completed

    def arrived(self, count: int) -> None:
        with self._lock:
            self._completed += count

    def run(self, work: "Callable[[Flight], None]") -> None:
        try:
            work(self)
        except BaseException as error:
            self.error = error
        finally:
            self._ended.set()

    def wait(self, tell: Callable[[int], None], stopped: Callable[[], bool]) -> None:
        """Until it has landed. Raises Cancelled, or what the download raised."""
        while not self._ended.wait(_LOOK_S):
            tell(self._completed)
            if stopped():
                raise Cancelled("the transfer was stopped")
        if self.error is not None:
            raise self.error
        tell(self._completed)


_flights: dict[tuple[Store, str], Flight] = {}
_lock = threading.Lock()


def share(
    store: Store,
    digest: str,
    work: Callable[[Flight], None],
    tell: Callable[[int], None],
    stopped: Callable[[], bool],
) -> None:
    """Do the work for a digest, or wait for who does it already. One that failed for another is tried again."""
    while True:
        flight, own = _board(store, digest, work)
        try:
            flight.wait(tell, stopped)
            return
        except Exception:
            if own or stopped():
                raise
        finally:
            _leave(store, digest, flight)


def _board(store: Store, digest: str, work: Callable[[Flight], None]) -> tuple[Flight, bool]:
    with _lock:
        flight = _flights.get((store, digest))
        own = flight is None or flight.stop.is_set() or flight.error is not None
        if flight is None or own:
            flight = _flights[(store, digest)] = Flight()
            threading.Thread(target=flight.run, args=(work,), name=f"pull-{digest[7:19]}", daemon=True).start()
        flight.waiting += 1
        return flight, own


def _leave(store: Store, digest: str, flight: Flight) -> None:
    with _lock:
        flight.waiting -= 1
        if not flight.waiting:
            flight.stop.set()
            if _flights.get((store, digest)) is flight:
                del _flights[(store, digest)]
