"""Where an output item stands, and the events that speak of it. Events have no `sequence_number` yet."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """The item `id` at position `index` of the output."""

    id: str
    index: int

    def event(self, kind: str, **more: Any) -> dict[str, Any]:
        """An event about a part of the item."""
        return {"type": f"response.{kind}", "item_id": self.id, "output_index": self.index, **more}

    def added(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"type": "response.output_item.added", "output_index": self.index, "item": item}

    def done(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"type": "response.output_item.done", "output_index": self.index, "item": item}
