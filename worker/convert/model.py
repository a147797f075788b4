"""A folder of safetensors as a GGUF file: checked and laid out whole before a byte of it is made."""

import fnmatch
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from shared.catalog.gguf_types import file_type_number
from shared.errors import InvalidRequest
from worker.convert import bert, decoder, encode, safetensors, types
from worker.convert.config import FILE, Config
from worker.convert.folder import Folder
from worker.convert.layout import Architecture, Slot
from worker.convert.safetensors import Stored
from worker.convert.tensor import DTYPES, Array, Rows, Tensor
from worker.convert.vocabulary import decoder_pairs
from worker.convert.wordpiece import encoder_pairs

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "LlamaForCausalLM": decoder.LLAMA,
    "MistralForCausalLM": decoder.LLAMA,
    "Qwen2ForCausalLM": decoder.QWEN2,
    "Qwen3ForCausalLM": decoder.QWEN3,
    "BertModel": bert.BERT,
}
"""By the word in `config.json`; `shared.catalog.conversion` has the same words."""

_QUANTIZATION_VERSION: Final = 2


class Model(NamedTuple):
    """A file to be: the pairs of its header, its tensors in order, and the type of most of its source."""

    pairs: list[bytes]
    tensors: list[Tensor]
    source: str


def laid_out(folder: Folder, quantize: str = "", name: str = "") -> Model:
    """A GGUF file of a folder's model; `quantize` is a type of `QUANTIZATIONS`, empty for 16 bits.

    Raises InvalidRequest for an unknown architecture, and for files or tensors that are missing or do not fit.
    """
    config, architecture = _architecture(folder)
    tensors = _tensors(folder, config, architecture)
    source = _most(tensors)
    output = types.output_of({tensor.name for tensor in tensors})
    typed = [
        replace(each, type=types.converted(each.name, each.shape, each.source, quantize, output)) for each in tensors
    ]
    kind = quantize or source
    pairs = [encode.string("general.architecture", architecture.gguf)]
    pairs += [encode.string("general.name", name)] if name else []
    pairs.append(encode.uint32("general.file_type", file_type_number(kind)))
    pairs += architecture.facts(config, architecture.gguf)
    if architecture is bert.BERT:
        pairs.append(encode.uint32("bert.pooling_type", bert.pooling(folder)))
        size = architecture.sizes(config)
        pairs += encoder_pairs(folder, size["vocab"], size["types"])
    else:
        pairs += decoder_pairs(folder, architecture.sizes(config)["vocab"])
    if kind.startswith("Q"):
        pairs.append(encode.uint32("general.quantization_version", _QUANTIZATION_VERSION))
    return Model(pairs, typed + architecture.added(config), source)


def _architecture(folder: Folder) -> tuple[Config, Architecture]:
    if FILE not in folder:
        raise InvalidRequest(f"the folder has no {FILE}", param="files")
    config = folder.json(FILE)
    listed = config.get("architectures")
    word = str(listed[0]) if isinstance(listed, list) and listed else ""
    if word not in ARCHITECTURES:
        raise InvalidRequest(
            f"unsupported architecture {word!r}; the supported ones are {', '.join(ARCHITECTURES)}", param="files"
        )
    return Config(config), ARCHITECTURES[word]


def _tensors(folder: Folder, config: Config, architecture: Architecture) -> list[Tensor]:
    """Every tensor that is needed, each of its shape. Its type in the file is not decided yet."""
    blocks = config.count("num_hidden_layers")
    sizes = architecture.sizes(config)
    tied = bool(config.get("tie_word_embeddings")) or architecture is bert.BERT
    needed = architecture.needed(blocks, tied=tied)
    found: list[Tensor] = []
    for stored in _stored(folder):
        try:
            slot = architecture.slot(stored.name, blocks)
        except KeyError:
            raise InvalidRequest(
                f"{architecture.gguf}: the tensor {stored.name!r} is not one that this architecture has", param="files"
            ) from None
        if slot is None or (tied and slot.name == "output.weight"):
            continue
        found.append(_tensor(stored, slot, sizes))
        needed.pop(slot.name, None)
    if needed:
        more = f" and {len(needed) - 1} more" if len(needed) > 1 else ""
        raise InvalidRequest(f"the tensor {next(iter(needed.values()))!r}{more} is missing", param="files")
    return found


def _stored(folder: Folder) -> list[Stored]:
    names = sorted(name for name in folder if fnmatch.fnmatchcase(name, "*.safetensors"))
    found: dict[str, Stored] = {}
    for name in names:
        for each in safetensors.tensors(folder[name], name).values():
            if each.name in found:
                raise InvalidRequest(f"the tensor {each.name!r} is in several files", param="files")
            found[each.name] = each
    return list(found.values())


def _tensor(stored: Stored, slot: Slot, sizes: Mapping[str, int]) -> Tensor:
    shape = tuple(sizes[each] for each in slot.shape)
    if stored.shape != shape:
        raise InvalidRequest(
            f"the tensor {stored.name!r} has the shape {list(stored.shape)}; by {FILE} it is {list(shape)}",
            param="files",
        )
    if stored.dtype not in DTYPES:
        raise InvalidRequest(
            f"the tensor {stored.name!r} has the type {stored.dtype}; only {', '.join(DTYPES)} can be converted",
            param="files",
        )
    if not slot.heads:
        return Tensor(slot.name, shape, stored.dtype, stored.rows)
    if len(shape) == 1:
        return Tensor(slot.name, shape, stored.dtype, _neighbours(stored, sizes["head"], vector=True))
    return Tensor(slot.name, shape, stored.dtype, _neighbours(stored, sizes["head"]), unit=sizes["head"])


def _neighbours(stored: Stored, head: int, *, vector: bool = False) -> Rows:
    """Rows of queries or keys in llama.cpp's order: in each head the two halves by turns."""

    def rows(first: int, count: int) -> Array:
        found = stored.rows(first, count)
        halves = found.reshape(-1, 2, head // 2, 1 if vector else found.shape[-1])
        return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(found.shape)

    return rows


def _most(tensors: list[Tensor]) -> str:
    """The type of the source as it is told: BF16 when a matrix is, else F16, which F32 becomes."""
    return "BF16" if any(each.source == "BF16" and len(each.shape) > 1 for each in tensors) else "F16"
