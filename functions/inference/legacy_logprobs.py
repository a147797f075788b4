"""Log probabilities in the shape of `/v1/completions`: four lists, an item of each for every token."""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any


class LegacyLogprobs:
    """One choice, whose tokens come in pieces. `count` is how many of the likeliest tokens were asked for.

    `text_offset` counts characters from the beginning of the choice's text, an echoed prompt included. A token in the
    middle of a character has the offset of that character, and the name `bytes:\\xe6` that OpenAI gives it.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._characters = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """OpenAI's object for the next tokens."""
        return {
            "tokens": [_name(entry) for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": [self._top(entry) for entry in entries],
            "text_offset": [self._offset(entry) for entry in entries],
        }

    def _offset(self, entry: Mapping[str, Any]) -> int:
        offset = self._characters
        self._characters += len(self._decoder.decode(bytes(entry["bytes"])))
        return offset

    def _top(self, entry: Mapping[str, Any]) -> dict[str, float] | None:
        """The likeliest tokens, and the token itself, so that there may be one more than asked for. None for the
        first token of a text, which has no probability."""
        if entry["logprob"] is None:
            return None
        top: dict[str, float] = {}
        for each in (*entry["top_logprobs"][: self._count], entry):
            top.setdefault(_name(each), each["logprob"])
        return top


def _name(entry: Mapping[str, Any]) -> str:
    """A token's text. One without text, like the end of a message, has its name; one that is no text has its bytes."""
    data = bytes(entry["bytes"])
    if not data:
        return str(entry["token"])
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
