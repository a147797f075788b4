"""What is known of a model, as Ollama's `/api/show` and `/api/tags` tell it. Blocking; weights are read by ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from shared.catalog.capabilities import capabilities
from shared.catalog.catalog import CatalogModel
from shared.catalog.gguf import Gguf, NotGguf, read_gguf
from shared.catalog.manifest import LICENSE, MESSAGES, MODEL, PROJECTOR, SYSTEM, Layer, blob_key
from shared.catalog.modelfile import Instruction, written
from shared.catalog.parameters import lines_of
from shared.catalog.store import Store

KEY_WIDTH: Final = 30
"""Columns of a parameter's name."""

_ORDER: Final = ("completion", "embedding", "vision", "tools", "insert", "thinking")

_HIDDEN: Final = ("general.name", "tokenizer.chat_template")
"""Metadata that is shown elsewhere."""


@dataclass(frozen=True, slots=True)
class Instead:
    """What stands in for a model's own while it is shown."""

    system: str = ""
    template: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def details(model: CatalogModel) -> dict[str, Any]:
    """The `details` object; `context_length` and `embedding_length` only where the config tells them."""
    config = model.config
    layer = model.manifest.layer(MODEL)
    told = {
        "parent_model": layer.origin if layer else "",
        "format": config.get("model_format") or "",
        "family": config.get("model_family") or "",
        "families": config.get("model_families"),
        "parameter_size": config.get("model_type") or "",
        "quantization_level": config.get("file_type") or "",
    }
    lengths = {name: config[name] for name in ("context_length", "embedding_length") if config.get(name)}
    return {**told, **lengths}


def timestamp(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def entry(model: CatalogModel) -> dict[str, Any]:
    """A model's line in `/api/tags`."""
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": timestamp(model.modified),
        "size": model.manifest.size,
        "digest": model.manifest.digest,
        "details": details(model),
        "capabilities": in_order(model.capabilities),
    }


def in_order(found: frozenset[str]) -> list[str]:
    """Capabilities in Ollama's order, those that it does not know last."""
    return sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


_AS_IT_IS: Final = Instead()


def show(store: Store, model: CatalogModel, *, verbose: bool = False, instead: Instead = _AS_IT_IS) -> dict[str, Any]:
    """The `/api/show` object. Raises ServiceUnavailable."""
    weights = _header(store, model.manifest.layer(MODEL), verbose)
    projector = _header(store, model.manifest.layer(PROJECTOR), verbose)
    own = instead.template or model.template
    template = own or (weights.chat_template if weights else "")
    system = instead.system or _text(store, model.manifest.layer(SYSTEM))
    licenses = [_text(store, layer) for layer in model.manifest.layers if layer.media_type == LICENSE]
    messages = _messages(store, model.manifest.layer(MESSAGES))
    parameters = {**model.defaults, **instead.options}
    told = {
        "license": "\n".join(licenses),
        "modelfile": _modelfile(model, own, system, parameters, licenses, messages),
        "parameters": parameter_text(parameters),
        "template": template,
        "system": system,
        "details": details(model),
        "messages": messages,
        "model_info": _info(weights),
        "projector_info": _info(projector) if projector else None,
        "tensors": _tensors(weights),
        "capabilities": in_order(_capabilities(model, template)),
        "modified_at": timestamp(model.modified),
        "renderer": model.config.get("renderer"),
        "parser": model.config.get("parser"),
        "requires": model.config.get("requires"),
    }
    always = ("details", "model_info", "tensors", "capabilities", "modified_at", "modelfile", "template")
    return {name: value for name, value in told.items() if value or name in always}


def parameter_text(parameters: Mapping[str, Any]) -> str:
    """One line a value, names padded, texts in quotes."""
    lines = []
    for name, value in sorted(parameters.items()):
        for each in value if isinstance(value, list) else [value]:
            lines.append(f"{name:<{KEY_WIDTH}} {orjson.dumps(each).decode()}")
    return "\n".join(lines)


def _capabilities(model: CatalogModel, template: str) -> frozenset[str]:
    return capabilities(model.manifest, model.config, template)


def _modelfile(
    model: CatalogModel,
    template: str,
    system: str,
    parameters: Mapping[str, Any],
    licenses: list[str],
    messages: list[dict[str, str]],
) -> str:
    """A Modelfile that makes this model again, from itself: weights in a store have no path."""
    config = model.config
    instructions = [
        Instruction("from", model.id),
        *(Instruction("template", text) for text in [template] if text),
        *(Instruction("system", text) for text in [system] if text),
        *(Instruction("parameter", text, name) for name, text in lines_of(parameters)),
        *(Instruction("renderer", str(text)) for text in [config.get("renderer")] if text),
        *(Instruction("parser", str(text)) for text in [config.get("parser")] if text),
        *(Instruction("requires", str(text)) for text in [config.get("requires")] if text),
        *(Instruction("message", each["content"], each["role"]) for each in messages),
        *(Instruction("license", text) for text in licenses),
    ]
    return "".join(f"{_line(each)}\n" for each in instructions)


def _line(instruction: Instruction) -> str:
    try:
        return written(instruction)
    except ValueError as error:
        return f"# {instruction.name.upper()}: {error}"


def _header(store: Store, layer: Layer | None, verbose: bool) -> Gguf | None:
    """None for weights that are not there, or are no GGUF."""
    if layer is None:
        return None
    key = blob_key(layer.digest)
    try:
        return read_gguf(lambda start, length: store.get_range(key, start, length), verbose=verbose)
    except NotGguf:
        return None


def _info(header: Gguf | None) -> dict[str, Any]:
    if header is None:
        return {}
    shown = {name: value for name, value in header.metadata.items() if name not in _HIDDEN}
    return {**shown, "general.parameter_count": header.parameters}


def _tensors(header: Gguf | None) -> list[dict[str, Any]]:
    if header is None:
        return []
    return [{"name": each.name, "type": each.type, "shape": list(each.shape)} for each in header.tensors]


def _text(store: Store, layer: Layer | None) -> str:
    found = store.get(blob_key(layer.digest)) if layer else None
    return found.data.decode("utf-8", "replace") if found else ""


def _messages(store: Store, layer: Layer | None) -> list[dict[str, str]]:
    try:
        value = orjson.loads(_text(store, layer) or "[]")
        return [{"role": str(each["role"]), "content": str(each["content"])} for each in value]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []
