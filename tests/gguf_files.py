"""Tiny GGUF files made up for tests: metadata and tensors, in as few bytes as the format allows."""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from shared.catalog.gguf_types import BLOCKS, TENSOR_TYPES

_STRING, _ARRAY = 8, 9


def gguf(
    metadata: Mapping[str, Any], tensors: Sequence[tuple[str, tuple[int, ...], int]] = (), *, version: int = 3
) -> bytes:
    """A file; tensors are all zeros. Values are str, int (uint32), float (float32), bool or lists of one of them."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        kind, data = _value(value)
        out += _text(key) + struct.pack("<I", kind) + data
    data = b""
    for name, shape, type_ in tensors:
        out += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type_, len(data))
        numbers, size = BLOCKS[TENSOR_TYPES[type_]]
        data += bytes(_aligned(math.prod(shape) // numbers * size))
    return out.ljust(_aligned(len(out)), b"\0") + data if tensors else out


def _aligned(length: int) -> int:
    return -(-length // 32) * 32


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case bool():
            return 7, struct.pack("<?", value)
        case int():
            return 4, struct.pack("<I", value)
        case float():
            return 6, struct.pack("<f", value)
        case str():
            return _STRING, _text(value)
        case _:
            items = [_value(each) for each in value]
            kind = items[0][0] if items else 4
            return _ARRAY, struct.pack("<IQ", kind, len(items)) + b"".join(data for _, data in items)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


MINIMAL = gguf({"general.architecture": "test"})
"""The smallest file: no tensor, and nothing told but the architecture."""
