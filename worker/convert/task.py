"""The work of a create: files in other forms become one GGUF file, of which the model is made then."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.catalog.change import find
from shared.catalog.conversion import foreign, parts
from shared.catalog.create import create
from shared.catalog.lease import GRACE_S, leased
from shared.catalog.manifest import Manifest
from shared.catalog.names import ModelName
from shared.catalog.parts import Requantized, model_file, part_of
from shared.catalog.store import Store
from shared.errors import ModelNotFound
from shared.schema.create import CreateRequest
from shared.steps import Tell
from worker.convert.folder import Folder
from worker.convert.model import Model, laid_out
from worker.convert.weights import joined
from worker.convert.write import write

_FILE: Final = "model.gguf"
_EVERY_S: Final = 0.1
"""Between two lines of progress."""


def make(
    store: Store, request: Mapping[str, Any], tell: Tell, stop: threading.Event, *, grace_s: float = GRACE_S
) -> None:
    """Make a model; a request is `{"create": CreateRequest}`, checked by `shared.catalog.conversion`. `grace_s` is how
    long unnamed blobs are kept (s).

    Raises what `create` does, and InvalidRequest for what cannot be converted.
    """
    asked = CreateRequest.model_validate(request["create"])
    sources = _sources(store, asked)
    with leased(store, list(sources.values()), stop.is_set) as lease:
        model, words = _laid_out(store, asked, sources)
        digest, _ = write(store, model, lease, _progress(tell, words, next(iter(sources.values()))), stop)
        del model
        asked = asked.model_copy(update={"quantize": ""})
        weights = None
        if asked.source:
            weights = Requantized(next(iter(sources.values())), part_of(store, _FILE, digest))
        else:
            others = {name: each for name, each in (asked.files or {}).items() if name not in sources}
            asked = asked.model_copy(update={"files": {_FILE: digest, **others}})
        for step in create(store, asked, grace_s=grace_s, weights=weights):
            tell(step)


def _sources(store: Store, asked: CreateRequest) -> dict[str, str]:
    """Digests of the files that become one, by name; for a quantized base the one file of its weights."""
    files = asked.files or {}
    if asked.source:
        found = find(store, ModelName.parse(asked.source)).found
        if found is None:
            raise ModelNotFound(f"model '{asked.source}' not found", param="from")
        return {_FILE: Manifest.from_bytes(found.data).model.digest}
    if others := foreign(files):
        return others
    names = parts(files) or [model_file(store, files)]
    return {name: files[name] for name in names}


def _laid_out(store: Store, asked: CreateRequest, sources: Mapping[str, str]) -> tuple[Model, str]:
    """The file to be, and what is said of its making."""
    folder = Folder.of_store(store, sources)
    if foreign(sources):
        model = laid_out(folder, asked.quantize)
        words = "converting model"
    else:
        model = joined(list(folder.values()), asked.quantize)
        words = f"joining {len(sources)} parts"
    return model, f"quantizing {model.source} model to {asked.quantize}" if asked.quantize else words


def _progress(tell: Tell, words: str, digest: str) -> Callable[[int, int], None]:
    said = float("-inf")

    def progress(done: int, size: int) -> None:
        nonlocal said
        if done >= size or time.monotonic() - said >= _EVERY_S:
            said = time.monotonic()
            tell({"status": words, "digest": digest, "total": size, "completed": done})

    return progress
