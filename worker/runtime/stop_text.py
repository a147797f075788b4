"""Sequences to stop at, sought in text that comes in pieces. Pure.

The engine could look for them itself, but when its answer ends in what might have become one, its stream swallows
that text (seen with llama.cpp b11549: `stop_type` `limit` after half a stop sequence).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

Entry: TypeAlias = dict[str, Any]
"""Log probabilities of a token in OpenAI's form; see `Delta`."""


class StopText:
    """One answer. Text is held back while it may be the beginning of a sequence."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.hit = False
        """A sequence was found: there is no more text."""

    def feed(self, text: str) -> str:
        """The text that is certain now. It ends before the earliest sequence, which sets `hit`."""
        if not self._stops:
            return text
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        keep = max(_beginning(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What is held back, when no more comes."""
        held, self._held = self._held, ""
        return held


class TracedText:
    """The same with an entry of log probabilities for each token: those of text that is held back are held with it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stop = StopText(stops)
        self._entries: list[tuple[int, Entry]] = []
        """Not given yet, each with the character that it begins at."""
        self._read_chars = 0
        self._given_chars = 0

    @property
    def hit(self) -> bool:
        """A sequence was found: there is no more text."""
        return self._stop.hit

    def feed(self, text: str, entries: Sequence[Entry]) -> tuple[str, list[Entry]]:
        """The text that is certain now, and the entries of the tokens that begin in it."""
        before = b""
        for entry in entries:
            self._entries.append((self._read_chars + len(before.decode(errors="ignore")), entry))
            before += bytes(entry["bytes"])
        self._read_chars += len(text)
        return self._given(self._stop.feed(text))

    def rest(self) -> tuple[str, list[Entry]]:
        """What is held back, when no more comes."""
        return self._given(self._stop.rest())

    def _given(self, text: str) -> tuple[str, list[Entry]]:
        if not text:
            return "", []
        self._given_chars += len(text)
        entries = [entry for at, entry in self._entries if at < self._given_chars]
        del self._entries[: len(entries)]
        return text, entries


def _beginning(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
