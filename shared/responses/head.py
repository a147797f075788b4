"""The head of a response: what was asked and is said again in every copy of the response object."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Head:
    """What rebuilds a response object, besides the frames of its job. Fields are OpenAI's unless said otherwise.

    `owner` is the tenant whose response it is. `logprobs` and `encrypted` say whether `include` asked for them.
    `temperature` and `top_p` are those in force, None where the engine's own are. `conversation` is an id.
    """

    id: str
    created_at: int
    model: str
    owner: str = "default"
    instructions: str | None = field(default=None, repr=False)
    tools: list[dict[str, Any]] = field(default_factory=list, repr=False)
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    text: dict[str, Any] = field(default_factory=lambda: {"format": {"type": "text"}, "verbosity": "medium"})
    reasoning: dict[str, Any] = field(default_factory=lambda: {"effort": None, "summary": None})
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    top_logprobs: int = 0
    truncation: str = "disabled"
    metadata: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str = "default"
    store: bool = True
    background: bool = False
    previous_response_id: str | None = None
    conversation: str | None = None
    logprobs: bool = False
    encrypted: bool = False

    @property
    def summarised(self) -> bool:
        """Whether thoughts are shown as a summary."""
        return self.reasoning.get("summary") is not None

    def encode(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)

    @classmethod
    def decode(cls, data: dict[str, Any]) -> Self:
        """Back from JSON types. Raises TypeError on a field this version does not know."""
        return cls(**data)

    def response(
        self,
        status: str,
        output: Sequence[dict[str, Any]] = (),
        *,
        completed_at: int | None = None,
        error: dict[str, Any] | None = None,
        incomplete_details: dict[str, Any] | None = None,
        usage: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The response object (OpenAI API reference, "The response object")."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "completed_at": completed_at,
            "status": status,
            "background": self.background,
            "conversation": None if self.conversation is None else {"id": self.conversation},
            "error": error,
            "frequency_penalty": self.frequency_penalty,
            "incomplete_details": incomplete_details,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": self.max_tool_calls,
            "metadata": self.metadata,
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": self.parallel_tool_calls,
            "presence_penalty": self.presence_penalty,
            "previous_response_id": self.previous_response_id,
            "prompt_cache_key": self.prompt_cache_key,
            "reasoning": self.reasoning,
            "safety_identifier": self.safety_identifier,
            "service_tier": self.service_tier,
            "store": self.store,
            "temperature": self.temperature,
            "text": self.text,
            "tool_choice": self.tool_choice,
            "tools": self.tools,
            "top_logprobs": self.top_logprobs,
            "top_p": self.top_p,
            "truncation": self.truncation,
            "usage": usage,
            "user": self.user,
        }
