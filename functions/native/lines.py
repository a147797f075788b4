"""Ollama's streams: one JSON object a line (NDJSON)."""

from typing import Any

import orjson
from starlette.responses import Response

from functions.errors import NATIVE, native_body, refusal
from functions.inference.sse import EventStream
from shared.errors import PunaError


def line(value: Any) -> bytes:
    """One object of a stream."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


class LineStream(EventStream):
    """As EventStream, in lines. There is no line that says nothing, so a stream opens with its first object."""

    stream_type = b"application/x-ndjson"

    def refusal(self, error: PunaError) -> Response:
        return refusal(error, NATIVE)

    def failure(self, error: PunaError) -> bytes:
        return line(native_body(error))
