"""GGUF's bytes: a pair of key and value, and a whole header. Version 3, little-endian.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Iterable, Sequence

from shared.catalog.gguf import ALIGNMENT, MAGIC
from shared.catalog.gguf_types import SCALARS, TENSOR_TYPES
from worker.convert.tensor import Tensor

_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9

_TYPE_NUMBERS = {name: number for number, name in TENSOR_TYPES.items()}


def string(key: str, value: str) -> bytes:
    return _pair(key, _STRING, _text(value))


def uint32(key: str, value: int) -> bytes:
    return _pair(key, _UINT32, struct.pack("<I", value))


def float32(key: str, value: float) -> bytes:
    return _pair(key, _FLOAT32, struct.pack("<f", value))


def boolean(key: str, value: bool) -> bytes:
    return _pair(key, _BOOL, struct.pack("<?", value))


def strings(key: str, values: Sequence[str]) -> bytes:
    return _array(key, _STRING, len(values), b"".join(map(_text, values)))


def int32s(key: str, values: Sequence[int]) -> bytes:
    return _array(key, _INT32, len(values), struct.pack(f"<{len(values)}{SCALARS[_INT32]}", *values))


def float32s(key: str, values: Sequence[float]) -> bytes:
    return _array(key, _FLOAT32, len(values), struct.pack(f"<{len(values)}{SCALARS[_FLOAT32]}", *values))


def header(pairs: Sequence[bytes], tensors: Sequence[Tensor]) -> bytes:
    """All that stands before the first tensor's data, its padding included; the data follow in order, each padded."""
    out = [MAGIC, struct.pack("<IQQ", 3, len(tensors), len(pairs)), *pairs]
    offset = 0
    for tensor in tensors:
        shape = tensor.shape[::-1]
        out.append(_text(tensor.name))
        out.append(struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _TYPE_NUMBERS[tensor.type], offset))
        offset += padded(tensor.size)
    data = b"".join(out)
    return data.ljust(padded(len(data)), b"\0")


def padded(size: int) -> int:
    """A size with the padding that follows it."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def total(pairs: Sequence[bytes], tensors: Iterable[Tensor]) -> int:
    """Bytes of the whole file."""
    listed = list(tensors)
    return len(header(pairs, listed)) + sum(padded(tensor.size) for tensor in listed)


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _array(key: str, kind: int, length: int, data: bytes) -> bytes:
    return _pair(key, _ARRAY, struct.pack("<IQ", kind, length) + data)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data
