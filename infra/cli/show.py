"""`puna show`: what is known of one model, in Ollama's sections and words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from infra.cli.native import Api
from shared.catalog.gguf import human_number

_HEAD_LINES: Final = 2
"""What is shown of a long text."""

_ARRAY_WIDTH: Final = 10
"""Characters of an array that are shown; its first element always is."""

Pairs = list[tuple[str, str]]


def show_model(name: str, *, part: str = "", verbose: bool = False) -> None:
    """Print one model, or one `part` of what is known of it as it is. Raises CommandError."""
    with Api() as api:
        told = api.call("POST", "/api/show", {"model": name, "verbose": verbose})
    typer.echo(told.get(part, "") if part else details(told, verbose=verbose))


def details(told: Mapping[str, Any], *, verbose: bool = False) -> str:
    """The sections of an `/api/show` object, with metadata and tensors when `verbose`."""
    parameters = [line.split(maxsplit=1) for line in told.get("parameters", "").splitlines()]
    parts = [
        _section("Model", _aligned(_model(told))),
        _section("Capabilities", list(told.get("capabilities", ()))),
        _section("Projector", _aligned(_projector(told.get("projector_info") or {}))),
        _section("Parameters", _aligned([(name, value) for name, value in parameters])),
        _section("Metadata", _aligned(_metadata(told.get("model_info") or {}) if verbose else [])),
        _section("Tensors", _table([_tensor(each) for each in told.get("tensors") or ()] if verbose else [])),
        _section("System", _head(told.get("system", ""))),
        _section("License", _head(told.get("license", ""))),
    ]
    return "\n\n".join(part for part in parts if part)


def _model(told: Mapping[str, Any]) -> Pairs:
    info, facts = told.get("model_info") or {}, told["details"]
    family = info.get("general.architecture") or facts.get("family") or "unknown"
    count = info.get("general.parameter_count")
    pairs = [
        ("architecture", family),
        ("parameters", facts.get("parameter_size") or (human_number(count) if count else "unknown")),
        ("context length", info.get(f"{family}.context_length")),
        ("embedding length", info.get(f"{family}.embedding_length")),
        ("quantization", facts.get("quantization_level") or "unknown"),
        ("requires", told.get("requires")),
    ]
    return [(name, str(value)) for name, value in pairs if value]


def _projector(info: Mapping[str, Any]) -> Pairs:
    family = info.get("general.architecture")
    count = info.get("general.parameter_count")
    pairs = [
        ("architecture", family),
        ("parameters", human_number(count) if count else None),
        ("embedding length", info.get(f"{family}.vision.embedding_length")),
        ("dimensions", info.get(f"{family}.vision.projection_dim")),
    ]
    return [(name, str(value)) for name, value in pairs if value is not None]


def _metadata(info: Mapping[str, Any]) -> Pairs:
    return [(name, _value(value)) for name, value in sorted(info.items())]


def _tensor(tensor: Mapping[str, Any]) -> tuple[str, ...]:
    return (tensor["name"], tensor["type"], f"[{' '.join(map(str, tensor['shape']))}]")


def _value(value: Any) -> str:
    """A value of the metadata; of a long array its beginning and how much more there is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, list):
        return str(value)
    shown, width = 0, 1
    for each in map(str, value):
        width += len(each) + (2 if shown else 0)
        if shown and width > _ARRAY_WIDTH:
            break
        shown += 1
    more = f" ...+{len(value) - shown} more" if shown < len(value) else ""
    return f"[{' '.join(map(str, value[:shown]))}{more}]"


def _head(text: str) -> list[str]:
    """The first lines that hold something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[:_HEAD_LINES] + (["..."] if len(lines) > _HEAD_LINES else [])


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"  {title}", *(f"    {line}".rstrip() for line in lines)]) if lines else ""


def _aligned(pairs: Pairs) -> list[str]:
    return _table([(name, value) for name, value in pairs])


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows with their columns four spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["    ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
