"""Read a `.safetensors` file: 8 bytes of length, a JSON header of that length, then the tensors' bytes.

Source: https://huggingface.co/docs/safetensors/index#format
"""

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1"}
"""Little-endian numpy types by the header's names. BF16 has none."""

_LENGTH: Final = 8


def tensors(data: bytes) -> dict[str, NDArray[Any]]:
    """Name → array, in the header's order; the arrays are read-only views of `data`.

    Raises ValueError or KeyError for what is not such a file, or has a type that numpy does not know.
    """
    start = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    header = json.loads(data[_LENGTH:start])
    header.pop("__metadata__", None)
    found: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(data[start + begin : start + end], dtype=_TYPES[entry["dtype"]])
        found[name] = flat.reshape(entry["shape"])
    return found
