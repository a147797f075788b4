"""A chat request (`JobSpec.request`) as the body of llama.cpp's `/v1/chat/completions`. Pure.

Every field is mapped by name, so that nothing reaches the engine, or is lost, unseen. What is not asked for is not
sent: the engine's defaults stay in force. Source: llama.cpp `tools/server/README.md` and `server-schema.cpp`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.constrain.answer import constrained, shows_tools
from shared.constrain.guide import guide
from shared.errors import InvalidRequest
from worker.runtime.llama_messages import messages_of
from worker.runtime.thinking import thinking_fields

_AS_THEY_ARE = ("temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty", "fake")
"""Fields that llama.cpp has under the same name; `fake` turns the fake engine's knobs, in tests only."""

_MAPPED = {
    *("messages", "n", "logprobs", "top_logprobs", "logit_bias", "response_format", "reasoning_effort", "options"),
    "stop",
}
_TOOLS = {"tools", "tool_choice", "parallel_tool_calls"}
_FIELDS = {*_AS_THEY_ARE, *_MAPPED, *_TOOLS}

_OPTIONS = {
    *("temperature", "top_p", "seed", "stop", "max_tokens", "frequency_penalty", "presence_penalty"),
    *("top_k", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "xtc_threshold", "min_keep", "samplers"),
    *("repeat_penalty", "repeat_last_n", "dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n"),
    *("dry_sequence_breakers", "dynatemp_range", "dynatemp_exponent", "mirostat", "mirostat_tau", "mirostat_eta"),
    *("n_keep", "ignore_eos"),
}
"""llama.cpp's sampling parameters that a request may set; a field of the request itself comes first."""

_ALL = {"repeat_last_n": 65_536, "dry_penalty_last_n": 65_536, "top_k": 0}
"""What -1, Ollama's word for all of them, is to llama.cpp: it keeps so many tokens in a list, and 0 is no cut."""

_SEEDS = 2**32 - 1
"""llama.cpp takes this seed to mean a random one. Each choice of a request has a seed one higher than the last."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A request, decided. `body` lacks what differs between groups of choices.

    `calls` says that the text of the answer is, or may be, a list of calls. `top` is the number of alternatives
    asked for at each token, None without `logprobs`. `stops` are looked for here and not by the engine, see `Stopper`.
    """

    body: dict[str, Any]
    choices: int = 1
    calls: bool = False
    top: int | None = None
    stops: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> "Plan":
        """Raises InvalidRequest with `param` for what the engine cannot do."""
        if unknown := request.keys() - _FIELDS:
            raise InvalidRequest(f"Unknown parameter: '{min(unknown)}'.", param=min(unknown))
        body = {
            "reasoning_format": "auto",  # thoughts apart from the text
            **_options(request.get("options") or {}),
            **{name: request[name] for name in _AS_THEY_ARE if name in request},
            **thinking_fields(request.get("reasoning_effort")),
            "messages": messages_of(request.get("messages")),
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
        if "seed" in body:
            # From a cached prompt, cut elsewhere into batches, sums differ in their last bits, and so do long answers.
            body["cache_prompt"] = False
        if "logit_bias" in request:
            body["logit_bias"] = _biases(request["logit_bias"])
        top = (request.get("top_logprobs") or 0) if request.get("logprobs") else None
        if top is not None:
            # llama.cpp's own name: it refuses `logprobs` with tools in a stream, and gives none for 0 alternatives.
            body["n_probs"] = max(top, 1)
        calls = _constrain(body, request)
        of_options = body.pop("stop", ())
        stops = tuple(request.get("stop") or of_options)
        if stops:
            body["timings_per_token"] = True  # how many tokens a text has, when it is cut
        return cls(body, request.get("n") or 1, calls, top, stops)

    def group(self, first: int, count: int) -> dict[str, Any]:
        """The body for choices `first` … `first + count - 1`."""
        changes: dict[str, Any] = {"n": count} if count > 1 else {}
        if "seed" in self.body and self.choices > 1:
            changes["seed"] = min(self.body["seed"] % _SEEDS, _SEEDS - self.choices) + first
        return {**self.body, **changes}


def _constrain(body: dict[str, Any], request: Mapping[str, Any]) -> bool:
    """Tools and format. Whether the answer's text is, or may be, a list of calls."""
    found = constrained(request)
    if shows_tools(request):
        # Tools that may not be called are not shown: the model would write calls as text.
        body["tools"] = request["tools"]
        if found is None:
            body["parallel_tool_calls"] = request.get("parallel_tool_calls", True)
        else:
            body["tool_choice"] = "none"  # llama.cpp's own calls are off, and the template still shows the tools
    if found is None:
        return False
    if found.guided:
        body["grammar"] = guide(found.schema)
    else:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": found.schema}}
    return found.calls


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := options.keys() - _OPTIONS:
        raise InvalidRequest(f"Unknown option: '{min(unknown)}'.", param=f"options.{min(unknown)}")
    whole = {name: replacement for name, replacement in _ALL.items() if options.get(name) == -1}
    return {**options, **whole}


def _biases(biases: Mapping[str, Any]) -> list[list[Any]]:
    """As pairs: a name in an object might be taken for text."""
    try:
        return [[int(token), bias] for token, bias in biases.items()]
    except ValueError:
        raise InvalidRequest("'logit_bias' must map token ids to numbers", param="logit_bias") from None
