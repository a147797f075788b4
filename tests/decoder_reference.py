"""Decoders of Llama's kind as transformers computes them, in numpy: the reference for converted models.

Nothing of llama.cpp and nothing of the conversion is used. Source: transformers' `modeling_llama.py`,
`modeling_qwen2.py`, `modeling_qwen3.py` and `modeling_rope_utils.py`.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def log_probabilities(config: Mapping[str, Any], tensors: Mapping[str, Array], ids: list[int]) -> Array:
    """Of every token after each of `ids`: (tokens, vocabulary)."""
    at = {name: each.astype(np.float64) for name, each in tensors.items()}
    x = at["model.embed_tokens.weight"][ids]
    for number in range(config["num_hidden_layers"]):
        block = {name: at[f"model.layers.{number}.{name}"] for name in _below(at, f"model.layers.{number}.")}
        x = x + _attention(config, block, _norm(config, x, block["input_layernorm.weight"]))
        x = x + _feed_forward(block, _norm(config, x, block["post_attention_layernorm.weight"]))
    x = _norm(config, x, at["model.norm.weight"])
    logits = x @ at.get("lm_head.weight", at["model.embed_tokens.weight"]).T
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _attention(config: Mapping[str, Any], block: Mapping[str, Array], x: Array) -> Array:
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    q, k, v = (_linear(block, f"self_attn.{part}_proj", x) for part in "qkv")
    q, k, v = (each.reshape(len(x), count, -1) for each, count in ((q, heads), (k, shared), (v, shared)))
    if "self_attn.q_norm.weight" in block:
        q, k = (_norm(config, each, block[f"self_attn.{part}_norm.weight"]) for each, part in ((q, "q"), (k, "k")))
    q, k = _turned(config, q), _turned(config, k)
    k, v = (each.repeat(heads // shared, axis=1) for each in (k, v))
    scores = np.einsum("ihd,jhd->hij", q, k) / math.sqrt(q.shape[-1])
    scores += np.triu(np.full((len(x), len(x)), -np.inf), 1)
    share = np.exp(scores - scores.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    return _linear(block, "self_attn.o_proj", np.einsum("hij,jhd->ihd", share, v).reshape(len(x), -1))


def _feed_forward(block: Mapping[str, Array], x: Array) -> Array:
    gate = _linear(block, "mlp.gate_proj", x)
    return _linear(block, "mlp.down_proj", gate / (1 + np.exp(-gate)) * _linear(block, "mlp.up_proj", x))


def _linear(block: Mapping[str, Array], name: str, x: Array) -> Array:
    return np.asarray(x @ block[f"{name}.weight"].T + block.get(f"{name}.bias", 0))


def _norm(config: Mapping[str, Any], x: Array, weight: Array) -> Array:
    return np.asarray(x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + config["rms_norm_eps"]) * weight)


def _turned(config: Mapping[str, Any], x: Array) -> Array:
    """transformers' `apply_rotary_pos_emb`: a head's first half is turned against its second."""
    half = x.shape[-1] // 2
    angles = np.arange(len(x))[:, None, None] * np.array(_frequencies(config, x.shape[-1]))
    first, second = x[..., :half], x[..., half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _frequencies(config: Mapping[str, Any], dimensions: int) -> list[float]:
    plain = [1 / config["rope_theta"] ** (i / dimensions) for i in range(0, dimensions, 2)]
    told = config.get("rope_scaling") or {}
    if told.get("rope_type") != "llama3":
        return [each / told.get("factor", 1) for each in plain]
    return [_llama3(told, frequency) for frequency in plain]


def _llama3(told: Mapping[str, Any], frequency: float) -> float:
    wave, length = 2 * math.pi / frequency, told["original_max_position_embeddings"]
    if wave < length / told["high_freq_factor"]:
        return frequency
    if wave > length / told["low_freq_factor"]:
        return float(frequency / told["factor"])
    smooth = (length / wave - told["low_freq_factor"]) / (told["high_freq_factor"] - told["low_freq_factor"])
    return float((1 - smooth) * frequency / told["factor"] + smooth * frequency)


def _below(names: Mapping[str, Array], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
