"""GGUF files by ranges: metadata and the list of tensors, without the tensors' data.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from shared.catalog.float32 import shortest
from shared.catalog.gguf_types import BLOCKS, SCALARS, TENSOR_TYPES, file_type_name
from shared.errors import InvalidRequest

Read: TypeAlias = Callable[[int, int], bytes | None]
"""(start, length) → at most so many bytes; empty past the end, None when there is no such file."""

MAGIC: Final = b"GGUF"

ALIGNMENT: Final = 32
"""Bytes of which a tensor's offset is a multiple, unless the file says otherwise."""

_WINDOW: Final = 256 << 10
"""Bytes of the first read. Each further one is twice as long, up to `_WINDOW_MAX`: most files tell all within two."""

_WINDOW_MAX: Final = 8 << 20

_LONG: Final = 16
"""An array of more elements than this is left empty unless all is asked for."""

_MOST: Final = 1 << 26
"""Elements, bytes of a value, keys or tensors: more is a damaged file, not a large one."""

_STRING, _ARRAY = 8, 9


class NotGguf(InvalidRequest):
    """What was read is no GGUF file, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its quantization in ggml's name, its dimensions, the fastest-changing first, and where its data
    begin, in bytes from the first tensor's."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int = 0

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes of its data; 0 for a type that is not known."""
        numbers, size = BLOCKS.get(self.type, (1, 0))
        return self.elements // numbers * size


@dataclass(frozen=True)
class Gguf:
    """A file's header. In `metadata` a long array is an empty list, unless it was read with `verbose`; `places` says
    from which byte to which each key stands with its value. The tensors' data begin at byte `data`."""

    version: int
    metadata: dict[str, Any] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    places: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    data: int = 0

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", "unknown"))

    @property
    def kind(self) -> str:
        """`model`, `projector`, `adapter` or `split`, a part of a model in several files."""
        told = self.metadata.get("general.type")
        if told == "adapter":
            return "adapter"
        if self.architecture == "clip" or told == "mmproj":
            return "projector"
        return "split" if (self.metadata.get("split.count") or 0) > 1 else "model"

    @property
    def length(self) -> int:
        """Bytes that the file has at least: up to the end of the last tensor's data."""
        return max((self.data + tensor.offset + tensor.size for tensor in self.tensors), default=0)

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def parameter_size(self) -> str:
        """Their count as Ollama shows it: `134.52M`, `7.6B`, `0`."""
        return human_number(self.parameters)

    @property
    def file_type(self) -> str:
        """The quantization that most tensors have: `Q4_K_M`; `unknown` where the file does not say."""
        told = self.metadata.get("general.file_type")
        return file_type_name(told) if isinstance(told, int) else "unknown"

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained for."""
        return self._count("context_length")

    @property
    def embedding_length(self) -> int | None:
        return self._count("embedding_length")

    @property
    def chat_template(self) -> str:
        """The file's own template, Jinja; empty without one."""
        found = self.metadata.get("tokenizer.chat_template")
        return found if isinstance(found, str) else ""

    @property
    def embeds(self) -> bool:
        """Whether it only embeds: a pooling is what models of that kind have."""
        return f"{self.architecture}.pooling_type" in self.metadata

    def _count(self, name: str) -> int | None:
        found = self.metadata.get(f"{self.architecture}.{name}")
        return found if isinstance(found, int) else None


def read_gguf(read: Read, *, verbose: bool = False) -> Gguf:
    """The header of a file. Raises NotGguf; what `read` raises passes through."""
    source = _Source(read)
    try:
        if source.take(4) != MAGIC:
            raise NotGguf("supplied file was not in GGUF format")
        (version,) = struct.unpack("<I", source.take(4))
        if version not in (2, 3):
            raise NotGguf(f"supplied file was not in GGUF format: version {version & 0xFFFF} is not supported")
        tensors, pairs = source.count(), source.count()
        metadata, places = source.pairs(pairs, verbose)
        listed = tuple(source.tensor() for _ in range(tensors))
        alignment = metadata.get("general.alignment", ALIGNMENT)
        return Gguf(version, metadata, listed, places, -(-source.at // alignment) * alignment)
    except (struct.error, EOFError, KeyError, RecursionError, TypeError, ZeroDivisionError):
        raise NotGguf("supplied file was not in GGUF format: it is damaged or cut off") from None


def is_gguf(read: Read) -> bool:
    """Whether a file begins as a GGUF file does."""
    return read(0, len(MAGIC)) == MAGIC


def human_number(count: int) -> str:
    """`7.6B`, `494.03M`, `12K`, `0`."""
    for unit, size, places in (("B", 10**9, 1), ("M", 10**6, 2), ("K", 10**3, 0)):
        if count >= size:
            return f"{count // size}{unit}" if count % size == 0 else f"{count / size:.{places}f}{unit}"
    return str(count)


class _Source:
    """A file read forward, in windows that grow."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._data = b""
        self._start = 0
        self.at = 0
        self._window = _WINDOW

    def take(self, length: int) -> bytes:
        """The next bytes. Raises EOFError when there are not so many."""
        end = self.at + length
        if length > _MOST:
            raise EOFError
        if end - self._start > len(self._data):
            self._fill(length)
        first = self.at - self._start
        self.at = end
        return self._data[first : first + length]

    def skip(self, length: int) -> None:
        """Go on behind the next bytes, which are not read unless they have been."""
        self.at += length

    def count(self) -> int:
        (value,) = struct.unpack("<Q", self.take(8))
        if value > _MOST:
            raise EOFError
        return int(value)

    def string(self) -> str:
        return self.take(self.count()).decode("utf-8", "replace")

    def value(self, verbose: bool) -> Any:
        (kind,) = struct.unpack("<I", self.take(4))
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array(verbose)
        return self._scalar(kind)

    def pairs(self, count: int, verbose: bool) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
        """Metadata, and where each of its keys stands."""
        metadata, places = {}, {}
        for _ in range(count):
            start = self.at
            key = self.string()
            metadata[key] = self.value(verbose)
            places[key] = (start, self.at)
        return metadata, places

    def tensor(self) -> Tensor:
        name = self.string()
        (dimensions,) = struct.unpack("<I", self.take(4))
        if dimensions > 8:
            raise EOFError
        shape = struct.unpack(f"<{dimensions}Q", self.take(8 * dimensions))
        kind, offset = struct.unpack("<IQ", self.take(12))
        return Tensor(name, TENSOR_TYPES.get(kind, f"type {kind}"), shape, offset)

    def _scalar(self, kind: int) -> Any:
        code = SCALARS[kind]
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))
        return shortest(value) if code == "f" else value

    def _array(self, verbose: bool) -> list[Any]:
        (kind,) = struct.unpack("<I", self.take(4))
        length = self.count()
        wanted = verbose or length <= _LONG
        if kind == _STRING:
            if wanted:
                return [self.string() for _ in range(length)]
            for _ in range(length):
                self.skip(self.count())
            return []
        if kind == _ARRAY:
            arrays = [self._array(verbose) for _ in range(length)]
            return arrays if wanted else []
        code = SCALARS[kind]
        size = struct.calcsize(f"<{code}") * length
        if not wanted:
            self.skip(size)
            return []
        values = struct.unpack(f"<{length}{code}", self.take(size))
        return [shortest(value) for value in values] if code == "f" else list(values)

    def _fill(self, length: int) -> None:
        """Have the next `length` bytes in the window."""
        kept = self._data[self.at - self._start :] if self.at < self._start + len(self._data) else b""
        wanted = max(self._window, length - len(kept))
        more = self._read(self.at + len(kept), wanted)
        self._window = min(2 * self._window, _WINDOW_MAX)
        self._data, self._start = kept + (more or b""), self.at
        if len(self._data) < length:
            raise EOFError
