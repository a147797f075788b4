"""Calls that a request forces: the text that `shared.constrain.calls` allows, read back as calls while it comes. Pure.

Where text is allowed as well, its first character tells which it is: a call list is an array.
"""

import secrets
from enum import Enum

import orjson

from shared.frames import Delta, Event, Finish, ToolDelta

_SPACE = frozenset(" \t\r\n")


def new_call_id() -> str:
    """`call_` and 24 hex digits."""
    return f"call_{secrets.token_hex(12)}"


class _At(Enum):
    """Where the reader stands. START → TEXT, or START → LIST ⇄ CALL ⇄ ARGUMENTS, LIST → END."""

    START = 0
    TEXT = 1
    LIST = 2
    CALL = 3
    ARGUMENTS = 4
    END = 5


class CallReader:
    """One choice's constrained text. Arguments come out as compact JSON, in pieces, as they come in."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._at = _At.START
        self._call = -1
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._word = ""
        self._words: list[str] = []
        self._begun = False

    def read(self, event: Event) -> list[Event]:
        """What an event of this choice becomes. A finished list of calls ends with `tool_calls`."""
        if isinstance(event, Finish):
            return [Finish("tool_calls", self._index) if self._at is _At.END and event.reason == "stop" else event]
        if not isinstance(event, Delta) or self._at is _At.TEXT:
            return [event]
        if self._at is _At.START:
            head = event.text.lstrip()
            if not head:
                return []
            self._at = _At.LIST if head[0] == "[" else _At.TEXT
            if self._at is _At.TEXT:
                return [event]
        return self._feed(event.text)

    def _feed(self, text: str) -> list[Event]:
        events: list[Event] = []
        piece: list[str] = []
        for character in text:
            if self._at is _At.ARGUMENTS:
                self._argument(character, piece)
                if self._at is not _At.ARGUMENTS:
                    self._flush(events, piece)
            elif self._at is _At.CALL:
                self._header(character, piece)
            elif character == "{":
                self._at, self._words, self._begun = _At.CALL, [], False
                self._call += 1
            elif character == "]":
                self._at = _At.END
        self._flush(events, piece)
        return events

    def _header(self, character: str, piece: list[str]) -> None:
        """Between a call's braces, outside its arguments: two keys and the name."""
        if self._quoted(character):
            self._word += character
            if not self._in_string:
                self._words.append(orjson.loads(self._word))
                self._word = ""
        elif character == "{":
            self._at, self._depth = _At.ARGUMENTS, 1
            piece.append(character)
        elif character == "}":
            self._at = _At.LIST

    def _argument(self, character: str, piece: list[str]) -> None:
        if self._quoted(character):
            piece.append(character)
            return
        if character in _SPACE:
            return
        piece.append(character)
        if character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            if self._depth == 0:
                self._at = _At.CALL

    def _quoted(self, character: str) -> bool:
        """Whether a character is part of a string, its quotes included."""
        if not self._in_string:
            self._in_string = character == '"'
            return self._in_string
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
        return True

    def _flush(self, events: list[Event], piece: list[str]) -> None:
        if not piece:
            return
        own_id, name = ("", "") if self._begun else (new_call_id(), self._words[1])
        self._begun = True
        events.append(ToolDelta(self._call, "".join(piece), own_id, name, self._index))
        piece.clear()
