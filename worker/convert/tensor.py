"""A tensor of the file that is made: its name, shape and type, and its data in pieces."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from gguf.constants import GGMLQuantizationType
from gguf.quants import quantize
from numpy.typing import NDArray

from shared.catalog.gguf_types import BLOCKS
from shared.errors import InvalidRequest

Array: TypeAlias = NDArray[Any]

Rows: TypeAlias = Callable[[int, int], Array]
"""(first, count) → rows of a matrix, as the source has them; a vector is one row."""

_READ: Final = 8 << 20
"""Bytes that are asked of the source at once: the longer, the fewer requests to S3."""

_WORK: Final = 1 << 19
"""Numbers that are worked on at once: quantizing takes about 60 bytes for each."""

DTYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""numpy's types of numbers that can be made into others; BF16 is the upper half of an F32."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """`shape` has the slowest-changing dimension first, as numpy has it. `source` is the type that `rows` gives."""

    name: str
    shape: tuple[int, ...]
    source: str
    rows: Rows = field(repr=False)
    type: str = ""
    """The type in the file; `source` when it is copied as it is."""
    unit: int = 1
    """Rows that belong together: they are asked for in multiples of it."""

    @property
    def length(self) -> int:
        """Numbers in a row."""
        return self.shape[-1] if self.shape else 1

    @property
    def count(self) -> int:
        """Rows."""
        return math.prod(self.shape[:-1])

    @property
    def size(self) -> int:
        """Bytes in the file, without padding."""
        return self.count * row_bytes(self.type, self.length)

    def pieces(self) -> Iterator[bytes]:
        """The data in the file's type, in order, without padding."""
        at_once = self._rows_in(_READ // max(1, row_bytes(self.source, self.length)))
        step = self._rows_in(_WORK // max(1, self.length))
        for first in range(0, self.count, at_once):
            rows = self.rows(first, min(at_once, self.count - first))
            if self.source == self.type:
                yield rows.tobytes()
                continue
            for start in range(0, len(rows), step):
                yield self._encoded(rows[start : start + step])

    def _encoded(self, rows: Array) -> bytes:
        try:
            return encoded(floats(rows, self.source), self.type)
        except FloatingPointError:
            raise InvalidRequest(
                f"the tensor {self.name} has numbers that {self.type} cannot hold", param="files"
            ) from None

    def _rows_in(self, wanted: int) -> int:
        return max(1, wanted // self.unit) * self.unit


def row_bytes(type_: str, numbers: int) -> int:
    """Bytes of so many numbers in a type of ggml's. Raises KeyError for one that is not known."""
    block, size = BLOCKS[type_]
    return numbers // block * size


def floats(rows: Array, source: str) -> NDArray[np.float32]:
    """Rows of a type in `DTYPES` as float32."""
    if source == "BF16":
        return (rows.astype("<u4") << 16).view("<f4")
    return rows.astype(np.float32)


def encoded(rows: NDArray[np.float32], type_: str) -> bytes:
    """Rows in a type of the file. Raises FloatingPointError for numbers that it has not."""
    with np.errstate(over="raise", invalid="raise"):
        return bytes(quantize(rows, GGMLQuantizationType[type_]).tobytes())


def of_array(name: str, values: Array, type_: str = "F32") -> Tensor:
    """A small tensor that is in memory, float32."""
    whole = np.asarray(values, dtype="<f4").reshape(-1, values.shape[-1])
    return Tensor(name, values.shape, "F32", lambda first, count: whole[first : first + count], type_)
