"""GGUF files as a GGUF file: the parts of a split one joined, and their tensors quantized if that is asked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from shared.catalog.gguf import Gguf, read_gguf
from shared.catalog.gguf import Tensor as Listed
from shared.catalog.gguf_types import BLOCKS, file_type_number
from shared.errors import InvalidRequest
from worker.convert import encode, types
from worker.convert.folder import File
from worker.convert.model import Model
from worker.convert.tensor import DTYPES, Array, Rows, Tensor, row_bytes

_SPLIT: Final = ("split.no", "split.count", "split.tensors.count")
_TYPE, _VERSION, _ALIGNMENT = "general.file_type", "general.quantization_version", "general.alignment"


def joined(parts: Sequence[File], quantize: str = "") -> Model:
    """One file of all parts, in their order. `quantize` is a type, empty to keep what is there.

    Raises NotGguf, and InvalidRequest for a part that is cut off.
    """
    headers = [read_gguf(part.read) for part in parts]
    tensors = [
        _tensor(part, header, each) for part, header in zip(parts, headers, strict=True) for each in header.tensors
    ]
    output = types.output_of({tensor.name for tensor in tensors})
    typed = [
        replace(each, type=types.requantized(each.name, each.shape, each.source, quantize, output))
        for each in tensors
        if quantize
    ] or tensors
    changed = {_TYPE, _VERSION} if quantize else set()
    pairs = _pairs(parts[0], headers[0], {*_SPLIT, _ALIGNMENT, *changed})
    if quantize:
        pairs += [encode.uint32(_TYPE, file_type_number(quantize)), encode.uint32(_VERSION, 2)]
    return Model(pairs, typed, headers[0].file_type)


def _pairs(part: File, header: Gguf, left_out: set[str]) -> list[bytes]:
    """Metadata as it stands in the file."""
    kept = [place for key, place in header.places.items() if key not in left_out]
    return [part.read(start, end - start) for start, end in kept]


def _tensor(part: File, header: Gguf, listed: Listed) -> Tensor:
    shape = listed.shape[::-1]
    if listed.type not in BLOCKS:
        raise InvalidRequest(f"the tensor {listed.name!r} has the unknown {listed.type}", param="files")
    tensor = Tensor(listed.name, shape, listed.type, _rows(part, header.data + listed.offset, listed), listed.type)
    if header.data + listed.offset + tensor.size > part.size:
        raise InvalidRequest(f"the tensor {listed.name!r} is cut off", param="files")
    return tensor


def _rows(part: File, start: int, listed: Listed) -> Rows:
    """Rows as numbers where they can be made into others, else as bytes."""
    length = listed.shape[0] if listed.shape else 1
    size = row_bytes(listed.type, length)
    kind = np.dtype(DTYPES.get(listed.type, "|u1"))

    def rows(first: int, count: int) -> Array:
        data = part.read(start + first * size, count * size)
        if len(data) != count * size:
            raise InvalidRequest(f"the tensor {listed.name!r} is cut off", param="files")
        return np.frombuffer(data, kind).reshape(count, -1)

    return rows
