"""What the fake engine does with one request: defaults from the command line, changed by the body. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Knobs:
    """Behaviour of the fake engine; each can be set per request in the body's `fake` object."""

    tokens: int = 16
    """Length of an answer that no limit cuts."""
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
    """One request, decided: `count` tokens for each of `choices`, then `reason`."""

    knobs: Knobs
    prompt_tokens: int
    count: int
    reason: str
    choices: int
    stream: bool
    include_usage: bool
    progress: bool

    @classmethod
    def of(cls, body: Mapping[str, Any], defaults: Knobs) -> "Plan":
        """From a chat request. Raises KeyError, TypeError or AttributeError on what is not one."""
        knobs = defaults.with_body(body.get("fake") or {})
        limit = body.get("max_tokens")
        if limit is None:
            limit = body.get("max_completion_tokens")
        # A limit alone is the length; a `tokens` of the request's own may end the answer before it.
        own = "tokens" in (body.get("fake") or {})
        count = knobs.tokens if limit is None else min(limit, knobs.tokens) if own else limit
        return cls(
            knobs=knobs,
            prompt_tokens=sum(len(text.split()) for text in _texts(body["messages"])),
            count=count,
            reason="length" if count == limit else "stop",
            choices=body.get("n") or 1,
            stream=bool(body.get("stream")),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            progress=bool(body.get("return_progress")),
        )

    def usage(self) -> dict[str, Any]:
        """Of one choice, as llama.cpp reports it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.count,
            "total_tokens": self.prompt_tokens + self.count,
            "prompt_tokens_details": {"cached_tokens": 0},
        }


def _texts(messages: list[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content") or ""
        if isinstance(content, str):
            yield content
        else:
            yield from (part.get("text", "") for part in content)
