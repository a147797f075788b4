"""Sequences to stop at in a chat's text, looked for in the worker.

The engine looks for them in thoughts and calls as well, and its stream loses what it holds back when a limit falls into
what might have become one (seen with llama.cpp b11549). Here every character that comes before a sequence is delivered,
with the log probabilities of its tokens.
"""

from collections.abc import Sequence

import orjson

from shared.frames import Delta, Done, Event, Finish, Progress
from worker.runtime.sse import DONE
from worker.runtime.stop_text import Entry, TracedText


class Stopper:
    """The choices `first` … `first + count - 1` of one stream.

    A choice that has stopped goes on in the engine until all have, or the stream ends: it cannot be told of one alone.
    """

    def __init__(self, stops: Sequence[str], first: int, count: int) -> None:
        self._first = first
        self._choices = {index: _Choice(index, stops) for index in range(first, first + count)}
        self._prompt = Done(0, 0)

    @property
    def over(self) -> bool:
        """Every choice has ended."""
        return all(choice.over for choice in self._choices.values())

    def note(self, payload: bytes) -> None:
        """Count the tokens of a chunk's choice. A server that does not time its tokens sends one in each."""
        if payload == DONE:
            return
        chunk = orjson.loads(payload)
        if progress := chunk.get("prompt_progress"):
            self._prompt = Done(progress["total"], 0, progress["cache"])
        for choice in chunk.get("choices", ()):
            known = self._choices[choice["index"] + self._first]
            said = any(choice["delta"].get(name) for name in ("content", "reasoning_content"))
            known.count(chunk["timings"]["predicted_n"] if "timings" in chunk else known.tokens + said)

    def read(self, events: Sequence[Event]) -> list[Event]:
        """What the callers see of events."""
        seen: list[Event] = []
        for event in events:
            if isinstance(event, Progress | Done):
                seen.append(event)
            else:
                seen += self._choices[getattr(event, "index", self._first)].read(event)
        return seen

    def done(self, thoughts: int) -> Done:
        """The usage of a stream that was left before its end, with so many tokens of thought."""
        tokens = sum(choice.tokens for choice in self._choices.values())
        return Done(self._prompt.prompt_tokens, tokens, self._prompt.cached_tokens, thoughts)

    def corrected(self, done: Done) -> Done:
        """The engine's usage without what came after a stop."""
        tokens = sum(choice.tokens for choice in self._choices.values())
        return Done(done.prompt_tokens, min(tokens, done.completion_tokens), done.cached_tokens, done.reasoning_tokens)

    @property
    def cut(self) -> bool:
        """A choice has stopped at a sequence."""
        return any(choice.cut for choice in self._choices.values())


class _Choice:
    def __init__(self, index: int, stops: Sequence[str]) -> None:
        self.over = False
        self.cut = False
        self.tokens = 0
        self._index = index
        self._text = TracedText(stops)
        self._logprobs = False
        self._waiting = 0

    def count(self, tokens: int) -> None:
        """So many tokens by now; what comes after a stop does not count."""
        if not self.over:
            self.tokens = tokens

    def read(self, event: Event) -> list[Event]:
        if self.over:
            return []
        if isinstance(event, Finish):
            self.over = True
            return [*self._said(*self._text.rest()), event]
        if not isinstance(event, Delta):
            return [event]
        self._waiting += event.tokens
        self._logprobs = self._logprobs or event.logprobs is not None
        seen = self._said(*self._text.feed(event.text, event.logprobs or ()))
        if self._text.hit:
            self.over = self.cut = True
            return [*seen, Finish("stop", self._index)]
        return seen

    def _said(self, text: str, entries: list[Entry]) -> list[Event]:
        if not text:
            return []
        tokens, self._waiting = self._waiting, 0
        return [Delta(text, tokens, self._index, entries if self._logprobs else None)]
