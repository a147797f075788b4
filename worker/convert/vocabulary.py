"""A model's vocabulary as pairs of a GGUF header, whatever files it comes in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.errors import InvalidRequest
from worker.convert import encode, sentencepiece
from worker.convert.folder import Folder
from worker.convert.pretokenizer import pretokenizer
from worker.convert.special import chat_template, content, pairs, special

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


def decoder_pairs(folder: Folder, size: int) -> list[bytes]:
    """The vocabulary of a model that writes: SentencePiece's file, or byte-level BPE. Raises InvalidRequest."""
    if PIECES in folder and (model := sentencepiece.read(folder.whole(PIECES))) is not None:
        return _pieces(folder, model, size)
    told = tokenizer_of(folder)
    if told["model"].get("byte_fallback"):
        return _fallback(folder, told, size)
    return _byte_level(folder, told, size)


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


def _byte_level(folder: Folder, told: Mapping[str, Any], size: int) -> list[bytes]:
    model = told["model"]
    tokens = Tokens.of(model["vocab"], size)
    for number, (text, control) in added_tokens(folder).items():
        tokens.put(number, text, CONTROL if control else USER)
    return [
        encode.string("tokenizer.ggml.model", "gpt2"),
        encode.string("tokenizer.ggml.pre", pretokenizer(told)),
        *tokens.pairs(),
        encode.strings("tokenizer.ggml.merges", merges(model)),
        *_around(folder, tokens),
    ]


def _pieces(folder: Folder, model: sentencepiece.Model, size: int) -> list[bytes]:
    tokens = Tokens.of({}, size)
    scores = [-1000.0] * size
    for number, piece in enumerate(model.pieces):
        tokens.put(number, piece.text, piece.type)
        scores[number] = piece.score
    for text, number in folder.json("added_tokens.json").items():
        tokens.put(number, text, USER)
    for number, (text, control) in added_tokens(folder).items():
        if number >= len(model.pieces) or tokens.types[number] in (NORMAL, USER):
            tokens.put(number, text, CONTROL if control else USER)
    return _spm(tokens, scores, model.space_prefix) + _around(folder, tokens, model.special)


def _fallback(folder: Folder, told: Mapping[str, Any], size: int) -> list[bytes]:
    """SentencePiece's vocabulary as `tokenizer.json` has it: merges in the order of their results' scores."""
    model = told["model"]
    tokens = Tokens.of(model["vocab"], size)
    unknown = model.get("unk_token")
    for text, number in model["vocab"].items():
        if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            tokens.put(number, text, BYTE)
        elif text == unknown:
            tokens.put(number, text, UNKNOWN)
    for number, (text, control) in added_tokens(folder).items():
        if text != unknown:
            tokens.put(number, text, CONTROL if control else USER)
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges(model)):
        ranks.setdefault(merge.replace(" ", "", 1), rank)
    scores = [float(-ranks.get(text, len(ranks))) for text in tokens.texts]
    prepends = '"prepend"' in str(told.get("normalizer")).replace("'", '"').lower()
    scheme = (told.get("pre_tokenizer") or {}).get("prepend_scheme", "never")
    return _spm(tokens, scores, prepends or scheme != "never") + _around(folder, tokens)


def _spm(tokens: Tokens, scores: Sequence[float], space_prefix: bool) -> list[bytes]:
    texts, types = tokens.pairs()
    return [
        encode.string("tokenizer.ggml.model", "llama"),
        encode.string("tokenizer.ggml.pre", "default"),
        texts,
        encode.float32s("tokenizer.ggml.scores", scores),
        types,
        encode.boolean("tokenizer.ggml.add_space_prefix", space_prefix),
    ]


def _around(folder: Folder, tokens: Tokens, own: Mapping[str, int] | None = None) -> list[bytes]:
    """`own` are the special tokens that the vocabulary tells itself."""
    ids = {text: number for number, text in enumerate(tokens.texts)}
    found = {**(own or {}), **special(folder, ids, len(tokens.texts))}
    return pairs(folder, found, tokens.texts) + chat_template(folder)


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
