"""`config.json` of a Hugging Face model, its values checked as they are read."""

from collections.abc import Mapping
from typing import Any

from shared.errors import InvalidRequest

FILE = "config.json"


class Config:
    """Raises InvalidRequest, with the key, for a value that is not there or is none of its kind."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, key: str) -> Any:
        """None when it is not there."""
        return self._values.get(key)

    def count(self, key: str, default: int | None = None) -> int:
        """A number of at least 1."""
        found = self._values.get(key)
        found = default if found is None else found
        if type(found) is not int or found < 1:
            raise wrong(key, found)
        return found

    def number(self, key: str, default: float | None = None) -> float:
        found = self._values.get(key)
        found = default if found is None else found
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise wrong(key, found)
        return float(found)

    def one_of(self, key: str, known: tuple[str, ...]) -> str:
        """A word of several, the first when it is not there."""
        found = self._values.get(key)
        found = known[0] if found is None else found
        if found not in known:
            raise InvalidRequest(f"{FILE}: {key} {found!r} is not supported, only {' or '.join(known)}", param="files")
        return str(found)

    def part(self, key: str) -> "Config":
        """An object inside; empty when it is not there."""
        found = self._values.get(key)
        found = {} if found is None else found
        if not isinstance(found, dict):
            raise wrong(key, found)
        return Config(found)

    @property
    def empty(self) -> bool:
        return not self._values


def wrong(key: str, found: Any) -> InvalidRequest:
    said = "is not there" if found is None else f"cannot be {found!r}"
    return InvalidRequest(f"{FILE}: {key} {said}", param="files")
