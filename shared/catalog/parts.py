"""Files that a model is made of: what each is, by its own word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.catalog.gguf import Gguf, NotGguf, is_gguf, read_gguf
from shared.catalog.manifest import ADAPTER, MODEL, PROJECTOR, Layer, blob_key
from shared.catalog.store import Store
from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.create import CreateRequest

_MEDIA: Final = {"model": MODEL, "projector": PROJECTOR, "adapter": ADAPTER}


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the request that is in the catalog: its layer, and what it says of itself."""

    layer: Layer
    header: Gguf


def part_of(store: Store, file: str, digest: str, *, split: bool = False) -> Part:
    """A file that has been uploaded; with `split` it may be a part of a model in several files.

    Raises InvalidRequest for one that is not there or cannot be used.
    """
    key = blob_key(digest)
    entry = store.head(key)
    if entry is None:
        raise InvalidRequest(f'file "{file}": {digest} is not in the catalog, upload it first', param="files")

    def read(start: int, length: int) -> bytes | None:
        return store.get_range(key, start, length)

    if not is_gguf(read):
        known = file.lower().endswith(".gguf")
        raise NotGguf("supplied file was not in GGUF format" if known else "unknown type", param="files")
    header = read_gguf(read)
    if header.length > entry.size:
        raise NotGguf(
            f'file "{file}" is cut off: its tensors end at byte {header.length}, and it has {entry.size} bytes',
            param="files",
        )
    if header.kind == "split" and not split:
        raise UnsupportedParameter(
            f'file "{file}" is a part of a model: name all parts, as in model-00001-of-00003.gguf',
            param="files",
        )
    return Part(Layer(_MEDIA.get(header.kind, MODEL), digest.replace("-", ":").lower(), entry.size), header)


@dataclass(frozen=True, slots=True)
class Requantized:
    """Weights made of those that have the digest `of`, to stand in their place."""

    of: str
    part: Part


def model_file(store: Store, files: Mapping[str, str]) -> str:
    """The name of the file that is a model. Raises InvalidRequest unless there is one."""
    found = [name for name, digest in files.items() if part_of(store, name, digest).layer.media_type == MODEL]
    if len(found) != 1:
        raise InvalidRequest(f"'files' must hold one model; it has {len(found)}", param="files")
    return found[0]


def check_parts(asked: CreateRequest, parts: Sequence[Part]) -> None:
    """Raises InvalidRequest unless there is one model, from its name or its file, and one projector and adapter."""
    split = len(asked.files or {})
    if any(part.layer.media_type != ADAPTER for part in parts[split:]):
        raise InvalidRequest("the file of 'adapters' is no adapter", param="adapters")
    counts = {media: sum(part.layer.media_type == media for part in parts) for media in _MEDIA.values()}
    if asked.source and counts[MODEL]:
        raise InvalidRequest("'from' names a model, and 'files' has another one", param="files")
    if not asked.source and counts[MODEL] != 1:
        raise InvalidRequest(f"'files' must hold one model; it has {counts[MODEL]}", param="files")
    if counts[ADAPTER] > 1:
        raise InvalidRequest("only one adapter is currently supported", param="adapters")
    if counts[PROJECTOR] > 1:
        raise InvalidRequest("'files' holds several projectors; a model has one", param="files")
