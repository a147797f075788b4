"""What a model needs when it is loaded: its context, and memory for weights, projector, KV cache of all slots and what
engines add."""

import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from shared.catalog.catalog import CatalogModel
from shared.catalog.gguf import NotGguf, read_gguf
from shared.catalog.manifest import ADAPTER, MODEL, PROJECTOR, Layer, blob_key
from shared.catalog.store import Store
from shared.settings import Settings
from worker.runtime.llama_argv import FAKE, engine_words
from worker.runtime.llama_host import PROMPT_CACHE_MIB

log = logging.getLogger("puna.worker")

_ENGINE = 256 << 20
"""Of an engine itself: its process, its vocabulary, buffers of a step."""

_PROMPT_CACHE = PROMPT_CACHE_MIB << 20
"""KV states of past prompts fill this in time; an engine that only embeds keeps none."""

_ELEMENT = 2
"""Bytes of a number in the KV cache: f16."""

_SHARE = 0.8
"""Of the machine's memory, for models when nothing else is said."""

_LOADED = (MODEL, PROJECTOR, ADAPTER)
"""Layers that an engine holds in memory."""


class Need(NamedTuple):
    """`size` in bytes; `context` of a slot, in tokens."""

    size: int
    context: int


def estimate(settings: Settings, store: Store, model: CatalogModel) -> Need:
    """Reads the head of the weights from the store, and blocks meanwhile. Raises ServiceUnavailable.

    A fake engine holds nothing, and counts as its layers. A file that cannot be read as GGUF counts without a cache:
    its engine will say what is wrong with it.
    """
    files = sum(layer.size for layer in model.manifest.layers if layer.media_type in _LOADED)
    context = model.context(settings.context)
    if engine_words(settings)[0] == FAKE:
        return Need(files, context)
    try:
        header = read_gguf(partial(_read, store, model.manifest.model))
    except NotGguf as error:
        log.warning("%s: %s", model.id, error.message)
        return Need(files + _ENGINE + _PROMPT_CACHE, context)
    context = min(context, header.context_length or context)
    if "completion" not in model.capabilities:
        return Need(files + _ENGINE, context)
    return Need(files + _ENGINE + _PROMPT_CACHE + kv_cache(header.metadata, context * settings.slots), context)


def kv_cache(metadata: Mapping[str, Any], tokens: int) -> int:
    """Bytes of the keys and values of so many tokens, from GGUF metadata. 0 where it names no attention."""
    architecture = metadata.get("general.architecture", "")

    def told(name: str) -> Any:
        return metadata.get(f"{architecture}.{name}")

    blocks, heads = told("block_count") or 0, _most(told("attention.head_count"))
    if not blocks or not heads:
        return 0
    length = (told("embedding_length") or 0) // heads
    key = told("attention.key_length") or length
    value = told("attention.value_length") or length
    kv_heads = told("attention.head_count_kv")
    if isinstance(kv_heads, list) and len(kv_heads) == blocks:
        return sum(kv_heads) * (key + value) * _ELEMENT * tokens
    return int(blocks * (_most(kv_heads) or heads) * (key + value) * _ELEMENT * tokens)


def budget(settings: Settings) -> int:
    """Bytes that a worker's models may take together; 0 is no bound."""
    if settings.memory or (len(settings.names) == 1 and not settings.any_model):
        return settings.memory
    return int(_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _read(store: Store, layer: Layer, start: int, length: int) -> bytes | None:
    return store.get_range(blob_key(layer.digest), start, length)


def _most(told: Any) -> int:
    """Of a number, or of one per block."""
    return max(told, default=0) if isinstance(told, list) else told or 0
