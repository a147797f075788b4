"""Conversation: what there is to it besides its items, and the answers of the scripts that read and change it."""

from dataclasses import dataclass, field
from typing import Final, Self

import orjson

from shared.state.record import Items

GONE: Final = b"gone"
UNKNOWN: Final = b"unknown"
NO_ITEM: Final = b"no item"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its items. `created_at` is Unix seconds."""

    id: str
    created_at: int
    metadata: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        return orjson.dumps({"id": self.id, "created_at": self.created_at, "metadata": self.metadata})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ValueError or TypeError on what is none."""
        return cls(**orjson.loads(data))


@dataclass(frozen=True, slots=True)
class Page:
    """Some items of a conversation, in the order asked for."""

    items: Items
    more: bool
