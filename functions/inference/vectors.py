"""The vectors of one request, from a worker's events to the answer's `data`. Pure, and without numpy: a function's
package stays small.

Rows travel as little-endian float32, which is also what `encoding_format: "base64"` asks for.
"""

import base64
import math
import sys
from array import array
from collections.abc import Iterator
from typing import Any

from shared.errors import EngineFailed, InvalidRequest
from shared.frames import Vectors

_BYTES = 4


class Rows:
    """Vectors in the order of their inputs."""

    def __init__(self, dimensions: int | None) -> None:
        self._dimensions = dimensions
        self._rows: dict[int, bytes] = {}

    def clear(self) -> None:
        """Start again: another worker does the job anew."""
        self._rows.clear()

    def add(self, vectors: Vectors) -> None:
        """Take rows in. Raises InvalidRequest when more dimensions are asked for than they have, or when one is not
        finite, EngineFailed when they are not `count` rows."""
        data = base64.b64decode(vectors.data)
        width, odd = divmod(len(data), max(vectors.count, 1))
        if odd or width % _BYTES or not width:
            raise EngineFailed("the engine's vectors are of the wrong size")
        check_dimensions(self._dimensions, width // _BYTES)
        for index in range(vectors.count):
            row = data[index * width : (index + 1) * width]
            self._rows[vectors.first + index] = shortened(row, self._dimensions)

    def data(self, count: int, *, as_base64: bool) -> list[dict[str, Any]]:
        """OpenAI's embedding objects. Raises EngineFailed when one of `count` is missing."""
        if len(self._rows) != count:
            raise EngineFailed(f"the engine gave {len(self._rows)} of {count} vectors")
        return [
            {"object": "embedding", "index": index, "embedding": embedding}
            for index, embedding in enumerate(self._embeddings(count, as_base64=as_base64))
        ]

    def _embeddings(self, count: int, *, as_base64: bool) -> Iterator[str | list[float]]:
        for index in range(count):
            row = self._rows[index]
            yield base64.b64encode(row).decode() if as_base64 else floats(row).tolist()


def check_dimensions(asked: int | None, native: int) -> None:
    """Raises InvalidRequest when more dimensions are asked for than a model has."""
    if asked is not None and asked > native:
        raise InvalidRequest(
            f"Invalid value for 'dimensions': {asked} is more than the model's {native}.", param="dimensions"
        )


def shortened(row: bytes, dimensions: int | None) -> bytes:
    """The first `dimensions` numbers of a row, scaled to length 1. Raises InvalidRequest when one is not finite."""
    values = floats(row)
    if not math.isfinite(sum(values)):
        raise InvalidRequest("embedding contains NaN or Inf values", param="input")
    if dimensions is None or dimensions == len(values):
        return row
    values = values[:dimensions]
    length = math.hypot(*values)
    return _bytes(array("f", [value / length for value in values]) if length else values)


def floats(row: bytes) -> "array[float]":
    """A row's numbers."""
    values = array("f", row)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _bytes(values: "array[float]") -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
