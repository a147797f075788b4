"""Ollama's options, of a body's `options` and of a Modelfile's parameters: what an engine is asked, in its names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import UnsupportedParameter
from shared.schema.body import AsksNothing, json_type, nothing, unknown, wrong

INTEGERS = 2**31 - 1
"""llama.cpp counts in 32 bits with a sign."""

SEEDS = 2**32 - 1
"""llama.cpp keeps a seed in 32 bits and takes the highest one to mean "random"."""


@dataclass(frozen=True, slots=True)
class Option:
    """A number: its bounds, both of which are allowed. `field` is a field of the engine's request that has its own
    place there, `engine` a name among the engine's options."""

    low: float
    high: float
    whole: bool = False
    field: str = ""
    engine: str = ""


OPTIONS: Mapping[str, Option] = {
    "temperature": Option(0, 2, field="temperature"),
    "top_p": Option(0, 1, field="top_p"),
    "frequency_penalty": Option(-2, 2, field="frequency_penalty"),
    "presence_penalty": Option(-2, 2, field="presence_penalty"),
    "seed": Option(-(2**63), 2**63 - 1, whole=True, field="seed"),
    "num_predict": Option(-2, INTEGERS, whole=True, field="max_tokens"),
    "num_ctx": Option(1, INTEGERS, whole=True, engine="num_ctx"),
    "num_keep": Option(-1, INTEGERS, whole=True, engine="n_keep"),
    "top_k": Option(-1, INTEGERS, whole=True, engine="top_k"),
    "min_p": Option(0, 1, engine="min_p"),
    "typical_p": Option(0, 1, engine="typical_p"),
    "repeat_penalty": Option(0.01, 100, engine="repeat_penalty"),
    "repeat_last_n": Option(-1, INTEGERS, whole=True, engine="repeat_last_n"),
    "mirostat": Option(0, 2, whole=True, engine="mirostat"),
    "mirostat_tau": Option(0, 100, engine="mirostat_tau"),
    "mirostat_eta": Option(0, 100, engine="mirostat_eta"),
}
"""Numbers that a request may set. `stop` is the one option that is none."""

_FIXED = {"num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock", "numa", "low_vram"}
"""Decided when the model is loaded."""

_GONE: Mapping[str, AsksNothing] = {
    "tfs_z": nothing(1, 1.0),
    "penalize_newline": nothing(False),
    "f16_kv": nothing(True),
    "logits_all": nothing(False),
    "vocab_only": nothing(False),
}
"""No longer in llama.cpp; each with the values that ask for what it does anyway."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Options as the engine's request has them: `fields` of the request itself, and its `options`."""

    fields: dict[str, Any]
    options: dict[str, Any]


def number(name: str, value: Any, param: str) -> int | float:
    """A number of an option, in its bounds. Raises InvalidRequest."""
    option = OPTIONS[name]
    if type(value) is not int and (option.whole or type(value) is not float):
        raise wrong(param, f"expected {'a whole number' if option.whole else 'a number'}, not {_type(value)}")
    if not option.low <= value <= option.high:
        raise wrong(param, f"expected {option.low:g} to {option.high:g}")
    return value


def seed(value: int) -> int:
    """A seed that the engine keeps, the same for the same one."""
    return value % SEEDS


def options_of(options: Any, param: str = "options") -> Asked:
    """A request's `options`, with llama.cpp's names. Raises InvalidRequest, or UnsupportedParameter for an option
    that is fixed when the model is loaded. `num_ctx` stays, to be compared with the context that there is."""
    if not isinstance(options, dict):
        raise wrong(param, f"expected an object, not {json_type(options)}")
    asked = Asked({}, {})
    for name, value in options.items():
        at = f"{param}.{name}"
        if value is None or (name in _GONE and _GONE[name](value)):
            continue
        if name in _FIXED or name in _GONE:
            raise UnsupportedParameter(f"Unsupported parameter: '{at}' cannot be set by a request.", param=at)
        if name == "stop":
            asked.fields["stop"] = stops_of(value, at)
        elif name not in OPTIONS:
            raise unknown(at)
        else:
            put(asked, name, number(name, value, at), at)
    return asked


def put(asked: Asked, name: str, value: Any, param: str) -> None:
    """Add a checked option. Raises InvalidRequest for a length that is none."""
    option = OPTIONS[name]
    if name == "num_predict" and value < 1:
        if value == 0:
            raise wrong(param, "expected at least 1, or -1 for no limit")
        return  # Ollama's -1 and -2: until the model ends or the context is full, as without a limit
    if name == "seed":
        value = seed(value)
    target, key = (asked.fields, option.field) if option.field else (asked.options, option.engine)
    target[key] = value


def stops_of(stop: Any, param: str = "stop") -> list[str]:
    """A string or up to four, as a list. By hand: a model's message about a union names its branches, not the fault."""
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise wrong(param, "expected a string or an array of strings")
    if "" in stops:
        raise wrong(param, "a sequence must not be empty")
    if len(stops) > 4:
        raise wrong(param, f"{len(stops)} sequences; at most 4 are allowed")
    return stops


def _type(value: Any) -> str:
    return "a number with a fraction" if isinstance(value, float) else json_type(value)
