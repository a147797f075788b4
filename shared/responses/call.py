"""A function call as an output item."""

from typing import Any

from shared.responses.place import Place


class FunctionCall:
    """A call whose arguments are being written. `number` is its place among the calls of the answer."""

    def __init__(self, place: Place, number: int, call_id: str, name: str) -> None:
        self.number = number
        self._place = place
        self._call_id = call_id
        self._name = name
        self._arguments: list[str] = []

    def open(self) -> list[dict[str, Any]]:
        return [self._place.added(self.item("in_progress"))]

    def add(self, arguments: str) -> dict[str, Any]:
        """One more piece."""
        self._arguments.append(arguments)
        return self._place.event("function_call_arguments.delta", delta=arguments)

    def close(self, status: str) -> list[dict[str, Any]]:
        item = self.item(status)
        arguments = item["arguments"]
        return [
            self._place.event("function_call_arguments.done", name=self._name, arguments=arguments),
            self._place.done(item),
        ]

    def item(self, status: str) -> dict[str, Any]:
        return {
            "id": self._place.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": "".join(self._arguments),
        }
