"""A Llama of some size in a catalog's blobs, as a client uploads one: so large that converting it takes a moment."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from shared.catalog.manifest import blob_key, digest_of
from shared.catalog.store import Store
from tests.model_folders import decoder_config, decoder_folder

HIDDEN, INNER, VOCAB = 640, 2048, 16_000
"""With ten layers 66 million numbers: 264 MB as F32, of which the table has 41 MB."""


def large_model(store: Store, folder: Path, layers: int) -> tuple[dict[str, str], int]:
    """Digests of its files by name, and how many numbers it has. `folder` is for the file on its way."""
    more = {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": layers, "vocab_size": VOCAB}
    heads = {"num_attention_heads": 10, "num_key_value_heads": 10, "tie_word_embeddings": True}
    digests = {}
    for name, data in decoder_folder(decoder_config(**more, **heads), {}).items():
        digests[name] = digest_of(data)
        store.put(blob_key(digests[name]), data)
    numbers = _write(path := folder / "weights", layers)
    with path.open("rb") as file:
        digests["model.safetensors"] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    store.put_file(blob_key(digests["model.safetensors"]), path, move=True)
    return digests, numbers


def _shapes(layers: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for number in range(layers):
        at = f"model.layers.{number}"
        found |= {f"{at}.{name}_layernorm.weight": (HIDDEN,) for name in ("input", "post_attention")}
        found |= {f"{at}.self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
        found |= {f"{at}.mlp.{part}_proj.weight": (INNER, HIDDEN) for part in ("gate", "up")}
        found[f"{at}.mlp.down_proj.weight"] = (HIDDEN, INNER)
    return found


def _write(path: Path, layers: int) -> int:
    """Safetensors of random numbers, F32; how many."""
    header: dict[str, Any] = {}
    size = 0
    for name, shape in _shapes(layers).items():
        length = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [size, size + length]}
        size += length
    text = json.dumps(header).encode()
    block = np.random.default_rng(1).normal(size=1 << 18).astype("f4").tobytes()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
    return size // 4
