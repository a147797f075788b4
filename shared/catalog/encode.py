"""JSON exactly as Ollama writes it, so that equal content gets an equal digest here and there.

Compact, `<`, `>`, `&`, U+2028 and U+2029 escaped, floats without a needless fraction or exponent, and a
newline at the end: what Go's `encoding/json` Encoder does (https://pkg.go.dev/encoding/json#Marshal).
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

CONFIG_KEYS: Final = (
    "model_format",
    "model_family",
    "model_families",
    "model_type",
    "file_type",
    "renderer",
    "parser",
    "requires",
    "remote_host",
    "remote_model",
    "capabilities",
    "context_length",
    "embedding_length",
    "base_name",
    "draft",
    "architecture",
    "os",
)
"""Keys of a config blob in the order they are written."""

_ALWAYS: Final[dict[str, Any]] = {
    "model_format": "gguf",
    "model_family": "",
    "model_families": None,
    "model_type": "",
    "file_type": "",
    "architecture": "amd64",
    "os": "linux",
}

# In JSON text these characters occur only inside strings, where an escape means the same.
_ESCAPES: Final = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def encode_params(params: Mapping[str, Any]) -> bytes:
    """The params layer: keys sorted. Raises ValueError for NaN or infinity."""
    return _encode(params, orjson.OPT_SORT_KEYS)


def encode_messages(messages: Sequence[tuple[str, str]]) -> bytes:
    """The messages layer of (role, content) pairs."""
    return _encode([{"role": role, "content": content} for role, content in messages])


def encode_config(config: Mapping[str, Any]) -> bytes:
    """The config blob. Absent or empty optional keys are left out. Raises ValueError for an unknown key."""
    unknown = set(config) - set(CONFIG_KEYS)
    if unknown:
        raise ValueError(f"unknown config key {min(unknown)!r}")
    values = {**_ALWAYS, **config}
    return _encode({key: values[key] for key in CONFIG_KEYS if key in _ALWAYS or values.get(key)})


def encode_json(value: Any) -> bytes:
    """Any JSON value with its keys in the order given."""
    return _encode(value)


def _encode(value: Any, option: int = 0) -> bytes:
    data = orjson.dumps(_numbers(value), option=option | orjson.OPT_APPEND_NEWLINE)
    for plain, escaped in _ESCAPES:
        data = data.replace(plain, escaped)
    return data


def _numbers(value: Any) -> Any:
    if isinstance(value, float):
        return orjson.Fragment(_number(value))
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value]
    return value


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    if value and not 1e-6 <= abs(value) < 1e21:
        return repr(value).replace("e-0", "e-")
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
