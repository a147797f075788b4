"""What the text of a chat's answer is held to: tools that must be called, a response format, or both. Pure.

The function asks, to refuse before anything is queued; the worker asks again, to tell its engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.constrain.calls import PARALLEL_MAX, call_schema
from shared.constrain.guide import needs_guide
from shared.constrain.rewrite import Constraint, Schema
from shared.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Constrained:
    """`schema` is a document for the engine. `calls`: the text is, or may be, a list of calls. `guided`: the schema
    says what plain llama.cpp passes over (see `guide`)."""

    schema: Schema
    calls: bool
    guided: bool


def constrained(request: Mapping[str, Any]) -> Constrained | None:
    """Of a chat request (`JobSpec.request`); None when its answer is free, or when the engine's own tool calls do.

    Raises InvalidRequest with `param` for what cannot be enforced.
    """
    tools, choice = request.get("tools"), request.get("tool_choice", "auto")
    if not tools and choice not in ("none", "auto"):
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if not shows_tools(request):
        return format_held(request.get("response_format"))
    assert tools
    constraint = Constraint()
    answer = _format(constraint, request.get("response_format"))
    if choice == "auto" and answer is None:
        call_schema(Constraint(), tools, most=1)  # refused here, if at all: the engine's words name no field
        return None
    if is_prefill(request["messages"]):
        raise InvalidRequest(
            "The last message begins an answer, which cannot become a tool call; "
            "leave it out, or 'tool_choice' and 'response_format'.",
            param="messages",
        )
    allowed = tools if choice in ("auto", "required") else _named(tools, choice)
    # One call unless several are asked for by name: a small model that may go on does, with the same call.
    most = PARALLEL_MAX if request.get("parallel_tool_calls") and choice in ("auto", "required") else 1
    schema = call_schema(constraint, allowed, most=most)
    if choice == "auto" and answer is not None:
        _check_object(constraint.whole(answer), answer)
        schema = {"anyOf": [schema, answer]}
    return _held(constraint.document(schema), calls=True)


def shows_tools(request: Mapping[str, Any]) -> bool:
    """Whether the model is told of the tools."""
    return bool(request.get("tools")) and request.get("tool_choice", "auto") != "none"


def is_prefill(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last message is an answer that the model goes on with; its text is not repeated in the output."""
    return messages[-1].get("role") == "assistant" and not messages[-1].get("tool_calls")


def format_held(response_format: Mapping[str, Any] | None) -> Constrained | None:
    """What a `response_format` alone holds an answer to; None for text. Raises InvalidRequest."""
    constraint = Constraint()
    answer = _format(constraint, response_format)
    return None if answer is None else _held(constraint.document(answer), calls=False)


def _format(constraint: Constraint, asked: Mapping[str, Any] | None) -> Schema | None:
    kind = (asked or {}).get("type", "text")
    if asked is None or kind == "text":
        return None
    if kind == "json_object":
        return constraint.add({"type": "object"}, "response_format")
    if kind != "json_schema":
        raise InvalidRequest(f"Unknown response format '{kind}'.", param="response_format.type")
    return constraint.add(asked["json_schema"].get("schema", {}), "response_format")


def _held(document: Schema, *, calls: bool) -> Constrained:
    return Constrained(document, calls, needs_guide(document))


def _check_object(document: Schema, schema: Schema) -> None:
    """An answer beside calls must be told from a list. Raises InvalidRequest."""
    if "$ref" in schema:
        schema = document["$defs"][schema["$ref"].rpartition("/")[2]]
    if schema.get("type") != "object":
        raise InvalidRequest(
            "With 'tools', the schema of 'response_format' must be of type 'object'.", param="response_format"
        )


def _named(tools: Sequence[Mapping[str, Any]], choice: Any) -> list[Mapping[str, Any]]:
    name = choice["function"]["name"]
    found = [tool for tool in tools if tool["function"]["name"] == name]
    if not found:
        raise InvalidRequest(f"Tool choice '{name}' not found in 'tools'.", param="tool_choice")
    return found[:1]
