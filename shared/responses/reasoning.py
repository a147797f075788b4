"""What the model thought, as an output item: the thought itself as its content, or, where a summary is asked for, as
the only part of its summary."""

from collections.abc import Callable
from typing import Any

from shared.responses.place import Place


class Reasoning:
    """A thought that is being written. `seal` encrypts it, once it is whole."""

    def __init__(self, place: Place, *, summarised: bool, seal: Callable[[str, str], str] | None) -> None:
        self._place = place
        self._summarised = summarised
        self._seal = seal
        self._thoughts: list[str] = []
        index = "summary_index" if summarised else "content_index"
        self._at = {index: 0}
        self._part_kind = "reasoning_summary_part" if summarised else "content_part"
        self._text_kind = "reasoning_summary_text" if summarised else "reasoning_text"

    def open(self) -> list[dict[str, Any]]:
        item = {**self._item("in_progress", None), "summary": []}
        if not self._summarised:
            item["content"] = []
        return [self._place.added(item), self._place.event(f"{self._part_kind}.added", **self._at, part=self._part())]

    def add(self, text: str) -> dict[str, Any]:
        """One more piece."""
        self._thoughts.append(text)
        return self._place.event(f"{self._text_kind}.delta", **self._at, delta=text)

    def close(self, status: str) -> list[dict[str, Any]]:
        part = self._part()
        return [
            self._place.event(f"{self._text_kind}.done", **self._at, text=part["text"]),
            self._place.event(f"{self._part_kind}.done", **self._at, part=part),
            self._place.done(self.item(status)),
        ]

    def item(self, status: str) -> dict[str, Any]:
        if self._seal is None or status == "in_progress":
            return self._item(status, None)
        return self._item(status, self._seal("".join(self._thoughts), self._place.id))

    def _item(self, status: str, sealed: str | None) -> dict[str, Any]:
        item: dict[str, Any] = {"id": self._place.id, "type": "reasoning", "status": status, "summary": []}
        if self._summarised:
            item["summary"] = [self._part()]
        else:
            item["content"] = [self._part()]
        return {**item, "encrypted_content": sealed}

    def _part(self) -> dict[str, Any]:
        kind = "summary_text" if self._summarised else "reasoning_text"
        return {"type": kind, "text": "".join(self._thoughts)}
