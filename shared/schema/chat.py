"""`POST /v1/chat/completions`: the request (OpenAI API reference, "Create chat completion")."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from shared.constrain.answer import constrained
from shared.errors import InvalidRequest
from shared.schema.body import AsksNothing, nothing, validate, wrong
from shared.schema.features import features_of
from shared.schema.fields import (
    Metadata,
    Object,
    Objects,
    Short,
    StreamOptions,
    ToolChoice,
    check_stream_options,
    check_top_logprobs,
)
from shared.schema.messages import normalise
from shared.schema.options import INTEGERS
from shared.schema.reasoning import effort_of
from shared.schema.response_format import response_format_of
from shared.schema.sampling import Sampling
from shared.schema.tools import choose, tools_of

NOT_BUILT: dict[str, AsksNothing] = {
    "audio": nothing(),
    "function_call": nothing("none", "auto"),
    "functions": nothing([]),
    "modalities": nothing(["text"]),
    "moderation": nothing(),
    "prediction": nothing(),
    "prompt_cache_options": nothing({}),
    "prompt_cache_retention": nothing("in_memory"),
    "service_tier": nothing("auto", "default"),
    "store": nothing(False),
    "verbosity": nothing("medium"),
    "web_search_options": nothing(),
}
"""Fields of the OpenAI schema that are not built, each with the values that ask for nothing."""

_String = Annotated[Any, WithJsonSchema({"type": "string"})]


class ChatRequest(Sampling):
    """What a caller may send. `metadata`, `safety_identifier` and `prompt_cache_key` are checked and have no effect:
    nothing is stored that they could label, and the prompt cache is shared by all."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "object"}, "minItems": 1})]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=INTEGERS)] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: Object = None
    tools: Objects = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: _String = None
    reasoning: Object = None
    metadata: Metadata | None = None
    safety_identifier: Short | None = None
    prompt_cache_key: str | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def engine_request(self) -> dict[str, Any]:
        """What the engine is asked: only what the caller set, so that the model's own defaults stay in force.

        Raises InvalidRequest or UnsupportedParameter with `param`.
        """
        asked = {
            "messages": normalise(self.messages),
            **self.sampling(),
            **self._logprobs(),
            **self._tools(),
            "response_format": None if self.response_format is None else response_format_of(self.response_format),
            "reasoning_effort": effort_of(self.reasoning_effort, self.reasoning)[0],
        }
        request = {name: value for name, value in asked.items() if value is not None}
        constrained(request)  # what no engine can hold an answer to is refused here
        return request

    def features(self, asked: dict[str, Any]) -> dict[str, str]:
        """What a model must be capable of for an engine's request, each with the field that asks for it."""
        return features_of(asked, effort_of(self.reasoning_effort, self.reasoning)[1])

    def _logprobs(self) -> dict[str, Any]:
        check_top_logprobs(self.top_logprobs)
        if self.top_logprobs is not None and not self.logprobs:
            raise wrong("top_logprobs", "it is only allowed when 'logprobs' is true")
        return {"logprobs": True, "top_logprobs": self.top_logprobs} if self.logprobs else {}

    def _tools(self) -> dict[str, Any]:
        tools, choice = choose([] if self.tools is None else tools_of(self.tools), self.tool_choice)
        if not tools:
            return {}
        return {"tools": tools, "tool_choice": choice, "parallel_tool_calls": self.parallel_tool_calls}


def parse(body: dict[str, Any]) -> ChatRequest:
    """A request whose simple fields are checked; `engine_request` checks the rest.

    Raises InvalidRequest or UnsupportedParameter with `param`.
    """
    if not body.get("model"):
        raise InvalidRequest("model is required", param="model", code="missing_required_parameter")
    if body.get("messages") is None:
        raise InvalidRequest("[] is too short - 'messages'", param="messages", code="missing_required_parameter")
    request = validate(ChatRequest, body, NOT_BUILT)
    check_stream_options(request.stream_options, stream=request.stream)
    limit = request.max_completion_tokens
    if limit is None:
        return request
    if request.max_tokens not in (None, limit):
        raise InvalidRequest(
            "'max_tokens' and 'max_completion_tokens' differ; 'max_tokens' is deprecated, leave it out.",
            param="max_tokens",
        )
    return request.model_copy(update={"max_tokens": limit})
