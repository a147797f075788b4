"""Recorder: what a response has come to, and its end in the transaction of its last frame.

Whoever writes the terminal frame has one: the worker, or the reaper for a worker that is gone.
"""

import math
from collections.abc import Sequence
from typing import Any, Self

from shared.frames import Event
from shared.job import JobSpec
from shared.responses.events import ResponseEvents
from shared.responses.head import Head
from shared.responses.seal import Seal
from shared.settings import Settings
from shared.state import places
from shared.state.conversations import buffer_append
from shared.state.record import Items
from shared.state.responses import buffer_end

_ANSWERED = ("completed", "incomplete")
"""States of a response whose items belong to its conversation."""


class Recorder:
    """One attempt at a response that is stored, or is part of a conversation."""

    def __init__(self, job_id: str, head: Head, brought: Items, events: ResponseEvents) -> None:
        self._job_id = job_id
        self._head = head
        self._brought = brought
        self._events = events
        self._last = 0

    @classmethod
    def of(cls, spec: JobSpec, settings: Settings) -> Self | None:
        """None for a job that leaves nothing behind."""
        if spec.response is None:
            return None
        head = Head.decode(spec.response)
        if not head.store and head.conversation is None:
            return None
        return cls(spec.id, head, spec.brought or [], view(head, settings))

    def read(self, batch: Sequence[Event]) -> None:
        """Take the next events. Raises EngineFailed when they make no sense as a response."""
        for event in self._events.read(batch):
            self._last = event["sequence_number"]

    def buffer(self, pipe: Any, attempt: int, joined: int = 0) -> None:
        """Add the end to a transaction, behind the terminal frame of this attempt.

        `joined` pieces of what was read are no pieces of their own in the frames (see FrameWriter).
        """
        response = self._events.response
        if self._head.store:
            buffer_end(pipe, (self._head.owner, self._head.id), response, self._last - joined, attempt)
        if self._head.conversation is not None and response["status"] in _ANSWERED:
            items = [*self._brought, *response["output"]]
            buffer_append(pipe, self._head.owner, self._head.conversation, items, self._job_id, attempt)

    @property
    def places(self) -> list[str]:
        """What may be pending after the end."""
        found = [places.response(self._head.owner, self._head.id) if self._head.store else None]
        if self._head.conversation is not None:
            found.append(places.conversation(self._head.owner, self._head.conversation))
        return [place for place in found if place is not None]


def view(head: Head, settings: Settings) -> ResponseEvents:
    """The view of a response's frames that everyone has of them."""
    seal = Seal.of(settings.state_key, head.owner) if head.encrypted else None
    return ResponseEvents(head, None if seal is None else seal.seal)


def log_ttl_s(spec: JobSpec, settings: Settings) -> int:
    """How long a job's frames are kept after its end, in whole seconds."""
    background = spec.response is not None and spec.response["background"]
    return math.ceil(settings.background_log_ttl_s if background else settings.log_ttl_s)
