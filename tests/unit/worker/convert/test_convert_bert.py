"""A BERT of two layers; what the conversion does to the real one is in tests/e2e."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from infra.seeds import bert
from shared.errors import InvalidRequest
from tests.model_folders import bert_folder, bert_tensors
from tests.unit.worker.convert.made import converted


def test_what_llama_cpp_reads(tmp_path: Path) -> None:
    made = converted(tmp_path, bert_folder())
    facts = made.facts
    assert facts["general.architecture"] == "bert"
    assert (facts["bert.context_length"], facts["bert.embedding_length"], facts["bert.block_count"]) == (16, 4, 2)
    assert facts["bert.attention.causal"] is False
    assert facts["bert.pooling_type"] == gguf.PoolingType.MEAN
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁sea", "side", "▁!"]
    assert facts["tokenizer.ggml.tokens"] == tokens
    assert facts["tokenizer.ggml.token_type"] == [3] * 5 + [1] * 3
    ids = {"bos": 2, "seperator": 3, "padding": 0, "unknown": 1, "mask": 4}
    assert {name: facts[f"tokenizer.ggml.{name}_token_id"] for name in ids} == ids
    types = made.types
    assert (types["token_embd.weight"], types["blk.1.attn_q.weight"]) == ("F16", "F16")
    assert (types["position_embd.weight"], types["token_types.weight"]) == ("F32", "F32")
    assert (types["blk.0.attn_q.bias"], types["blk.0.layer_output_norm.weight"]) == ("F32", "F32")
    assert not any("pooler" in name or "position_ids" in name for name in types)
    assert len(types) == len(bert_tensors()) - 3
    values = bert_tensors()["encoder.layer.1.output.dense.weight"].astype("f2").astype("f4")
    assert np.array_equal(made.values["blk.1.ffn_down.weight"], values)


def test_pooling_is_what_the_folder_says(tmp_path: Path) -> None:
    told = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 4}
    made = converted(tmp_path, bert_folder(**{"1_Pooling/config": told}))
    assert made.facts["bert.pooling_type"] == gguf.PoolingType.CLS
    with pytest.raises(InvalidRequest, match="pooling_mode_max_tokens is not supported"):
        converted(tmp_path, bert_folder(**{"1_Pooling/config": {"pooling_mode_max_tokens": True}}))


def test_a_vocabulary_in_tokenizer_json(tmp_path: Path) -> None:
    files = bert_folder()
    words = files.pop("vocab.txt").decode().split()
    with pytest.raises(InvalidRequest, match=r"neither tokenizer.json nor vocab.txt"):
        converted(tmp_path, files)
    told = {"model": {"type": "WordPiece", "vocab": {word: number for number, word in enumerate(words)}}}
    other = bert_folder(tokenizer=told)
    del other["vocab.txt"]
    assert converted(tmp_path, other).facts == converted(tmp_path, bert_folder()).facts


@pytest.mark.parametrize(
    ("config", "files", "told"),
    [
        ({"hidden_act": "relu"}, {}, "hidden_act 'relu' is not supported"),
        ({"position_embedding_type": "relative_key"}, {}, "position_embedding_type 'relative_key' is not supported"),
        ({"vocab_size": 7}, {}, r"shape \[8, 4\]; by config.json it is \[7, 4\]"),
        ({}, {"tokenizer_config": {"do_lower_case": False}}, "upper case is not supported"),
        ({}, {"special_tokens_map": {"cls_token": "[CLS]"}}, "tells no pad and no unk and no sep and no mask token"),
    ],
)
def test_refusals(tmp_path: Path, config: dict[str, Any], files: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        converted(tmp_path, bert_folder(config, **files))


def test_an_archive_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        for name, data in bert_folder().items():
            archive.writestr(f"m/{name}", data)
        for name in ("a", "b"):
            bert.convert(archive, "m", tmp_path / name, name="tiny")
    first, second = (hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a", "b"))
    assert first == second
    reader = gguf.GGUFReader(tmp_path / "a")
    name = reader.get_field("general.name")
    assert name is not None
    assert name.contents() == "tiny"
