"""A model's parameters: their names, their types, and how a Modelfile's words become their values. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from shared.catalog.float32 import shortest
from shared.durations import seconds_of
from shared.errors import InvalidRequest

_INTEGERS: Final = (
    *("num_ctx", "num_predict", "num_keep", "top_k", "repeat_last_n", "seed"),
    *("num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict"),
)
_FLOATS: Final = (
    *("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"),
)

TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(_INTEGERS, "integer"),
    **dict.fromkeys(_FLOATS, "float"),
    "use_mmap": "boolean",
    "stop": "strings",
    "keep_alive": "duration",
}
"""Every parameter that a model can have, with the type of its value. `keep_alive` is ours; elsewhere it is unknown."""

DEPRECATED: Final = frozenset(
    (
        *("penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock"),
        *("mirostat", "mirostat_tau", "mirostat_eta"),
    )
)
"""Taken from older Modelfiles, and dropped: they set nothing any more."""

_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


def read_parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values of a Modelfile's PARAMETER lines, in their order: `stop` gathers, of the others the last one counts.

    Raises InvalidRequest in Ollama's words for an unknown name or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name in DEPRECATED:
            continue
        if name == "stop":
            values.setdefault("stop", []).append(text)
        else:
            values[name] = _READERS[_type(name)](text)
    return values


def check_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """A create request's parameters, without nulls and deprecated ones; one `stop` becomes a list of it.

    Raises InvalidRequest with `param` like `parameters.num_ctx`.
    """
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if value is None or name in DEPRECATED:
            continue
        kind = _type(name)
        if not _FITS[kind](value):
            raise InvalidRequest(f'option "{name}" must be of type {_NAMES[kind]}', param=f"parameters.{name}")
        if kind == "strings":
            value = [value] if isinstance(value, str) else list(value)
        checked[name] = int(value) if kind == "integer" else value
    return checked


def lines_of(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of each line that a Modelfile has for these values."""
    lines = []
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            lines.append((name, _text(each)))
    return lines


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _type(name: str) -> str:
    if name not in TYPES:
        raise InvalidRequest(f"unknown parameter '{name}'", param=f"parameters.{name}")
    return TYPES[name]


def _integer(text: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()) or not -(2**63) <= int(text) < 2**63:
        raise InvalidRequest(f"invalid int value [{text}]", param="parameters")
    return int(text)


def _float(text: str) -> float:
    """The shortest decimal of the 32-bit number that the text means: a value has that precision and no more."""
    try:
        value = shortest(float(text))
    except (ValueError, OverflowError):
        raise InvalidRequest(f"invalid float value [{text}]", param="parameters") from None
    if value - value != 0:  # NaN, infinity
        raise InvalidRequest(f"invalid float value [{text}]", param="parameters")
    return value


def _boolean(text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise InvalidRequest(f"invalid bool value [{text}]", param="parameters")
    return text in _TRUE


def _duration(text: str) -> str | float:
    """As it is written, a bare number as one. Raises InvalidRequest."""
    try:
        value: str | float = float(text) if text.lstrip("+-").replace(".", "", 1).isdecimal() else text
        seconds_of(value)
    except ValueError:
        raise InvalidRequest(f"invalid duration value [{text}]", param="parameters") from None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_duration(value: Any) -> bool:
    try:
        seconds_of(value)
    except (ValueError, OverflowError):
        return False
    return True


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "duration": _duration,
}

_NAMES: Final = {
    "integer": "integer",
    "float": "float32",
    "boolean": "boolean",
    "strings": "array",
    "duration": "duration",
}

_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "float": lambda value: type(value) in (int, float) and value - value == 0,
    "boolean": lambda value: type(value) is bool,
    "duration": _is_duration,
    "strings": lambda value: (
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
    ),
}
