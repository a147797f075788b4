"""`puna list`, `ps`, `stop`, `cp`, `rm`: the models of a running API, in Ollama's words and columns."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

from infra.cli.native import Api, NotThere
from infra.cli.place import CommandError
from infra.cli.text import ago, size, table

LIST = ("NAME", "ID", "SIZE", "MODIFIED")
PS = ("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL")

ID_DIGITS = 12


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
    if vram == total:
        return "100% GPU"
    if vram > total:
        return "Unknown"
    share = round(100 * (total - vram) / total)
    return f"{share}%/{100 - share}% CPU/GPU"


def list_models(prefix: str = "") -> None:
    """Print the table of models whose names begin so, newest first."""
    with Api() as api:
        models = _beginning(prefix, api.call("GET", "/api/tags")["models"])
    typer.echo(table(LIST, list_rows(models, time.time())))


def ps(prefix: str = "") -> None:
    """Print what is loaded, of the models whose names begin so."""
    with Api() as api:
        models = _beginning(prefix, api.call("GET", "/api/ps")["models"])
    typer.echo(table(PS, ps_rows(models, time.time())))


def stop(name: str) -> None:
    """Unload a model, once nothing runs or waits for it: a request for nothing that is to be kept no time."""
    with Api() as api:
        try:
            api.call("POST", "/api/generate", {"model": name, "keep_alive": 0, "stream": False})
        except NotThere:
            raise CommandError(f'couldn\'t find model "{name}" to stop') from None


def copy(source: str, destination: str) -> None:
    with Api() as api:
        api.call("POST", "/api/copy", {"source": source, "destination": destination})
    typer.echo(f"copied '{source}' to '{destination}'")


def remove(names: Sequence[str]) -> None:
    """Remove names. What is loaded is unloaded when no other name has its weights."""
    with Api() as api:
        for name in names:
            api.call("DELETE", "/api/delete", {"model": name})
            typer.echo(f"deleted '{name}'")


def _beginning(prefix: str, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [model for model in models if model["name"].lower().startswith(prefix.lower())]


def _until(seconds: float) -> str:
    return ago(-seconds) if seconds > 0 else "Stopping..."


def _seconds(moment: str) -> float:
    """RFC 3339 as Unix seconds; a fraction of any length."""
    text = moment.replace("Z", "+00:00")
    head, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[: min(digits, 6)]:0<6}{rest[digits:]}"
    return datetime.fromisoformat(text).timestamp()
