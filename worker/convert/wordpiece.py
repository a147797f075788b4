"""BERT's vocabulary: tokens in the "phantom space" form, where the start of a word is marked in place of its
continuation."""

from typing import Any, Final

from shared.errors import InvalidRequest
from worker.convert import encode
from worker.convert.folder import Folder
from worker.convert.special import special
from worker.convert.tokens import CONTROL, NORMAL, TOKENIZER, WORDS, Tokens, added_tokens, tokenizer_of

_SPECIAL: Final = {"pad": "padding", "unk": "unknown", "cls": "bos", "sep": "seperator", "mask": "mask"}
"""transformers' kinds of special tokens that a BERT has, and llama.cpp's."""


def encoder_pairs(folder: Folder, size: int, types: int) -> list[bytes]:
    """The vocabulary as pairs; `types` are the token types. Raises InvalidRequest."""
    if not _lower_case(folder):
        raise InvalidRequest(
            "a vocabulary with upper case is not supported: llama.cpp lowers every text", param="files"
        )
    ids = _ids(folder)
    tokens = Tokens.of(ids, size)
    found = special(folder, ids, size)
    if missing := [kind for kind in _SPECIAL if kind not in found]:
        raise InvalidRequest(f"special_tokens_map.json tells no {' and no '.join(missing)} token", param="files")
    control = {found[kind] for kind in _SPECIAL} | {number for number, (_, is_) in added_tokens(folder).items() if is_}
    for text, number in ids.items():
        if number in control:
            tokens.put(number, text, CONTROL)
        else:
            tokens.put(number, phantom(text), NORMAL)
    return [
        encode.string("tokenizer.ggml.model", "bert"),
        encode.uint32("tokenizer.ggml.token_type_count", types),
        *tokens.pairs(),
        *(encode.uint32(f"tokenizer.ggml.{ours}_token_id", found[kind]) for kind, ours in _SPECIAL.items()),
    ]


def phantom(token: str) -> str:
    """`##ing` → `ing`, `word` → `▁word`."""
    return token[2:] if token.startswith("##") else f"\u2581{token}"


def _ids(folder: Folder) -> dict[str, Any]:
    if WORDS in folder:
        lines = folder.whole(WORDS).decode("utf-8", "replace").removesuffix("\n").split("\n")
        return {line.removesuffix("\r"): number for number, line in enumerate(lines)}
    if TOKENIZER not in folder:
        raise InvalidRequest(f"the folder has neither {TOKENIZER} nor {WORDS}", param="files")
    vocabulary: dict[str, Any] = tokenizer_of(folder, "WordPiece")["model"]["vocab"]
    return vocabulary


def _lower_case(folder: Folder) -> bool:
    told = folder.json("tokenizer_config.json").get("do_lower_case")
    if told is None:
        told = (folder.json(TOKENIZER).get("normalizer") or {}).get("lowercase")
    return told is not False
