"""The vocabulary of a model that writes as pairs of a GGUF header, whatever files it comes in."""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.convert import encode, sentencepiece
from worker.convert.folder import Folder
from worker.convert.pretokenizer import pretokenizer
from worker.convert.special import chat_template, pairs, special
from worker.convert.tokens import (
    BYTE,
    CONTROL,
    NORMAL,
    PIECES,
    UNKNOWN,
    USER,
    Tokens,
    added_tokens,
    merges,
    tokenizer_of,
)


def decoder_pairs(folder: Folder, size: int) -> list[bytes]:
    """The vocabulary of a model that writes: SentencePiece's file, or byte-level BPE. Raises InvalidRequest."""
    if PIECES in folder and (model := sentencepiece.read(folder.whole(PIECES))) is not None:
        return _pieces(folder, model, size)
    told = tokenizer_of(folder)
    if told["model"].get("byte_fallback"):
        return _fallback(folder, told, size)
    return _byte_level(folder, told, size)


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
