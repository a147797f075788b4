"""A Modelfile's parameters and words as defaults: what a request sets stands, what neither sets is the engine's own."""

from collections.abc import Mapping
from typing import Any

from shared.catalog.catalog import CatalogModel
from shared.catalog.manifest import InvalidManifest
from shared.durations import seconds_of
from shared.schema.options import OPTIONS, Asked, put


def with_defaults(request: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The request, with the parameters that it leaves open. Sequences to stop at are replaced, not joined.

    `num_ctx` and other parameters of loading a model are the worker's. A parameter's range is its author's affair;
    raises InvalidManifest for one of the wrong type.
    """
    defaults = Asked({}, {})
    for name, value in parameters.items():
        if name == "stop":
            defaults.fields["stop"] = _stops(value)
        elif name in OPTIONS and name != "num_ctx":
            _put(defaults, name, value)
    merged = {**defaults.fields, **request}
    options = {**defaults.options, **request.get("options", {})}
    return {**merged, "options": options} if options else merged


def kept_s(model: CatalogModel) -> float | None:
    """How long a model wants to be kept after a request (s), None for the setting. Raises InvalidManifest."""
    try:
        told = model.defaults.get("keep_alive")
        return None if told is None else seconds_of(told)
    except (ValueError, OverflowError):
        raise InvalidManifest("the model is damaged: its parameter 'keep_alive' is no time", param="model") from None


def with_words(request: Mapping[str, Any], model: CatalogModel) -> dict[str, Any]:
    """The request, with a Modelfile's MESSAGEs before its own, and its SYSTEM unless the conversation has one.

    A completion has them where its prompt becomes a message. Ollama's order.
    """
    words = dict(request)
    if (own := request.get("messages")) is not None:
        words["messages"] = [*_before(model, own[0]["role"]), *own]
    elif "template" in request:
        words["template"] = _before(model, "user")
    return words


def _before(model: CatalogModel, role: str) -> list[dict[str, str]]:
    system = [{"role": "system", "content": model.system}] if model.system and role != "system" else []
    return [*system, *(dict(each) for each in model.messages)]


def _put(defaults: Asked, name: str, value: Any) -> None:
    if type(value) is float and OPTIONS[name].whole and value.is_integer():
        value = int(value)
    if type(value) is not int and (type(value) is not float or OPTIONS[name].whole):
        raise InvalidManifest(f"the model is damaged: its parameter '{name}' is not a number", param="model")
    if (name == "num_predict" and value < 1) or (name == "seed" and value < 0):
        return  # Ollama's words for no limit, and for a random seed
    put(defaults, name, value, name)


def _stops(value: Any) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise InvalidManifest("the model is damaged: its parameter 'stop' is not text", param="model")
    return [each for each in stops if each]
