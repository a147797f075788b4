"""The conversion, on a BERT of two layers; what it does to the real one is in tests/e2e."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from infra.seeds import bert
from infra.seeds.safetensors import tensors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sea", "##side", "!"]
SPECIAL = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "max_position_embeddings": 16,
    "hidden_size": 4,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "layer_norm_eps": 1e-12,
}


def shapes() -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {
        "embeddings.position_ids": (1, 16),
        "embeddings.word_embeddings.weight": (8, 4),
        "embeddings.position_embeddings.weight": (16, 4),
        "embeddings.token_type_embeddings.weight": (2, 4),
        "embeddings.LayerNorm.weight": (4,),
        "embeddings.LayerNorm.bias": (4,),
        "pooler.dense.weight": (4, 4),
        "pooler.dense.bias": (4,),
    }
    for layer in range(2):
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            found |= {f"encoder.layer.{layer}.{part}.weight": (4, 4), f"encoder.layer.{layer}.{part}.bias": (4,)}
    return found


def safetensors() -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for number, (name, shape) in enumerate(shapes().items()):
        kind = "I64" if name.endswith("ids") else "F32"
        size = int(np.prod(shape))
        tensor = np.arange(size) if kind == "I64" else (np.arange(size) / 7 + number).astype("<f4")
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [len(data), len(data) + tensor.nbytes]}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.fixture
def wheel() -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        archive.writestr("m/config.json", json.dumps(CONFIG))
        archive.writestr("m/special_tokens_map.json", json.dumps(SPECIAL))
        archive.writestr("m/vocab.txt", "\n".join(WORDS) + "\n")
        archive.writestr("m/model.safetensors", safetensors())
        yield archive


def test_the_same_input_gives_the_same_bytes(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    for name in ("a", "b"):
        bert.convert(wheel, "m", tmp_path / name, name="tiny")
    first, second = (hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a", "b"))
    assert first == second


def test_what_llama_cpp_reads(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    bert.convert(wheel, "m", tmp_path / "m.gguf", name="tiny")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    facts = {name: field.contents() for name, field in reader.fields.items()}
    assert facts["general.architecture"] == "bert"
    assert (facts["bert.context_length"], facts["bert.embedding_length"], facts["bert.block_count"]) == (16, 4, 2)
    assert facts["bert.attention.causal"] is False
    assert facts["bert.pooling_type"] == gguf.PoolingType.MEAN
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁sea", "side", "▁!"]
    assert facts["tokenizer.ggml.tokens"] == tokens
    assert facts["tokenizer.ggml.token_type"] == [3] * 5 + [1] * 3
    ids = {"bos": 2, "seperator": 3, "padding": 0, "unknown": 1, "mask": 4}
    assert {name: facts[f"tokenizer.ggml.{name}_token_id"] for name in ids} == ids
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert (types["token_embd.weight"], types["blk.1.attn_q.weight"]) == ("F16", "F16")
    assert (types["position_embd.weight"], types["blk.0.attn_q.bias"]) == ("F32", "F32")
    assert not any("pooler" in name or "position_ids" in name for name in types)
    assert len(types) == len(shapes()) - 3


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        archive.writestr("m/config.json", json.dumps({**CONFIG, "model_type": "roberta"}))
        archive.writestr("m/special_tokens_map.json", "{}")
        with pytest.raises(ValueError, match="no BERT"):
            bert.convert(archive, "m", tmp_path / "m.gguf", name="tiny")


def test_tensors_are_read_with_type_and_shape() -> None:
    found = tensors(safetensors())
    assert {name: tensor.shape for name, tensor in found.items()} == shapes()
    assert found["embeddings.position_ids"].dtype == np.int64
    assert found["embeddings.LayerNorm.weight"].tolist() == pytest.approx([4, 4 + 1 / 7, 4 + 2 / 7, 4 + 3 / 7])
