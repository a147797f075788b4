"""`puna list` and `puna show`: the catalog, read without a running stack."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer

from infra.cli.text import ago, size, table
from shared.catalog.catalog import Catalog, CatalogModel
from shared.catalog.manifest import blob_key
from shared.catalog.store import Store, open_store
from shared.settings import settings

HEAD = ("NAME", "ID", "SIZE", "MODIFIED")
ID_DIGITS = 12


def rows(models: Sequence[CatalogModel], now: float) -> list[tuple[str, ...]]:
    """One line per model; `now` is Unix seconds."""
    return [
        (model.id, model.manifest.digest[:ID_DIGITS], size(model.manifest.size), ago(now - model.modified))
        for model in models
    ]


def details(model: CatalogModel, config: Mapping[str, Any]) -> str:
    """What `puna show` prints. `config` is the manifest's config object, in Ollama's form."""
    facts = (
        ("architecture", config.get("model_family") or "unknown"),
        ("parameters", config.get("model_type") or "unknown"),
        ("quantization", config.get("file_type") or "unknown"),
        ("size", size(model.manifest.size)),
        ("digest", f"sha256:{model.manifest.digest}"),
    )
    width = max(len(name) for name, _ in facts)
    head = [f"  {name:<{width}}    {value}" for name, value in facts]
    params = [f"  {name}    {value}" for name, value in sorted(model.defaults.items())]
    layers = table(
        ("  TYPE", "SIZE", "DIGEST"),
        [
            (f"  {layer.media_type.rpartition('.')[2]}", size(layer.size), layer.digest)
            for layer in model.manifest.layers
        ],
    )
    parts = [model.id, *head, *(["", "Defaults", *params] if params else []), "", "Layers", layers]
    return "\n".join(parts)


def list_models() -> None:
    """Print the table of models, newest first."""
    models = asyncio.run(Catalog(open_store(settings())).list())
    typer.echo(table(HEAD, rows(models, time.time())))


def show_model(name: str) -> None:
    """Print one model. Raises ModelNotFound, InvalidRequest or InvalidManifest."""
    store = open_store(settings())
    model = asyncio.run(Catalog(store).resolve(name))
    typer.echo(details(model, _config(store, model)))


def _config(store: Store, model: CatalogModel) -> Mapping[str, Any]:
    found = store.get(blob_key(model.manifest.config.digest))
    try:
        value = orjson.loads(found.data) if found else {}
    except orjson.JSONDecodeError:
        value = {}
    return value if isinstance(value, dict) else {}
