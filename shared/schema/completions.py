"""`POST /v1/completions`: the request (OpenAI API reference, "Create completion"), and Ollama's options beside it."""

from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from shared.constrain.answer import format_held
from shared.errors import ModelNotFound
from shared.schema.body import json_type, validate, wrong
from shared.schema.fields import StreamOptions, check_stream_options
from shared.schema.options import INTEGERS
from shared.schema.response_format import response_format_of
from shared.schema.sampling import Sampling

MAX_CHOICES: Final = 128
"""Prompts times candidates, OpenAI's bound of `n`: one request must not hold the engine's slots for all others."""

_MAX_TOKEN: Final = 2**31 - 1
"""llama.cpp keeps a token in 32 bits with a sign."""

_STRING = {"type": "string"}
_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_PROMPT = {
    "anyOf": [
        _STRING,
        {"type": "array", "items": _STRING, "minItems": 1, "maxItems": MAX_CHOICES},
        _TOKENS,
        {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": MAX_CHOICES},
    ]
}


class CompletionRequest(Sampling):
    """What a caller may send. `prompt` is checked by hand: a model's message about a union names its branches.

    An absent prompt is an empty one: the model begins a new document, as OpenAI's default `<|endoftext|>` says.
    """

    model: str = ""
    prompt: Annotated[Any, WithJsonSchema(_PROMPT)] = ""
    suffix: str | None = None
    max_tokens: Annotated[int, Field(ge=0, le=INTEGERS)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    response_format: Annotated[Any, WithJsonSchema({"type": "object"})] = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def prompts(self) -> list[str | list[int]]:
        """The prompts, one or several."""
        one = isinstance(self.prompt, str) or type(self.prompt[0]) is int
        return [self.prompt] if one else self.prompt

    def engine_request(self) -> dict[str, Any]:
        """What the worker reads: what the caller set, and no more. `prompts` is a list in any case.

        Raises InvalidRequest or UnsupportedParameter with `param`.
        """
        asked = {
            "prompts": self.prompts,
            **self.sampling(),
            "suffix": self.suffix or None,
            "best_of": self.best_of,
            "echo": self.echo or None,
            "logprobs": self.logprobs,
            "response_format": None if self.response_format is None else response_format_of(self.response_format),
        }
        if "max_tokens" not in asked and (self.options or {}).get("num_predict") in (-1, -2):
            asked["max_tokens"] = -1  # no limit, said by name: the default is 16
        format_held(asked["response_format"])  # what no engine can hold an answer to is refused here
        return {name: value for name, value in asked.items() if value is not None}


def parse(body: dict[str, Any]) -> CompletionRequest:
    """A checked request. Raises ModelNotFound, InvalidRequest or UnsupportedParameter with `param`."""
    if not body.get("model"):
        raise ModelNotFound("model '' not found", param="model")
    _check_prompt(body.get("prompt"))
    request = validate(CompletionRequest, body, {})
    check_stream_options(request.stream_options, stream=request.stream)
    _check_choices(request)
    return request


def _check_choices(request: CompletionRequest) -> None:
    n = request.n or 1
    each = request.best_of or n
    if each < n:
        raise wrong("best_of", f"it must be at least 'n', which is {n}")
    if each > n and request.stream:
        raise wrong("best_of", "more candidates than 'n' cannot be streamed")
    if (choices := len(request.prompts) * each) > MAX_CHOICES:
        raise wrong("prompt", f"{choices} completions in all, of every prompt and candidate; at most {MAX_CHOICES}")


def _check_prompt(value: Any) -> None:
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, list):
        raise wrong("prompt", f"expected a string or an array of strings or tokens, not {json_type(value)}")
    if not value:
        raise wrong("prompt", "an empty array")
    if type(value[0]) is int:
        _check_tokens(value, "prompt")
        return
    kind = list if isinstance(value[0], list) else str
    for index, each in enumerate(value):
        if type(each) is not kind:
            raise wrong(f"prompt[{index}]", "expected all strings, all tokens or all arrays of tokens")
        if isinstance(each, list):
            _check_tokens(each, f"prompt[{index}]")


def _check_tokens(tokens: list[Any], param: str) -> None:
    if not tokens:
        raise wrong(param, "an empty array")
    for token in tokens:
        if type(token) is not int:
            raise wrong(param, f"expected tokens, not {json_type(token)}")
        if not 0 <= token <= _MAX_TOKEN:
            raise wrong(param, f"token {token} is not in the model's vocabulary")
