"""A message as an output item: one part of text."""

from typing import Any

from shared.responses.place import Place


class Message:
    """Text that is being written. `logprobs` entries are in OpenAI's form."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._texts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []

    def open(self) -> list[dict[str, Any]]:
        item = {**self.item("in_progress"), "content": []}
        part = self._place.event("content_part.added", content_index=0, part=self._part())
        return [self._place.added(item), part]

    def add(self, text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
        """One more piece."""
        self._texts.append(text)
        self._logprobs += logprobs
        return self._place.event("output_text.delta", content_index=0, delta=text, logprobs=logprobs)

    def close(self, status: str) -> list[dict[str, Any]]:
        part = self._part()
        return [
            self._place.event("output_text.done", content_index=0, text=part["text"], logprobs=part["logprobs"]),
            self._place.event("content_part.done", content_index=0, part=part),
            self._place.done(self.item(status)),
        ]

    def item(self, status: str) -> dict[str, Any]:
        return {
            "id": self._place.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [self._part()],
        }

    def _part(self) -> dict[str, Any]:
        return {
            "type": "output_text",
            "text": "".join(self._texts),
            "annotations": [],
            "logprobs": list(self._logprobs),
        }
