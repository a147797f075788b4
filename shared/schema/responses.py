"""`POST /v1/responses`: the request (OpenAI API reference, "Create a model response")."""

from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from shared.constrain.answer import constrained
from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import AsksNothing, Body, nothing, object_at, string_at, validate, wrong
from shared.schema.fields import (
    Metadata,
    Object,
    Objects,
    Padding,
    Penalty,
    Short,
    ToolChoice,
    check_stream_options,
    check_top_logprobs,
)
from shared.schema.options import INTEGERS
from shared.schema.reasoning import effort_of
from shared.schema.response_items import Item, items_of
from shared.schema.response_options import ENCRYPTED, LOGPROBS, included_of, thinking_of
from shared.schema.response_shapes import as_asked, choice_of, format_of, functions_of
from shared.schema.tools import Choice, Tools

NOT_BUILT: dict[str, AsksNothing] = {
    "context_management": nothing([]),
    "moderation": nothing(),
    "prompt": nothing(),
    "prompt_cache_options": nothing({}),
    "prompt_cache_retention": nothing("in_memory"),
}
"""Fields of the OpenAI schema that are not built, each with the values that ask for nothing."""

_TIERS: Final = ("auto", "default")

_Input = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]})]
_Conversation = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})]
_Strings = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "string"}})]


class ResponseRequest(Body):
    """What a caller may send. `max_tool_calls` bounds the calls of built-in tools, of which there are none;
    `safety_identifier` and `prompt_cache_key` are said again and have no other effect."""

    model: Annotated[str, Field(min_length=1)]
    input: _Input = None
    instructions: str | None = None
    tools: Objects = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1, le=INTEGERS)] | None = None
    stream: bool = False
    stream_options: Padding | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=INTEGERS)] | None = None
    text: Object = None
    reasoning: Object = None
    include: _Strings = None
    top_logprobs: int | None = None
    truncation: str | None = None
    metadata: Metadata | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    safety_identifier: Short | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    background: bool = False
    previous_response_id: Annotated[str, Field(min_length=1)] | None = None
    conversation: _Conversation = None

    @cached_property
    def items(self) -> list[Item]:
        """`input` in its plain form. Raises InvalidRequest or UnsupportedParameter."""
        return [] if self.input is None else items_of(self.input)

    @cached_property
    def functions(self) -> Tools:
        return [] if self.tools is None else functions_of(self.tools)

    @cached_property
    def choice(self) -> tuple[Tools, Choice | None]:
        return choice_of(self.functions, self.tool_choice)

    @cached_property
    def included(self) -> set[str]:
        """What `include` asks for: `LOGPROBS`, `ENCRYPTED`. Raises InvalidRequest or UnsupportedParameter."""
        return set() if self.include is None else included_of(self.include)

    @cached_property
    def thinking(self) -> dict[str, Any]:
        """`reasoning` as it is said again: `{"effort", "summary"}`. Raises InvalidRequest or UnsupportedParameter."""
        return thinking_of({} if self.reasoning is None else self.reasoning)

    @cached_property
    def format(self) -> dict[str, Any] | None:
        """`text.format` in a chat's shape; None for text. Raises InvalidRequest or UnsupportedParameter."""
        return format_of(self._text["format"]) if "format" in self._text else None

    @property
    def conversation_id(self) -> str | None:
        """Raises InvalidRequest."""
        if self.conversation is None or isinstance(self.conversation, str):
            return None if self.conversation is None else string_at(self.conversation, "conversation")
        return string_at(object_at(self.conversation, "conversation", ("id",)).get("id"), "conversation.id")

    def engine_request(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """What the engine is asked: a chat's request, of what the caller set and no more.

        Raises InvalidRequest or UnsupportedParameter with `param`, some of them in a chat's terms.
        """
        tools, choice = self.choice
        effort, _ = effort_of(None, {"effort": self.thinking["effort"]})
        asked = {
            "messages": messages,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "max_tokens": self.max_output_tokens,
            "response_format": self.format,
            "reasoning_effort": effort,
            "truncate": self.truncation if self.truncation == "auto" else None,
            **self._logprobs(),
        }
        if tools:
            asked |= {"tools": tools, "tool_choice": choice, "parallel_tool_calls": self.parallel_tool_calls}
        request = {name: value for name, value in asked.items() if value is not None}
        constrained(request)  # what no engine can hold an answer to is refused here
        return request

    def echo(self) -> dict[str, Any]:
        """The fields of a response's head that are the request's own."""
        return {
            "instructions": self.instructions,
            "tools": as_asked(self.functions),
            "tool_choice": "auto" if self.tool_choice is None else self.tool_choice,
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "text": {"verbosity": "medium", "format": {"type": "text"}, **self._text},
            "reasoning": self.thinking,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": self.max_tool_calls,
            "top_logprobs": self.top_logprobs or 0,
            "truncation": self.truncation or "disabled",
            "metadata": self.metadata or {},
            "user": self.user,
            "safety_identifier": self.safety_identifier,
            "prompt_cache_key": self.prompt_cache_key,
            "store": self.store is not False,
            "background": self.background,
            "previous_response_id": self.previous_response_id,
            "conversation": self.conversation_id,
            "logprobs": LOGPROBS in self.included,
            "encrypted": ENCRYPTED in self.included,
        }

    def check(self) -> None:
        """What no model of one field can check. Raises InvalidRequest or UnsupportedParameter with `param`."""
        _ = self.conversation_id
        if self.truncation not in (None, "auto", "disabled"):
            raise wrong("truncation", "expected 'auto' or 'disabled'")
        if self.service_tier not in (None, *_TIERS):
            raise UnsupportedParameter(
                "Unsupported parameter: 'service_tier' is not supported with this value.", param="service_tier"
            )
        if self._text.get("verbosity", "medium") != "medium":
            raise UnsupportedParameter(
                "Unsupported parameter: 'text.verbosity' is not supported with this value.", param="text.verbosity"
            )
        check_stream_options(self.stream_options, stream=self.stream)

    @cached_property
    def _text(self) -> dict[str, Any]:
        return {} if self.text is None else object_at(self.text, "text", ("format", "verbosity"))

    def _logprobs(self) -> dict[str, Any]:
        top, wanted = self.top_logprobs, LOGPROBS in self.included
        check_top_logprobs(top)
        if top and not wanted:
            raise wrong("top_logprobs", f"it is only allowed when 'include' has '{LOGPROBS}'")
        return {"logprobs": True, "top_logprobs": top} if wanted else {}


def parse(body: dict[str, Any]) -> ResponseRequest:
    """A request, checked, but for what `engine_request` checks. Raises InvalidRequest or UnsupportedParameter."""
    if not body.get("model"):
        raise InvalidRequest("model is required", param="model", code="missing_required_parameter")
    request = validate(ResponseRequest, body, NOT_BUILT)
    request.check()
    return request
