"""`include` and `reasoning` of a response."""

from typing import Any, Final

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, object_at, wrong

LOGPROBS: Final = "message.output_text.logprobs"
ENCRYPTED: Final = "reasoning.encrypted_content"

_OTHERS: Final = {
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
}
"""What OpenAI can include besides, most of it of tools that are not built."""

INCLUDABLE: Final = _OTHERS | {LOGPROBS, ENCRYPTED}
"""All that OpenAI can include."""

_SUMMARIES: Final = ("auto", "concise", "detailed")

_DEFAULTS: Final = {"mode": "standard", "context": "auto"}
"""Fields of `reasoning` that are not built, each with the value that asks for nothing."""


def included_of(include: Any) -> set[str]:
    """Which of the two are asked for. Raises InvalidRequest or UnsupportedParameter with `param`."""
    if not isinstance(include, list):
        raise wrong("include", f"expected an array, not {json_type(include)}")
    for i, name in enumerate(include):
        if name in (LOGPROBS, ENCRYPTED):
            continue
        if isinstance(name, str) and name in _OTHERS:
            raise UnsupportedParameter(
                f"Unsupported value: 'include[{i}]' does not support '{name}'.", param=f"include[{i}]"
            )
        raise wrong(f"include[{i}]", f"expected '{LOGPROBS}' or '{ENCRYPTED}'")
    return set(include)


def thinking_of(reasoning: Any) -> dict[str, Any]:
    """`{"effort", "summary"}`, the effort not checked yet. Raises InvalidRequest or UnsupportedParameter."""
    fields = object_at(reasoning, "reasoning", ("effort", "summary", "generate_summary", *_DEFAULTS))
    for name, default in _DEFAULTS.items():
        if fields.get(name, default) != default:
            param = f"reasoning.{name}"
            raise UnsupportedParameter(
                f"Unsupported parameter: '{param}' is not supported with this value.", param=param
            )
    summaries = {name: fields[name] for name in ("summary", "generate_summary") if name in fields}
    for name, value in summaries.items():
        if value not in _SUMMARIES:
            raise wrong(f"reasoning.{name}", f"expected one of {', '.join(_SUMMARIES)}")
    if len(set(summaries.values())) > 1:
        raise InvalidRequest(
            "'reasoning.summary' and 'reasoning.generate_summary' differ; the latter is deprecated, leave it out.",
            param="reasoning.generate_summary",
        )
    return {"effort": fields.get("effort"), "summary": next(iter(summaries.values()), None)}
