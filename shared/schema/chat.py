"""`POST /v1/chat/completions`: the request (OpenAI API reference, "Create chat completion")."""

from typing import Annotated, Any

from pydantic import Field, field_validator

from shared.errors import InvalidRequest
from shared.schema.body import AsksNothing, Body, nothing, validate
from shared.schema.messages import normalise

NOT_BUILT: dict[str, AsksNothing] = {
    "audio": nothing(),
    "function_call": nothing("none", "auto"),
    "functions": nothing([]),
    "logit_bias": nothing({}),
    "logprobs": nothing(False),
    "metadata": nothing({}),
    "modalities": nothing(["text"]),
    "moderation": nothing(),
    "n": nothing(1),
    "parallel_tool_calls": nothing(True, False),
    "prediction": nothing(),
    "prompt_cache_key": nothing(""),
    "prompt_cache_options": nothing({}),
    "prompt_cache_retention": nothing("in_memory"),
    "reasoning_effort": nothing(""),
    "response_format": nothing({"type": "text"}),
    "safety_identifier": nothing(""),
    "service_tier": nothing("auto", "default"),
    "store": nothing(False),
    "tool_choice": nothing("none", "auto"),
    "tools": nothing([]),
    "top_logprobs": nothing(),
    "verbosity": nothing("medium"),
    "web_search_options": nothing(),
}
"""Fields of the OpenAI schema that are not built yet, each with the values that ask for nothing."""

_ENGINE_INTEGERS = 2**31 - 1
"""llama.cpp counts tokens in 32 bits with a sign."""

_ENGINE_SEEDS = 2**32 - 1
"""llama.cpp keeps a seed in 32 bits and takes the highest one to mean "random"."""


class StreamOptions(Body):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None

    @field_validator("include_obfuscation")
    @classmethod
    def _not_built(cls, value: bool | None) -> bool | None:
        if value:
            raise ValueError("padding of chunks is not supported")
        return value


class ChatRequest(Body):
    """What a caller may send. Ranges are OpenAI's."""

    model: Annotated[str, Field(min_length=1)]
    messages: list[Any]
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=_ENGINE_INTEGERS)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=_ENGINE_INTEGERS)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | list[str] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def engine_request(self) -> dict[str, Any]:
        """What the engine is asked: only what the caller set, so that the model's own defaults stay in force."""
        asked = {
            "messages": normalise(self.messages),
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "seed": None if self.seed is None else self.seed % _ENGINE_SEEDS,
            "stop": [self.stop] if isinstance(self.stop, str) else self.stop,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
        }
        return {name: value for name, value in asked.items() if value is not None}


def parse(body: dict[str, Any]) -> ChatRequest:
    """A checked request. Raises InvalidRequest or UnsupportedParameter with `param`."""
    if not body.get("model"):
        raise InvalidRequest("model is required", param="model", code="missing_required_parameter")
    if body.get("messages") is None:
        raise InvalidRequest("[] is too short - 'messages'", param="messages", code="missing_required_parameter")
    _check_stop(body.get("stop"))
    request = validate(ChatRequest, body, NOT_BUILT)
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest("'stream_options' is only allowed when 'stream' is true.", param="stream_options")
    limits = (request.max_tokens, request.max_completion_tokens)
    if None not in limits and limits[0] != limits[1]:
        raise InvalidRequest(
            "'max_tokens' and 'max_completion_tokens' differ; 'max_tokens' is deprecated, leave it out.",
            param="max_tokens",
        )
    return request


def _check_stop(stop: Any) -> None:
    """By hand: a model's message about a union names its branches, not the fault."""
    if stop is None:
        return
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise InvalidRequest("Invalid value for 'stop': expected a string or an array of strings.", param="stop")
    if "" in stops:
        raise InvalidRequest("Invalid value for 'stop': a sequence must not be empty.", param="stop")
    if len(stops) > 4:
        raise InvalidRequest(f"Invalid value for 'stop': {len(stops)} sequences; at most 4 are allowed.", param="stop")
