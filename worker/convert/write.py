"""A laid-out file into a store, while it is made: a few parts are in memory and nothing on this machine's disk."""

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from shared.catalog.lease import Lease
from shared.catalog.manifest import digest_of
from shared.catalog.store import Store
from shared.catalog.upload import Upload
from shared.errors import Cancelled
from worker.convert import encode
from worker.convert.model import Model

T = TypeVar("T")

_AT_ONCE: Final = 3
"""Parts that are being stored, each with a copy in memory, while the next one is made."""

_WAIT_S: Final = 5.0
"""Between two words that the store is still at it."""


def write(
    store: Store, model: Model, lease: Lease, tell: Callable[[int, int], None], stop: threading.Event
) -> tuple[str, int]:
    """Digest and size of the blob that was made. `tell` gets its bytes so far, and all.

    `lease` is renewed, and holds the blob from before it is there. Raises Cancelled after `stop`, ServiceUnavailable,
    and what reading the source raises; nothing is left then.
    """
    size = encode.total(model.pairs, model.tensors)
    place = digest_of(secrets.token_bytes(32))  # the blob's own digest will be known at its end
    lease.hold([place])
    with store.upload(place, size) as upload, ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            _store(upload, pool, content(model), lambda done: _pulse(lease, tell, done, size, stop))

            def patiently(call: Callable[[], T]) -> T:
                """What the store may take minutes for, without falling silent."""
                future = pool.submit(call)
                while not wait([future], _WAIT_S).done:
                    _pulse(lease, tell, size, size, stop)
                return future.result()

            digest = patiently(upload.finish)
            lease.hold([digest])
            patiently(lambda: upload.publish(digest))
            return digest, size
        except BaseException:
            upload.discard()
            raise


def content(model: Model) -> Iterator[bytes]:
    """The file from its first byte to its last."""
    yield encode.header(model.pairs, model.tensors)
    for tensor in model.tensors:
        yield from tensor.pieces()
        yield bytes(encode.padded(tensor.size) - tensor.size)


def _store(upload: Upload, pool: ThreadPoolExecutor, data: Iterator[bytes], pulse: Callable[[int], None]) -> None:
    storing: set[Future[None]] = set()
    for number, part in enumerate(_parts(data, upload)):
        storing.add(pool.submit(upload.write, number, part))
        if len(storing) >= _AT_ONCE:
            storing = _landed(storing)
        pulse(upload.span(number)[0] + len(part))
    while storing:
        storing = _landed(storing)


def _landed(storing: set[Future[None]]) -> set[Future[None]]:
    """Those that still go on when one is done. Raises what it raised."""
    done, others = wait(storing, return_when="FIRST_COMPLETED")
    for each in done:
        each.result()
    return others


def _parts(data: Iterator[bytes], upload: Upload) -> Iterator[bytes]:
    """The same bytes in the upload's parts."""
    gathered = bytearray()
    for piece in data:
        gathered += piece
        while len(gathered) >= upload.part_size:
            yield bytes(gathered[: upload.part_size])
            del gathered[: upload.part_size]
    if gathered:
        yield bytes(gathered)


def _pulse(lease: Lease, tell: Callable[[int, int], None], done: int, size: int, stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled("the conversion was stopped")
    lease.renew()
    tell(done, size)
