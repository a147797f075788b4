"""A new model from another one or from files, with the layers and the digests that Ollama gives it.

    base's layers, or those of the files → adapter → template → system → licenses → parameters → messages

Layers of the base are shared, each with the base's name as its origin. What the request sets replaces the base's layer;
parameters are merged name by name; licenses are added. Config: the base's, or what the weights say of themselves.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import orjson

from shared.catalog.capabilities import capabilities
from shared.catalog.change import Stored, find, hold, put_blob, write
from shared.catalog.collect import prune
from shared.catalog.draft import Draft
from shared.catalog.lease import GRACE_S, Lease, leased
from shared.catalog.manifest import (
    ADAPTER,
    CONFIG,
    LICENSE,
    MESSAGES,
    MODEL,
    PARAMS,
    PROMPT,
    SYSTEM,
    TEMPLATE,
    InvalidManifest,
    Layer,
    Manifest,
    blob_key,
    build_manifest,
    encode_messages,
    encode_params,
)
from shared.catalog.names import ModelName
from shared.catalog.parts import Part, Requantized, check_parts, part_of
from shared.catalog.store import Store
from shared.errors import ModelNotFound
from shared.schema.create import CreateRequest

Progress: TypeAlias = dict[str, Any]
"""`{"status"}`, and for a transfer `digest`, `total` and `completed` (bytes)."""


def create(
    store: Store, asked: CreateRequest, *, grace_s: float = GRACE_S, weights: Requantized | None = None
) -> Iterator[Progress]:
    """Make a model, line by line of progress; the last is `success`. What had the name before loses the blobs that
    nobody else names. `weights` take the place of the base's.

    Raises InvalidRequest, UnsupportedParameter, ModelNotFound, Conflict, InvalidManifest or ServiceUnavailable.
    """
    name = ModelName.parse(asked.model)
    base = ModelName.parse(asked.source) if asked.source else None
    files = [*(asked.files or {}).items(), *(asked.adapters or {}).items()]
    with leased(store, [digest for _, digest in files]) as lease:
        parts: list[Part] = []
        for file, digest in files:
            yield {"status": "parsing GGUF"}
            lease.renew()
            parts.append(part_of(store, file, digest))
        check_parts(asked, parts)
        new: dict[str, bool] = {}

        def make(state: Stored) -> Manifest:
            at = state if base is None or base.folded == name.folded else find(store, base)
            draft = _from_base(store, at, asked.source, lease) if asked.source else _from_files(parts)
            _fill(store, asked, draft, parts, weights)
            manifest = draft.manifest()
            lease.hold(draft.texts)
            for digest, data in draft.texts.items():
                if digest not in new:
                    new[digest] = put_blob(store, digest, data)
            return manifest

        written = write(store, name, make, lease)
        for layer in written.manifest.layers if written else ():
            what = "creating new layer" if new.get(layer.digest) else "using existing layer"
            yield {"status": f"{what} {layer.digest}"}
    yield {"status": "writing manifest"}
    prune(store, written.gone if written else (), grace_s=grace_s)
    yield {"status": "success"}


def _fill(store: Store, asked: CreateRequest, draft: Draft, parts: Sequence[Part], weights: Requantized | None) -> None:
    """Put in what the request sets."""
    if weights:
        draft.exchange(weights)
    for part in sorted(parts, key=lambda part: part.layer.media_type == ADAPTER):
        if part.layer.media_type != MODEL:
            draft.drop(part.layer.media_type)
            draft.put(part)
    if asked.template:
        draft.drop(TEMPLATE, PROMPT)
        draft.add(TEMPLATE, asked.template.encode())
    if asked.system:
        draft.drop(SYSTEM)
        draft.add(SYSTEM, asked.system.encode())
    for text in asked.licenses:
        draft.add(LICENSE, text.encode())
    if asked.parameters:
        merged = {**_parameters(store, draft), **asked.parameters}
        draft.drop(PARAMS)
        draft.add(PARAMS, encode_params(merged))
    if asked.said:
        draft.drop(MESSAGES)
        draft.add(MESSAGES, encode_messages(asked.said))
    set_ = {"renderer": asked.renderer, "parser": asked.parser, "requires": asked.requires}
    draft.config |= {key: value for key, value in set_.items() if value}
    _tell_capabilities(draft, parts, asked.template)


def _from_base(store: Store, stored: Stored, asked: str, lease: Lease) -> Draft:
    if stored.found is None:
        raise ModelNotFound(f"model '{asked}' not found", param="from")
    manifest = hold(store, stored, lease)
    origin = stored.name.display
    layers = [Layer(each.media_type, each.digest, each.size, origin, each.name) for each in manifest.layers]
    return Draft(layers, _json(store, manifest.config))


def _from_files(parts: Sequence[Part]) -> Draft:
    (model,) = (part for part in parts if part.layer.media_type == MODEL)
    header = model.header
    config: dict[str, Any] = {
        "model_format": "gguf",
        "model_family": header.architecture,
        "model_type": header.parameter_size,
        "file_type": header.file_type,
    }
    if header.embeds:
        # A model that embeds takes no longer input, and `dimensions` are checked before anything is queued.
        config |= {"context_length": header.context_length, "embedding_length": header.embedding_length}
    draft = Draft((), config)
    draft.put(model)
    return draft


def _tell_capabilities(draft: Draft, parts: Sequence[Part], template: str) -> None:
    """Say in the config what only the weights' own template tells, which a request has no time to read."""
    model = next((part.header for part in parts if part.layer.media_type == MODEL), None)
    if model is None or template:
        return
    manifest = build_manifest(Layer.of(CONFIG, b""), draft.layers)
    found = capabilities(manifest, draft.config, model.chat_template)
    if model.embeds:
        found = frozenset({"embedding"})
    if found != capabilities(manifest, draft.config, ""):
        draft.config["capabilities"] = sorted(found)


def _parameters(store: Store, draft: Draft) -> dict[str, Any]:
    layer = next((layer for layer in draft.layers if layer.media_type == PARAMS), None)
    return _json(store, layer) if layer else {}


def _json(store: Store, layer: Layer) -> dict[str, Any]:
    """A small JSON blob of the base. Raises InvalidManifest when it cannot be read."""
    found = store.get(blob_key(layer.digest))
    try:
        value = orjson.loads(found.data) if found else None
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidManifest(f"the base model is damaged: its {layer.media_type} cannot be read", param="from")
    return value
