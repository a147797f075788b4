"""Models in other forms: which files of a request are work for a worker, and whether it can be done at all.

Looked at before anything is queued, with a few small reads: what only the headers of large files tell is found by the
worker.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import orjson

from shared.catalog.change import find
from shared.catalog.gguf import Gguf
from shared.catalog.gguf_types import UNQUANTIZED
from shared.catalog.manifest import Manifest, blob_key
from shared.catalog.names import ModelName
from shared.catalog.parts import model_file, part_of
from shared.catalog.store import Store
from shared.errors import InvalidRequest, ModelNotFound, UnsupportedParameter
from shared.schema.create import CreateRequest

ARCHITECTURES: Final = (
    *("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"),
    "BertModel",
)
"""Words of `config.json` that are known; `worker.convert.model` has what they mean."""

_CONFIG: Final = "config.json"
_INDEX: Final = ".safetensors.index.json"
_VOCABULARIES: Final = ("tokenizer.json", "tokenizer.model", "vocab.txt")
_PICKLED: Final = (".bin", ".pth", ".pt", ".ckpt")
_OTHERS: Final = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""Endings of the files of a folder that can be converted."""

_SMALL: Final = 16 << 20
"""Bytes of a configuration or an index: what is longer is none."""

_PART: Final = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


def is_work(store: Store, asked: CreateRequest) -> bool:
    """Whether a request needs a worker: files to convert or to join, or weights to quantize.

    Raises InvalidRequest or UnsupportedParameter for what cannot be done.
    """
    files = asked.files or {}
    if others := foreign(files):
        if asked.source:
            raise InvalidRequest("'from' names a model, and 'files' has another one", param="files")
        check_folder(store, others)
        return True
    names = parts(files)
    if len(names) > 1:
        check_split(store, files, names, asked.quantize)
        return True
    if not asked.quantize:
        return False
    if asked.source:
        check_quantizable(_base(store, asked.source), "from")
    else:
        name = model_file(store, files)
        check_quantizable(part_of(store, name, files[name]).header, "files")
    return True


def foreign(files: Mapping[str, str]) -> dict[str, str]:
    """The files of a model in another format, which has a configuration or safetensors; GGUF files are not among them.

    Raises UnsupportedParameter for weights that are pickled, which nothing here reads.
    """
    found = {name: digest for name, digest in files.items() if name.lower().endswith((*_OTHERS, *_PICKLED))}
    if not any(name.endswith((".safetensors", _CONFIG, *_PICKLED)) for name in found):
        return {}
    if len(found) < len(files) and not any(name.endswith(".safetensors") for name in found):
        return {}
    for name in found:
        if name.lower().endswith(_PICKLED):
            raise UnsupportedParameter(
                f'file "{name}": pickled weights are not read; save the model as safetensors', param="files"
            )
    return found


def parts(files: Collection[str]) -> list[str]:
    """Names of the parts of a split GGUF file in their order; none when there is no such name.

    Raises InvalidRequest when one is missing, or when there are two files of this kind.
    """
    found = {name: match for name in files if (match := _PART.fullmatch(name))}
    if not found:
        return []
    kinds = {(match["name"], match["count"]) for match in found.values()}
    if len(kinds) > 1:
        raise InvalidRequest("'files' holds parts of several models", param="files")
    ((stem, count),) = kinds
    numbers = {int(match["number"]): name for name, match in found.items()}
    for number in range(1, int(count) + 1):
        if number not in numbers:
            raise InvalidRequest(f"the part {stem}-{number:05}-of-{count}.gguf is missing", param="files")
    return [numbers[number] for number in sorted(numbers)]


def check_folder(store: Store, files: Mapping[str, str]) -> None:
    """Raises InvalidRequest unless configuration, weights and vocabulary are there, of a known architecture."""
    config = _object(store, files, _CONFIG)
    listed = config.get("architectures")
    word = str(listed[0]) if isinstance(listed, list) and listed else ""
    if word not in ARCHITECTURES:
        raise InvalidRequest(
            f"unsupported architecture {word!r}; the supported ones are {', '.join(ARCHITECTURES)}", param="files"
        )
    if config.get("quantization_config"):
        raise InvalidRequest(
            f"{_CONFIG} says that the model is quantized; only unquantized ones are taken", param="files"
        )
    if not any(name.endswith(".safetensors") for name in files):
        raise InvalidRequest("the folder has no .safetensors file", param="files")
    if not any(name in files for name in _VOCABULARIES):
        raise InvalidRequest(f"the folder has none of {', '.join(_VOCABULARIES)}", param="files")
    for name in files:
        if name.endswith(_INDEX):
            _check_index(_object(store, files, name), files, name)


def check_split(store: Store, files: Mapping[str, str], names: Sequence[str], quantize: str) -> None:
    """Raises InvalidRequest unless every file is that part of a model in several files that its name says."""
    for number, name in enumerate(names):
        header = part_of(store, name, files[name], split=True).header
        told = (header.metadata.get("split.no"), header.metadata.get("split.count"))
        if told != (number, len(names)):
            raise InvalidRequest(
                f'file "{name}" is not part {number + 1} of {len(names)} by its own word', param="files"
            )
        if quantize and not number:
            check_quantizable(header, "files")


def check_quantizable(header: Gguf, param: str) -> None:
    """Raises InvalidRequest for weights that are quantized already."""
    if header.file_type not in UNQUANTIZED:
        raise InvalidRequest(
            f"quantization is only supported for {', '.join(UNQUANTIZED)} models; this one is {header.file_type}",
            param=param,
        )


def _base(store: Store, name: str) -> Gguf:
    """The header of a model's weights. Raises ModelNotFound, InvalidManifest and NotGguf."""
    found = find(store, ModelName.parse(name)).found
    if found is None:
        raise ModelNotFound(f"model '{name}' not found", param="from")
    return part_of(store, name, Manifest.from_bytes(found.data).model.digest).header


def _check_index(index: Mapping[str, Any], files: Collection[str], name: str) -> None:
    places = index.get("weight_map")
    if not isinstance(places, dict):
        raise InvalidRequest(f"{name} has no weight_map", param="files")
    for shard in sorted({str(place) for place in places.values()}):
        if shard not in files:
            raise InvalidRequest(f"{shard} is missing, which {name} names", param="files")


def _object(store: Store, files: Mapping[str, str], name: str) -> dict[str, Any]:
    digest = files.get(name)
    if digest is None:
        raise InvalidRequest(f"the folder has no {name}", param="files")
    entry = store.head(blob_key(digest))
    if entry is None:
        raise InvalidRequest(f'file "{name}": {digest} is not in the catalog, upload it first', param="files")
    found = store.get(entry.key) if entry.size <= _SMALL else None
    try:
        value = orjson.loads(found.data) if found else None
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{name} is not valid JSON: {error}", param="files") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name} holds no JSON object", param="files")
    return value
