"""JobSpec: what a handler asks of a worker. It crosses Redis inside an RQ job; codec beside the dataclass."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

GENERATE = "puna.generate"
"""The only function name a job may carry. It is looked up in a table and never imported."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One generation, ready to run: checked, resolved, with every default decided.

    `kind` says what to do: `chat`, `completion`, `count` (of a chat's prompt), `embedding`, `load` (nothing more), or
    on the catalog's queue `pull`, `push` or `create`. `id` is RQ's job id and the tail of the answer's id. `queue`
    names the queue of the model's runner. `model` is the name as the caller wrote it. `request` is what the engine's
    adapter for this kind reads: fields of the OpenAI schema, checked, nulls removed. `deadline` and `created` are Unix
    seconds. `stream` says that the caller sees tokens as they come, so a second attempt after the first token is
    impossible. `response` is the head of the response that is made of it (`shared.responses.head`), None for other
    answers; `brought` are the items that its conversation gets before the output. `keep_alive` is how long the model is
    to be kept loaded after it (s): negative for ever, 0 not at all, None for no change.
    """

    id: str
    queue: str
    model: str
    request: dict[str, Any] = field(repr=False)
    created: float
    deadline: float
    kind: str = "chat"
    stream: bool = False
    tenant: str = "default"
    user: str | None = None
    priority: int = 0
    request_id: str = ""
    traceparent: str | None = None
    response: dict[str, Any] | None = field(default=None, repr=False)
    brought: list[dict[str, Any]] | None = field(default=None, repr=False)
    keep_alive: float | None = None

    @property
    def width(self) -> int:
        """Slots that an engine needs to run all choices at once, and takes at most."""
        each = max(self.request.get("n") or 1, self.request.get("best_of") or 1)
        return int(each * len(self.request.get("prompts") or (None,)))

    def encode(self) -> dict[str, Any]:
        """As JSON types, for RQ's serializer."""
        return asdict(self)

    @classmethod
    def decode(cls, data: dict[str, Any]) -> Self:
        """Back from JSON types. Raises TypeError on a field this version does not know."""
        return cls(**data)

    def redacted(self) -> dict[str, Any]:
        """What may outlive the job in a failed-job registry: everything but the prompt and the user."""
        return {**asdict(self), "request": {}, "user": None, "response": None, "brought": None}
