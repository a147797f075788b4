"""An answer over HTTP whose body is read straight into its reader's memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse

from shared.catalog.source import Broken


class Answer:
    """Status, headers, and a body that is unread: read it, and `close`.

    `keep` gets a connection that can be used again.
    """

    def __init__(
        self, connection: HTTPConnection, response: HTTPResponse, keep: Callable[[HTTPConnection], None]
    ) -> None:
        self._connection, self._response, self._keep = connection, response, keep
        self._left = response.length
        """Bytes to come; None where only the end will tell."""

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> HTTPMessage:
        return self._response.headers

    def readinto(self, view: memoryview) -> int:
        """As many bytes as are there, at most what fits; 0 at the end. Raises Broken."""
        with breaking():
            if self._left is None:
                data = self._response.read1(len(view)) if view else b""
                view[: len(data)] = data
                return len(data)
            if not self._left or not view:
                return 0
            # HTTPResponse's own `readinto` waits until the view is full.
            count = self._response.fp.readinto1(view[: self._left])
        if not count:
            raise Broken("the connection ended early")
        self._left -= count
        return count

    def close(self) -> None:
        """A body that was read to its end leaves its connection to the next."""
        ended = self._left == 0 or (self._left is None and self._response.isclosed())
        self._response.close()
        if ended and not self._response.will_close:
            self._keep(self._connection)
        else:
            self._connection.close()
        self._keep = HTTPConnection.close


@contextmanager
def breaking() -> Iterator[None]:
    """What goes wrong on a connection, as Broken."""
    try:
        yield
    except TimeoutError as error:
        raise Broken("the connection stalled, or was not accepted in time") from error
    except (HTTPException, OSError) as error:
        raise Broken("the connection failed") from error


def text_of(answer: Answer, most: int) -> bytes:
    """A whole body of at most so many bytes; a longer one is cut after one more. Raises Broken."""
    data, got = memoryview(bytearray(most + 1)), 0
    try:
        while count := answer.readinto(data[got:]):
            got += count
    finally:
        answer.close()
    return bytes(data[:got])
