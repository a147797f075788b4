"""Sequences to stop at, sought in text that comes in pieces. Pure.

The engine could look for them itself, but when its answer ends in what might have become one, its stream swallows
that text (seen with llama.cpp b11549: `stop_type` `limit` after half a stop sequence).
"""

from collections.abc import Sequence


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


def _beginning(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
