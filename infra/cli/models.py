"""`puna list`, `show`, `ps`, `cp`, `rm`: the models of a running API, in Ollama's words and columns."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

from infra.cli.native import Api
from infra.cli.text import ago, duration, size, table

LIST = ("NAME", "ID", "SIZE", "MODIFIED")
PS = ("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL")

ID_DIGITS = 12

_FOREVER_S = 100 * 365 * 86_400
"""What is kept longer than this (s) is kept forever."""

_LICENSE_LINES = 2


def list_rows(models: Sequence[Mapping[str, Any]], now: float) -> list[tuple[str, ...]]:
    """A line per model of `/api/tags`; `now` is Unix seconds."""
    return [
        (each["name"], each["digest"][:ID_DIGITS], size(each["size"]), ago(now - _seconds(each["modified_at"])))
        for each in models
    ]


def ps_rows(models: Sequence[Mapping[str, Any]], now: float) -> list[tuple[str, ...]]:
    """A line per model of `/api/ps`."""
    return [
        (
            each["name"],
            each["digest"][:ID_DIGITS],
            size(each["size"]),
            processor(each["size"], each["size_vram"]),
            str(each["context_length"]),
            _until(_seconds(each["expires_at"]) - now),
        )
        for each in models
    ]


def processor(total: int, vram: int) -> str:
    """Where a model lies: `100% GPU`, `100% CPU`, `48%/52% CPU/GPU`."""
    if not vram:
        return "100% CPU"
    if vram >= total:
        return "100% GPU"
    share = round(100 * (total - vram) / total)
    return f"{share}%/{100 - share}% CPU/GPU"


def details(told: Mapping[str, Any]) -> str:
    """What `puna show` prints of `/api/show`."""
    info, facts = told.get("model_info") or {}, told["details"]
    family = info.get("general.architecture") or facts.get("family") or "unknown"
    model = [
        ("architecture", family),
        ("parameters", facts.get("parameter_size") or "unknown"),
        ("context length", info.get(f"{family}.context_length")),
        ("embedding length", info.get(f"{family}.embedding_length")),
        ("quantization", facts.get("quantization_level") or "unknown"),
        ("requires", told.get("requires")),
    ]
    parameters = [line.split(maxsplit=1) for line in told.get("parameters", "").splitlines()]
    license_ = told.get("license", "").strip().splitlines()
    short = license_[:_LICENSE_LINES] + (["..."] if len(license_) > _LICENSE_LINES else [])
    parts = [
        _section("Model", _aligned([(name, str(value)) for name, value in model if value])),
        _section("Capabilities", list(told.get("capabilities", ()))),
        _section("Parameters", _aligned([(name, value) for name, value in parameters])),
        _section("System", told.get("system", "").splitlines()),
        _section("License", short),
    ]
    return "\n\n".join(part for part in parts if part)


def list_models() -> None:
    """Print the table of models, newest first."""
    with Api() as api:
        models = api.call("GET", "/api/tags")["models"]
    typer.echo(table(LIST, list_rows(models, time.time())))


def show_model(name: str, *, part: str = "") -> None:
    """Print one model, or one `part` of what is known of it as it is."""
    with Api() as api:
        told = api.call("POST", "/api/show", {"model": name})
    typer.echo(told.get(part, "") if part else details(told))


def ps() -> None:
    """Print what is loaded."""
    with Api() as api:
        models = api.call("GET", "/api/ps")["models"]
    typer.echo(table(PS, ps_rows(models, time.time())))


def copy(source: str, destination: str) -> None:
    with Api() as api:
        api.call("POST", "/api/copy", {"source": source, "destination": destination})
    typer.echo(f"copied '{source}' to '{destination}'")


def remove(names: Sequence[str]) -> None:
    with Api() as api:
        for name in names:
            api.call("DELETE", "/api/delete", {"model": name})
            typer.echo(f"deleted '{name}'")


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"  {title}", *(f"    {line}" for line in lines)]) if lines else ""


def _aligned(pairs: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}    {value}" for name, value in pairs]


def _until(seconds: float) -> str:
    if seconds > _FOREVER_S:
        return "Forever"
    return f"{duration(seconds)} from now" if seconds > 0 else "Stopping..."


def _seconds(moment: str) -> float:
    """RFC 3339 as Unix seconds; a fraction of any length."""
    text = moment.replace("Z", "+00:00")
    head, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[: min(digits, 6)]:0<6}{rest[digits:]}"
    return datetime.fromisoformat(text).timestamp()
