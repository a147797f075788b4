"""Tokens of a vocabulary, and what the files of a folder say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.errors import InvalidRequest
from worker.convert import encode
from worker.convert.folder import Folder
from worker.convert.special import content

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""llama.cpp's types of tokens, which are SentencePiece's."""

TOKENIZER, PIECES, WORDS = "tokenizer.json", "tokenizer.model", "vocab.txt"

_LOOKS_SPECIAL: Final = (("<|", "|>"), ("<｜", "｜>"), ("[@", "@]"))
"""Beginnings and ends of tokens that are control tokens whatever their file says."""


@dataclass
class Tokens:
    """Texts and types of a vocabulary's tokens by number."""

    texts: list[str] = field(default_factory=list)
    types: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, ids: Mapping[str, int], size: int) -> "Tokens":
        """Numbers that no token has are left unused. Raises InvalidRequest for one beyond `size`."""
        tokens = cls([f"[PAD{number}]" for number in range(size)], [UNUSED] * size)
        for text, number in ids.items():
            tokens.put(number, text, NORMAL)
        return tokens

    def put(self, number: int, text: str, type_: int) -> None:
        if not isinstance(number, int) or not 0 <= number < len(self.texts):
            raise InvalidRequest(
                f"the token {text!r} has the number {number}, and config.json a vocab_size of {len(self.texts)}",
                param="files",
            )
        self.texts[number], self.types[number] = text, type_

    def pairs(self) -> list[bytes]:
        return [
            encode.strings("tokenizer.ggml.tokens", self.texts),
            encode.int32s("tokenizer.ggml.token_type", self.types),
        ]


def tokenizer_of(folder: Folder, kind: str = "BPE") -> dict[str, Any]:
    """`tokenizer.json` with a model of a kind. Raises InvalidRequest."""
    if TOKENIZER not in folder:
        raise InvalidRequest(f"the folder has neither {TOKENIZER} nor {PIECES}", param="files")
    told = folder.json(TOKENIZER)
    model = told.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        raise InvalidRequest(f"{TOKENIZER} has no vocabulary of numbers by tokens", param="files")
    if model.get("type", kind) != kind:
        raise InvalidRequest(f"{TOKENIZER}: a vocabulary of the type {model['type']!r}, not {kind}", param="files")
    return told


def added_tokens(folder: Folder) -> dict[int, tuple[str, bool]]:
    """Tokens beside the trained ones: text, and whether it is a control token, by number."""
    listed = {int(number): each for number, each in _decoder(folder).items() if number.isdecimal()}
    told = folder.json(TOKENIZER).get("added_tokens") or []
    listed |= {each["id"]: each for each in told if isinstance(each, dict) and type(each.get("id")) is int}
    found = {number: (content(each), bool(each.get("special"))) for number, each in listed.items()}
    return {number: (text, special or _looks_special(text)) for number, (text, special) in found.items() if text}


def merges(model: Mapping[str, Any]) -> list[str]:
    """`a b` for each, in order; newer files have pairs. A space inside a token is escaped as llama.cpp's are."""
    listed = model.get("merges")
    if not isinstance(listed, list):
        raise InvalidRequest(f"{TOKENIZER} has no merges", param="files")
    return [
        each if isinstance(each, str) else " ".join(part.replace(" ", chr(ord(" ") + 256)) for part in each)
        for each in listed
    ]


def _decoder(folder: Folder) -> Mapping[str, Any]:
    found = folder.json("tokenizer_config.json").get("added_tokens_decoder")
    return (
        {str(number): each for number, each in found.items() if isinstance(each, dict)}
        if isinstance(found, dict)
        else {}
    )


def _looks_special(text: str) -> bool:
    return any(text.startswith(start) and text.endswith(end) for start, end in _LOOKS_SPECIAL)
