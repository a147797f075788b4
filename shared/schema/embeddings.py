"""`POST /v1/embeddings`: the request (OpenAI API reference, "Create embeddings"), and `truncate` as an extension."""

from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from shared.errors import InvalidRequest
from shared.schema.body import Body, json_type, validate

MAX_INPUTS: Final = 2048

_MAX_TOKEN: Final = 2**31 - 1
"""llama.cpp keeps a token in 32 bits with a sign."""

FORMATS: Final = ("float", "base64")

_STRING = {"type": "string"}
_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_INPUT = {
    "anyOf": [
        _STRING,
        {"type": "array", "items": _STRING, "minItems": 1, "maxItems": MAX_INPUTS},
        _TOKENS,
        {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": MAX_INPUTS},
    ]
}


class EmbeddingsRequest(Body):
    """What a caller may send. `input` is checked by hand: a model's message about a union names its branches."""

    model: str = ""
    input: Annotated[Any, WithJsonSchema(_INPUT)]
    encoding_format: Annotated[str, WithJsonSchema({"enum": list(FORMATS)})] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    truncate: bool = False

    @property
    def base64(self) -> bool:
        return self.encoding_format == "base64"

    @property
    def inputs(self) -> int:
        """How many vectors are asked for."""
        return 1 if isinstance(self.input, str) or type(self.input[0]) is int else len(self.input)

    def engine_request(self) -> dict[str, Any]:
        """What the engine's adapter reads: `input` in the caller's own form, and `truncate`."""
        return {"input": self.input, "truncate": self.truncate}


def parse(body: dict[str, Any]) -> EmbeddingsRequest:
    """A checked request; `model` may be empty. Raises InvalidRequest with `param`."""
    _check_input(body.get("input"))
    encoding = body.get("encoding_format")
    if encoding is not None:
        body = {**body, "encoding_format": _format(encoding)}
    return validate(EmbeddingsRequest, body, {})


def _format(value: Any) -> str:
    if isinstance(value, str) and value.lower() in FORMATS:
        return value.lower()
    told = value if isinstance(value, str) else json_type(value)
    raise InvalidRequest(
        f"Invalid value for 'encoding_format' = {told}. Supported values: ['float', 'base64'].",
        param="encoding_format",
    )


def _check_input(value: Any) -> None:
    if value is None:
        raise InvalidRequest("invalid input", param="input", code="missing_required_parameter")
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise InvalidRequest("invalid input type", param="input")
    if not value:
        raise InvalidRequest("invalid input", param="input")
    if type(value[0]) is int:
        _check_tokens(value, "input")
        return
    if len(value) > MAX_INPUTS:
        raise InvalidRequest(f"'input' has {len(value)} inputs; at most {MAX_INPUTS} are allowed.", param="input")
    kind = list if type(value[0]) is list else str
    for index, each in enumerate(value):
        if type(each) is not kind:
            raise InvalidRequest("invalid input type", param=f"input[{index}]")
        if isinstance(each, list):
            _check_tokens(each, f"input[{index}]")


def _check_tokens(tokens: list[Any], param: str) -> None:
    if not tokens:
        raise InvalidRequest("invalid input", param=param)
    for token in tokens:
        if type(token) is not int:
            raise InvalidRequest("invalid input type", param=param)
        if not 0 <= token <= _MAX_TOKEN:
            raise InvalidRequest(f"token {token} is not in the model's vocabulary.", param=param)
