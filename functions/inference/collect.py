"""All events of a generation as one answer."""

from dataclasses import dataclass, field
from typing import Any

from functions.inference.generate import Events
from shared.frames import Delta, Done, Event, Finish, Started, Thought, ToolDelta


@dataclass(slots=True)
class Call:
    """One tool call; the text of its arguments comes in pieces."""

    id: str
    name: str
    parts: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        return "".join(self.parts)


@dataclass(slots=True)
class Choice:
    """One completed choice. `logprobs` has an entry per token of the text, None when none were asked for."""

    parts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: dict[int, Call] = field(default_factory=dict)
    logprobs: list[dict[str, Any]] | None = None
    finish_reason: str = "stop"

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def thought(self) -> str:
        return "".join(self.thoughts)

    def add(self, event: Delta | Thought | ToolDelta) -> None:
        """Take one more piece."""
        match event:
            case Delta(text, _, _, logprobs):
                self.parts.append(text)
                if logprobs is not None:
                    self.logprobs = self.logprobs or []
                    self.logprobs.extend(logprobs)
            case Thought(text):
                self.thoughts.append(text)
            case ToolDelta(call, arguments, id, name):
                self.calls.setdefault(call, Call(id, name)).parts.append(arguments)


@dataclass(slots=True)
class Answer:
    """What a generation came to. `usage` is OpenAI's usage object."""

    fingerprint: str = ""
    choices: dict[int, Choice] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take one more event."""
        match event:
            case Delta() | Thought() | ToolDelta():
                self.choices.setdefault(event.index, Choice()).add(event)
            case Finish(reason, index):
                self.choices.setdefault(index, Choice()).finish_reason = reason
            case Done():
                self.usage = usage(event)


def usage(done: Done) -> dict[str, Any]:
    """OpenAI's usage object of chat and completions."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": done.reasoning_tokens},
    }


async def collect(events: Events) -> Answer:
    """Wait for the end. A job that starts again starts the answer again. Raises the error that it failed with."""
    answer = Answer()
    async for batch in events:
        for event in batch:
            if isinstance(event, Started):
                answer = Answer(event.fingerprint)
            else:
                answer.add(event)
    return answer
