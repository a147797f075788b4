"""`.safetensors` files by ranges: 8 bytes of length, a JSON header of that length, then the tensors' bytes.

Source: https://huggingface.co/docs/safetensors/index#format
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.errors import InvalidRequest
from worker.convert.folder import File
from worker.convert.tensor import DTYPES

_LENGTH: Final = 8
_HEADER_MOST: Final = 100 << 20
"""Bytes, the format's own bound."""

_INTEGERS: Final = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1"}

TYPES: Final = {**DTYPES, **_INTEGERS}
"""numpy's types by the header's names."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file. `dtype` is the header's name of its type."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    file: File = field(repr=False)

    def rows(self, first: int, count: int) -> NDArray[Any]:
        """Rows of a matrix: (count, numbers in a row). A vector is one row. Raises InvalidRequest for a type of
        which numpy has none, or when the file ends too early."""
        kind = np.dtype(TYPES[self.dtype])
        length = self.shape[-1] if self.shape else 1
        size = length * kind.itemsize
        data = self.file.read(self.start + first * size, count * size)
        if len(data) != count * size:
            raise InvalidRequest(f"the tensor {self.name} is cut off", param="files")
        return np.frombuffer(data, kind).reshape(count, length)

    def array(self) -> NDArray[Any]:
        """The whole of it; read-only."""
        return self.rows(0, math.prod(self.shape[:-1])).reshape(self.shape)


def tensors(file: File, name: str = "the file") -> dict[str, Stored]:
    """By name, in the header's order. Raises InvalidRequest for what is no such file, or a damaged one."""
    length = int.from_bytes(file.read(0, _LENGTH), "little")
    start = _LENGTH + length
    if not 2 <= length <= _HEADER_MOST or start > file.size:
        raise InvalidRequest(f"{name} is not in safetensors format", param="files")
    try:
        header = orjson.loads(file.read(_LENGTH, length).rstrip())
        header.pop("__metadata__", None)
        found = {each: _stored(each, entry, start, file) for each, entry in header.items()}
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        raise InvalidRequest(f"{name} is not in safetensors format: its header is damaged", param="files") from None
    if any(end > file.size for end in _ends(found.values())):
        raise InvalidRequest(f"{name} is cut off", param="files")
    return found


def _stored(name: str, entry: dict[str, Any], start: int, file: File) -> Stored:
    begin, end = entry["data_offsets"]
    shape = tuple(int(each) for each in entry["shape"])
    dtype = str(entry["dtype"])
    if begin < 0 or any(each < 0 for each in shape):
        raise ValueError(name)
    if dtype in TYPES and end - begin != math.prod(shape) * np.dtype(TYPES[dtype]).itemsize:
        raise ValueError(name)
    return Stored(name, dtype, shape, start + begin, file)


def _ends(found: Iterable[Stored]) -> Iterable[int]:
    for each in found:
        if each.dtype in TYPES:
            yield each.start + math.prod(each.shape) * np.dtype(TYPES[each.dtype]).itemsize
