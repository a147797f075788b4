"""The files of a model in another format, by name, read by ranges."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shared.catalog.manifest import blob_key
from shared.catalog.store import Store
from shared.errors import InvalidRequest

_SMALL: Final = 64 << 20
"""Bytes that a vocabulary or a configuration may have: they are read whole."""


@dataclass(frozen=True, slots=True)
class File:
    """`read` gives `length` bytes from `start`, fewer at the end; `size` in bytes."""

    size: int
    read: Callable[[int, int], bytes] = field(repr=False)

    @classmethod
    def of(cls, data: bytes) -> "File":
        return cls(len(data), lambda start, length: data[start : start + length])


class Folder(Mapping[str, File]):
    """Files by their names: paths inside the folder, with slashes."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self._files = dict(files)
        self._parsed: dict[str, dict[str, Any]] = {}

    @classmethod
    def of_store(cls, store: Store, digests: Mapping[str, str]) -> "Folder":
        """Files of a store by their digests. Raises InvalidRequest for one that is not there."""
        return cls({name.replace("\\", "/"): _stored(store, name, digest) for name, digest in digests.items()})

    def __getitem__(self, name: str) -> File:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def whole(self, name: str) -> bytes:
        """A small file's content. Raises InvalidRequest for one that is not there or is no small one."""
        file = self._files.get(name)
        if file is None:
            raise InvalidRequest(f"the folder has no {name}", param="files")
        if file.size > _SMALL:
            raise InvalidRequest(f"{name} has {file.size:,} bytes; {_SMALL:,} are allowed", param="files")
        return file.read(0, file.size)

    def json(self, name: str) -> dict[str, Any]:
        """An object of JSON; empty when there is no such file. Raises InvalidRequest for what is none."""
        if name not in self._parsed:
            self._parsed[name] = self._parse(name) if name in self._files else {}
        return self._parsed[name]

    def _parse(self, name: str) -> dict[str, Any]:
        try:
            value = orjson.loads(self.whole(name))
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"{name} is not valid JSON: {error}", param="files") from None
        if not isinstance(value, dict):
            raise InvalidRequest(f"{name} holds no JSON object", param="files")
        return value


def _stored(store: Store, name: str, digest: str) -> File:
    key = blob_key(digest)
    entry = store.head(key)
    if entry is None:
        raise InvalidRequest(f'file "{name}": {digest} is not in the catalog, upload it first', param="files")

    def read(start: int, length: int) -> bytes:
        data = store.get_range(key, start, length)
        if data is None:
            raise InvalidRequest(f'file "{name}": {digest} is not in the catalog any more', param="files")
        return data

    return File(entry.size, read)
