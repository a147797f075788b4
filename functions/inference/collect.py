"""All events of a generation as one answer."""

from dataclasses import dataclass, field
from typing import Any

from functions.inference.generate import Events
from shared.frames import Delta, Done, Finish, Started


@dataclass(slots=True)
class Choice:
    """One completed choice."""

    parts: list[str] = field(default_factory=list)
    finish_reason: str = "stop"

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(slots=True)
class Answer:
    """What a generation came to. `usage` is OpenAI's usage object."""

    fingerprint: str = ""
    choices: dict[int, Choice] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)


def usage(done: Done) -> dict[str, Any]:
    """OpenAI's usage object of chat and completions."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
    }


async def collect(events: Events) -> Answer:
    """Wait for the end. A job that starts again starts the answer again. Raises the error that it failed with."""
    answer = Answer()
    async for batch in events:
        for event in batch:
            match event:
                case Delta(text, _, index):
                    answer.choices.setdefault(index, Choice()).parts.append(text)
                case Started(_, fingerprint):
                    answer = Answer(fingerprint)
                case Finish(reason, index):
                    answer.choices.setdefault(index, Choice()).finish_reason = reason
                case Done():
                    answer.usage = usage(event)
    return answer
