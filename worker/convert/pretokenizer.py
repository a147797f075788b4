"""llama.cpp's name of the way in which a `tokenizer.json` splits text before its merges.

llama.cpp has a list of such ways, each written out in C++; a vocabulary with another one would be read without a
complaint and give other tokens than it was trained with. So what is not known here is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.errors import InvalidRequest

_WORDS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST: Final = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED: Final = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_PATTERNS: Final = {
    rf"{_WORDS}\p{{N}}{{1,3}}{_REST}": "llama-bpe",
    rf"{_WORDS}\p{{N}}{_REST}": "qwen2",
    _CASED: "tekken",
}
"""Regular expressions that a `Split` has, alone before a `ByteLevel` without one of its own."""


def pretokenizer(tokenizer: Mapping[str, Any]) -> str:
    """`llama-bpe`, `qwen2`, `tekken`, `smollm` or `gpt-2`. Raises InvalidRequest for another."""
    steps = list(_steps(tokenizer.get("pre_tokenizer") or {}))
    shape = tuple(_shape(step) for step in steps)
    if shape == ("bytes with words",):
        return "gpt-2"
    if shape == ("digits", "bytes with words"):
        return "smollm"
    if len(shape) == 2 and shape[0] in _PATTERNS and shape[1] == "bytes":
        return _PATTERNS[shape[0]]
    known = ", ".join(sorted([*_PATTERNS.values(), "smollm", "gpt-2"]))
    told = " and ".join(shape) or "none at all"
    raise InvalidRequest(
        f"tokenizer.json: its pre-tokenizer ({told}) is not supported; the known ones are {known}", param="files"
    )


def _steps(told: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if told.get("type") == "Sequence":
        for each in told.get("pretokenizers") or ():
            yield from _steps(each)
    elif told:
        yield told


def _shape(step: Mapping[str, Any]) -> str:
    match step:
        case {"type": "ByteLevel"}:
            return "bytes with words" if step.get("use_regex", True) else "bytes"
        case {"type": "Digits", "individual_digits": True}:
            return "digits"
        case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated"}:
            return pattern
    return str(step.get("type"))
