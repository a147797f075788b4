"""Frames: what a worker says of one job, in order. Both the replay log and the live channel carry them.

A frame is a batch of events with a position `(attempt, seq)`. Attempts count claims of the job from 1; `seq` counts
the frames of one attempt from 0 without a gap. The last event of a job's last frame, and no other, is terminal.

Wire form: a JSON array `[attempt, seq, [[tag, …], …]]`, tags as in `_TAGS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson

from shared.errors import PunaError, from_code


@dataclass(frozen=True, slots=True)
class Started:
    """A worker holds the job. `fingerprint` names weights, engine and options (OpenAI `system_fingerprint`)."""

    worker: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What the job waits for: `loading` (the model) or `prefill` (the prompt); `done` of `total` tokens if known."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """Text of choice `index`, from `tokens` tokens that arrived together.

    `logprobs` has one entry per token, in OpenAI's form: `{"token", "logprob", "bytes", "top_logprobs"}`.
    """

    text: str
    tokens: int = 1
    index: int = 0
    logprobs: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning of choice `index`, which comes before its text."""

    text: str
    tokens: int = 1
    index: int = 0


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A piece of the `call`-th tool call of choice `index`. `id` and `name` are on its first piece, empty later."""

    call: int
    arguments: str
    id: str = ""
    name: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings of the inputs from `first` on: `data` is base64 of `count` rows of little-endian float32."""

    first: int
    count: int
    data: str


@dataclass(frozen=True, slots=True)
class Step:
    """How far work on the catalog is: Ollama's words, and of a transfer its blob and bytes."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """Choice `index` is complete: `stop`, `length` or `tool_calls`."""

    reason: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """Terminal: all is complete. Token counts: `cached_tokens` is the part of the prompt not computed anew,
    `reasoning_tokens` the part of the completion that was thought. `at` is the worker's time, in Unix seconds."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Terminal: there is no more to come, because of an error of `shared.errors`, named by its code."""

    code: str | None
    message: str
    param: str | None = None

    def error(self) -> PunaError:
        """As the exception a handler translates."""
        return from_code(self.code, self.message, self.param)

    @classmethod
    def of(cls, error: PunaError) -> "Failed":
        """From an exception: its public words only."""
        code = error.code or ("invalid_request" if error.status < 500 else None)
        return cls(code, error.message, error.param)


@dataclass(frozen=True, slots=True)
class CancelledEvent:
    """Terminal: the caller went away or asked for it."""

    reason: str


Event: TypeAlias = (
    Started | Progress | Delta | Thought | ToolDelta | Vectors | Step | Finish | Done | Failed | CancelledEvent
)

OUTPUT = (Delta, Thought, ToolDelta, Vectors)
"""What a caller sees of an answer: once one of these has left, running the job again would repeat it."""

TERMINAL = (Done, Failed, CancelledEvent)

_TAGS: dict[str, type[Any]] = {
    "s": Started,
    "p": Progress,
    "d": Delta,
    "t": Thought,
    "c": ToolDelta,
    "v": Vectors,
    "u": Step,
    "f": Finish,
    "D": Done,
    "F": Failed,
    "C": CancelledEvent,
}
_TAG_OF = {kind: tag for tag, kind in _TAGS.items()}


class Position(NamedTuple):
    """Where a frame stands; also its id in the replay log, `attempt-seq`."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"


BEFORE_FIRST = Position(0, 0)


class Frame(NamedTuple):
    """A batch of events that travelled together."""

    attempt: int
    seq: int
    events: tuple[Event, ...]

    @property
    def position(self) -> Position:
        return Position(self.attempt, self.seq)

    @property
    def terminal(self) -> bool:
        return isinstance(self.events[-1], TERMINAL)

    def encode(self) -> bytes:
        return b"[%d,%d,%s]" % (self.attempt, self.seq, encode_events(self.events))

    @classmethod
    def decode(cls, data: bytes) -> "Frame":
        """Raises ValueError (orjson), KeyError or TypeError on what is not a frame."""
        attempt, seq, events = orjson.loads(data)
        return cls(attempt, seq, tuple([_TAGS[event[0]](*event[1:]) for event in events]))


def encode_events(events: Sequence[Event]) -> bytes:
    """The events alone; `cancel.lua` puts the position of a job that never ran in front of them."""
    return orjson.dumps([_encode(event) for event in events])


def _encode(event: Event) -> list[Any]:
    if type(event) is Delta:  # the hot path
        plain: list[Any] = ["d", event.text, event.tokens, event.index]
        return plain if event.logprobs is None else [*plain, event.logprobs]
    kind = type(event)
    return [_TAG_OF[kind], *(getattr(event, name) for name in kind.__slots__)]
