"""Llama, Mistral, Qwen 2 and Qwen 3 of a few numbers each, against what numpy makes of them straight away."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.catalog.conversion import ARCHITECTURES as KNOWN
from shared.errors import InvalidRequest
from tests.model_folders import (
    BLOCK_NAMES,
    HEAD,
    HEADS,
    HIDDEN,
    INNER,
    LAYERS,
    SHARED,
    TOP_NAMES,
    VOCAB,
    Array,
    decoder_config,
    decoder_folder,
    decoder_tensors,
)
from tests.unit.worker.convert.made import converted
from worker.convert.model import ARCHITECTURES


def ours(name: str) -> str:
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    number, part = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{number}.{BLOCK_NAMES[part]}"


def turned(name: str, values: Array) -> Array:
    """Llama's queries and keys, row by row: number `i` of a head's first half, then of its second."""
    if ".q_proj." not in name and ".k_proj." not in name:
        return values
    order = [
        at for head in range(0, len(values), HEAD) for i in range(HEAD // 2) for at in (head + i, head + HEAD // 2 + i)
    ]
    return values[order]


def test_the_words_that_the_api_knows_are_those_that_are_built() -> None:
    assert tuple(ARCHITECTURES) == KNOWN


@pytest.mark.parametrize(
    ("word", "gguf", "more"),
    [
        ("LlamaForCausalLM", "llama", {}),
        ("MistralForCausalLM", "llama", {}),
        ("Qwen2ForCausalLM", "qwen2", {"bias": True}),
        ("Qwen3ForCausalLM", "qwen3", {"norms": True}),
    ],
)
def test_tensors_and_facts(tmp_path: Path, word: str, gguf: str, more: dict[str, bool]) -> None:
    tensors = decoder_tensors(**more)
    made = converted(tmp_path, decoder_folder(decoder_config(word), tensors))
    assert set(made.values) == {ours(name) for name in tensors}
    for name, values in tensors.items():
        wanted = turned(name, values) if gguf == "llama" else values
        exact = wanted if values.ndim == 1 else wanted.astype("f2").astype("f4")
        assert np.array_equal(made.values[ours(name)], exact), name
        assert made.types[ours(name)] == ("F32" if values.ndim == 1 else "F16")
    facts = made.facts
    assert facts["general.architecture"] == gguf
    assert facts["general.file_type"] == 1
    told = {
        "block_count": LAYERS,
        "context_length": 2048,
        "embedding_length": HIDDEN,
        "feed_forward_length": INNER,
        "attention.head_count": HEADS,
        "attention.head_count_kv": SHARED,
        "attention.key_length": HEAD,
        "rope.dimension_count": HEAD,
        "rope.freq_base": 10000,
        "vocab_size": VOCAB,
    }
    assert {name: facts[f"{gguf}.{name}"] for name in told} == told
    assert facts[f"{gguf}.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    assert facts["tokenizer.chat_template"] == "{% for m in messages %}{{ m }}{% endfor %}"


def test_biases_of_a_llama_are_turned_like_its_rows(tmp_path: Path) -> None:
    tensors = decoder_tensors(bias=True)
    made = converted(tmp_path, decoder_folder(tensors=tensors))
    name = "model.layers.1.self_attn.q_proj.bias"
    assert np.array_equal(made.values[ours(name)], turned(name, tensors[name]))


def test_a_tied_output_is_left_out(tmp_path: Path) -> None:
    made = converted(tmp_path, decoder_folder(decoder_config(tie_word_embeddings=True)))
    assert "output.weight" not in made.values
    tensors = decoder_tensors(output=False)
    assert converted(tmp_path, decoder_folder(decoder_config(tie_word_embeddings=True), tensors)).types == made.types
    with pytest.raises(InvalidRequest, match=r"'lm_head.weight' is missing"):
        converted(tmp_path, decoder_folder(tensors=tensors))


def test_bfloat16_stays(tmp_path: Path) -> None:
    tensors = decoder_tensors()
    made = converted(tmp_path, decoder_folder(tensors={name: ("BF16", each) for name, each in tensors.items()}))
    name = "model.layers.0.mlp.up_proj.weight"
    cut = (tensors[name].view("u4") & 0xFFFF0000).view("f4")
    assert np.array_equal(made.values[ours(name)], cut)
    assert (made.types[ours(name)], made.types["output_norm.weight"]) == ("BF16", "F32")
    assert made.facts["general.file_type"] == 32


def llama3(base: float, dimensions: int, length: int) -> list[float]:
    """As transformers' `_compute_llama3_parameters` changes each frequency, said one by one."""
    found = []
    for i in range(0, dimensions, 2):
        frequency = 1 / base ** (i / dimensions)
        wave = 2 * math.pi / frequency
        if wave < length / 4:
            new = frequency
        elif wave > length / 1:
            new = frequency / 8
        else:
            smooth = (length / wave - 1) / (4 - 1)
            new = (1 - smooth) * frequency / 8 + smooth * frequency
        found.append(frequency / new)
    return found


@pytest.mark.parametrize("newer", [False, True])
def test_rope_factors(tmp_path: Path, newer: bool) -> None:
    told = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    told["original_max_position_embeddings"] = 256
    more: dict[str, Any] = {"rope_theta": 500000.0, "rope_scaling": told}
    if newer:
        more = {"rope_theta": None, "rope_parameters": {**told, "rope_theta": 500000.0}}
    made = converted(tmp_path, decoder_folder(decoder_config(**more)))
    assert made.values["rope_freqs.weight"].tolist() == pytest.approx(llama3(500000.0, HEAD, 256))
    assert made.types["rope_freqs.weight"] == "F32"
    assert made.facts["llama.rope.freq_base"] == 500000


def test_yarn(tmp_path: Path) -> None:
    told = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
    facts = converted(tmp_path, decoder_folder(decoder_config(rope_scaling=told))).facts
    assert (facts["llama.rope.scaling.type"], facts["llama.rope.scaling.factor"]) == ("yarn", 4)
    assert facts["llama.rope.scaling.original_context_length"] == 512


def test_a_head_may_be_wider_than_its_share(tmp_path: Path) -> None:
    """As Mistral Nemo's are: 5120 numbers, 32 heads of 128."""
    config = decoder_config("MistralForCausalLM", num_attention_heads=2, num_key_value_heads=1, head_dim=HEAD * 2)
    made = converted(tmp_path, decoder_folder(config))
    assert made.facts["llama.attention.key_length"] == 32
    assert made.values["blk.0.attn_q.weight"].shape == (64, 64)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"architectures": ["GPT2LMHeadModel"]},
            "unsupported architecture 'GPT2LMHeadModel'; the supported ones are Llama",
        ),
        ({"architectures": None}, "unsupported architecture ''"),
        ({"hidden_size": None}, "hidden_size is not there"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers cannot be '2'"),
        ({"num_hidden_layers": 3}, r"'model.layers.2.self_attn.q_proj.weight' and 8 more is missing"),
        ({"num_hidden_layers": 1}, r"'model.layers.1.input_layernorm.weight' is not one"),
        ({"intermediate_size": 95}, r"has the shape \[96, 64\]; by config.json it is \[95, 64\]"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
        ({"rope_scaling": {"type": "dynamic"}}, "rope scaling 'dynamic' is not supported"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 0}}, "make no sense"),
        ({"num_key_value_heads": 3}, "num_key_value_heads cannot be 3"),
    ],
)
def test_refusals(tmp_path: Path, config: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        converted(tmp_path, decoder_folder(decoder_config(**config)))
    assert caught.value.param == "files"
