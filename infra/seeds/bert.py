"""A sentence-transformers BERT as a GGUF file that llama.cpp reads. The same input gives the same bytes.

Names and forms follow llama.cpp's own `convert_hf_to_gguf.py` (BertModel): matrices as float16, vectors, positions and
token types as float32; WordPiece tokens in the "phantom space" form, where the start of a word is marked in place of
its continuation. The pooler is left out: sentence-transformers takes the mean of the last layer.
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
from numpy.typing import NDArray

from infra.seeds.safetensors import tensors

_SPECIAL: Final = {"pad_token": "pad", "unk_token": "unk", "cls_token": "bos", "sep_token": "sep", "mask_token": "mask"}
"""The tokenizer's names of special tokens, and llama.cpp's."""

_TOP: Final = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}

_BLOCK: Final = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}

_FLOAT32: Final = {"position_embd", "token_types"}
"""Matrices that llama.cpp adds to activations, which it can do with float32 only."""


def convert(archive: zipfile.ZipFile, folder: str, target: Path, *, name: str) -> None:
    """Write the model in a folder of an archive (`model.safetensors`, `config.json`, `vocab.txt`, …) to a GGUF file.

    Raises KeyError or ValueError when it is not such a model.
    """
    config = json.loads(archive.read(f"{folder}/config.json"))
    special = json.loads(archive.read(f"{folder}/special_tokens_map.json"))
    if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
        raise ValueError(f"{folder} holds no BERT with GELU")
    vocabulary = archive.read(f"{folder}/vocab.txt").decode().removesuffix("\n").split("\n")
    writer = gguf.GGUFWriter(target, "bert")
    _describe(writer, config, name)
    _tokenizer(writer, vocabulary, special)
    for old, tensor in tensors(archive.read(f"{folder}/model.safetensors")).items():
        if new := tensor_name(old):
            writer.add_tensor(new, _stored(new, tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensor_name(name: str) -> str:
    """llama.cpp's name of a tensor; empty for one that it does not need."""
    stem, _, kind = name.rpartition(".")
    if stem in _TOP:
        return f"{_TOP[stem]}.{kind}"
    if not stem.startswith("encoder.layer."):
        return ""
    number, _, part = stem.removeprefix("encoder.layer.").partition(".")
    return f"blk.{number}.{_BLOCK[part]}.{kind}"


def phantom(token: str) -> str:
    """`##ing` → `ing`, `word` → `▁word`."""
    return token[2:] if token.startswith("##") else f"\u2581{token}"


def _describe(writer: gguf.GGUFWriter, config: dict[str, Any], name: str) -> None:
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _tokenizer(writer: gguf.GGUFWriter, vocabulary: list[str], special: dict[str, str]) -> None:
    control = set(special.values())
    kinds = [gguf.TokenType.CONTROL if token in control else gguf.TokenType.NORMAL for token in vocabulary]
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list([token if token in control else phantom(token) for token in vocabulary])
    writer.add_token_types([int(kind) for kind in kinds])
    for theirs, ours in _SPECIAL.items():
        getattr(writer, f"add_{ours}_token_id")(vocabulary.index(special[theirs]))


def _stored(name: str, tensor: NDArray[Any]) -> NDArray[Any]:
    if tensor.ndim == 1 or name.rpartition(".")[0] in _FLOAT32:
        return tensor.astype(np.float32)
    return tensor.astype(np.float16)
