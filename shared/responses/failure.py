"""Errors in the terms of a response: what a handler answers, what a stream says, what the object keeps."""

import re
from collections.abc import Sequence
from typing import Any, Final

from shared.errors import InvalidRequest, PunaError

_CODES: Final = {
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_parse_error",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
}
"""Codes of ours that the error of a response object has too; the list is closed (`ResponseErrorCode`)."""

_NAMES: Final = {"messages": "input", "response_format": "text.format", "reasoning_effort": "reasoning.effort"}
"""Fields of a chat, and what a response calls them."""

_NESTED: Final = re.compile(r"(?<=\btext\.format)\.json_schema\b|(?<=\])\.function\b(?=\.(?:name|parameters|strict)\b)")
"""Levels that a chat's shapes have and a response's have not."""

_MESSAGE: Final = re.compile(r"messages\[(\d+)\](?:\.content(?:\[(\d+)\])?)?")
_QUOTED: Final = re.compile(r"'(messages(?:\[\d+\])?|response_format|reasoning_effort)(?=['.\[])")


def in_its_terms(error: PunaError, places: Sequence[str] = ()) -> PunaError:
    """The error of a chat, changed to speak of the response's own fields. `places` say for each message where in the
    request its content is."""
    if error.param is not None:
        error.param = _param(error.param, places)
    if isinstance(error, InvalidRequest):
        words = _QUOTED.sub(lambda found: f"'{_param(found[1], places)}", error.message)
        error.message = _NESTED.sub("", words)
    return error


def response_error(error: PunaError) -> dict[str, Any]:
    """`error` of a response object that failed."""
    if error.code in _CODES:
        code = error.code
    elif error.status == 429:
        code = "rate_limit_exceeded"
    else:
        code = "invalid_prompt" if error.status < 500 else "server_error"
    return {"code": code, "message": error.message}


def error_event(error: PunaError) -> dict[str, Any]:
    """The event of a stream that breaks off, without its `sequence_number`."""
    return {"type": "error", "code": error.code, "message": error.message, "param": error.param}


def _param(param: str, places: Sequence[str]) -> str:
    if found := _MESSAGE.match(param):
        number = int(found[1])
        if number >= len(places):
            return "input"
        part = f"[{found[2]}]" if found[2] is not None and places[number].startswith("input[") else ""
        return places[number] + part + (param[found.end() :] if part else "")
    name, dot, rest = param.partition(".")
    return _NESTED.sub("", _NAMES.get(name, name) + dot + rest)
