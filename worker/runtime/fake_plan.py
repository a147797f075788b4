"""What the fake engine does with one request: defaults from the command line, changed by the body. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from worker.runtime.fake_schema import pieces_of


@dataclass(frozen=True, slots=True)
class Knobs:
    """Behaviour of the fake engine; each can be set per request in the body's `fake` object."""

    tokens: int = 16
    """Length of an answer that no limit cuts."""
    thoughts: int = 0
    """Tokens of thought before the answer, which no limit cuts."""
    rate: float = 0.0
    """Tokens per second and request; 0 is no delay."""
    delay: float = 0.0
    """Seconds before the first token."""
    crash_after: int | None = None
    """The process exits after so many tokens of a request."""
    silent_after: int | None = None
    """Nothing more comes after so many tokens, and the connection stays open."""
    error_after: int | None = None
    """An error event comes after so many tokens, in place of the rest."""

    def with_body(self, fake: Mapping[str, Any]) -> "Knobs":
        """Changed by one request. Raises TypeError on a name that is no knob."""
        return replace(self, **fake)


KNOBS = tuple(item.name for item in fields(Knobs))


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, decided: `count` tokens for each of `choices`, then `reason`.

    `pieces` are the tokens of a constrained answer; other answers count. `alternatives` is how many log probabilities
    each token has, 0 for none.
    """

    knobs: Knobs
    prompt_tokens: int
    count: int
    reason: str
    choices: int
    stream: bool
    include_usage: bool
    progress: bool
    pieces: list[str] | None = None
    alternatives: int = 0

    @classmethod
    def of(cls, body: Mapping[str, Any], defaults: Knobs) -> "Plan":
        """From a chat request. Raises KeyError, TypeError or AttributeError on what is not one."""
        knobs = defaults.with_body(body.get("fake") or {})
        limit = body.get("max_tokens")
        if limit is None:
            limit = body.get("max_completion_tokens")
        # A limit alone is the length; a `tokens` of the request's own may end the answer before it.
        own = "tokens" in (body.get("fake") or {})
        pieces = pieces_of(body)
        whole = knobs.tokens if pieces is None else len(pieces)
        own = own or pieces is not None
        count = whole if limit is None else min(limit, whole) if own else limit
        return cls(
            knobs=knobs,
            prompt_tokens=len(prompt_of(body).split()),
            count=count,
            reason="length" if count == limit and (pieces is None or count < whole) else "stop",
            choices=body.get("n") or 1,
            stream=bool(body.get("stream")),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            progress=bool(body.get("return_progress")),
            pieces=pieces,
            alternatives=body.get("n_probs") or 0,
        )

    def usage(self) -> dict[str, Any]:
        """Of one choice, as llama.cpp reports it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.count + self.knobs.thoughts,
            "total_tokens": self.prompt_tokens + self.count + self.knobs.thoughts,
            "prompt_tokens_details": {"cached_tokens": 0},
        }


def prompt_of(body: Mapping[str, Any]) -> str:
    """The texts of all messages: the fake engine's template."""
    return "\n".join(_texts(body["messages"]))


def _texts(messages: list[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content") or ""
        if isinstance(content, str):
            yield content
        else:
            yield from (part.get("text", "") for part in content)
