"""Llama, Mistral, Qwen 2 and Qwen 3: decoders that differ in little. Names and facts are llama.cpp's.

Source: llama.cpp's `convert_hf_to_gguf.py` (LlamaModel, Qwen2Model, Qwen3Model).
"""

from collections.abc import Mapping
from typing import Final

from worker.convert import encode, rope
from worker.convert.config import Config, wrong
from worker.convert.layout import Architecture, Slot, linear, norm
from worker.convert.tensor import Tensor, of_array

_TOP: Final = {
    "model.embed_tokens.weight": Slot("token_embd.weight", ("vocab", "hidden")),
    **norm("model.norm", "output_norm"),
    "lm_head.weight": Slot("output.weight", ("vocab", "hidden")),
}

_FEED_FORWARD: Final = {
    **norm("input_layernorm", "attn_norm"),
    **norm("post_attention_layernorm", "ffn_norm"),
    **linear("mlp.gate_proj", "ffn_gate", "inner", "hidden"),
    **linear("mlp.up_proj", "ffn_up", "inner", "hidden"),
    **linear("mlp.down_proj", "ffn_down", "hidden", "inner"),
}


def _attention(query_heads: str = "", key_heads: str = "", *, bias: bool = False) -> dict[str, Slot]:
    return {
        **linear("self_attn.q_proj", "attn_q", "query", "hidden", query_heads, bias=bias),
        **linear("self_attn.k_proj", "attn_k", "key", "hidden", key_heads, bias=bias),
        **linear("self_attn.v_proj", "attn_v", "key", "hidden", bias=bias),
        **linear("self_attn.o_proj", "attn_output", "hidden", "query"),
    }


def sizes(config: Config) -> Mapping[str, int]:
    heads, hidden = config.count("num_attention_heads"), config.count("hidden_size")
    shared = config.count("num_key_value_heads", heads)
    head = config.count("head_dim", hidden // heads)
    if head % 2:
        raise wrong("head_dim", head)
    if heads % shared:
        raise wrong("num_key_value_heads", shared)
    return {
        "vocab": config.count("vocab_size"),
        "hidden": hidden,
        "inner": config.count("intermediate_size"),
        "heads": heads,
        "shared": shared,
        "head": head,
        "query": heads * head,
        "key": shared * head,
    }


def facts(config: Config, architecture: str) -> list[bytes]:
    config.one_of("hidden_act", ("silu",))
    size = sizes(config)
    numbers = {
        "context_length": config.count("max_position_embeddings"),
        "embedding_length": size["hidden"],
        "feed_forward_length": size["inner"],
        "block_count": config.count("num_hidden_layers"),
        "attention.head_count": size["heads"],
        "attention.head_count_kv": size["shared"],
        "attention.key_length": size["head"],
        "attention.value_length": size["head"],
        "rope.dimension_count": size["head"],
        "vocab_size": size["vocab"],
    }
    pairs = [encode.uint32(f"{architecture}.{name}", number) for name, number in numbers.items()]
    pairs.append(
        encode.float32(f"{architecture}.attention.layer_norm_rms_epsilon", config.number("rms_norm_eps", 1e-6))
    )
    return pairs + rope.facts(config, architecture)


def _rope_factors(config: Config) -> list[Tensor]:
    if rope.kind(config) != "llama3":
        return []
    return [of_array("rope_freqs.weight", rope.factors(config, sizes(config)["head"]))]


def _qwen_facts(config: Config, architecture: str) -> list[bytes]:
    if config.get("use_sliding_window"):
        raise wrong("use_sliding_window", True)
    if rope.kind(config) == "llama3":
        raise wrong("rope_type", "llama3")
    return facts(config, architecture)


LLAMA: Final = Architecture(
    gguf="llama",
    prefix="model.layers",
    top=_TOP,
    block={**_attention("heads", "shared"), **_FEED_FORWARD},
    sizes=sizes,
    facts=facts,
    unused=(".rotary_emb.inv_freq",),
    added=_rope_factors,
)
"""llama.cpp turns its queries and keys in pairs of neighbours, transformers in halves: rows are reordered."""

QWEN2: Final = Architecture(
    gguf="qwen2",
    prefix="model.layers",
    top=_TOP,
    block={**_attention(bias=True), **_FEED_FORWARD},
    sizes=sizes,
    facts=_qwen_facts,
    unused=(".rotary_emb.inv_freq",),
)

QWEN3: Final = Architecture(
    gguf="qwen3",
    prefix="model.layers",
    top=_TOP,
    block={
        **_attention(),
        **norm("self_attn.q_norm", "attn_q_norm", "head"),
        **norm("self_attn.k_norm", "attn_k_norm", "head"),
        **_FEED_FORWARD,
    },
    sizes=sizes,
    facts=_qwen_facts,
    unused=(".rotary_emb.inv_freq",),
)
