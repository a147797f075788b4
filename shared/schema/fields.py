"""Fields that several requests have, as types of their models; what is `Any` here is checked by hand."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, field_validator

from shared.errors import InvalidRequest
from shared.schema.body import Body

Short = Annotated[str, Field(max_length=64)]
Metadata = Annotated[dict[Short, Annotated[str, Field(max_length=512)]], Field(max_length=16)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Objects = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "object"}})]
Object = Annotated[Any, WithJsonSchema({"type": "object"})]
ToolChoice = Annotated[
    Any, WithJsonSchema({"anyOf": [{"type": "string", "enum": ["none", "auto", "required"]}, {"type": "object"}]})
]


class Padding(Body):
    """`stream_options`, as far as every stream has them."""

    include_obfuscation: bool | None = None

    @field_validator("include_obfuscation")
    @classmethod
    def _not_built(cls, value: bool | None) -> bool | None:
        if value:
            raise ValueError("padding of chunks is not supported")
        return value


class StreamOptions(Padding):
    """With the usage at the end, as chats and completions can."""

    include_usage: bool | None = None


def check_stream_options(options: Padding | None, *, stream: bool) -> None:
    """Raises InvalidRequest for options of a stream that is none."""
    if options is not None and not stream:
        raise InvalidRequest("'stream_options' is only allowed when 'stream' is true.", param="stream_options")


def check_top_logprobs(top: int | None) -> None:
    """Raises InvalidRequest in the reference's words."""
    if top is not None and not 0 <= top <= 20:
        raise InvalidRequest("top_logprobs must be between 0 and 20", param="top_logprobs")
