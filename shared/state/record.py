"""StoredResponse: a response with all that its next turn needs. Two codecs: fields of a hash, and one object.

In Redis each part is a field, so that whoever asks for the response does not read its context. In the object store it
is one JSON object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from shared.responses.head import Head

Items = list[dict[str, Any]]

FIELDS = ("job", "head", "prior", "input", "response", "last")
"""Fields of the hash that are the record's own; `version` and `deleted` are the store's."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """`input` are the items that the request brought, `prior` those of the turns before it, flat: with the output of
    `response` they are the whole context of the next turn.

    `queue`, `stream` and `deadline` (Unix seconds) are its job's. `response` is the final object and `last` the number
    of its last event; both None until then.
    """

    head: Head
    queue: str
    stream: bool
    deadline: float
    prior: Items = field(default_factory=list, repr=False)
    input: Items = field(default_factory=list, repr=False)
    response: dict[str, Any] | None = field(default=None, repr=False)
    last: int | None = None

    @property
    def context(self) -> Items:
        """All items up to the end of this response, but for calls that were cut off: nobody can answer them."""
        output = (self.response or {}).get("output", ())
        whole = [item for item in output if item["type"] != "function_call" or item["status"] == "completed"]
        return [*self.prior, *self.input, *whole]

    def fields(self) -> dict[str, bytes]:
        """As fields of a hash."""
        parts: dict[str, Any] = {
            "job": {"queue": self.queue, "stream": self.stream, "deadline": self.deadline},
            "head": self.head.encode(),
            "prior": self.prior,
            "input": self.input,
            "response": self.response,
            "last": self.last,
        }
        return {name: orjson.dumps(part) for name, part in parts.items() if part is not None}

    @classmethod
    def of_fields(cls, fields: Mapping[str, bytes | None]) -> Self:
        """From fields of a hash; parts that were not asked for are empty. Raises KeyError or ValueError."""
        return cls._of({name: orjson.loads(value) for name, value in fields.items() if value is not None})

    @classmethod
    def of_object(cls, data: bytes) -> Self:
        """From the object store's form (see `as_object`)."""
        return cls._of(orjson.loads(data))

    @classmethod
    def _of(cls, parts: Mapping[str, Any]) -> Self:
        return cls(
            head=Head.decode(parts["head"]),
            **parts["job"],
            prior=parts.get("prior", []),
            input=parts.get("input", []),
            response=parts.get("response"),
            last=parts.get("last"),
        )


def as_object(version: int, fields: Mapping[str, bytes]) -> bytes:
    """Fields of a hash as one JSON object, without reading them."""
    parts: dict[str, Any] = {name: orjson.Fragment(fields[name]) for name in FIELDS if name in fields}
    return orjson.dumps({"version": version, **parts})


def pairs(items: Sequence[dict[str, Any]]) -> list[str | bytes]:
    """Items as a script takes them: each one's id, then the item."""
    return [part for item in items for part in (str(item["id"]), orjson.dumps(item))]
