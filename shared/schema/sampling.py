"""What chat and completions ask of sampling: OpenAI's fields, and Ollama's beside them."""

import re
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from shared.durations import seconds_of
from shared.errors import InvalidRequest
from shared.schema.body import Body, json_type, wrong
from shared.schema.fields import Penalty
from shared.schema.options import INTEGERS, OPTIONS, Asked, options_of, put, seed, stops_of

_TOKEN = re.compile(r"[0-9]{1,9}")

_BIAS = 100

_Whole = Annotated[int, Field(ge=1, le=INTEGERS)]
_Stop = Annotated[
    Any, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 4}]})
]
_Bias = Annotated[
    Any, WithJsonSchema({"type": "object", "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}})
]
_KeepAlive = Annotated[Any, WithJsonSchema({"type": ["string", "number"]})]
_Options = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                **{
                    name: {"type": "integer" if each.whole else "number", "minimum": each.low, "maximum": each.high}
                    for name, each in OPTIONS.items()
                },
                "stop": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
            },
        }
    ),
]


class Sampling(Body):
    """Fields that chat and completions share. Ranges are OpenAI's; `top_k` and those after it are Ollama's."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: _Whole | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: _Stop = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: _Bias = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=INTEGERS)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0.01, le=100)] | None = None
    options: _Options = None
    keep_alive: _KeepAlive = None

    def sampling(self) -> dict[str, Any]:
        """The engine's request as far as it goes: what the caller set, and no more.

        `keep_alive`, in seconds, is for the worker, not for its engine.

        Raises InvalidRequest or UnsupportedParameter with `param`.
        """
        kept_s = check_keep_alive(self.keep_alive)
        asked = self._fields()
        if kept_s is not None:
            asked.fields["keep_alive"] = kept_s
        inner = Asked({}, {}) if self.options is None else options_of(self.options)
        _agree(asked.fields, inner.fields)
        _agree(asked.options, inner.options)
        request = {**inner.fields, **asked.fields}
        options = {**inner.options, **asked.options}
        return {**request, "options": options} if options else request

    def _fields(self) -> Asked:
        asked = Asked({}, {})
        for name in ("temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty"):
            if (value := getattr(self, name)) is not None:
                asked.fields[name] = value
        if self.seed is not None:
            asked.fields["seed"] = seed(self.seed)
        if self.stop is not None:
            asked.fields["stop"] = stops_of(self.stop)
        if self.logit_bias is not None and (bias := _bias(self.logit_bias)):
            asked.fields["logit_bias"] = bias
        if self.n is not None and self.n > 1:
            asked.fields["n"] = self.n
        for name in ("top_k", "min_p", "repeat_penalty"):
            if (value := getattr(self, name)) is not None:
                put(asked, name, value, name)
        return asked


def check_keep_alive(value: Any) -> float | None:
    """How long a model is to be kept after the request (s): negative for ever, 0 not at all, None for the setting.

    Raises InvalidRequest.
    """
    try:
        return None if value is None else seconds_of(value)
    except (ValueError, OverflowError) as error:
        raise wrong("keep_alive", str(error)) from None


def _agree(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    names = {each.field or each.engine: name for name, each in OPTIONS.items()}
    for key in outer.keys() & inner.keys():
        if outer[key] != inner[key]:
            param = f"options.{names.get(key, key)}"
            raise InvalidRequest(f"'{key}' and '{param}' differ; leave one of them out.", param=param)


def _bias(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise wrong("logit_bias", f"expected an object, not {json_type(value)}")
    for token, bias in value.items():
        if not _TOKEN.fullmatch(token):
            raise wrong("logit_bias", f"'{token[:40]}' is not the number of a token")
        if type(bias) not in (int, float) or not -_BIAS <= bias <= _BIAS:
            raise wrong(f"logit_bias.{token}", f"expected a number from {-_BIAS} to {_BIAS}")
    return value
